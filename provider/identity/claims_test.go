package identity

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"
)

func token(payload string) []byte {
	return []byte("header." + base64.RawURLEncoding.EncodeToString([]byte(payload)) + ".signature")
}

func TestAccountUIDIsTheOneClaimAndNoOtherText(t *testing.T) {
	for name, test := range map[string]struct{ payload, want string }{
		"as Kubernetes writes it": {`{"aud":["vault"],"exp":1,"kubernetes.io":{"namespace":"shop","node":{"name":"n","uid":"node"},"pod":{"name":"p","uid":"pod"},"serviceaccount":{"name":"web","uid":"u1"}},"sub":"s"}`, "u1"},
		"white space":             {" {\n\t\"kubernetes.io\" : { \"serviceaccount\" :\r{ \"uid\" : \"u1\" } } } ", "u1"},
		"escapes":                 {`{"kubernetes\u002eio":{"service\u0061ccount":{"\u0075id":"\u00751\""}}}`, `u1"`},
		"decoys in strings":       {`{"a":"\"kubernetes.io\":{\"serviceaccount\":{\"uid\":\"x\"}}","b":"}{][,:\\","kubernetes.io":{"serviceaccount":{"uid":"u1"}}}`, "u1"},
		"decoys below":            {`{"a":{"kubernetes.io":{"serviceaccount":{"uid":"x"}}},"b":[{"uid":"x"}],"kubernetes.io":{"serviceaccount":{"pod":{"uid":"x"},"uid":"u1"}}}`, "u1"},
		"the last of two":         {`{"kubernetes.io":{"serviceaccount":{"uid":"x","uid":"u1"}}}`, "u1"},
		"another's":               {`{"kubernetes.io":{"pod":{"uid":"x"}}}`, ""},
		"another case":            {`{"kubernetes.io":{"serviceaccount":{"UID":"x"}}}`, ""},
		"text after it":           {`{"kubernetes.io":{"serviceaccount":{"uid":"x"}}}}`, ""},
		"in a list":               {`[{"kubernetes.io":{"serviceaccount":{"uid":"x"}}}]`, ""},
		"empty":                   {`{}`, ""},
		"larger than any token":   {`{"kubernetes.io":{"serviceaccount":{"uid":"x"}},"pad":"` + strings.Repeat("x", maxClaims) + `"}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			if got := accountUID(token(test.payload)); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// Decoding level by level gives what decoding everything gives.
func FuzzAccountUIDIsWhatDecodingGives(f *testing.F) {
	f.Add(`{"kubernetes.io":{"serviceaccount":{"uid":"u1"}}}`)
	f.Add(` { "a" : [1, "}"], "kubernetes.io" : {"serviceaccount":{"\u0075id":"\ud800\"", "b":null}} } `)
	f.Add(`{"kubernetes.io":{"serviceaccount":{"uid":"` + "\xff" + `"}},"kubernetes.io":[]}`)
	f.Fuzz(func(t *testing.T, payload string) {
		want := ""
		var decoded any
		if json.Unmarshal([]byte(payload), &decoded) == nil {
			for name := range strings.SplitSeq("kubernetes.io serviceaccount uid", " ") {
				object, _ := decoded.(map[string]any)
				decoded = object[name]
			}
			want, _ = decoded.(string)
		}
		if got := accountUID(token(payload)); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

func BenchmarkAccountUID(b *testing.B) {
	text := token(`{"aud":["vault"],"exp":1763678000,"iat":1763674400,"iss":"https://kubernetes.default.svc.cluster.local","jti":"0123456789abcdef0123456789abcdef","kubernetes.io":{"namespace":"shop","node":{"name":"node-1","uid":"01234567-89ab-cdef-0123-456789abcdef"},"pod":{"name":"web-0","uid":"01234567-89ab-cdef-0123-456789abcdef"},"serviceaccount":{"name":"web","uid":"01234567-89ab-cdef-0123-456789abcdef"}},"nbf":1763674400,"sub":"system:serviceaccount:shop:web"}`)
	b.ReportAllocs()
	for b.Loop() {
		accountUID(text)
	}
}

func TestClaimsNameThePodAndTheEnd(t *testing.T) {
	for name, c := range map[string]struct {
		payload string
		want    Claims
	}{
		"as Kubernetes writes it": {
			`{"exp":1763678000,"kubernetes.io":{"namespace":"shop","node":{"name":"n"},"pod":{"name":"p","uid":"pu"},"serviceaccount":{"name":"web","uid":"u"}}}`,
			Claims{Namespace: "shop", ServiceAccount: "web", Pod: "p", PodUID: "pu", Expires: time.Unix(1763678000, 0)},
		},
		"bound to no pod":    {`{"exp":1763678000.9,"kubernetes.io":{"namespace":"shop","serviceaccount":{"name":"web"}}}`, Claims{Namespace: "shop", ServiceAccount: "web", Expires: time.Unix(1763678000, 0)}},
		"an end that is not": {`{"exp":"soon","kubernetes.io":{"namespace":7,"serviceaccount":[]}}`, Claims{}},
		"an end in no year":  {`{"exp":1e300}`, Claims{}},
		"nothing":            {`{}`, Claims{}},
		"no JSON":            {`{`, Claims{}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := ClaimsOf(token(c.payload)); got != c.want {
				t.Errorf("%+v, want %+v", got, c.want)
			}
		})
	}
	if got := ClaimsOf([]byte("s.vaulttoken")); got != (Claims{}) {
		t.Errorf("%+v of another token", got)
	}
}
