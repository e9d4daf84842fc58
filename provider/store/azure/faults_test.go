package azure_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/lanyardhq/lanyard/provider/backend/azure/azuretest"
	"github.com/lanyardhq/lanyard/provider/backend/backendtest"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/store"
)

func TestRefusalsSayWhatToDo(t *testing.T) {
	for name, test := range map[string]struct {
		prepare func(f *fixture)
		ref     store.Reference
		kind    error
		want    []string
	}{
		"a missing secret": {
			ref: store.Reference{Key: "secrets/missing"}, kind: fault.ErrNotFound,
			want: []string{"secrets/missing: Key Vault has no such secret", "recover it"},
		},
		"a deleted secret": {
			prepare: func(f *fixture) { f.vault.Put("gone", "x"); f.vault.Delete("secrets/gone") },
			ref:     store.Reference{Key: "secrets/gone"}, kind: fault.ErrNotFound,
			want: []string{"secrets/gone", "recently deleted"},
		},
		"a missing version": {
			prepare: func(f *fixture) { f.vault.Put("db", "x") },
			ref:     store.Reference{Key: "secrets/db", Version: "00000000000000000000000000000000"}, kind: fault.ErrNotFound,
			want: []string{"secrets/db/00000000000000000000000000000000", "check the name and the version"},
		},
		"a disabled version": {
			prepare: func(f *fixture) { f.vault.Put("db", "x"); f.vault.Disable("secrets/db", "") },
			ref:     db, kind: fault.ErrDenied,
			want: []string{"secrets/db: this version of the secret is disabled; enable it"},
		},
		"a right that a role would give": {
			prepare: func(f *fixture) { f.vault.Put("db", "x"); f.vault.Revoke(webClient) },
			ref:     db, kind: fault.ErrDenied,
			want: []string{"secrets/db: permission denied for client client-of-web", `"Key Vault Secrets User"`, "Caller is not authorized"},
		},
		"a right on keys": {
			prepare: func(f *fixture) { f.vault.Revoke(webClient) },
			ref:     store.Reference{Key: "keys/sign"}, kind: fault.ErrDenied,
			want: []string{"keys/sign: permission denied", `"Key Vault Reader"`},
		},
		"a right on certificates": {
			prepare: func(f *fixture) { f.vault.Revoke(webClient) },
			ref:     store.Reference{Key: "certificates/web"}, kind: fault.ErrDenied,
			want: []string{"certificates/web: permission denied", `"Key Vault Reader"`},
		},
		"a right on a certificate's secret": {
			prepare: func(f *fixture) { f.vault.Revoke(webClient); f.vault.Grant(webClient, "certificates/*") },
			ref:     store.Reference{Key: "certificates/web", Options: map[string]any{"part": "key"}}, kind: fault.ErrDenied,
			want: []string{"secrets/web: permission denied", `"Key Vault Secrets User"`},
		},
		"a right that an access policy would give": {
			prepare: func(f *fixture) { f.vault.UsePolicies(); f.vault.Revoke(webClient) },
			ref:     db, kind: fault.ErrDenied,
			want: []string{"its access policy needs secrets get", "does not have secrets get permission"},
		},
		"a right to list": {
			prepare: func(f *fixture) { f.vault.UsePolicies(); f.vault.Revoke(webClient) },
			ref:     store.Reference{Key: "secrets/db", Options: map[string]any{"history": 2}}, kind: fault.ErrDenied,
			want: []string{"secrets get and list"},
		},
		"an address that the firewall does not admit": {
			prepare: func(f *fixture) {
				f.azure.Add(azuretest.Fault{Action: "get secrets", Status: 403, Code: "Forbidden", InnerCode: "ForbiddenByFirewall", Message: "Client address is not authorized and caller is not a trusted service."})
			},
			ref: db, kind: fault.ErrDenied, want: []string{"firewall does not admit this node's address", "Client address is not authorized"},
		},
		"the public network": {
			prepare: func(f *fixture) {
				f.azure.Add(azuretest.Fault{Action: "get secrets", Status: 403, Code: "Forbidden", InnerCode: "ForbiddenByConnection", Message: "Public network access is disabled and request is not from a trusted service nor via an approved private link."})
			},
			ref: db, kind: fault.ErrDenied, want: []string{"private endpoint"},
		},
		"a bad request": {
			prepare: func(f *fixture) {
				f.azure.Add(azuretest.Fault{Action: "get secrets", Status: 400, Code: "BadParameter", Message: "The api-version is not supported."})
			},
			ref: db, kind: fault.ErrInvalid, want: []string{"refuses the request (400)", "api-version is not supported"},
		},
		"a redirect": {
			prepare: func(f *fixture) { f.azure.Add(azuretest.Fault{Action: "get secrets", Status: 302}) },
			ref:     db, kind: fault.ErrInvalid, want: []string{"redirects (302)"},
		},
		"an answer that is too large": {
			prepare: func(f *fixture) {
				f.azure.Add(azuretest.Fault{Action: "get secrets", Body: `{"value":"` + strings.Repeat("x", 2<<20) + `"}`})
			},
			ref: db, kind: fault.ErrInvalid, want: []string{"larger than 1 MiB"},
		},
		"a page of a list on another server": {
			prepare: func(f *fixture) {
				f.azure.Add(azuretest.Fault{Action: "list secrets", Body: `{"value":[],"nextLink":"https://evil.example.com/secrets/db/versions?api-version=7.4"}`})
			},
			ref: store.Reference{Key: "secrets/db", Options: map[string]any{"history": 2}}, kind: fault.ErrInvalid,
			want: []string{"evil.example.com, where its token must not go"},
		},
		"a page of a list at another port": {
			prepare: func(f *fixture) {
				f.azure.Add(azuretest.Fault{Action: "list secrets", Body: `{"value":[],"nextLink":"https://web-kv.vault.azure.net:8443/secrets/db/versions?api-version=7.4"}`})
			},
			ref: store.Reference{Key: "secrets/db", Options: map[string]any{"history": 2}}, kind: fault.ErrInvalid,
			want: []string{"web-kv.vault.azure.net:8443, where its token must not go"},
		},
		"a list without an end": {
			prepare: func(f *fixture) {
				f.azure.Add(azuretest.Fault{Action: "list secrets", Body: `{"value":[],"nextLink":"https://web-kv.vault.azure.net/secrets/db/versions?api-version=7.4"}`})
			},
			ref: store.Reference{Key: "secrets/db", Options: map[string]any{"history": 2}}, kind: fault.ErrInvalid,
			want: []string{"more than 2500 versions"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			if test.prepare != nil {
				test.prepare(f)
			}
			value, err := f.open(nil).Read(t.Context(), f.pod("prod/web"), test.ref)
			if !errors.Is(err, test.kind) || value.Data.Len() > 0 {
				t.Fatalf("Read: %v, want %v", err, test.kind)
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q is not in %v", want, err)
				}
			}
		})
	}
}

// passing are the faults that may be over at the next try.
func passing() map[string]azuretest.Fault {
	return map[string]azuretest.Fault{
		"throttled":            azuretest.Throttled(0),
		"throttled for a time": azuretest.Throttled(1),
		"failing":              {Status: 500, Code: "InternalServerError", Message: "try again"},
		"away":                 {Status: 503},
		"broken off":           {Drop: true},
		"broken off inside":    {Truncate: true},
		"too slow":             {Delay: time.Hour},
		"not JSON":             {Body: "<html>a proxy's page with hunter2</html>"},
		"without the value":    {Body: `{"id":"https://web-kv.vault.azure.net/secrets/db/0123"}`},
		"of another shape":     {Body: `{"value":{"hunter2":1},"id":7}`},
	}
}

func TestWhatPassesIsTriedAgain(t *testing.T) {
	for name, fault := range passing() {
		for _, action := range []string{"get secrets", "token", "challenge"} {
			if fault.Body != "" && action == "challenge" || name == "without the value" && action == "get secrets" {
				continue // an answer that was understood is not asked for again
			}
			t.Run(action+" "+name, func(t *testing.T) {
				t.Parallel()
				f := newFixture(t)
				f.vault.Put("db", "hunter2")
				once := fault
				once.Action, once.Times = action, 1
				f.azure.Add(once)
				more := map[string]any{"tenantID": nil}
				if fault.Delay > 0 {
					more["timeout"], more["retries"] = "1s", 8
				}
				s := f.open(more)
				value, err := s.Read(within(t, 2*time.Minute), f.pod("prod/web"), db)
				if err != nil || value.Data.RevealString() != "hunter2" {
					t.Errorf("Read: %v", err)
				}
			})
		}
	}
}

func TestWhatDoesNotPassIsUnavailable(t *testing.T) {
	for name, broken := range passing() {
		for _, action := range []string{"get secrets", "token"} {
			t.Run(action+" "+name, func(t *testing.T) {
				t.Parallel()
				f := newFixture(t)
				f.vault.Put("db", "hunter2")
				always := broken
				if action == "token" && strings.HasPrefix(name, "throttled") {
					always = azuretest.Throttled(600) // more than there is time
				}
				always.Action = action
				f.azure.Add(always)
				more := map[string]any{"retries": 1}
				if broken.Delay > 0 {
					more["timeout"], more["retries"] = "1s", 0
				}
				allowed := 2 * time.Minute
				if action == "get secrets" && strings.HasPrefix(name, "throttled") {
					allowed = 5 * time.Second // it is tried again for as long as there is time
				}
				s := f.open(more)
				_, err := s.Read(within(t, allowed), f.pod("prod/web"), db)
				if broken.Drop && !strings.Contains(fmt.Sprint(err), "cannot be reached: stream error") {
					t.Errorf("the network's own words are lost: %v", err)
				}
				if !errors.Is(err, fault.ErrUnavailable) || !strings.HasPrefix(fmt.Sprint(err), "secrets/db: ") || strings.Contains(fmt.Sprint(err), "hunter2") {
					t.Errorf("Read: %v", err)
				}
			})
		}
	}
}

func TestNobodyWaitsLongerThanThereIsTime(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.vault.Put("db", "hunter2")
	s := f.open(nil)
	f.text(s, db)
	for name, broken := range map[string]azuretest.Fault{
		"for a vault that says when": azuretest.Throttled(5),
		"for one that asks for more": azuretest.Throttled(60),
	} {
		repair := f.azure.Add(broken)
		before := 0
		err := backendtest.UntilAnswered(t, 4*time.Second, func(ctx context.Context) error {
			before = f.azure.Calls("get secrets")
			_, err := s.Read(ctx, f.pod("prod/web"), db)
			return err
		})
		if calls := f.azure.Calls("get secrets") - before; calls != 1 || !errors.Is(err, fault.ErrUnavailable) || !strings.Contains(err.Error(), "is throttling (too many calls)") {
			t.Errorf("%s: %v after %d calls, want one", name, err, calls)
		}
		repair()
	}
	f.azure.Add(azuretest.Fault{Delay: time.Minute})
	if _, err := s.Read(within(t, time.Second), f.pod("prod/web"), db); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("for one that is silent: %v", err)
	}
}

func TestARefusalIsNotTriedAgain(t *testing.T) {
	f := newFixture(t)
	s := f.open(nil)
	if _, err := s.Read(t.Context(), f.pod("prod/web"), db); !errors.Is(err, fault.ErrNotFound) {
		t.Fatal(err)
	}
	if n := f.azure.Calls("get secrets"); n != 1 {
		t.Errorf("%d calls, want 1", n)
	}
}

func TestAHostThatIsNotThere(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for name, more := range map[string]map[string]any{
		"the vault":    {"endpoint": "127.0.0.1:1"},
		"the login":    {"authorityHost": "https://127.0.0.1:1"},
		"the metadata": {"auth": map[string]any{"method": "managedIdentity", "metadataEndpoint": "http://127.0.0.1:1"}},
	} {
		_, err := f.open(more).Read(t.Context(), f.pod("prod/web"), db)
		if !errors.Is(err, fault.ErrUnavailable) || !strings.Contains(err.Error(), "connection refused") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
