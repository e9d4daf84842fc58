package gcp_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lanyardhq/lanyard/provider/backend/gcp/gcptest"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/identity/identitytest"
	"github.com/lanyardhq/lanyard/provider/secret"
	"github.com/lanyardhq/lanyard/provider/store"
	"github.com/lanyardhq/lanyard/provider/store/gcp"
)

const webAccount = "web@shop.iam.gserviceaccount.com"

func TestTokensThatAreNotAccepted(t *testing.T) {
	const other = "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/other/providers/one"
	for name, test := range map[string]struct {
		pod    func(*testing.T, *cloud) identity.Identity
		change func(fields, auth map[string]any)
		says   []string
	}{
		"no token": {
			func(_ *testing.T, c *cloud) identity.Identity { p := c.web; p.Tokens = nil; return p }, unchanged,
			[]string{`audience "shop.svc.id.goog"`, "spec.tokenRequests", "CSIDriver"},
		},
		"the driver's token has expired": {
			func(_ *testing.T, c *cloud) identity.Identity {
				p := c.web
				p.Tokens = map[string]identity.Token{pool: {JWT: p.Tokens[pool].JWT, Expires: time.Now().Add(-time.Minute)}}
				return p
			}, unchanged, []string{"it expired at", "requiresRepublish"},
		},
		"expired for Google": {
			func(t *testing.T, c *cloud) identity.Identity {
				p := c.web
				p.Tokens = map[string]identity.Token{pool: {JWT: secret.NewString(c.issuer.Token(t, "prod/web", pool, time.Now().Add(-time.Minute)))}}
				return p
			}, unchanged, []string{"the exchange of the pod's token", "refused (400)", "invalid_grant: ID Token is stale"},
		},
		"another audience": {
			func(t *testing.T, c *cloud) identity.Identity { return c.pod(t, "web", "vault") },
			func(_, auth map[string]any) { auth["tokenAudience"] = "vault" },
			[]string{"The audience in ID Token [vault] does not match", "check that auth.audience (identitynamespace:shop.svc.id.goog:", "the audience vault of the pod's token", "ns/prod/sa/web"},
		},
		"another issuer": {
			func(t *testing.T, _ *cloud) identity.Identity {
				elsewhere := &cloud{Server: gcptest.New(t)}
				elsewhere.issuer = identitytest.NewIssuer(t, "https://elsewhere.example.com", &identitytest.Issuers{})
				return elsewhere.pod(t, "web", pool)
			}, unchanged, []string{"invalid_grant: The issuer in ID Token does not match"},
		},
		"no such provider": {
			func(t *testing.T, c *cloud) identity.Identity { return c.pod(t, "web", "https:"+other) },
			func(_, auth map[string]any) { auth["audience"] = other },
			[]string{"invalid_target", "auth.audience (" + other + ") names a workload identity pool", "in pool other"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCloud(t)
			c.Put(db, []byte("one"))
			s := c.open(t, gcp.Options{}, test.change)
			_, err := read(t, s, test.pod(t, c), store.Reference{Key: db})
			wantError(t, err, fault.ErrUnauthenticated, test.says...)
			if calls := c.Calls(access); calls != 0 {
				t.Errorf("%d reads without a token", calls)
			}
		})
	}
}

func TestAnAnswerWithoutATokenIsNoLogin(t *testing.T) {
	for name, answer := range map[string]string{
		"no token":        `{"access_token":"","token_type":"Bearer","expires_in":3600}`,
		"no end":          `{"access_token":"ya29.planted","token_type":"Bearer"}`,
		"not JSON":        `<html>`,
		"nothing":         ``,
		"of another type": `{"access_token":7,"expires_in":3600}`,
	} {
		t.Run(name, func(t *testing.T) {
			c := newCloud(t)
			c.Put(db, []byte("one"))
			sts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(answer)) }))
			defer sts.Close()
			s := c.open(t, gcp.Options{}, func(fields, auth map[string]any) { auth["stsEndpoint"], fields["retries"] = sts.URL, 0 })
			_, err := read(t, s, c.web, store.Reference{Key: db})
			wantError(t, err, fault.ErrUnavailable, "the exchange of the pod's token", "answered 200 with nothing that can be used")
			if calls := c.Calls(access); calls != 0 {
				t.Errorf("%d reads without a token", calls)
			}
		})
	}
}

func TestAPodsTokenIsNotSentOn(t *testing.T) {
	c := newCloud(t)
	c.Put(db, []byte("one"))
	elsewhere := httptest.NewServer(http.RedirectHandler(c.Identity+"/v1/token", http.StatusTemporaryRedirect))
	defer elsewhere.Close()
	s := c.open(t, gcp.Options{}, func(_, auth map[string]any) { auth["stsEndpoint"] = elsewhere.URL })
	_, err := read(t, s, c.web, store.Reference{Key: db})
	wantError(t, err, fault.ErrUnauthenticated, "refused (307)")
	if calls := c.Calls("token"); calls != 0 {
		t.Error("the pod's token went where a redirect led")
	}
}

func TestFleetsAndOtherClustersHaveTheirOwnAudiences(t *testing.T) {
	for name, test := range map[string]struct{ audience, token string }{
		"fleet":         {"identitynamespace:hub.svc.id.goog:https://gkehub.googleapis.com/projects/hub/locations/global/memberships/one", "hub.svc.id.goog"},
		"other cluster": {"//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/onprem/providers/one", "https://iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/onprem/providers/one"},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCloud(t)
			c.PutProvider(test.audience, gcptest.Provider{Pool: "elsewhere", Issuer: gcptest.IssuerName, TokenAudience: test.token})
			c.Grant(project, gcptest.Workload("elsewhere", "prod", "web"))
			c.Put(db, []byte("one"))
			s := c.open(t, gcp.Options{}, func(_, auth map[string]any) { auth["audience"] = test.audience })
			wantValue(t, s, c.pod(t, "web", test.token), store.Reference{Key: db}, "one")
		})
	}
}

func TestTheMetadataServerTellsTheClusterOfGKE(t *testing.T) {
	c := newCloud(t)
	c.Put(db, []byte("one"))
	s := c.open(t, gcp.Options{}, func(_, auth map[string]any) { delete(auth, "audience") })
	_, err := read(t, s, c.web, store.Reference{Key: db})
	wantError(t, err, fault.ErrUnauthenticated, "finding out the workload identity pool", "project/project-id", "set auth.audience")

	c.SetNode("", "shop", "europe-west3", "one")
	wantValue(t, s, c.web, store.Reference{Key: db}, "one")
	asked := c.Calls("metadata")
	c.RevokeTokens()
	wantValue(t, s, c.web, store.Reference{Key: db}, "one")
	if again := c.Calls("metadata") - asked; again != 0 {
		t.Errorf("%d more calls for what does not change", again)
	}
}

func TestAServiceAccountOfGooglesIsImpersonated(t *testing.T) {
	c := newCloud(t)
	c.Put("projects/bank/secrets/db", []byte("one"))
	bank := store.Reference{Key: "projects/bank/secrets/db"}
	c.Grant("projects/bank", gcptest.Account(webAccount))

	direct := c.open(t, gcp.Options{}, func(_, auth map[string]any) { auth["serviceAccount"] = webAccount })
	_, err := read(t, direct, c.web, bank)
	wantError(t, err, fault.ErrDenied, "acting as service account "+webAccount, "'iam.serviceAccounts.getAccessToken' denied", "ns/prod/sa/web", "roles/iam.workloadIdentityUser")
	c.PutAccount(webAccount, gcptest.Workload(pool, "prod", "web"))
	wantValue(t, direct, c.web, bank, "one")

	chained := c.open(t, gcp.Options{}, func(_, auth map[string]any) {
		auth["serviceAccount"], auth["delegates"] = webAccount, []any{"step@shop.iam.gserviceaccount.com"}
	})
	c.PutAccount("step@shop.iam.gserviceaccount.com", gcptest.Workload(pool, "prod", "web"))
	_, err = read(t, chained, c.web, bank)
	wantError(t, err, fault.ErrDenied, "on service account step@", "roles/iam.serviceAccountTokenCreator on the next")
	c.PutAccount(webAccount, gcptest.Account("step@shop.iam.gserviceaccount.com"))
	wantValue(t, chained, c.web, bank, "one")
}

// annotations are those of service accounts, by account and name.
type annotations struct {
	texts map[string]string
	err   error
	asked atomic.Int32
}

func (a *annotations) Annotation(_ context.Context, namespace, account, name string) (string, error) {
	a.asked.Add(1)
	return a.texts[namespace+"/"+account+" "+name], a.err
}

func TestTheAnnotationNamesTheServiceAccount(t *testing.T) {
	c := newCloud(t)
	c.Put("projects/bank/secrets/db", []byte("one"))
	bank := store.Reference{Key: "projects/bank/secrets/db"}
	c.Grant("projects/bank", gcptest.Account(webAccount))
	c.PutAccount("step@shop.iam.gserviceaccount.com", gcptest.Workload(pool, "prod", "web"))
	c.PutAccount(webAccount, gcptest.Account("step@shop.iam.gserviceaccount.com"))
	web := &annotations{texts: map[string]string{
		"prod/web iam.gke.io/gcp-service-account":           webAccount,
		"prod/web iam.gke.io/gcp-service-account-delegates": `["step@shop.iam.gserviceaccount.com"]`,
	}}
	s := c.open(t, gcp.Options{Cluster: web}, unchanged)
	for range 5 {
		wantValue(t, s, c.web, bank, "one")
	}
	if asked := web.asked.Load(); asked != 2 {
		t.Errorf("the cluster was asked %d times, want once for each annotation", asked)
	}
	// Another service account of the namespace has no annotation, and is itself.
	c.Grant("projects/shop", gcptest.Workload(pool, "prod", "api"))
	c.Put(db, []byte("two"))
	wantValue(t, s, c.pod(t, "api", pool), store.Reference{Key: db}, "two")

	off := c.open(t, gcp.Options{Cluster: web}, func(_, auth map[string]any) { auth["annotations"] = false })
	_, err := read(t, off, c.web, bank)
	wantError(t, err, fault.ErrDenied, "the workload identity of service account web in namespace prod: grant")

	forbidden := c.open(t, gcp.Options{Cluster: web, ClusterAllowed: func() bool { return false }}, unchanged)
	_, err = read(t, forbidden, c.web, bank)
	wantError(t, err, fault.ErrDenied, "the workload identity of service account web", "annotation iam.gke.io/gcp-service-account is not read", "policy.readObjects")
}

func TestAnAnnotationThatCannotBeUsedFails(t *testing.T) {
	const name = "prod/web iam.gke.io/gcp-service-account"
	for what, test := range map[string]struct {
		cluster *annotations
		kind    error
		says    string
	}{
		"no address":    {&annotations{texts: map[string]string{name: "not an address"}}, fault.ErrInvalid, "the annotation iam.gke.io/gcp-service-account of service account web in namespace prod must be"},
		"no list":       {&annotations{texts: map[string]string{name: webAccount, name + "-delegates": "x"}}, fault.ErrInvalid, "gcp-service-account-delegates"},
		"not allowed":   {&annotations{err: fmt.Errorf("%w: grant get on serviceaccounts", fault.ErrDenied)}, fault.ErrDenied, "grant get on serviceaccounts"},
		"no such":       {&annotations{err: fmt.Errorf("%w: no service account web", fault.ErrNotFound)}, fault.ErrUnauthenticated, "no service account web"},
		"API server is": {&annotations{err: fmt.Errorf("%w: the API server is away", fault.ErrUnavailable)}, fault.ErrUnavailable, "the API server is away"},
	} {
		t.Run(what, func(t *testing.T) {
			c := newCloud(t)
			c.Put(db, []byte("one"))
			s := c.open(t, gcp.Options{Cluster: test.cluster}, unchanged)
			_, err := read(t, s, c.web, store.Reference{Key: db})
			wantError(t, err, test.kind, test.says)
		})
	}
}

func TestARevokedTokenIsReplacedOnce(t *testing.T) {
	c := newCloud(t)
	c.Put(db, []byte("one"))
	s := c.open(t, gcp.Options{}, unchanged)
	wantValue(t, s, c.web, store.Reference{Key: db}, "one")
	c.RevokeTokens()
	wantValue(t, s, c.web, store.Reference{Key: db}, "one")
	if exchanges := c.Calls("token"); exchanges != 2 {
		t.Errorf("%d exchanges, want 2", exchanges)
	}
	c.RevokeTokens()
	_, err := read(t, s, c.web, store.Reference{Key: db})
	wantError(t, err, fault.ErrUnauthenticated, "does not accept the access token of the workload identity of service account web in namespace prod")
	if exchanges := c.Calls("token"); exchanges != 2 {
		t.Errorf("%d exchanges, want no more within a minute", exchanges)
	}
}

func TestATokenIsReplacedBeforeItEnds(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	c.Put(db, []byte("one"))
	c.SetTokenLife(time.Second)
	s := c.open(t, gcp.Options{}, unchanged)
	reads, refused := 0, 0
	for ; c.Calls("token") < 4; time.Sleep(10 * time.Millisecond) {
		if _, err := read(t, s, c.web, store.Reference{Key: db}); err != nil {
			refused++
		}
		reads++
	}
	if refused > 0 || reads < 40 {
		t.Errorf("%d of %d reads failed in the life of three tokens", refused, reads)
	}
}

func TestKeysOfServiceAccounts(t *testing.T) {
	c := newCloud(t)
	c.Put(db, []byte("one"))
	c.Grant(project, gcptest.Account(webAccount))
	key := c.NewKey(t, webAccount)
	withKey := func(text []byte) identity.Identity {
		pod := identity.Identity{Namespace: "prod", ServiceAccount: "web"}
		pod.Credentials = map[string]secret.Bytes{"key.json": secret.New(text)}
		return pod
	}
	allowed := c.open(t, gcp.Options{}, func(_, auth map[string]any) { auth["keyCredential"] = "key.json" })
	wantValue(t, allowed, withKey(key), store.Reference{Key: db}, "one")
	if calls := c.Calls("token"); calls != 0 {
		t.Errorf("%d exchanges of a pod's token though it brings a key", calls)
	}
	wantValue(t, allowed, c.web, store.Reference{Key: db}, "one") // brings none

	t.Run("are not used unless the operator allows them", func(t *testing.T) {
		s := c.open(t, gcp.Options{}, unchanged)
		pod := withKey(key)
		pod.Tokens = c.web.Tokens
		wantValue(t, s, pod, store.Reference{Key: db}, "one")
		if logins := c.Calls("assertion"); logins != 1 { // that of the store that allows them
			t.Errorf("%d logins with keys", logins)
		}
		pod.ServiceAccount, pod.Tokens = "stranger", c.pod(t, "stranger", pool).Tokens
		_, err := read(t, s, pod, store.Reference{Key: db})
		wantError(t, err, fault.ErrDenied, "whose key.json in nodePublishSecretRef is not used: the operator has not set auth.keyCredential")
	})
	t.Run("are the operator's to refuse", func(t *testing.T) {
		s := c.open(t, gcp.Options{}, func(_, auth map[string]any) { auth["refuseKeys"] = true })
		pod := withKey(key)
		pod.Tokens = c.web.Tokens
		_, err := read(t, s, pod, store.Reference{Key: db})
		wantError(t, err, fault.ErrUnauthenticated, "the operator does not allow keys", "auth.keyCredential: key.json", "remove nodePublishSecretRef")
	})
	stale := c.NewKey(t, "old@shop.iam.gserviceaccount.com")
	c.PutAccount("old@shop.iam.gserviceaccount.com") // its key is deleted
	for name, test := range map[string]struct {
		text []byte
		says string
	}{
		"deleted":         {stale, "login as old@shop.iam.gserviceaccount.com at 127.0.0.1"},
		"not JSON":        {[]byte("planted"), "the key in key.json of nodePublishSecretRef is not JSON"},
		"of another type": {[]byte(`{"type":"external_account","credential_source":{"file":"/etc/shadow"}}`), "is of another type"},
		"without a key":   {[]byte(`{"type":"service_account","client_email":"web@shop.iam.gserviceaccount.com"}`), "has no private key in PEM"},
		"of nobody":       {[]byte(`{"type":"service_account","client_email":"planted"}`), "names no service account in client_email"},
		"broken":          {bytes.ReplaceAll(key, []byte(`PRIVATE KEY-----\nM`), []byte(`PRIVATE KEY-----\nN`)), "no RSA key"},
		"another cloud's": {bytes.Replace(key, []byte(`{`), []byte(`{"universe_domain":"example.com",`), 1), "another cloud"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := read(t, allowed, withKey(test.text), store.Reference{Key: db})
			wantError(t, err, fault.ErrUnauthenticated, test.says)
		})
	}
}

func TestTheNodesOwnCredentials(t *testing.T) {
	c := newCloud(t)
	c.Put(db, []byte("one"))
	c.Grant(project, gcptest.Account("node@shop.iam.gserviceaccount.com"))
	pod := identity.Identity{Namespace: "prod", ServiceAccount: "web"}

	t.Run("of the metadata server", func(t *testing.T) {
		s := c.open(t, gcp.Options{}, func(_, auth map[string]any) { delete(auth, "audience"); auth["method"] = "metadata" })
		_, err := read(t, s, pod, store.Reference{Key: db})
		wantError(t, err, fault.ErrUnauthenticated, "asking the metadata server", "give the provider's pod a service account")
		c.SetNode("node@shop.iam.gserviceaccount.com", "shop", "europe-west3", "one")
		wantValue(t, s, pod, store.Reference{Key: db}, "one")
	})
	t.Run("of a key file", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "key.json")
		s := c.open(t, gcp.Options{}, func(_, auth map[string]any) {
			delete(auth, "audience")
			auth["method"], auth["keyFile"] = "keyFile", file
		})
		_, err := read(t, s, pod, store.Reference{Key: db})
		wantError(t, err, fault.ErrUnauthenticated, "auth.keyFile: ", file)
		if err := os.WriteFile(file, c.NewKey(t, "node@shop.iam.gserviceaccount.com"), 0o600); err != nil {
			t.Fatal(err)
		}
		wantValue(t, s, pod, store.Reference{Key: db}, "one")
	})
}

// The variables are those of Google's own libraries and of net/http.
func TestEnvironmentHasNoInfluence(t *testing.T) {
	for name, value := range map[string]string{
		"GOOGLE_APPLICATION_CREDENTIALS": "/nonexistent", "GOOGLE_CLOUD_PROJECT": "of-the-environment", "GCE_METADATA_HOST": "192.0.2.1:1",
		"GOOGLE_CLOUD_UNIVERSE_DOMAIN": "example.com", "GOOGLE_API_USE_CLIENT_CERTIFICATE": "true", "CLOUDSDK_CONFIG": "/nonexistent",
		"HTTP_PROXY": "http://192.0.2.1:1", "HTTPS_PROXY": "http://192.0.2.1:1", "ALL_PROXY": "http://192.0.2.1:1", "GRPC_PROXY_EXP": "192.0.2.1:1",
	} {
		t.Setenv(name, value)
	}
	c := newCloud(t)
	c.Put(db, []byte("one"))
	s := c.open(t, gcp.Options{}, unchanged)
	wantValue(t, s, c.web, store.Reference{Key: db}, "one")
}
