package deployment

import (
	"io"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	core "k8s.io/api/core/v1"

	"github.com/lanyardhq/lanyard/cmd"
	"github.com/lanyardhq/lanyard/provider/config"
)

// everything sets every field, with numbers large enough to be written with
// an exponent where somebody takes them for fractions.
const everything = `
config:
  cluster: prod-eu
  stores:
    vault:
      type: vault
      address: https://vault.example.com:8200
      retries: 3
      tls: {caCertFile: /etc/lanyard/files/vault-ca/ca.pem}
      auth: {method: kubernetes, mount: kubernetes/prod-eu}
    licences:
      type: file
      root: /var/lib/licences
      allow: [billing/*]
    sealed:
      type: sealed
      keyRing: /etc/lanyard/secrets/key-ring/ring.yaml
  policy: {classStores: false, tokenRequest: true}
  cache: {refresh: 5m, staleOnError: 1h30m, idle: 20m, bytes: 268435456, versionKeyFile: /etc/lanyard/secrets/version-key/key}
  bounds: {requestBytes: 2097152, responseBytes: 4Mi, memory: 128Mi, objects: 100000, mounts: 512, storeCalls: 16, mountTimeout: 100s, readTimeout: 20s}
secrets: [key-ring, version-key]
configMaps: [vault-ca]
hostDirectories: [/var/lib/licences]
resources: {limits: {memory: 544Mi}}
`

// configFile is the configuration of a rendering as the provider finds it.
func configFile(t *testing.T, values string) string {
	t.Helper()
	rendered := render(t, values)
	text := object[core.ConfigMap](t, rendered, "ConfigMap")
	// What the arguments name must be what the ConfigMap holds.
	_, volume := mount(t, daemonSet(t, rendered).Spec.Template.Spec, "/etc/lanyard/config")
	if volume.ConfigMap.Name != text.Name || len(text.Data) != 1 {
		t.Fatalf("the pods mount %v, and the ConfigMap is %v", volume, text)
	}
	if !slices.Contains(container(t, values).Args, "--config=/etc/lanyard/config/lanyard.yaml") {
		t.Fatal("the arguments do not name the configuration")
	}
	path := filepath.Join(t.TempDir(), "lanyard.yaml")
	if err := os.WriteFile(path, []byte(text.Data["lanyard.yaml"]), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestTheDefaultConfigurationIsTheProvidersOwn(t *testing.T) {
	file, err := config.Load(configFile(t, ""))
	if err != nil {
		t.Fatal(err)
	}
	want := config.Default()
	want.Cache.VersionKeySecret = "lanyard-version-key"
	if !reflect.DeepEqual(file.Config, want) {
		t.Errorf("the configuration is\n%+v, want\n%+v", file.Config, want)
	}
}

func TestEveryFieldOfTheConfigurationReachesTheProvider(t *testing.T) {
	path := configFile(t, everything)
	file, err := config.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	holds := file.Config
	if holds.Cluster != "prod-eu" || len(holds.Policy.ClassStores) != 0 || len(holds.Stores) != 3 || holds.Stores["licences"].Allow[0] != "billing/*" {
		t.Errorf("the configuration is %+v", holds)
	}
	if holds.Cache.Bytes != 256<<20 || holds.Bounds.RequestBytes != 2<<20 || holds.Bounds.Objects != 100000 || holds.Cache.StaleOnError.String() != "1h30m0s" {
		t.Errorf("the cache is %+v and the bounds are %+v", holds.Cache, holds.Bounds)
	}
}

func TestCheckAcceptsTheConfiguration(t *testing.T) {
	for _, values := range []string{"", "config: {cluster: dev, stores: {vault: {type: vault, address: 'https://vault.example.com', retries: 3, auth: {method: kubernetes}}}}"} {
		var out strings.Builder
		if code := cmd.Execute([]string{"check", "--config", configFile(t, values)}, strings.NewReader(""), io.MultiWriter(&out), &out); code != 0 {
			t.Errorf("with %q check ends with %d: %s", values, code, &out)
		}
	}
}

func TestTheConfigurationDoesNotRestartPods(t *testing.T) {
	before := daemonSet(t, render(t, ""))
	after := daemonSet(t, render(t, "config: {cluster: other, cache: {refresh: 1h}}"))
	if !reflect.DeepEqual(before, after) {
		t.Error("a changed configuration changes the DaemonSet, which rolls its pods")
	}
}

// TestTheSchemaKnowsTheFieldsOfTheConfiguration holds the chart's schema
// against the provider's own list.
func TestTheSchemaKnowsTheFieldsOfTheConfiguration(t *testing.T) {
	var want []string
	for _, field := range config.Fields() {
		if !strings.Contains(field.Path, "<name>") {
			want = append(want, field.Path)
		}
	}
	slices.Sort(want)
	got := properties(schema(t).Properties["config"], "")
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("the schema has\n%v, the provider\n%v", got, want)
	}
}
