package csi

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"reflect"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"sigs.k8s.io/secrets-store-csi-driver/provider/v1alpha1"
)

// message is a request as the driver sends it, with other attributes on top;
// an empty one removes the attribute.
func message(attributes map[string]string) *v1alpha1.MountRequest {
	all := map[string]string{
		"csi.storage.k8s.io/pod.name":            "web-0",
		"csi.storage.k8s.io/pod.namespace":       "prod",
		"csi.storage.k8s.io/pod.uid":             "11111111-2222-3333-4444-555555555555",
		"csi.storage.k8s.io/serviceAccount.name": "web",
		"csi.storage.k8s.io/ephemeral":           "true",
		"secretProviderClass":                    "web",
		"objects":                                "- path: a\n",
	}
	maps.Copy(all, attributes)
	maps.DeleteFunc(all, func(_, value string) bool { return value == "" })
	text, err := json.Marshal(all)
	if err != nil {
		panic(err)
	}
	return &v1alpha1.MountRequest{Attributes: string(text), Secrets: "null", TargetPath: "/no/such/path", Permission: "420"}
}

const twoTokens = `{"vault":{"token":"jwt-1","expirationTimestamp":"2030-01-02T03:04:05Z"},"":{"token":"jwt-2"}}`

func TestRequestSeparatesWhatTheKubeletAddsFromTheClass(t *testing.T) {
	m := message(map[string]string{tokensKey: twoTokens, "stores": "x"})
	m.Secrets = `{"user":"u","password":"p"}`
	req, class, err := parse(m, 1<<20)
	must(t, err)
	if want := map[string]string{"objects": "- path: a\n", "stores": "x"}; !maps.Equal(req.Parameters, want) {
		t.Errorf("parameters are %v, want %v", req.Parameters, want)
	}
	id := req.Identity
	if id.Namespace != "prod" || id.ServiceAccount != "web" || id.Pod != "web-0" || !strings.HasPrefix(id.PodUID, "1111") || class != "web" {
		t.Errorf("identity is %v, class %q", id, class)
	}
	token := id.Tokens["vault"]
	if len(id.Tokens) != 2 || token.JWT.RevealString() != "jwt-1" || !token.Expires.Equal(time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)) || id.Tokens[""].JWT.RevealString() != "jwt-2" {
		t.Errorf("tokens are %v", id.Tokens)
	}
	if len(id.Credentials) != 2 || id.Credentials["password"].RevealString() != "p" {
		t.Errorf("credentials are %v", id.Credentials)
	}
	if req.Mode != 0o644 {
		t.Errorf("mode is %v", req.Mode)
	}
}

func TestTokensAmongTheSecretsWinAndAreNoCredentials(t *testing.T) {
	m := message(map[string]string{tokensKey: `{"vault":{"token":"from the attributes"}}`})
	secrets, err := json.Marshal(map[string]string{tokensKey: twoTokens})
	must(t, err)
	m.Secrets = string(secrets)
	req, _, err := parse(m, 1<<20)
	must(t, err)
	if req.Identity.Tokens["vault"].JWT.RevealString() != "jwt-1" || req.Identity.Credentials != nil {
		t.Errorf("identity is %v", req.Identity)
	}
}

func TestNoSecretsAreWrittenInSeveralWays(t *testing.T) {
	for _, none := range []string{"", "null", "{}", " {} "} {
		m := message(nil)
		m.Secrets = none
		req, _, err := parse(m, 1<<20)
		if err != nil || req.Identity.Credentials != nil || req.Identity.Tokens != nil {
			t.Errorf("%q: %v, %v", none, req.Identity, err)
		}
	}
}

func TestPermissionIsDecimal(t *testing.T) {
	for text, want := range map[string]fs.FileMode{"420": 0o644, "256": 0o400, "511": 0o777, "0": 0, "": 0} {
		if got, err := permission(text); err != nil || got != want {
			t.Errorf("%q is %v, want %v (%v)", text, got, want, err)
		}
	}
	for _, text := range []string{"512", "-1", "0x1a4", "0644x", "420.0", "99999999999", " 420", "s3cr3t"} {
		_, err := permission(text)
		wantStatus(t, err, codes.InvalidArgument, "decimal number from 0 to 511")
		if strings.Contains(err.Error(), "s3cr3t") {
			t.Errorf("the text is repeated: %v", err)
		}
	}
}

func TestWrongRequestsAreRefusedWithoutRepeatingThem(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*v1alpha1.MountRequest)
		code   codes.Code
		want   string
	}{
		"attributes that are not JSON": {func(m *v1alpha1.MountRequest) { m.Attributes = `{"objects": s3cr3t}` }, codes.InvalidArgument, "attributes are not a JSON object of strings (byte "},
		"attributes that are a list":   {func(m *v1alpha1.MountRequest) { m.Attributes = `["s3cr3t"]` }, codes.InvalidArgument, "attributes are not a JSON object of strings"},
		"an attribute of another type": {func(m *v1alpha1.MountRequest) { m.Attributes = `{"s3cr3t": {"s3cr3t": 1}}` }, codes.InvalidArgument, "attributes are not a JSON object of strings"},
		"attributes cut short":         {func(m *v1alpha1.MountRequest) { m.Attributes = `{"objects": "s3cr3t` }, codes.InvalidArgument, "attributes are not a JSON object of strings"},
		"very many attributes":         {func(m *v1alpha1.MountRequest) { m.Attributes = "{" + many(maxEntries+1) + "}" }, codes.InvalidArgument, "attributes have more than 1000 entries; divide"},
		"very many secrets":            {func(m *v1alpha1.MountRequest) { m.Secrets = "{" + many(maxEntries+1) + "}" }, codes.InvalidArgument, "secrets have more than 1000 entries; divide"},
		"very many tokens": {func(m *v1alpha1.MountRequest) {
			replace(m, message(map[string]string{tokensKey: "{" + strings.ReplaceAll(many(maxEntries+1), `""`, `{"token":"t"}`) + "}"}))
		}, codes.InvalidArgument, "tokens in the mount request are not what the kubelet sends"},
		"secrets that are not JSON": {func(m *v1alpha1.MountRequest) { m.Secrets = "s3cr3t" }, codes.InvalidArgument, "secrets are not a JSON object of strings"},
		"no attributes":             {func(m *v1alpha1.MountRequest) { m.Attributes = "" }, codes.InvalidArgument, "podInfoOnMount: true"},
		"no namespace":              {func(m *v1alpha1.MountRequest) { replace(m, message(map[string]string{podNamespaceKey: ""})) }, codes.InvalidArgument, "podInfoOnMount: true"},
		"no service account":        {func(m *v1alpha1.MountRequest) { replace(m, message(map[string]string{serviceAccountKey: ""})) }, codes.InvalidArgument, "podInfoOnMount: true"},
		"tokens that are not JSON":  {func(m *v1alpha1.MountRequest) { replace(m, message(map[string]string{tokensKey: "s3cr3t"})) }, codes.InvalidArgument, "tokens in the mount request are not what the kubelet sends"},
		"tokens of another type": {func(m *v1alpha1.MountRequest) {
			replace(m, message(map[string]string{tokensKey: `{"vault":"s3cr3t"}`}))
		}, codes.InvalidArgument, "tokens in the mount request are not what the kubelet sends"},
		"a token with a wrong time": {func(m *v1alpha1.MountRequest) {
			replace(m, message(map[string]string{tokensKey: `{"vault":{"token":"t","expirationTimestamp":"s3cr3t"}}`}))
		}, codes.InvalidArgument, "tokens in the mount request are not what the kubelet sends"},
		"an empty token":      {func(m *v1alpha1.MountRequest) { replace(m, message(map[string]string{tokensKey: `{"vault":{}}`})) }, codes.InvalidArgument, `audience "vault" in the mount request is empty`},
		"a mode that is none": {func(m *v1alpha1.MountRequest) { m.Permission = "s3cr3t" }, codes.InvalidArgument, "permission"},
		"too much of one parameter": {func(m *v1alpha1.MountRequest) {
			replace(m, message(map[string]string{"objects": strings.Repeat("s3cr3t", 1<<18)}))
		}, codes.OutOfRange, `the parameter "objects" with 1.50 MiB; divide the SecretProviderClass`},
		"too much that is not JSON": {func(m *v1alpha1.MountRequest) { m.Attributes = strings.Repeat("s3cr3t", 1<<18) }, codes.OutOfRange, "holds 1.50 MiB and this node accepts 1.00 MiB; divide"},
	} {
		t.Run(name, func(t *testing.T) {
			m := message(nil)
			test.change(m)
			_, _, err := parse(m, 1<<20)
			wantStatus(t, err, test.code, test.want)
			if err != nil && strings.Contains(err.Error(), "s3cr3t") {
				t.Errorf("the request is repeated: %v", err)
			}
		})
	}
}

// many are entries of a JSON object.
func many(count int) string {
	all := make([]string, count)
	for i := range all {
		all[i] = fmt.Sprintf(`"s3cr3t%d":""`, i)
	}
	return strings.Join(all, ",")
}

func replace(m, with *v1alpha1.MountRequest) {
	proto.Reset(m)
	proto.Merge(m, with)
}

func TestAnAttributeIsReadAsItWasWritten(t *testing.T) {
	for text, want := range map[string]map[string]string{
		`{"a":"plain","b":"","":"c"}`:               {"a": "plain", "b": "", "": "c"},
		" {\n\t\"a\" : \"b\" , \"c\":\"d\" } ":      {"a": "b", "c": "d"},
		`{"a":"\"\\\/\b\f\n\r\t"}`:                  {"a": "\"\\/\b\f\n\r\t"},
		`{"\u0061":"\u20ac \ud83d\ude00 é € 😀"}`:    {"a": "€ 😀 é € 😀"},
		`{"a":"\ud83d","b":"\ud83dx","c":"\ude00"}`: {"a": "\ufffd", "b": "\ufffdx", "c": "\ufffd"},
		`{"a":"1","a":"2"}`:                         {"a": "2"},
	} {
		if got, err := stringMap(text); err != nil || !maps.Equal(got, want) {
			t.Errorf("%s is %q, want %q (%v)", text, got, want, err)
		}
	}
	for _, text := range []string{
		"{", "}", "[]", `"a"`, "1", "nul", `{"a"}`, `{"a":}`, `{"a":"b",}`, `{,}`, `{"a":"b"}}`, `{"a":"b"} x`, `{"a":"b" "c":"d"}`,
		`{a:"b"}`, `{"a":b}`, `{"a":null}`, `{"a":1}`, `{"a":{}}`, `{"a":"`, `{"a":"\`, `{"a":"\x"}`, `{"a":"\u12"}`, `{"a":"\u12g4"}`, `{"a":"\u+123"}`, "{\"a\":\"\n\"}",
	} {
		if got, err := stringMap(text); err == nil {
			t.Errorf("%s is accepted as %q", text, got)
		}
	}
}

// FuzzParse holds that no request makes the front door panic, and that what it
// accepts names a pod.
func FuzzParse(f *testing.F) {
	whole := message(map[string]string{tokensKey: twoTokens})
	f.Add(whole.GetAttributes(), `{"a":"b"}`, "420")
	f.Add("null", "null", "")
	f.Add(`{"a":1}`, "[]", "-1")
	f.Fuzz(func(t *testing.T, attributes, secrets, mode string) {
		req, _, err := parse(&v1alpha1.MountRequest{Attributes: attributes, Secrets: secrets, Permission: mode}, 1<<16)
		if err != nil {
			return
		}
		if req.Identity.Namespace == "" || req.Identity.ServiceAccount == "" || req.Mode > 0o777 {
			t.Errorf("accepted %+v", req)
		}
		for name := range req.Parameters {
			if strings.HasPrefix(name, podInfoPrefix) {
				t.Errorf("%q reaches the dialect", name)
			}
		}
		if again, _, err := parse(&v1alpha1.MountRequest{Attributes: attributes, Secrets: secrets, Permission: mode}, 1<<16); err != nil || !reflect.DeepEqual(req, again) {
			t.Error("the same request is understood differently")
		}
	})
}
