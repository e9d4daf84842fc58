package engine_test

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/lanyardhq/lanyard/provider/backend/remote"
	"github.com/lanyardhq/lanyard/provider/config"
	"github.com/lanyardhq/lanyard/provider/engine"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/spec"
	"github.com/lanyardhq/lanyard/provider/store"
	"github.com/lanyardhq/lanyard/provider/store/azure"
	"github.com/lanyardhq/lanyard/provider/store/file"
	"github.com/lanyardhq/lanyard/provider/store/vault"
)

func TestTheOperatorMayLetClassesOverrideOrIgnoreTheirSettings(t *testing.T) {
	own := func(fields map[string]any) map[string]map[string]any {
		return map[string]map[string]any{"memory": fields}
	}
	for name, c := range map[string]struct {
		override map[string][]string
		ignore   []string
		class    map[string]map[string]any
		want     string // part of the error; empty for none
	}{
		"a value that is listed":               {override: map[string][]string{"address": {"there", "here"}}, class: own(map[string]any{"address": "there"})},
		"one that a pattern covers":            {override: map[string][]string{"address": {"t*e"}}, class: own(map[string]any{"address": "there"})},
		"one that no pattern covers":           {override: map[string][]string{"address": {"x*", "y"}}, class: own(map[string]any{"address": "there"}), want: "stores.memory.address: the operator's configuration of store memory lets classes give x* or y here; give such a value, or remove it"},
		"a pattern does not go beyond a slash": {override: map[string][]string{"address": {"https://*"}}, class: own(map[string]any{"address": "https://a/b"}), want: "stores.memory.address: the operator's"},
		"another setting":                      {override: map[string][]string{"role": {"*"}}, class: own(map[string]any{"address": "there"}), want: "stores.memory.address: pinned"},
		"what is ignored":                      {ignore: []string{"address"}, class: own(map[string]any{"address": "elsewhere", "role": "web"})},
		"a part that is ignored":               {ignore: []string{"tls.caCertFile"}, class: own(map[string]any{"tls": map[string]any{"caCertFile": "/x"}})},
		"a whole that is ignored":              {ignore: []string{"tls"}, class: own(map[string]any{"tls": map[string]any{"caCertFile": "/x", "serverName": "y"}})},
		"beside what is ignored":               {ignore: []string{"tls.caCertFile"}, class: own(map[string]any{"tls": map[string]any{"caCertFile": "/x", "serverName": "y"}}), want: "stores.memory.tls.serverName: pinned"},
	} {
		t.Run(name, func(t *testing.T) {
			b := start(t, func(cfg *config.Config) {
				named := cfg.Stores["memory"]
				named.Override, named.Ignore = c.override, c.ignore
				cfg.Stores["memory"] = named
			})
			b.memory.Put("a", "v")
			b.classes["web"] = &spec.Class{Stores: c.class, Objects: []spec.Object{{Path: "a", Store: "memory", Key: "a"}}}
			_, _, err := b.mount(web, "web")
			if c.want != "" {
				wantError(t, err, fault.ErrInvalid, c.want)
				return
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
}

// A class may have one store of the operator's several times, each time with what the
// operator leaves to classes, and never with more.
func TestAStoreOfTheOperatorsUnderAnotherName(t *testing.T) {
	type fields = map[string]any
	for name, c := range map[string]struct {
		allow []string
		class map[string]map[string]any
		other string // the name of a further store of the operator's
		want  string // part of the error; empty for none
	}{
		"with a setting that is left to classes": {class: map[string]map[string]any{"second": {"base": "memory", "role": "web"}}},
		"and with its type":                      {class: map[string]map[string]any{"second": {"base": "memory", "type": "memory", "role": "web"}}},
		"with a setting that is pinned":          {class: map[string]map[string]any{"second": {"base": "memory", "address": "elsewhere"}}, want: "stores.second.address: pinned by the operator's configuration of store memory; remove it here"},
		"with another type":                      {class: map[string]map[string]any{"second": {"base": "memory", "type": "vault"}}, want: "stores.second.type: "},
		"for others' pods":                       {allow: []string{"other/*"}, class: map[string]map[string]any{"second": {"base": "memory"}}, want: "the operator's allow list for this store has no entry for prod/web"},
		"under the name of another":              {other: "second", class: map[string]map[string]any{"second": {"base": "memory"}}, want: "stores.second.base: the operator's configuration has a store of the name second itself; give this one another name"},
		"of one that nobody defines":             {class: map[string]map[string]any{"second": {"base": "memroy"}}, want: "stores.second.base: no store of that name is configured; configured are memory; did you mean memory?"},
		"of one of the class's":                  {class: map[string]map[string]any{"first": {"type": "memory", "address": "here"}, "second": {"base": "first"}}, want: "stores.second.base: no store of that name is configured"},
		"of no name":                             {class: map[string]map[string]any{"second": {"base": true}}, want: "stores.second.base: must be the name of a store of the operator's configuration"},
		"of an empty name":                       {class: map[string]map[string]any{"second": {"base": ""}}, want: "stores.second.base: must be the name"},
		"that needs nothing of the operator's":   {class: map[string]map[string]any{"second": {"base": "nobody", "type": "memory", "address": "there"}}},
	} {
		t.Run(name, func(t *testing.T) {
			b := start(t, func(cfg *config.Config) {
				named := cfg.Stores["memory"]
				named.Allow = c.allow
				cfg.Stores["memory"] = named
				if c.other != "" {
					cfg.Stores[c.other] = config.Store{Type: "memory", Fields: fields{"address": "there"}}
				}
			})
			b.memory.Put("a", "v")
			b.classes["web"] = &spec.Class{Stores: c.class, Objects: []spec.Object{{Path: "a", Store: "second", Key: "a"}}}
			_, _, err := b.mount(web, "web")
			if c.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("the error is %v, want %q", err, c.want)
			}
		})
	}
}

func TestOpeningsThatCannotBeMeantAreRefused(t *testing.T) {
	b := start(t, nil)
	cfg := b.config
	cfg.Stores = map[string]config.Store{"memory": {
		Type:     "memory",
		Fields:   b.config.Stores["memory"].Fields,
		Override: map[string][]string{"type": {"*"}, "address": {"[a"}, "role": {}, "tls.serverName": {"*"}},
		Ignore:   []string{"tls.serverName", "allow", ""},
	}}
	err := b.Configure(cfg)
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{
		"stores.memory.override.address[0]: is no pattern",
		"stores.memory.override.role: has no values",
		"stores.memory.override.tls.serverName: is also under ignore",
		"stores.memory.override.type: must be a setting of the store",
		"stores.memory.ignore[1]: must be a setting",
		"stores.memory.ignore[2]: must be a setting",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not among\n%v", want, err)
		}
	}
}

// An override could send the node's credentials elsewhere, or turn a store that
// reads as the pod into one that reads with them; a role could make them good for
// more than the operator meant.
func TestNoClassChoosesWhatTheNodesCredentialsAreUsedFor(t *testing.T) {
	const lent = "the store reads with the node's own files or credentials, so that only the operator's configuration may say this; remove it here"
	ignored := func(field string) string {
		return lent + ", or have the operator's configuration ignore it (stores.s.ignore: [" + field + "])"
	}
	tokenFile := map[string]any{"method": "tokenFile", "tokenFile": "/token"}
	byFile := map[string]any{"method": "jwt", "jwtFile": "/jwt"}
	for name, c := range map[string]struct {
		store config.Store
		class map[string]any
		early string // part of the error of the configuration; empty for none
		late  string // and of the class
	}{
		"an override of a file store": {
			store: config.Store{Type: "file", Allow: []string{"prod/web"}, Fields: map[string]any{"root": "/srv"}, Override: map[string][]string{"root": {"/*"}}},
			early: "stores.s.override.root: is not allowed",
		},
		"an override alone": {
			store: config.Store{Type: "file", Allow: []string{"prod/web"}, Override: map[string][]string{"root": {"/*"}}},
			early: "stores.s.override.root: is not allowed",
		},
		"no allow list": {
			store: config.Store{Type: "vault", Fields: map[string]any{"address": "https://vault.example.com", "auth": tokenFile}},
			early: "stores.s.allow: missing",
		},
		"no allow list and no role": {
			store: config.Store{Type: "vault", Fields: map[string]any{"address": "https://vault.example.com", "auth": map[string]any{"method": "kubernetes", "jwtFile": "/jwt"}}},
			early: "stores.s.allow: missing",
		},
		"a role that is left out": {
			store: config.Store{Type: "vault", Allow: []string{"*/*"}, Fields: map[string]any{"address": "https://vault.example.com", "auth": map[string]any{"method": "kubernetes", "jwtFile": "/jwt"}}},
			early: "stores.s.auth.role: is missing",
		},
		"no allow list and no vault": {
			store: config.Store{Type: "azure-key-vault", Fields: map[string]any{"auth": map[string]any{"method": "managedIdentity"}}},
			early: "stores.s.allow: missing",
		},
		"the role": {
			store: config.Store{Type: "vault", Allow: []string{"*/*"}, Fields: map[string]any{"address": "https://vault.example.com", "auth": byFile}},
			class: map[string]any{"auth": map[string]any{"role": "admin"}},
			late:  "stores.s.auth.role: " + ignored("auth.role"),
		},
		"the namespace": {
			store: config.Store{Type: "vault", Allow: []string{"*/*"}, Fields: map[string]any{"address": "https://vault.example.com", "auth": tokenFile}},
			class: map[string]any{"namespace": "admin"},
			late:  "stores.s.namespace: " + ignored("namespace"),
		},
		"the role that the operator says too": {
			store: config.Store{Type: "vault", Allow: []string{"*/*"}, Fields: map[string]any{"address": "https://vault.example.com", "auth": map[string]any{"method": "jwt", "jwtFile": "/jwt", "role": "web"}}},
			class: map[string]any{"auth": map[string]any{"role": "web"}},
		},
		"the role, ignored": {
			store: config.Store{Type: "vault", Allow: []string{"*/*"}, Ignore: []string{"auth.role"}, Fields: map[string]any{"address": "https://vault.example.com", "auth": byFile}},
			class: map[string]any{"auth": map[string]any{"role": "admin"}},
		},
		"the role, where the pod logs in": {
			store: config.Store{Type: "vault", Fields: map[string]any{"address": "https://vault.example.com", "auth": map[string]any{"method": "kubernetes"}}},
			class: map[string]any{"auth": map[string]any{"role": "web"}, "namespace": "team"},
		},
		"a method that the operator lets it override": {
			store: config.Store{Type: "azure-key-vault", Allow: []string{"*/*"}, Fields: map[string]any{"vault": "prod", "auth": map[string]any{"method": "workloadIdentity"}}, Override: map[string][]string{"auth.method": {"*"}}},
			class: map[string]any{"auth": map[string]any{"method": "managedIdentity"}},
			late:  "stores.s.auth.method: " + lent,
		},
		"which vault the node's identity reads": {
			store: config.Store{Type: "azure-key-vault", Allow: []string{"*/*"}, Fields: map[string]any{"auth": map[string]any{"method": "managedIdentity"}}},
			class: map[string]any{"vault": "prod"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := config.Default()
			cfg.Stores = map[string]config.Store{"s": c.store}
			eng, err := engine.New(engine.Options{
				Config: cfg, Calls: remote.NewCalls(1), Metrics: prometheus.NewRegistry(),
				Types: []store.Type{file.NewType(), vault.NewType(vault.Options{}), azure.NewType(azure.Options{})},
				Dialects: map[string]spec.Dialect{"test": func(map[string]string) (*spec.Class, error) {
					return &spec.Class{
						Stores:  map[string]map[string]any{"s": c.class},
						Objects: []spec.Object{{Path: "a", Store: "s", Key: "secrets/a"}},
					}, nil
				}},
			})
			if c.early != "" {
				if err == nil || !strings.Contains(err.Error(), c.early) {
					t.Errorf("New: %v, want %q", err, c.early)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(eng.Close)
			switch err := eng.Check("test", nil); {
			case c.late == "" && err != nil:
				t.Errorf("Check: %v", err)
			case c.late != "" && (err == nil || !strings.Contains(err.Error(), c.late)):
				t.Errorf("Check: %v, want %q", err, c.late)
			}
		})
	}
}

func TestADialectsDefaultsHoldOnlyForStoresThatTheClassDefinesAlone(t *testing.T) {
	class := func(name string) *spec.Class {
		return &spec.Class{
			Stores:   map[string]map[string]any{name: {"role": "web"}},
			Defaults: map[string]map[string]any{name: {"type": "memory", "role": "other", "address": "here"}},
			Objects:  []spec.Object{{Path: "a", Store: name, Key: "a"}},
		}
	}
	b := start(t, func(cfg *config.Config) {
		cfg.Stores["memory"] = config.Store{Type: "memory", Fields: map[string]any{"address": "the operator's"}}
	})
	b.memory.Put("a", "v")
	b.classes["named"], b.classes["own"] = class("memory"), class("mine")
	b.mustMount(t, web, "named")
	b.mustMount(t, web, "own")
}

func TestProblemsSpeakTheWordsOfTheDialect(t *testing.T) {
	b := start(t, nil)
	b.classes["web"] = &spec.Class{
		Words: spec.Words{
			"objects": "secrets", "objects[].path": "fileName", "objects[].options.body": "args",
			"stores.memory.address": "memoryAddress",
		},
		Stores: map[string]map[string]any{"memory": {"address": "elsewhere", "tls": map[string]any{"serverName": "x"}}},
		Objects: []spec.Object{
			{Path: "a", Store: "memory", Key: "a"},
			{Path: "b/", Store: "memory", Key: "b", Entry: 1},
			{Path: "c", Store: "memory", Key: "c", Encoding: "x", Entry: 2},
			{Path: "a", Store: "memory", Key: "d", Entry: 3},
		},
	}
	err := b.Check("test", map[string]string{"class": "web"})
	const want = "object 1 (b/): fileName: must name a file, without a slash at its end, empty parts, or parts that are a single dot; " +
		"object 2 (c): encoding: must be base64 or hex to decode the value, utf-8 to accept text alone, or left out for bytes as they are; " +
		"object 3 (a): fileName: object 1 (a) has the same path; give each object a file of its own; " +
		"memoryAddress: pinned by the operator's configuration of store memory; remove it here; " +
		"stores.memory.tls.serverName: pinned by the operator's configuration of store memory; remove it here"
	if err == nil || err.Error() != want {
		t.Errorf("problems\n%v\nwant\n%s", err, want)
	}
	b.classes["empty"] = &spec.Class{Words: spec.Words{"objects": "secrets"}}
	if err := b.Check("test", map[string]string{"class": "empty"}); err == nil || err.Error() != "secrets: has no entries; list at least one object" {
		t.Error(err)
	}
}
