package identity_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/secret"
)

var noon = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

// jwt is a token whose payload is the given JSON. Its signature is not looked at.
func jwt(payload string) identity.Token {
	encoded := base64.RawURLEncoding.EncodeToString([]byte(payload))
	return identity.Token{JWT: secret.NewString("header." + encoded + ".planted-signature"), Expires: noon.Add(time.Hour)}
}

func withUID(uid string) identity.Token {
	return jwt(fmt.Sprintf(`{"kubernetes.io":{"serviceaccount":{"name":"web","uid":%q}}}`, uid))
}

func credentials(pairs ...string) map[string]secret.Bytes {
	m := map[string]secret.Bytes{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = secret.NewString(pairs[i+1])
	}
	return m
}

func base() identity.Identity {
	return identity.Identity{
		Cluster: "dev", Namespace: "prod", ServiceAccount: "web", Pod: "web-0", PodUID: "u0",
		Tokens:      map[string]identity.Token{"vault": withUID("account-1")},
		Credentials: credentials("clientID", "a", "clientSecret", "b"),
	}
}

func TestKeySeparatesWhateverDiffers(t *testing.T) {
	keys := map[identity.Key]string{base().Key(): "the identity itself"}
	for name, change := range map[string]func(*identity.Identity){
		"cluster":                        func(id *identity.Identity) { id.Cluster = "test" },
		"no cluster":                     func(id *identity.Identity) { id.Cluster = "" },
		"namespace":                      func(id *identity.Identity) { id.Namespace = "stage" },
		"service account":                func(id *identity.Identity) { id.ServiceAccount = "api" },
		"parts that join to the same":    func(id *identity.Identity) { id.Namespace, id.ServiceAccount = "pro", "dweb" },
		"account made anew":              func(id *identity.Identity) { id.Tokens = map[string]identity.Token{"vault": withUID("account-2")} },
		"account without a UID":          func(id *identity.Identity) { id.Tokens = nil },
		"account of a known UID":         func(id *identity.Identity) { id.ServiceAccountUID = "account-3" },
		"no credentials":                 func(id *identity.Identity) { id.Credentials = nil },
		"another credential":             func(id *identity.Identity) { id.Credentials = credentials("clientID", "a", "clientSecret", "c") },
		"a credential's other name":      func(id *identity.Identity) { id.Credentials = credentials("clientID", "a", "clientsecret", "b") },
		"fewer credentials":              func(id *identity.Identity) { id.Credentials = credentials("clientID", "a") },
		"credentials changed round":      func(id *identity.Identity) { id.Credentials = credentials("clientID", "b", "clientSecret", "a") },
		"credentials in one":             func(id *identity.Identity) { id.Credentials = credentials("clientID", "aclientSecretb") },
		"credentials that are not UTF-8": func(id *identity.Identity) { id.Credentials = credentials("clientID", "\xff", "clientSecret", "b") },
		"others that are not UTF-8":      func(id *identity.Identity) { id.Credentials = credentials("clientID", "\xfe", "clientSecret", "b") },
		"an empty credential":            func(id *identity.Identity) { id.Credentials = credentials("", "") },
	} {
		id := base()
		change(&id)
		if other, taken := keys[id.Key()]; taken {
			t.Errorf("%s: has the key of %s", name, other)
		}
		keys[id.Key()] = name
	}
}

func TestKeyIsSharedByPodsOfOneServiceAccount(t *testing.T) {
	one, other := base(), base()
	other.Pod, other.PodUID = "web-1", "u1"
	other.Tokens = map[string]identity.Token{
		// Another token of the same account, and one for another audience.
		"vault": jwt(`{"iat":5,"kubernetes.io":{"serviceaccount":{"uid":"account-1"}}}`),
		"aws":   withUID("account-1"),
	}
	if one.Key() != other.Key() {
		t.Error("two pods of one service account have different keys")
	}
	none, empty := base(), base()
	none.Credentials, empty.Credentials = nil, credentials()
	if none.Key() != empty.Key() {
		t.Error("no credentials and an empty Secret have different keys")
	}
}

func TestKeyHasNoUIDWithoutOneInAToken(t *testing.T) {
	for name, token := range map[string]identity.Token{
		"empty":               {},
		"no dots":             {JWT: secret.NewString("token")},
		"not base64":          {JWT: secret.NewString("a.%%%.c")},
		"padded base64":       {JWT: secret.NewString("a." + base64.URLEncoding.EncodeToString([]byte(`{"a":1}`)) + ".c")},
		"not JSON":            jwt(`{"kubernetes.io":`),
		"no claims":           jwt(`{}`),
		"claim of other type": jwt(`{"kubernetes.io":{"serviceaccount":{"uid":7}}}`),
		"list for object":     jwt(`{"kubernetes.io":[]}`),
		"null":                jwt(`null`),
	} {
		id := identity.Identity{Tokens: map[string]identity.Token{"vault": token}}
		if uid := id.Key().UID; uid != "" {
			t.Errorf("%s: UID %q", name, uid)
		}
	}
}

// Which token is looked at first must not decide.
func TestKeyTakesTheSameUIDFromSeveralTokens(t *testing.T) {
	id := identity.Identity{Tokens: map[string]identity.Token{"a": withUID("u1"), "b": withUID("u2"), "c": {}}}
	first := id.Key()
	for range 50 {
		if id.Key() != first {
			t.Fatal("the key changes from call to call")
		}
	}
}

func TestStringNamesTheServiceAccount(t *testing.T) {
	if got := base().String(); got != "system:serviceaccount:prod:web" {
		t.Errorf("String = %q", got)
	}
}

func TestAnIdentityShowsNoSecretWhenPrinted(t *testing.T) {
	id := base()
	id.Credentials = credentials("clientSecret", "planted-credential")
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		printed := fmt.Sprintf(verb, id) + fmt.Sprintf(verb, id.Tokens) + fmt.Sprintf(verb, id.Credentials)
		if strings.Contains(printed, "planted") || strings.Contains(printed, fmt.Sprintf("%x", "planted")) {
			t.Errorf("%s shows a secret: %s", verb, printed)
		}
	}
}

func FuzzKeyOfAnyToken(f *testing.F) {
	f.Add("a.eyJrdWJlcm5ldGVzLmlvIjp7fX0.c")
	f.Add("..")
	f.Fuzz(func(t *testing.T, token string) {
		id := identity.Identity{Tokens: map[string]identity.Token{"a": {JWT: secret.NewString(token)}}}
		if first, second := id.Key(), id.Key(); first != second {
			t.Error("the key changes")
		}
	})
}

func TestPodTokens(t *testing.T) {
	id := base()
	id.Tokens = map[string]identity.Token{
		"vault":   withUID("account-1"),
		"aws":     jwt(`{}`),
		"expired": {JWT: secret.NewString("planted-expired"), Expires: noon.Add(-time.Minute)},
		"forever": {JWT: secret.NewString("forever")},
		"now":     {JWT: secret.NewString("planted-now"), Expires: noon},
	}
	source := identity.PodTokens{Now: func() time.Time { return noon }}
	for name, c := range map[string]struct {
		tokens   map[string]identity.Token
		audience string
		says     []string // nil: there is a token
	}{
		"passed":                  {id.Tokens, "vault", nil},
		"without an end":          {id.Tokens, "forever", nil},
		"none passed":             {nil, "vault", []string{`audience "vault"`, "the driver passed no tokens", `{audience: "vault"}`, "spec.tokenRequests", "CSIDriver secrets-store.csi.k8s.io"}},
		"only for others":         {id.Tokens, "gcp", []string{`passed tokens for "aws", "expired", "forever", "now", "vault"`, `{audience: "gcp"}`}},
		"expired":                 {id.Tokens, "expired", []string{"expired at 2026-05-01T11:59:00Z", "requiresRepublish: true", "clock"}},
		"ends this moment":        {id.Tokens, "now", []string{"expired at 2026-05-01T12:00:00Z"}},
		"no audience":             {nil, "", []string{`audience ""`}},
		"an audience of bad text": {nil, "a\nb", []string{`"a\nb"`}},
	} {
		t.Run(name, func(t *testing.T) {
			asked := id
			asked.Tokens = c.tokens
			token, err := source.Token(t.Context(), asked, c.audience)
			if c.says == nil {
				if err != nil || token.JWT.RevealString() != id.Tokens[c.audience].JWT.RevealString() {
					t.Errorf("Token: %v", err)
				}
				return
			}
			if !errors.Is(err, identity.ErrNoToken) || token.JWT.Len() != 0 {
				t.Fatalf("Token: %v; want ErrNoToken and no token", err)
			}
			for _, text := range c.says {
				if !strings.Contains(err.Error(), text) {
					t.Errorf("error %q does not say %q", err, text)
				}
			}
			if strings.Contains(err.Error(), "planted") {
				t.Errorf("error %q shows a token", err)
			}
		})
	}
}

func TestPodTokensTellTheTimeThemselves(t *testing.T) {
	id := identity.Identity{Tokens: map[string]identity.Token{"vault": {Expires: time.Now().Add(-time.Hour)}}}
	if _, err := (identity.PodTokens{}).Token(t.Context(), id, "vault"); !errors.Is(err, identity.ErrNoToken) {
		t.Errorf("Token: %v, want that it expired", err)
	}
}
