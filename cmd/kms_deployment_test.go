package cmd

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
	core "k8s.io/api/core/v1"
)

// readDeployment decodes a file below deployment/kms strictly, by the JSON
// names of its fields.
func readDeployment(t *testing.T, name string, into any) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "deployment", "kms", name))
	if err != nil {
		t.Fatal(err)
	}
	var content any
	if err := yaml.Unmarshal(data, &content); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	text, err := json.Marshal(content)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

// wantKMSArguments fails the test unless the arguments are a call of kms that
// the program takes.
func wantKMSArguments(t *testing.T, name string, args []string) {
	t.Helper()
	if len(args) == 0 || args[0] != "kms" {
		t.Fatalf("%s calls %v, not kms", name, args)
	}
	command, rest, err := newRoot().Find(args)
	if err != nil || command.Name() != "kms" {
		t.Fatalf("%s calls %v: %v", name, args, err)
	}
	if err := command.ParseFlags(rest); err != nil {
		t.Errorf("%s: %v", name, err)
	}
	for flag, want := range map[string]string{"ring": "/etc/lanyard/kms.yaml", "socket": defaultKMSSocket, "admin-address": defaultKMSAdmin} {
		if got := command.Flags().Lookup(flag).Value.String(); got != want {
			t.Errorf("%s: --%s is %q, want %q", name, flag, got, want)
		}
	}
}

func TestTheStaticPodNeedsNothingOfTheCluster(t *testing.T) {
	var pod core.Pod
	readDeployment(t, "static-pod.yaml", &pod)
	if len(pod.Spec.Containers) != 1 {
		t.Fatalf("%d containers", len(pod.Spec.Containers))
	}
	c := pod.Spec.Containers[0]
	wantKMSArguments(t, "static-pod.yaml", c.Args)
	manifest, err := os.ReadFile("../deployment/manifests/lanyard.yaml")
	if err != nil || !strings.Contains(string(manifest), "image: \""+c.Image+"\"") {
		t.Errorf("the image %s is not that of the provider (%v)", c.Image, err)
	}
	if pod.Spec.ServiceAccountName != "" || pod.Spec.AutomountServiceAccountToken == nil || *pod.Spec.AutomountServiceAccountToken {
		t.Error("it has a service account, which the kubelet refuses")
	}
	if !pod.Spec.HostNetwork || pod.Spec.DNSPolicy != core.DNSDefault {
		t.Error("it needs the cluster's network or names")
	}
	for _, volume := range pod.Spec.Volumes {
		if volume.HostPath == nil || volume.HostPath.Type == nil || !strings.HasPrefix(string(*volume.HostPath.Type), "Directory") {
			t.Errorf("the volume %s is no directory of the node", volume.Name)
		}
	}
	if c.LivenessProbe != nil {
		t.Error("a port that another process has taken has it restarted")
	}
	if ready := c.ReadinessProbe.HTTPGet; ready.Path != "/readyz" || ready.Host+":"+ready.Port.String() != defaultKMSAdmin {
		t.Error("the readiness probe is not the plugin's")
	}
	if s := c.SecurityContext; !*s.ReadOnlyRootFilesystem || *s.AllowPrivilegeEscalation || len(s.Capabilities.Drop) != 1 || len(s.Capabilities.Add) != 0 {
		t.Errorf("it may do more than it needs: %+v", s)
	}
}

// readUnit returns the settings of a unit of systemd that has the usual sections.
func readUnit(t *testing.T, path string) map[string]string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var sections []string
	settings := map[string]string{}
	for line := range strings.Lines(string(data)) {
		line = strings.TrimSpace(line)
		name, value, isSetting := strings.Cut(line, "=")
		switch {
		case line == "" || line[0] == '#':
		case regexp.MustCompile(`^\[[A-Z][a-z]+\]$`).MatchString(line):
			sections = append(sections, line)
		case isSetting && regexp.MustCompile(`^[A-Za-z]+$`).MatchString(name):
			settings[name] = value
		default:
			t.Errorf("a line that systemd does not know: %s", line)
		}
	}
	if !slices.Equal(sections, []string{"[Unit]", "[Service]", "[Install]"}) {
		t.Errorf("the sections are %v", sections)
	}
	return settings
}

func TestTheUnitIsWhole(t *testing.T) {
	settings := readUnit(t, "../deployment/kms/lanyard-kms.service")
	call := strings.Fields(settings["ExecStart"])
	if len(call) == 0 || call[0] != "/usr/local/bin/lanyard" {
		t.Fatalf("it starts %v", call)
	}
	wantKMSArguments(t, "lanyard-kms.service", call[1:])
	if "/run/"+settings["RuntimeDirectory"] != filepath.Dir(defaultKMSSocket) {
		t.Errorf("its directory is %s", settings["RuntimeDirectory"])
	}
}

func TestBothWaysOfKubeadmSayTheSame(t *testing.T) {
	var configuration struct {
		APIVersion, Kind string
		APIServer        struct {
			ExtraArgs    []struct{ Name, Value string }
			ExtraVolumes []struct {
				Name, HostPath, MountPath string
				ReadOnly                  bool
				PathType                  core.HostPathType
			}
		}
	}
	readDeployment(t, "kubeadm/cluster-configuration.yaml", &configuration)
	var operations []struct {
		Op, Path string
		Value    json.RawMessage
	}
	readDeployment(t, "kubeadm/patches/kube-apiserver0+json.yaml", &operations)

	want := map[string]bool{}
	add := func(path string, value any) {
		text, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		want[path+" "+string(text)] = true
	}
	for _, arg := range configuration.APIServer.ExtraArgs {
		add("/spec/containers/0/command/-", "--"+arg.Name+"="+arg.Value)
	}
	for _, volume := range configuration.APIServer.ExtraVolumes {
		add("/spec/containers/0/volumeMounts/-", core.VolumeMount{Name: volume.Name, MountPath: volume.MountPath, ReadOnly: volume.ReadOnly})
		add("/spec/volumes/-", core.Volume{Name: volume.Name, VolumeSource: core.VolumeSource{HostPath: &core.HostPathVolumeSource{Path: volume.HostPath, Type: &volume.PathType}}})
	}
	for _, operation := range operations {
		var value any
		switch {
		case strings.HasSuffix(operation.Path, "volumeMounts/-"):
			value = new(core.VolumeMount)
		case strings.HasSuffix(operation.Path, "volumes/-"):
			value = new(core.Volume)
		default:
			value = new(string)
		}
		decoder := json.NewDecoder(bytes.NewReader(operation.Value))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(value); err != nil || operation.Op != "add" {
			t.Errorf("%s %s: %v", operation.Op, operation.Path, err)
		}
		text, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		if said := operation.Path + " " + string(text); !want[said] {
			t.Errorf("the patch alone says %s", said)
		} else {
			delete(want, said)
		}
	}
	for said := range want {
		t.Errorf("the configuration alone says %s", said)
	}
	if dir := filepath.Dir(defaultKMSSocket); !slices.ContainsFunc(operations, func(o struct {
		Op, Path string
		Value    json.RawMessage
	}) bool {
		return strings.Contains(string(o.Value), `"`+dir+`"`)
	}) {
		t.Errorf("%s is not mounted", dir)
	}
}

// TestEveryFlagOfKMSIsDocumented holds the page's tables against the flags and
// the ring file that it shows against the parser.
func TestEveryFlagOfKMSIsDocumented(t *testing.T) {
	page := pages(t)["docs/kms.md"]
	for _, flag := range regexp.MustCompile(`(?m)--[a-z][a-z-]*`).FindAllString(newKMS().Flags().FlagUsages(), -1) {
		if flag != "--v" && !strings.Contains(page, "| `"+flag+"`") {
			t.Errorf("docs/kms.md has no row for %s", flag)
		}
	}
	for _, c := range newKMS().Commands() {
		for _, flag := range regexp.MustCompile(`--[a-z][a-z-]*`).FindAllString(c.Flags().FlagUsages(), -1) {
			if c.Name() == "migrate" && !strings.Contains(page, "`"+flag+"`") {
				t.Errorf("docs/kms.md does not say what %s of %s is", flag, c.CommandPath())
			}
		}
	}
	shown := 0
	for _, block := range fenced.FindAllStringSubmatch(page, -1) {
		if !strings.Contains(block[3], "kind: lanyard.kms-ring.v1") {
			continue
		}
		shown++
		path := filepath.Join(t.TempDir(), "ring.yaml")
		if err := os.WriteFile(path, []byte(block[3]), 0o600); err != nil {
			t.Fatal(err)
		}
		file, err := loadRing(path)
		if err != nil {
			t.Errorf("the page's ring is refused: %v", err)
			continue
		}
		file.Ring.Close()
	}
	if shown == 0 {
		t.Error("docs/kms.md shows no ring file")
	}
}
