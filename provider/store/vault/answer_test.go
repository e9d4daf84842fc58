package vault

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"github.com/hashicorp/vault/api"

	"github.com/lanyardhq/lanyard/provider/backend/vault"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/secret"
	"github.com/lanyardhq/lanyard/provider/store"
)

// read is what a GET of secret/data/a becomes when Vault answers so.
func read(status int, body string) (store.Value, error) {
	return become(&query{key: "secret/data/a", method: http.MethodGet}, status, body)
}

func become(q *query, status int, body string) (store.Value, error) {
	resp := &vault.Response{Status: status}
	resp.Answer, resp.Broken = vault.ParseAnswer(q.key, []byte(body))
	if !resp.OK() {
		if err := gone(q, resp.Answer); err != nil {
			return store.Value{}, err
		}
		return store.Value{}, refusal(q, `role "web"`, resp)
	}
	return valueOf(q, resp)
}

func TestAnswersThatHoldAValue(t *testing.T) {
	for name, test := range map[string]struct{ body, data, version string }{
		"kv1":          {`{"request_id":"1","lease_duration":2764800,"data":{"a":"b"}}`, `{"a":"b"}`, ""},
		"kv2":          {`{"request_id":"1","data":{"data":{"a":"b"},"metadata":{"created_time":"2024-01-02T03:04:05.6Z","version":7}}}`, `{"a":"b"}`, "7-"},
		"kv1 like kv2": {`{"request_id":"1","lease_duration":2764800,"data":{"data":"x","metadata":"y"}}`, `{"data":"x","metadata":"y"}`, ""},
		"kv1 of kv2": {
			`{"request_id":"1","lease_duration":2764800,"data":{"data":{"a":"b"},"metadata":{"created_time":"2024-01-02T03:04:05.6Z","version":7}}}`,
			`{"data":{"a":"b"},"metadata":{"created_time":"2024-01-02T03:04:05.6Z","version":7}}`, "",
		},
		"numbers stay":      {`{"request_id":"1","data":{"big":12345678901234567890,"f":1.10}}`, `{"big":12345678901234567890,"f":1.10}`, ""},
		"fields of no kind": {`{"request_id":"1","lease_duration":2764800,"data":{}}`, `{}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			value, err := read(200, test.body)
			if err != nil {
				t.Fatal(err)
			}
			if got := string(value.Data.Reveal()); got != test.data {
				t.Errorf("data %s, want %s", got, test.data)
			}
			if !strings.HasPrefix(value.Version, test.version) || (value.Version == "") != (test.version == "") {
				t.Errorf("version %q, want one like %q", value.Version, test.version)
			}
		})
	}
}

// Some paths answer without an envelope. Elsewhere what has none is a gateway's.
func TestBareAnswersAreValuesOfTheirOwnPathsAlone(t *testing.T) {
	const body = `{"message":"no route matched"}`
	for key, want := range map[string]bool{
		"sys/health": true, "identity/oidc/.well-known/keys": true,
		"team-a/identity/oidc/.well-known/keys": true, "a/b/identity/oidc/provider/web/.well-known/openid-configuration": true,
		"secret/data/a": false, "secret/data/sys/a": false, "system/a": false, "identity/entity/id/a": false,
		"secret/data/identity/oidc/a": false, "team-a/sys/a": false, "a/xidentity/oidc/.well-known/keys": false,
	} {
		value, err := become(&query{key: key, method: http.MethodGet}, 200, body)
		switch {
		case want && (err != nil || string(value.Data.Reveal()) != body):
			t.Errorf("%s: %q, %v; want what was answered", key, value.Data.Reveal(), err)
		case !want && (!errors.Is(err, fault.ErrUnavailable) || value.Data.Len() != 0 || !strings.Contains(err.Error(), "what stands between")):
			t.Errorf("%s: %d bytes, %v; want unavailable", key, value.Data.Len(), err)
		}
	}
}

// What the option whole gives is what Vault's own client would write down,
// apart from the identifier of the request.
func TestWholeAnswers(t *testing.T) {
	for name, test := range map[string]struct{ body, want string }{
		"kv1": {`{"request_id":"1","lease_id":"","renewable":false,"lease_duration":2764800,"data":{"a":"<b>","n":1.10},"wrap_info":null,"warnings":null,"auth":null,"mount_type":"kv"}`,
			`{"request_id":"","lease_id":"","lease_duration":2764800,"renewable":false,"data":{"a":"\u003cb\u003e","n":1.10},"warnings":null,"mount_type":"kv"}`},
		"kv2": {`{"request_id":"1","data":{"data":{"a":"b"},"metadata":{"created_time":"2024-01-02T03:04:05.6Z","version":7}}}`,
			`{"request_id":"","lease_id":"","lease_duration":0,"renewable":false,"data":{"data":{"a":"b"},"metadata":{"created_time":"2024-01-02T03:04:05.6Z","version":7}},"warnings":null}`},
		"a lease": {`{"request_id":"1","lease_id":"database/creds/web/x","renewable":true,"lease_duration":3600,"data":{"username":"u"},"warnings":["careful"]}`,
			`{"request_id":"","lease_id":"database/creds/web/x","lease_duration":3600,"renewable":true,"data":{"username":"u"},"warnings":["careful"]}`},
		"a token beside it": {`{"request_id":"1","data":{"a":"b"},"auth":{"client_token":"hunter2"}}`,
			`{"request_id":"","lease_id":"","lease_duration":0,"renewable":false,"data":{"a":"b"},"warnings":null}`},
	} {
		t.Run(name, func(t *testing.T) {
			resp := &vault.Response{Status: 200}
			resp.Answer, resp.Broken = vault.ParseAnswer("a/b", []byte(test.body))
			value, err := valueOf(&query{key: "a/b", method: http.MethodGet, whole: true}, resp)
			if err != nil {
				t.Fatal(err)
			}
			if got := string(value.Data.Reveal()); got != test.want || value.Version != "" {
				t.Errorf("value\n%s, want\n%s; version %q", got, test.want, value.Version)
			}
			var ours, theirs map[string]any
			original, err := api.ParseSecret(strings.NewReader(test.body))
			if err != nil {
				t.Fatal(err)
			}
			original.RequestID, original.Auth = "", nil
			text, err := json.Marshal(original)
			if err != nil || json.Unmarshal(text, &theirs) != nil || json.Unmarshal([]byte(test.want), &ours) != nil || !reflect.DeepEqual(ours, theirs) {
				t.Errorf("Vault's client writes %s", text)
			}
		})
	}
}

func TestVersionTellsARecreatedSecretApart(t *testing.T) {
	const body = `{"request_id":"1","data":{"data":{},"metadata":{"version":1,"created_time":"TIME"}}}`
	first, _ := read(200, strings.Replace(body, "TIME", "2024-01-01T00:00:00.000000001Z", 1))
	second, _ := read(200, strings.Replace(body, "TIME", "2024-01-01T00:00:00.000000002Z", 1))
	if first.Version == "" || first.Version == second.Version {
		t.Errorf("versions %q and %q of two secrets", first.Version, second.Version)
	}
}

func TestAnswersThatHoldNone(t *testing.T) {
	const deleted = `{"request_id":"1","data":{"data":null,"metadata":{"created_time":"2024-01-02T03:04:05Z","deletion_time":"2024-02-02T00:00:00Z","version":2,"destroyed":DESTROYED}}}`
	for name, test := range map[string]struct {
		status int
		body   string
		kind   error
		text   string
	}{
		"empty":            {200, "", fault.ErrUnavailable, "an empty body"},
		"blank":            {200, " \n", fault.ErrUnavailable, "an empty body"},
		"null":             {200, "null", fault.ErrUnavailable, "not one whole JSON object"},
		"list":             {200, "[]", fault.ErrUnavailable, "not one whole JSON object"},
		"cut off":          {200, `{"request_id":"1","data":{"pass`, fault.ErrUnavailable, "not one whole JSON object"},
		"two":              {200, `{"data":{}} {"data":{}}`, fault.ErrUnavailable, "not one whole JSON object"},
		"html":             {200, `<html>hunter2</html>`, fault.ErrUnavailable, "not one whole JSON object"},
		"wrong types":      {200, `{"request_id":1,"data":{"a":"hunter2"}}`, fault.ErrUnavailable, "not one of Vault's"},
		"no fields":        {200, `{}`, fault.ErrUnavailable, "what stands between"},
		"no data":          {200, `{"request_id":"1","data":null}`, fault.ErrUnavailable, "a success without a value (no data)"},
		"nothing to give":  {204, ``, fault.ErrUnavailable, "a success without a value (204)"},
		"wrapped":          {200, `{"request_id":"1","data":null,"wrap_info":{"token":"hunter2"}}`, fault.ErrInvalid, "wrapped"},
		"a token":          {200, `{"request_id":"1","auth":{"client_token":"hunter2"}}`, fault.ErrInvalid, "gives a Vault token"},
		"deleted":          {404, strings.Replace(deleted, "DESTROYED", "false", 1), fault.ErrNotFound, "version 2 was deleted at 2024-02-02"},
		"destroyed":        {404, strings.Replace(deleted, "DESTROYED", "true", 1), fault.ErrNotFound, "version 2 is destroyed"},
		"missing":          {404, `{"errors":[]}`, fault.ErrNotFound, "KV version 1, the `key` is secret/a"},
		"denied":           {403, `{"errors":["1 error occurred:\n\t* permission denied\n\n"]}`, fault.ErrDenied, `permission denied for role "web": its policies need read on secret/data/a`},
		"bad request":      {400, `{"errors":["missing \u0000 parameter"]}`, fault.ErrInvalid, `Vault says: missing \x00 parameter`},
		"wrong method":     {405, `{"errors":["unsupported operation"]}`, fault.ErrInvalid, "options.method"},
		"redirect":         {307, ``, fault.ErrInvalid, "redirects (307) to nowhere"},
		"very long reason": {400, `{"errors":["` + strings.Repeat("long ", 1000) + `"]}`, fault.ErrInvalid, "…"},
	} {
		t.Run(name, func(t *testing.T) {
			value, err := read(test.status, test.body)
			if err == nil || value.Data.Len() != 0 {
				t.Fatalf("Read gave a value of %d bytes and error %v", value.Data.Len(), err)
			}
			if !errors.Is(err, test.kind) || !strings.Contains(err.Error(), test.text) {
				t.Errorf("error %q of kind %v, want kind %v with %q", err, errors.Unwrap(err), test.kind, test.text)
			}
			if strings.Contains(err.Error(), "hunter2") || len(err.Error()) > 1000 {
				t.Errorf("error %q shows too much", err)
			}
		})
	}
}

func TestWritesThatGiveNoValueBackAreSaid(t *testing.T) {
	q := &query{key: "kv/a", method: http.MethodPost}
	for body, status := range map[string]int{"": 204, `{"request_id":"1","data":null,"warnings":["ignored"]}`: 200} {
		if _, err := become(q, status, body); !errors.Is(err, fault.ErrInvalid) || !strings.Contains(err.Error(), "gives no value back") {
			t.Errorf("%d %s: %v", status, body, err)
		}
	}
}

// A 404 of an ingress must not pass for a secret that is not there, and a 403 of
// a firewall not for a policy.
func TestARefusalOnTheWayIsNotVaultsWord(t *testing.T) {
	for _, status := range []int{400, 401, 403, 404, 405, 407, 421} {
		for _, body := range []string{"", "<html>hunter2</html>", "default backend - 404", `{"message":"no Route matched with those values"}`, `{"errors":[{"detail":"hunter2"}]}`, `{}`} {
			for _, at := range []string{"auth/kubernetes/login", "kv/a"} {
				t.Run(fmt.Sprint(status, at, body), func(t *testing.T) {
					err := readBehind(t, func(w http.ResponseWriter, path string) bool {
						if path != at {
							return false
						}
						w.WriteHeader(status)
						_, _ = w.Write([]byte(body))
						return true
					})
					if !errors.Is(err, fault.ErrUnavailable) || !strings.Contains(err.Error(), "look at what stands between the node and Vault") || strings.Contains(err.Error(), "hunter2") {
						t.Error(err)
					}
				})
			}
		}
	}
}

func TestARefusalInVaultsWordsIsBelieved(t *testing.T) {
	for body, kinds := range map[string]map[int]error{
		`{"errors":[]}`: {404: fault.ErrNotFound},
		`{"errors":["1 error occurred:\n\t* permission denied\n\n"]}`:                                  {403: fault.ErrDenied, 401: fault.ErrDenied},
		`{"request_id":"1","lease_id":"","data":null,"warnings":["Invalid path for a versioned K/V"]}`: {404: fault.ErrInvalid},
	} {
		for status, kind := range kinds {
			err := readBehind(t, func(w http.ResponseWriter, path string) bool {
				if path != "kv/a" {
					return false
				}
				w.WriteHeader(status)
				_, _ = w.Write([]byte(body))
				return true
			})
			if !errors.Is(err, kind) {
				t.Errorf("%d %s: %v, want %v", status, body, err, kind)
			}
		}
	}
}

// A lease is given up when Vault refuses to renew it, and not before.
func TestARefusalOnTheWayEndsNoLease(t *testing.T) {
	const lease = `{"request_id":"1","lease_id":"kv/a/1","lease_duration":3600,"renewable":true,"data":{"a":"b"}}`
	for body, kind := range map[string]error{
		`{"message":"no Route matched with those values"}`: fault.ErrUnavailable,
		`{"errors":["permission denied"]}`:                 fault.ErrDenied,
	} {
		value, err := valueBehind(t, func(w http.ResponseWriter, path string) bool {
			switch path {
			case "kv/a":
				_, _ = w.Write([]byte(lease))
			case "sys/leases/renew":
				w.WriteHeader(http.StatusForbidden)
				_, _ = w.Write([]byte(body))
			default:
				return false
			}
			return true
		}, func(value store.Value) error {
			_, err := value.Lease.Renew(t.Context())
			return err
		})
		if !errors.Is(err, kind) || value.Lease == nil {
			t.Errorf("%s: %v, want %v", body, err, kind)
		}
	}
}

// readBehind reads kv/a of a Vault behind something that may answer in its
// place, and returns the error.
func readBehind(t *testing.T, between func(w http.ResponseWriter, path string) bool) error {
	t.Helper()
	_, err := valueBehind(t, between, func(store.Value) error { return nil })
	return err
}

// valueBehind is readBehind, and does something with the value while the Vault is
// there.
func valueBehind(t *testing.T, between func(w http.ResponseWriter, path string) bool, then func(store.Value) error) (store.Value, error) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path := strings.TrimPrefix(r.URL.Path, "/v1/")
		switch {
		case between(w, path):
		case strings.HasSuffix(path, "/login"):
			_, _ = w.Write([]byte(`{"request_id":"1","auth":{"client_token":"t","lease_duration":60}}`))
		default:
			_, _ = w.Write([]byte(`{"request_id":"1","data":{"a":"b"}}`))
		}
	}))
	defer server.Close()
	opened, err := NewType(Options{}).Open(store.Settings{Fields: kubernetes(map[string]any{"address": server.URL, "retries": 0})})
	if err != nil {
		t.Fatal(err)
	}
	defer opened.Close()
	pod := identity.Identity{Tokens: map[string]identity.Token{"vault": {JWT: secret.NewString("jwt")}}}
	value, err := opened.Read(t.Context(), pod, store.Reference{Key: "kv/a"})
	if err != nil {
		return value, err
	}
	return value, then(value)
}

// Where a redirect leads is said, without what stands behind a question mark.
func TestARedirectNamesItsTarget(t *testing.T) {
	err := refusal(&query{key: "secret/data/a", method: http.MethodGet}, "role", &vault.Response{Status: 302, Location: "https://sso.example.com/login"})
	if !errors.Is(err, fault.ErrInvalid) || !strings.Contains(err.Error(), "GET secret/data/a: the server redirects (302) to https://sso.example.com/login, where no token may go") {
		t.Error(err)
	}
}

// A policy of KV version 2 says nothing of the path without data/.
func TestADenialSuggestsTheKeyOfKVVersion2(t *testing.T) {
	for key, want := range map[string]string{
		"secret/shop/db": "if the engine is KV version 2, the `key` is secret/data/shop/db", "kv/a": "the `key` is kv/data/a",
		"secret/data/shop/db": "", "database/creds/app": "", "database/static-creds/app": "", "pki/issue/web": "", "secret": "", "secret/metadata/a": "",
	} {
		err := refusal(&query{key: key, method: http.MethodGet}, "role", &vault.Response{Status: 403})
		if !errors.Is(err, fault.ErrDenied) || strings.Contains(err.Error(), "KV version 2") != (want != "") || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", key, err)
		}
	}
}

func TestKVVersion2KeyWithoutDataIsExplained(t *testing.T) {
	a, _ := vault.ParseAnswer("secret/prod/db", []byte(`{"errors":[],"warnings":["Invalid path for a versioned K/V secrets engine. See the API docs"]}`))
	err := refusal(&query{key: "secret/prod/db", method: http.MethodGet}, "role", &vault.Response{Status: 404, Answer: a})
	if !strings.Contains(err.Error(), "the `key` is secret/data/prod/db") || !errors.Is(err, fault.ErrInvalid) {
		t.Errorf("error %q does not say what the key is", err)
	}
}

// No answer makes it panic, and none that is refused gives a value.
func FuzzAnswer(f *testing.F) {
	for _, seed := range []string{
		``, `null`, `{}`, `{"data":null}`, `{"request_id":"1","data":{"data":{"a":1},"metadata":{"version":1,"created_time":"2024-01-02T03:04:05Z"}}}`,
		`{"lease_id":"a","lease_duration":1e300,"renewable":true,"data":{"certificate":"-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----","expiration":99999999999999999999}}`,
		`{"data":{"signed_key":"ssh-rsa-cert-v01@openssh.com AAAA"}}`, `{"auth":{"client_token":"t","lease_duration":-1}}`,
		`{"errors":["x"],"warnings":null}`,
	} {
		f.Add(200, seed)
		f.Add(404, seed)
	}
	f.Fuzz(func(t *testing.T, status int, body string) {
		value, err := read(status, body)
		if (err == nil) == (value.Data.Len() == 0) {
			t.Errorf("a value of %d bytes with error %v", value.Data.Len(), err)
		}
		if a, _ := vault.ParseAnswer("secret/data/a", []byte(body)); a != nil {
			certificateEnd(a.Data)
			if a.LeaseDuration < 0 {
				t.Errorf("lease duration %d", a.LeaseDuration)
			}
		}
	})
}
