package azure_test

import (
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lanyardhq/lanyard/provider/backend/azure/azuretest"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/identity/identitytest"
	"github.com/lanyardhq/lanyard/provider/secret"
	"github.com/lanyardhq/lanyard/provider/store"
	"github.com/lanyardhq/lanyard/provider/store/azure"
)

var db = store.Reference{Key: "secrets/db"}

func TestOneLoginServesAllPodsOfAServiceAccountAndNoOther(t *testing.T) {
	f := newFixture(t)
	f.vault.Put("db", "hunter2")
	f.azure.Federate(webClient, azuretest.Federation{Issuer: azuretest.IssuerName, Subject: identitytest.Subject("prod/api"), Audience: audience})
	s := f.open(nil)
	var all sync.WaitGroup
	pods := make([]identity.Identity, 110)
	for i := range pods {
		pods[i] = f.pod("prod/web")
	}
	for _, pod := range pods {
		all.Go(func() {
			if _, err := s.Read(t.Context(), pod, db); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := f.azure.Calls("token"); n != 1 {
		t.Errorf("%d logins for one service account, want 1", n)
	}
	if _, err := s.Read(t.Context(), f.pod("prod/api"), db); err != nil {
		t.Error(err)
	}
	if n := f.azure.Calls("token"); n != 2 {
		t.Errorf("%d logins for two service accounts, want 2", n)
	}
	if n := f.azure.Calls("challenge"); n != 0 {
		t.Errorf("%d challenges though the settings say all, want 0", n)
	}
}

// One type has one cache: what differs between two connections decides whether
// they share a token.
func TestConnectionsShareTheirLoginsUnlessThatWouldLeadElsewhere(t *testing.T) {
	f := newFixture(t)
	other := f.azure.Vault("other-kv")
	other.Grant(webClient, "*")
	f.vault.Put("db", "hunter2")
	other.Put("db", "hunter2")
	f.azure.SetSecret(webClient, "s3cr3t~value")
	typ := azure.NewType(azure.Options{})
	pod := f.pod("prod/web")
	pod.Credentials = map[string]secret.Bytes{"clientsecret": secret.NewString("s3cr3t~value"), "more": secret.NewString("s3cr3t~value")}
	for _, step := range []struct {
		name   string
		more   map[string]any
		logins int
	}{
		{"the first", nil, 1},
		{"another vault", map[string]any{"vault": "other-kv"}, 1},
		{"another timeout", map[string]any{"timeout": "7s"}, 1},
		{"another method", map[string]any{"auth": map[string]any{"method": "servicePrincipal", "clientID": webClient}}, 2},
		{"another of the pod's secrets", map[string]any{"auth": map[string]any{"method": "servicePrincipal", "clientID": webClient, "clientSecretCredential": "more"}}, 3},
		{"other authorities", map[string]any{"tls": map[string]any{"caCert": f.azure.CACert + "\n"}}, 4},
		{"the first again", nil, 4},
	} {
		s, err := typ.Open(f.settings(step.more))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.Close)
		if _, err := s.Read(t.Context(), pod, db); err != nil {
			t.Errorf("%s: %v", step.name, err)
		}
		if n := f.azure.Calls("token"); n != step.logins {
			t.Errorf("%d logins after %s, want %d", n, step.name, step.logins)
		}
	}
	if n := f.azure.Calls("discovery"); n != 2 {
		t.Errorf("%d discoveries, want one for each set of authorities", n)
	}
}

// The official client asks for the tenant's metadata before each login.
func TestEntraIDsMetadataIsAskedForOnce(t *testing.T) {
	f := newFixture(t)
	f.vault.Put("db", "hunter2")
	for _, account := range []string{"prod/api", "prod/job"} {
		f.azure.Federate(webClient, azuretest.Federation{Issuer: azuretest.IssuerName, Subject: identitytest.Subject(account), Audience: audience})
	}
	s := f.open(map[string]any{"retries": 0})
	login := func(account string, wrong bool, discoveries int) {
		t.Helper()
		if _, err := s.Read(t.Context(), f.pod(account), db); (err != nil) != wrong {
			t.Errorf("%s: %v", account, err)
		}
		if n := f.azure.Calls("discovery"); n != discoveries {
			t.Errorf("%d questions for the metadata with the login of %s, want %d", n, account, discoveries)
		}
	}
	repair := f.azure.Add(azuretest.Fault{Action: "discovery", Body: "{}"})
	login("prod/web", true, 1)
	repair()
	login("prod/web", false, 2) // what no login came of is not kept
	login("prod/api", false, 2)
	login("prod/stranger", true, 2)
	login("prod/job", false, 3) // nor what may have been why one was refused
}

func TestWhatTheSettingsLeaveOutTheVaultIsAskedForOnce(t *testing.T) {
	for name, more := range map[string]map[string]any{
		"the tenant":              {"tenantID": nil},
		"the tenant and resource": {"tenantID": nil, "vault": nil, "address": "https://web-kv.vault.example.com"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			for _, vault := range []*azuretest.Vault{f.vault, f.azure.VaultAt("web-kv.vault.example.com")} {
				vault.Put("db", "hunter2")
				vault.Grant(webClient, "*")
			}
			s := f.open(more)
			pod := f.pod("prod/web")
			var all sync.WaitGroup
			for range 20 {
				all.Go(func() {
					if _, err := s.Read(t.Context(), pod, db); err != nil {
						t.Error(err)
					}
				})
			}
			all.Wait()
			if n := f.azure.Calls("challenge"); n != 1 {
				t.Errorf("%d challenges, want 1", n)
			}
		})
	}
}

func TestNoTokenForKeyVaultGoesToAnotherServer(t *testing.T) {
	for name, test := range map[string]struct{ header, want string }{
		"whose challenge names Key Vault":             {`Bearer authorization="https://login.microsoftonline.com/` + azuretest.Tenant + `", resource="https://vault.azure.net"`, "not a domain above its own"},
		"whose challenge has no path":                 {`Bearer authorization="https://login.microsoftonline.com", resource="https://vault.example.com"`, "names no tenant"},
		"whose challenge has no resource":             {`Bearer authorization="https://login.microsoftonline.com/t"`, "names no resource"},
		"which is of another kind":                    {`Basic realm="x"`, "no Bearer challenge"},
		"which has none":                              {"", "no Bearer challenge"},
		"whose challenge is longer than any of Azure": {"Bearer " + strings.Repeat("a", 5000), "too long"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			vault := f.azure.VaultAt("web-kv.vault.example.com")
			vault.Put("db", "hunter2")
			f.azure.SetChallenge(vault.Host, test.header)
			s := f.open(map[string]any{"tenantID": nil, "vault": nil, "address": "https://" + vault.Host})
			_, err := s.Read(t.Context(), f.pod("prod/web"), db)
			if !errors.Is(err, fault.ErrInvalid) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("Read: %v", err)
			}
			if n := f.azure.Calls("token"); n != 0 {
				t.Errorf("%d logins", n)
			}
		})
	}
}

func TestAResourceOfTheSettingsIsEnough(t *testing.T) {
	f := newFixture(t)
	f.vault.Put("db", "hunter2")
	s := f.open(map[string]any{"vault": nil, "address": "https://web-kv.vault.azure.net", "resource": "https://vault.azure.net/"})
	if got := f.text(s, db); got != "hunter2" {
		t.Errorf("Read = %q", got)
	}
}

func TestOtherClouds(t *testing.T) {
	for name, host := range map[string]string{"AzureChinaCloud": "web-kv.vault.azure.cn", "usGovernment": "web-kv.vault.usgovcloudapi.net"} {
		f := newFixture(t)
		vault := f.azure.VaultAt(host)
		vault.Put("db", "hunter2")
		vault.Grant(webClient, "secrets/*")
		if got := f.text(f.open(map[string]any{"cloud": name}), db); got != "hunter2" {
			t.Errorf("%s: Read = %q", name, got)
		}
	}
}

func TestAServicePrincipalOfThePodsOwnSecret(t *testing.T) {
	f := newFixture(t)
	f.vault.Put("db", "hunter2")
	f.vault.Grant("client-of-secret", "secrets/*")
	f.azure.SetSecret("client-of-secret", "s3cr3t~value")
	pod := f.pod("prod/web")
	pod.Tokens = nil
	for name, test := range map[string]struct {
		auth        map[string]any
		credentials map[string]string
		want        string // in the error; empty for success
	}{
		"by the usual names":        {map[string]any{}, map[string]string{"clientid": "client-of-secret", "clientsecret": "s3cr3t~value"}, ""},
		"in letters of either case": {map[string]any{}, map[string]string{"clientID": "client-of-secret\n", "clientSecret": "s3cr3t~value\n"}, ""},
		"by other names":            {map[string]any{"clientIDCredential": "id", "clientSecretCredential": "pw"}, map[string]string{"id": "client-of-secret", "pw": "s3cr3t~value"}, ""},
		"with the settings' client": {map[string]any{"method": "servicePrincipal", "clientID": "client-of-secret"}, map[string]string{"clientsecret": "s3cr3t~value"}, ""},
		"that brings no secret":     {map[string]any{}, map[string]string{"clientid": "client-of-secret"}, `brings no credential "clientsecret"`},
		"that brings nothing":       {map[string]any{}, nil, `brings no credential "clientid"`},
		"that is wrong":             {map[string]any{}, map[string]string{"clientid": "client-of-secret", "clientsecret": "guess"}, "the client secret is wrong or has ended"},
		"of no known client":        {map[string]any{}, map[string]string{"clientid": "other", "clientsecret": "guess"}, "no such application"},
		"of no client that can be":  {map[string]any{}, map[string]string{"clientid": "", "clientsecret": "guess"}, `brings no credential "clientid"`},
	} {
		t.Run(name, func(t *testing.T) {
			s := f.open(map[string]any{"auth": test.auth})
			pod.Credentials = map[string]secret.Bytes{}
			for key, value := range test.credentials {
				pod.Credentials[key] = secret.NewString(value)
			}
			value, err := s.Read(t.Context(), pod, db)
			switch {
			case test.want == "" && (err != nil || value.Data.RevealString() != "hunter2"):
				t.Errorf("Read: %v", err)
			case test.want != "" && (!errors.Is(err, fault.ErrUnauthenticated) || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "guess")):
				t.Errorf("Read: %v, want %q", err, test.want)
			}
		})
	}
}

func TestTheNodesIdentity(t *testing.T) {
	f := newFixture(t)
	f.vault.Put("db", "hunter2")
	f.vault.Grant("system", "secrets/*")
	f.vault.Grant("assigned", "secrets/*")
	f.azure.SetMachine("system", "assigned")
	nobody := identity.Identity{Namespace: "prod", ServiceAccount: "web"}
	for id, wrong := range map[string]bool{"": false, "assigned": false, "other": true} {
		auth := map[string]any{"method": "managedIdentity", "metadataEndpoint": f.azure.Metadata}
		if id != "" {
			auth["identityID"] = id
		}
		s := f.open(map[string]any{"auth": auth})
		if !azure.NewType(azure.Options{}).ReadsAsNode(store.Settings{Fields: map[string]any{"auth": auth}, ByOperator: true}) {
			t.Error("the store does not say that it reads as the node")
		}
		value, err := s.Read(t.Context(), nobody, db)
		if wrong && (!errors.Is(err, fault.ErrUnauthenticated) || !strings.Contains(err.Error(), "Identity not found")) {
			t.Errorf("with the identity %q: %v", id, err)
		}
		if !wrong && (err != nil || value.Data.RevealString() != "hunter2") {
			t.Errorf("with the identity %q: %v", id, err)
		}
	}
	f.azure.Add(azuretest.Fault{Action: "metadata", Status: 410, Times: 1})
	s := f.open(map[string]any{"auth": map[string]any{"method": "managedIdentity", "metadataEndpoint": f.azure.Metadata}})
	if _, err := s.Read(t.Context(), nobody, db); err != nil {
		t.Errorf("after a metadata service that is being updated: %v", err)
	}
}

func TestRefusedLogins(t *testing.T) {
	for name, test := range map[string]struct {
		settings map[string]any
		pod      func(*fixture) identity.Identity
		want     []string
	}{
		"of a service account without a federation": {
			pod:  func(f *fixture) identity.Identity { return f.pod("prod/api") },
			want: []string{"secrets/db: login as client client-of-web: refused (401)", "the subject system:serviceaccount:prod:api", "the audience " + audience, "AADSTS700213"},
		},
		"of a token that has ended": {
			pod: func(f *fixture) identity.Identity {
				pod := f.pod("prod/web")
				ended := f.issuer.Token(t, "prod/web", audience, time.Now().Add(-time.Minute))
				pod.Tokens[audience] = identity.Token{JWT: secret.NewString(ended), Expires: time.Now().Add(time.Hour)}
				return pod
			},
			want: []string{"check the node's clock", "AADSTS700024"},
		},
		"of a token for another audience": {
			pod: func(f *fixture) identity.Identity {
				pod := f.pod("prod/web")
				other := f.issuer.Token(t, "prod/web", "vault", time.Now().Add(time.Hour))
				pod.Tokens[audience] = identity.Token{JWT: secret.NewString(other), Expires: time.Now().Add(time.Hour)}
				return pod
			},
			want: []string{"AADSTS700213", "the audience " + audience},
		},
		"of a pod without a token": {
			pod: func(f *fixture) identity.Identity {
				pod := f.pod("prod/web")
				pod.Tokens = nil
				return pod
			},
			want: []string{"tokenRequests", audience},
		},
		"of an unknown client": {
			settings: map[string]any{"auth": map[string]any{"clientID": "nobody"}},
			want:     []string{"there is no such application", "auth.clientID"},
		},
		"in an unknown tenant": {
			settings: map[string]any{"tenantID": "00000000-0000-4000-8000-000000000000"},
			want:     []string{"there is no such tenant", "tenantID"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.vault.Put("db", "hunter2")
			pod := f.pod("prod/web")
			if test.pod != nil {
				pod = test.pod(f)
			}
			_, err := f.open(test.settings).Read(t.Context(), pod, db)
			if !errors.Is(err, fault.ErrUnauthenticated) {
				t.Fatalf("Read: %v", err)
			}
			for _, want := range append(test.want, "secrets/db: ") {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q is not in %v", want, err)
				}
			}
			for _, token := range pod.Tokens {
				if strings.Contains(err.Error(), token.JWT.RevealString()) {
					t.Error("the error tells the token")
				}
			}
			if strings.Contains(err.Error(), "Trace ID") {
				t.Errorf("the error tells what only Microsoft can use: %v", err)
			}
		})
	}
}

func TestATokenForAnotherAudienceIsRefusedWithWhatIsWanted(t *testing.T) {
	f := newFixture(t)
	f.vault.Put("db", "hunter2")
	f.azure.SetTokenAudience("https://graph.microsoft.com")
	_, err := f.open(nil).Read(t.Context(), f.pod("prod/web"), db)
	if !errors.Is(err, fault.ErrUnauthenticated) || !strings.Contains(err.Error(), "AKV10022") || !strings.Contains(err.Error(), "it wants one of tenant "+azuretest.Tenant+" for https://vault.azure.net") {
		t.Errorf("Read: %v", err)
	}
	if n := f.azure.Calls("token"); n != 2 {
		t.Errorf("%d logins, want one, and one to see whether a new token helps", n)
	}
}

func TestATokenThatEndedEarlyIsReplacedOnce(t *testing.T) {
	f := newFixture(t)
	f.vault.Put("db", "hunter2")
	s := f.open(nil)
	f.text(s, db)
	f.azure.Add(azuretest.Fault{Action: "get secrets", Status: 401, Code: "Unauthorized", Message: "[TokenExpired] Error validating token", Times: 1})
	if got := f.text(s, db); got != "hunter2" {
		t.Errorf("Read = %q", got)
	}
	if n := f.azure.Calls("token"); n != 2 {
		t.Errorf("%d logins, want 2", n)
	}
}

func TestATokenIsRenewedBeforeItEnds(t *testing.T) {
	f := newFixture(t)
	f.vault.Put("db", "hunter2")
	begin, passed := time.Now(), atomic.Int64{}
	now := func() time.Time { return begin.Add(time.Duration(passed.Load())) }
	f.azure.SetClock(now)
	s, err := azure.NewType(azure.Options{Now: now}).Open(f.settings(nil))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	for _, step := range []struct {
		at     time.Duration
		logins int
	}{{0, 1}, {40 * time.Minute, 1}, {49 * time.Minute, 2}} {
		passed.Store(int64(step.at))
		f.text(s, db)
		for f.azure.Calls("token") < step.logins { // a renewal is made beside the reads
			f.text(s, db)
			time.Sleep(time.Millisecond)
		}
		if n := f.azure.Calls("token"); n != step.logins {
			t.Errorf("%d logins after %v, want %d", n, step.at, step.logins)
		}
	}
}

// Azure Stack Hub may log in with AD FS, which the tenant adfs stands for.
// https://learn.microsoft.com/azure-stack/operator/azure-stack-identity-overview
func TestALoginWithADFS(t *testing.T) {
	f := newFixture(t)
	f.vault.Put("db", "hunter2")
	s := f.open(map[string]any{"tenantID": "adfs"})
	for range 2 {
		if got := f.text(s, db); got != "hunter2" {
			t.Errorf("Read = %q", got)
		}
	}
	if n := f.azure.Calls("discovery"); n != 1 {
		t.Errorf("%d discoveries, want 1", n)
	}
}
