package azure_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/lanyardhq/lanyard/provider/backend/azure/azuretest"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/store"
)

// object is a value that is a JSON object of texts.
func (f *fixture) object(s store.Store, ref store.Reference) map[string]string {
	f.t.Helper()
	var object map[string]string
	if err := json.Unmarshal([]byte(f.text(s, ref)), &object); err != nil {
		f.t.Fatal(err)
	}
	return object
}

func TestSecretsByAPattern(t *testing.T) {
	f := newFixture(t)
	f.azure.SetPageSize(2)
	for name, tags := range map[string]map[string]string{"db-user": {"app": "web"}, "db-password": {"app": "web", "tier": "1"}, "db-off": {"app": "web"}, "mail": nil, "Db-Case": {"app": "api"}} {
		f.vault.PutSecret(name, azuretest.Secret{Value: "value of " + name, Tags: tags})
	}
	f.vault.Disable("secrets/db-off", "")
	chain := azuretest.NewChain(t, 1, "web.example.com")
	f.vault.PutCertificate("web", azuretest.Certificate{ContentType: "application/x-pkcs12", Value: chain.PFX(t, ""), Key: chain.Key})
	s := f.open(nil)
	for name, test := range map[string]struct {
		ref  store.Reference
		want string
	}{
		"names":           {store.Reference{Key: "secrets/db-*"}, "Db-Case db-password db-user"},
		"in the middle":   {store.Reference{Key: "secrets/*-pass*"}, "db-password"},
		"all":             {store.Reference{Key: "secrets/*", Options: map[string]any{"format": "pem"}}, "Db-Case db-password db-user mail web"},
		"a tag":           {store.Reference{Key: "secrets/*", Options: map[string]any{"tags": map[string]any{"app": "web"}}}, "db-password db-user"},
		"two tags":        {store.Reference{Key: "secrets/*", Options: map[string]any{"tags": map[string]any{"app": "web", "tier": "1"}}}, "db-password"},
		"names and a tag": {store.Reference{Key: "secrets/*-user", Options: map[string]any{"tags": map[string]any{"app": "web"}}}, "db-user"},
	} {
		got := f.object(s, test.ref)
		if names := strings.Join(slices.Sorted(maps.Keys(got)), " "); names != test.want {
			t.Errorf("%s: %s, want %s", name, names, test.want)
		}
		for name, value := range got {
			if name != "web" && value != "value of "+name || name == "web" && !strings.HasPrefix(value, "-----BEGIN PRIVATE KEY") {
				t.Errorf("%s is %q", name, value)
			}
		}
	}
	for name, test := range map[string]struct {
		ref  store.Reference
		kind error
		want string
	}{
		"nothing":     {store.Reference{Key: "secrets/none-*"}, fault.ErrNotFound, "secrets/none-*: Key Vault has no enabled secret that matches"},
		"another tag": {store.Reference{Key: "secrets/*", Options: map[string]any{"tags": map[string]any{"app": "x"}}}, fault.ErrNotFound, "check the pattern and the tags"},
	} {
		if _, err := s.Read(t.Context(), f.pod("prod/web"), test.ref); !errors.Is(err, test.kind) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWhatAPatternMayCost(t *testing.T) {
	f := newFixture(t)
	for i := range 201 {
		f.vault.Put(fmt.Sprint("s", i), "v")
	}
	s := f.open(nil)
	if _, err := s.Read(t.Context(), f.pod("prod/web"), store.Reference{Key: "secrets/s*"}); !errors.Is(err, fault.ErrInvalid) || !strings.Contains(err.Error(), "matches 201 secrets, and one object may hold 200; give a narrower pattern") {
		t.Error(err)
	}
	if calls := f.azure.Calls("get secrets"); calls != 0 {
		t.Errorf("%d secrets were read", calls)
	}
	for i := range 5 {
		f.vault.Put(fmt.Sprint("large", i), strings.Repeat("x", 900<<10))
	}
	if _, err := s.Read(t.Context(), f.pod("prod/web"), store.Reference{Key: "secrets/large*"}); !errors.Is(err, fault.ErrInvalid) || !strings.Contains(err.Error(), "is more than 4194304 bytes in total") {
		t.Error(err)
	}
}

func TestWhoMayNotListIsToldTheRole(t *testing.T) {
	f := newFixture(t)
	f.vault.Put("db", "hunter2")
	f.vault.Revoke(webClient)
	f.vault.Grant(webClient, "secrets/db")
	_, err := f.open(nil).Read(t.Context(), f.pod("prod/web"), store.Reference{Key: "secrets/d*"})
	if !errors.Is(err, fault.ErrDenied) || !strings.Contains(err.Error(), `give it the role "Key Vault Secrets User" on the vault, which a list needs`) {
		t.Errorf("with roles: %v", err)
	}
	f.vault.UsePolicies()
	_, err = f.open(nil).Read(t.Context(), f.pod("prod/web"), store.Reference{Key: "secrets/d*"})
	if !errors.Is(err, fault.ErrDenied) || !strings.Contains(err.Error(), "secrets get and list") {
		t.Errorf("with policies: %v", err)
	}
}

func TestTheSecretOfACertificateInItsParts(t *testing.T) {
	f := newFixture(t)
	chain := azuretest.NewChain(t, 1, "web.example.com")
	f.vault.PutCertificate("web", azuretest.Certificate{ContentType: "application/x-pkcs12", Value: chain.PFX(t, ""), Key: chain.Key})
	f.vault.Put("plain", "hunter2")
	s := f.open(nil)
	separate := func(more map[string]any) map[string]any {
		options := map[string]any{"separate": true, "format": "pem"}
		maps.Copy(options, more)
		return options
	}
	whole := f.text(s, store.Reference{Key: "secrets/web", Options: map[string]any{"format": "pem"}})
	parts := f.object(s, store.Reference{Key: "secrets/web", Options: separate(nil)})
	if parts["all"] != whole || parts["key"]+parts["crt"] != whole || strings.Count(parts["crt"], "BEGIN CERTIFICATE") != 3 || !strings.HasPrefix(parts["key"], "-----BEGIN PRIVATE KEY") {
		t.Errorf("the parts are %q", parts)
	}
	if got := f.object(s, store.Reference{Key: "secrets/plain", Options: separate(nil)}); !maps.Equal(got, map[string]string{"all": "hunter2"}) {
		t.Errorf("what is no certificate has the parts %q", got)
	}
	if got := f.object(s, store.Reference{Key: "secrets/web", Options: map[string]any{"separate": true}}); got["crt"] != "" || got["key"] != "" || len(got) != 3 {
		t.Errorf("a PFX has the parts %q", got)
	}
	history := f.object(s, store.Reference{Key: "secrets/web", Options: separate(map[string]any{"history": 2})})
	if !maps.Equal(history, map[string]string{"0": whole, "0.crt": parts["crt"], "0.key": parts["key"]}) {
		t.Errorf("a history has the files %q", slices.Sorted(maps.Keys(history)))
	}
}

func TestPatternsAndPartsThatCannotBe(t *testing.T) {
	f := newFixture(t)
	s := f.open(nil)
	for name, ref := range map[string]store.Reference{
		"keys/a*: names the key wrongly":                          {Key: "keys/a*"},
		"key: is a pattern of several secrets":                    {Key: "secrets/a*", Version: "12"},
		"is a pattern of several":                                 {Key: "secrets/a*", Options: map[string]any{"history": 2}},
		"which goes without":                                      {Key: "secrets/a*", Options: map[string]any{"separate": true}},
		"options.tags: must be a map of names and texts, and":     {Key: "secrets/a", Options: map[string]any{"tags": map[string]any{"a": "b"}}},
		"options.tags: must be a map of names and texts":          {Key: "secrets/a*", Options: map[string]any{"tags": map[string]any{"a": 1}}},
		"options.separate: must be true or false":                 {Key: "certificates/a", Options: map[string]any{"separate": true}},
		"options.separate: must be true or false, and is for sec": {Key: "secrets/a", Options: map[string]any{"separate": "yes"}},
		"key: names the secret wrongly":                           {Key: "secrets/a*/b"},
	} {
		err := s.Check(ref)
		if _, want, ok := strings.Cut(name, "keys/a*: "); ok {
			name = want
		}
		if !errors.Is(err, fault.ErrInvalid) || !strings.Contains(err.Error(), name) {
			t.Errorf("%v, want %q", err, name)
		}
	}
}
