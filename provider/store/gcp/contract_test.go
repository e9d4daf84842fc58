package gcp_test

import (
	"strings"
	"testing"

	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/store"
	"github.com/lanyardhq/lanyard/provider/store/gcp"
	"github.com/lanyardhq/lanyard/provider/store/storetest"
)

func TestMeetsTheStoreContract(t *testing.T) {
	t.Parallel()
	for kind, parent := range map[string]string{"global": project, "regional": project + "/locations/europe-west3"} {
		t.Run(kind, func(t *testing.T) {
			storetest.Run(t, func(t *testing.T) *storetest.Fixture { return contract(t, parent) })
		})
	}
}

func FuzzAnswers(f *testing.F) {
	storetest.Fuzz(f, func(t *testing.T) *storetest.Fixture { return contract(t, project) })
}

// contract is the store under test, whose secrets are those of the parent.
func contract(t *testing.T, parent string) *storetest.Fixture {
	t.Helper()
	c := newCloud(t)
	stranger := c.pod(t, "stranger", pool)
	wrong := func(change func(fields, auth map[string]any)) store.Settings { return c.settings(change) }
	byClass := func(change func(fields, auth map[string]any)) store.Settings {
		settings := c.settings(change)
		settings.ByOperator = false
		return settings
	}
	return &storetest.Fixture{
		Type:     gcp.NewType(gcp.Options{}),
		Settings: c.settings(func(fields, _ map[string]any) { fields["retries"] = 1 }),
		Identity: c.web,
		Stranger: &stranger,
		Put: func(_ *testing.T, name, value string) store.Reference {
			c.Put(parent+"/secrets/"+name, []byte(value))
			return store.Reference{Key: parent + "/secrets/" + name}
		},
		Answers: &storetest.Answers{
			Settings: c.settings(func(fields, _ map[string]any) { fields["retries"] = 0 }),
			Rewrite:  c.Rewrite, Throttled: c.Throttling(access, "token"),
		},
		Missing: store.Reference{Key: parent + "/secrets/missing"},
		Pinned:  []store.Reference{{Key: parent + "/secrets/db", Version: "3"}},
		Invalid: map[string]store.Reference{
			"no key":              {},
			"name without a home": {Key: "db"},
			"another resource":    {Key: "projects/shop/topics/db"},
			"parent folder":       {Key: "projects/shop/secrets/.."},
			"version in the key":  {Key: parent + "/secrets/db/versions/1"},
			"version zero":        {Key: parent + "/secrets/db", Version: "0"},
			"version with a path": {Key: parent + "/secrets/db", Version: "1/../2"},
			"location":            {Key: "projects/shop/locations/evil.example.com/secrets/db"},
			"unknown option":      {Key: parent + "/secrets/db", Options: map[string]any{"formt": "yaml"}},
			"unknown format":      {Key: parent + "/secrets/db", Options: map[string]any{"format": "toml"}},
		},
		InvalidSettings: map[string]store.Settings{
			"projct":                wrong(func(fields, _ map[string]any) { fields["projct"] = "shop" }),
			"project":               wrong(func(fields, _ map[string]any) { fields["project"] = "My Project" }),
			"location":              wrong(func(fields, _ map[string]any) { fields["location"] = "a.b" }),
			"endpoint":              wrong(func(fields, _ map[string]any) { fields["endpoint"] = "secretmanager" }),
			"regionalEndpoint":      wrong(func(fields, _ map[string]any) { fields["regionalEndpoint"] = "https://u:p@x" }),
			"timeout":               wrong(func(fields, _ map[string]any) { fields["timeout"] = "1ms" }),
			"retries":               wrong(func(fields, _ map[string]any) { fields["retries"] = 100 }),
			"tls.caCert":            wrong(func(fields, _ map[string]any) { fields["tls"] = map[string]any{"caCert": "x"} }),
			"tls.caCertFile":        wrong(func(fields, _ map[string]any) { fields["tls"] = map[string]any{"caCertFile": "/nonexistent"} }),
			"auth.method":           wrong(func(_, auth map[string]any) { auth["method"] = "workload" }),
			"auth.audience":         wrong(func(_, auth map[string]any) { auth["audience"] = "shop.svc.id.goog" }),
			"auth.serviceAccount":   wrong(func(_, auth map[string]any) { auth["serviceAccount"] = "../x" }),
			"auth.delegates":        wrong(func(_, auth map[string]any) { auth["delegates"] = []any{"a@b.c"} }),
			"auth.keyFile":          wrong(func(_, auth map[string]any) { auth["keyFile"] = "/key.json" }),
			"auth.stsEndpoint":      wrong(func(_, auth map[string]any) { auth["stsEndpoint"] = "ftp://x" }),
			"auth.metadataEndpoint": byClass(func(_, auth map[string]any) { auth["metadataEndpoint"] = "https://x" }),
			"auth.keyCredential":    byClass(func(_, auth map[string]any) { auth["keyCredential"] = "key.json" }),
			"auth.iamEndpoint":      byClass(unchanged), // plain text
		},
		Fail: func(*testing.T) { c.Stop() },
	}
}

func TestOnlyTheOperatorLendsTheNodesCredentials(t *testing.T) {
	for method, fields := range map[string]map[string]any{
		"metadata": {"auth": map[string]any{"method": "metadata"}},
		"keyFile":  {"auth": map[string]any{"method": "keyFile", "keyFile": "/key.json"}},
	} {
		t.Run(method, func(t *testing.T) {
			_, err := gcp.NewType(gcp.Options{}).Open(store.Settings{Fields: fields})
			wantError(t, err, fault.ErrInvalid, "auth.method: reads with the node's own credentials ("+method+")")
			lent := store.Settings{Fields: fields, ByOperator: true}
			opened, err := gcp.NewType(gcp.Options{}).Open(lent)
			if err != nil {
				t.Fatal(err)
			}
			defer opened.Close()
			if !gcp.NewType(gcp.Options{}).ReadsAsNode(lent) {
				t.Error("ReadsAsNode = false")
			}
		})
	}
}

func TestAllWrongSettingsAreToldAtOnce(t *testing.T) {
	_, err := gcp.NewType(gcp.Options{}).Open(store.Settings{Fields: map[string]any{
		"project": "A", "timeout": "2h", "auth": map[string]any{"serviceAccount": "x", "keyCredential": "k"},
	}})
	wantError(t, err, fault.ErrInvalid, "project: ", "timeout: ", "auth.serviceAccount: ", "auth.keyCredential: ")
	if err != nil && strings.Count(err.Error(), ";") < 3 {
		t.Errorf("error %q does not list all problems", err)
	}
}
