package stores

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lanyardhq/lanyard/cmd"
	"github.com/lanyardhq/lanyard/integration/faultproxy"
	"github.com/lanyardhq/lanyard/integration/issuer"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/store"
)

func versionsOf(t *testing.T, f *fixture, ref store.Reference) ([]store.VersionInfo, error) {
	t.Helper()
	return open(t, f.settings()).(store.Historian).Versions(t.Context(), f.pod, ref)
}

func TestTheStatesOfVersionsAreThoseOfVault(t *testing.T) {
	f := newFixture(t, shared)
	var ref store.Reference
	for _, value := range []string{"one", "two", "three", "four"} {
		ref = f.put(t, "db", map[string]any{"n": value})
	}
	at := func(action string) string { return strings.Replace(ref.Key, "/data/", "/"+action+"/", 1) }
	f.Must(t, "PUT", at("destroy"), map[string]any{"versions": []int{1}})
	f.Must(t, "POST", at("delete"), map[string]any{"versions": []int{2}})
	states := func() string {
		versions, err := versionsOf(t, f, ref)
		if err != nil {
			t.Fatal(err)
		}
		var told []string
		for _, v := range versions {
			told = append(told, v.Version+" "+string(v.State))
		}
		return strings.Join(told, ", ")
	}
	if got, want := states(), "4 current, 3 available, 2 deleted, 1 destroyed"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	f.Must(t, "POST", at("undelete"), map[string]any{"versions": []int{2}})
	f.Must(t, "POST", at("delete"), map[string]any{"versions": []int{4}})
	if got, want := states(), "4 deleted, 3 available, 2 available, 1 destroyed"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	// The end that delete_version_after sets is told before it has come.
	f.Must(t, "POST", at("metadata"), map[string]any{"delete_version_after": "3h"})
	f.put(t, "db", map[string]any{"n": "five"})
	versions, err := versionsOf(t, f, ref)
	if err != nil || versions[0].State != store.StateCurrent || versions[0].Ends.Sub(versions[0].Made).Round(1e9) != 3*60*60*1e9 {
		t.Errorf("%+v, %v", versions, err)
	}
}

func TestWhatHasNoVersionsSaysSo(t *testing.T) {
	f := newFixture(t, shared)
	f.Must(t, "POST", f.kv1()+"/db", map[string]any{"a": "b"})
	f.Must(t, "POST", f.kv1()+"/data/db", map[string]any{"a": "b"})
	f.Must(t, "POST", f.kv1()+"/metadata/db", map[string]any{"a": "b"})
	f.mount(t, f.name+"/data", "kv", map[string]any{"options": map[string]any{"version": "2"}})
	f.policy(t, f.kv1(), f.kv2(), f.name+"/data")
	f.Must(t, "POST", f.name+"/data/data/db", map[string]any{"data": map[string]any{"a": "b"}})
	for name, test := range map[string]struct {
		ref  store.Reference
		kind error
		text string
	}{
		"KV version 1":              {store.Reference{Key: f.kv1() + "/db"}, store.ErrUnversioned, "KV version 2 alone"},
		"a list":                    {store.Reference{Key: f.kv2() + "/metadata", Options: map[string]any{"method": "LIST"}}, store.ErrUnversioned, "keeps no versions"},
		"a credential":              {store.Reference{Key: "pki/issue/web", Options: map[string]any{"method": "PUT"}}, store.ErrUnversioned, "keeps no versions"},
		"KV version 1 with data/":   {store.Reference{Key: f.kv1() + "/data/other"}, fault.ErrNotFound, "Vault has nothing there"},
		"that, and metadata/":       {store.Reference{Key: f.kv1() + "/data/db"}, fault.ErrUnavailable, "not the metadata of a secret of KV version 2"},
		"a path that is denied":     {store.Reference{Key: "denied/data/db"}, fault.ErrDenied, "its policies need read on denied/metadata/db"},
		"a mount that ends in data": {store.Reference{Key: f.name + "/data/data/db"}, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			versions, err := versionsOf(t, f, test.ref)
			if test.kind == nil {
				if err != nil || len(versions) != 1 {
					t.Errorf("%+v, %v", versions, err)
				}
				return
			}
			if !errors.Is(err, test.kind) || !strings.Contains(err.Error(), test.text) {
				t.Errorf("error %v, want %v with %q", err, test.kind, test.text)
			}
		})
	}
}

func TestAnAnswerThatIsNoMetadataIsNoHistory(t *testing.T) {
	f := newFixture(t, shared)
	ref := f.put(t, "db", map[string]any{"n": "planted"})
	for name, body := range map[string]string{
		"nothing": ``, "no JSON": `<html>`, "a value": `{"request_id":"1","data":{"data":{"n":"planted"},"metadata":{"version":1}}}`,
		"no versions": `{"request_id":"1","data":{"current_version":1}}`, "a name": `{"request_id":"1","data":{"versions":{"planted":{}}}}`, "a null": `{"request_id":"1","data":{"versions":{"1":null}}}`, "a list": `{"request_id":"1","data":{"versions":["planted"]}}`,
	} {
		t.Run(name, func(t *testing.T) {
			defer f.proxy.Add(faultproxy.Fault{Prefix: f.kv2() + "/metadata", Rewrite: func([]byte) []byte { return []byte(body) }})()
			versions, err := versionsOf(t, f, ref)
			if !errors.Is(err, fault.ErrUnavailable) || len(versions) > 0 || strings.Contains(fmt.Sprint(err), "planted") {
				t.Errorf("%+v, %v", versions, err)
			}
		})
	}
}

// TestABadRotationIsTakenBack is the way of docs/operations.md: list, pin, mount, unpin.
func TestABadRotationIsTakenBack(t *testing.T) {
	f := newFixture(t, shared)
	for _, value := range []string{"planted-good", "planted-bad"} {
		f.put(t, "db", map[string]any{"password": value})
	}
	token, err := f.issuer.Token(issuer.Claims{Audience: "vault", Namespace: "prod", ServiceAccount: "web", UID: "u", Pod: "web-0", PodUID: "p"})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	run := func(t *testing.T, args ...string) string {
		t.Helper()
		var out, errs bytes.Buffer
		if code := cmd.Execute(args, strings.NewReader(""), &out, &errs); code != 0 {
			t.Fatalf("%v: exit code %d: %s", args, code, errs.String())
		}
		if strings.Contains(out.String()+errs.String(), "planted") {
			t.Errorf("%v shows a value: %s%s", args, out.String(), errs.String())
		}
		return out.String() + errs.String()
	}
	config := file("config.yaml", fmt.Sprintf("stores:\n  vault: {type: vault, address: '%s', auth: {method: jwt, mount: %s, role: web}}\n", f.proxy.Address, f.jwt()))
	pod := []string{"--config", config, "--service-account", "web", "--token", "vault=" + file("token", token)}
	for provider, objects := range map[string]string{
		"lanyard": "      - path: db/password   # of the shop\n        store: vault\n        key: KV/data/db\n        property: password\n",
		"vault":   "      - objectName: db/password   # of the shop\n        secretPath: \"KV/data/db\"\n        secretKey: password\n",
	} {
		t.Run(provider, func(t *testing.T) {
			text := "apiVersion: secrets-store.csi.x-k8s.io/v1\nkind: SecretProviderClass\nmetadata: {name: web, namespace: prod}\nspec:\n  provider: " + provider +
				"\n  parameters:\n    objects: |\n" + strings.ReplaceAll(objects, "KV", f.kv2())
			class := file(provider+".yaml", text)
			volume := filepath.Join(dir, "volume-"+provider)
			mounted := func() string {
				t.Helper()
				run(t, append([]string{"mount", class, "--target", volume}, pod...)...)
				data, err := os.ReadFile(filepath.Join(volume, "db", "password"))
				if err != nil {
					t.Fatal(err)
				}
				return string(data)
			}
			history := func() string { t.Helper(); return run(t, append([]string{"history", class}, pod...)...) }
			chosen := func(version string) bool {
				for line := range strings.Lines(history()) {
					if fields := strings.Fields(line); len(fields) > 2 && fields[1] == version && strings.HasSuffix(strings.TrimSpace(line), "reads this") {
						return true
					}
				}
				return false
			}
			if got := mounted(); got != "planted-bad" || !chosen("2") {
				t.Errorf("before, the file holds %s:\n%s", got, history())
			}
			run(t, "pin", class, "db/password", "--version", "1", "--config", config)
			if got := mounted(); got != "planted-good" || !chosen("1") {
				t.Errorf("pinned, the file holds %s:\n%s", got, history())
			}
			run(t, "pin", class, "db/password", "--unpin", "--config", config)
			if data, err := os.ReadFile(class); err != nil || string(data) != text {
				t.Errorf("unpinned, the class is %s, %v", data, err)
			}
			if got := mounted(); got != "planted-bad" {
				t.Errorf("unpinned, the file holds %s", got)
			}
		})
	}
}
