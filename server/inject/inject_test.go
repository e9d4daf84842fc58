package inject_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/lanyardhq/lanyard/server/inject"
)

// options are those of a webhook that understands everything.
func options() inject.Options {
	return inject.Options{
		Image: "ghcr.io/lanyardhq/lanyard:v1.0.0", Audiences: []string{"vault", "api://AzureADTokenExchange"},
		Resources: inject.DefaultResources(), Dialects: inject.Dialects(),
		Vault:    inject.Vault{Address: "https://vault.example.com:8200", AuthPath: "kubernetes"},
		AKVClass: "akv2k8s",
		Exempt:   []string{"kube-system", "lanyard"},
	}
}

// A given pod of testdata: what differs from a pod with one container.
type given struct {
	Name         string            `json:"name"`
	Annotations  map[string]string `json:"annotations"`
	Spec         *core.PodSpec     `json:"spec"`
	Env          []core.EnvVar     `json:"env"`
	ImageVolumes bool              `json:"imageVolumes"`
	AgentConfig  string            `json:"agentConfig"`
	Audiences    *[]string         `json:"audiences"`
	NoVault      bool              `json:"noVault"`
	NoClass      bool              `json:"noClass"`
	Dialects     []string          `json:"dialects"`

	// Run and Ends are for a pod that runs in a real cluster too: what its containers have
	// there, and that they end by themselves. See integration/cluster/scenarios.
	Run []struct {
		Container string            `json:"container"`
		Files     map[string]string `json:"files"`
		Modes     map[string]string `json:"modes"`
		Variables map[string]string `json:"variables"`
		Absent    []string          `json:"absent"`
	} `json:"run"`
	Ends bool `json:"ends"`
}

func (g given) pod() *core.Pod {
	pod := &core.Pod{}
	pod.Name, pod.Namespace, pod.Annotations = "web", "shop", g.Annotations
	if g.Spec != nil {
		pod.Spec = *g.Spec.DeepCopy()
	} else {
		pod.Spec = core.PodSpec{ServiceAccountName: "web", Containers: []core.Container{{Name: "web", Image: "registry.example.com/web:1", Command: []string{"/app/server"}, Args: []string{"--port=8080"}, Env: g.Env}}}
	}
	return pod
}

func (g given) options() inject.Options {
	o := options()
	o.ImageVolumes, o.AgentConfig = g.ImageVolumes, g.AgentConfig
	if g.Audiences != nil {
		o.Audiences = *g.Audiences
	}
	if g.NoClass {
		o.AKVClass = ""
	}
	if g.Dialects != nil {
		o.Dialects = g.Dialects
	}
	if g.NoVault {
		o.Vault = inject.Vault{}
	}
	return o
}

// files are the pods of testdata by the file.
func files(t *testing.T) map[string][]given {
	t.Helper()
	found, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(found) == 0 {
		t.Fatal(found, err)
	}
	all := map[string][]given{}
	for _, file := range found {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var pods []given
		if err := yaml.UnmarshalStrict(text, &pods); err != nil {
			t.Fatal(file, err)
		}
		names := map[string]bool{}
		for _, g := range pods {
			if names[g.Name] {
				t.Errorf("%s has %q twice", file, g.Name)
			}
			names[g.Name] = true
		}
		all[file] = pods
	}
	return all
}

// Each pod of testdata becomes what the golden file beside it has.
// LANYARD_UPDATE_GOLDEN=1 writes it anew.
func TestPodsBecomeGolden(t *testing.T) {
	for file, pods := range files(t) {
		var all bytes.Buffer
		for _, g := range pods {
			fmt.Fprintf(&all, "---\n# %s\n", g.Name)
			result, err := inject.Pod(g.pod(), "shop", g.options())
			for _, warning := range result.Warnings {
				fmt.Fprintf(&all, "# warning: %s\n", warning)
			}
			var refused inject.RefusalError
			switch {
			case errors.As(err, &refused):
				for _, problem := range refused {
					fmt.Fprintf(&all, "# refused: %s\n", problem)
				}
				continue
			case !result.Changed:
				all.WriteString("# unchanged\n")
				continue
			}
			text, err := yaml.Marshal(map[string]any{"annotations": result.Pod.Annotations, "spec": result.Pod.Spec})
			if err != nil {
				t.Fatal(err)
			}
			all.Write(text)
		}
		golden := strings.TrimSuffix(file, ".yaml") + ".golden"
		if os.Getenv("LANYARD_UPDATE_GOLDEN") != "" {
			if err := os.WriteFile(golden, all.Bytes(), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil || !bytes.Equal(want, all.Bytes()) {
			t.Errorf("%s is not what pods become (%v); see what LANYARD_UPDATE_GOLDEN=1 changes", golden, err)
		}
	}
}

// changed calls for each pod of testdata that is changed.
func changed(t *testing.T, each func(t *testing.T, g given, before *core.Pod, after inject.Result)) {
	t.Helper()
	for file, pods := range files(t) {
		for _, g := range pods {
			before := g.pod()
			kept := before.DeepCopy()
			after, err := inject.Pod(before, "shop", g.options())
			if !reflect.DeepEqual(before, kept) {
				t.Errorf("%s: %s: the pod that was given is changed", file, g.Name)
			}
			if err == nil && after.Changed {
				t.Run(filepath.Base(file)+"/"+g.Name, func(t *testing.T) { each(t, g, before, after) })
			}
		}
	}
}

func TestAPodThatWasChangedStaysAsItIs(t *testing.T) {
	changed(t, func(t *testing.T, g given, _ *core.Pod, after inject.Result) {
		again, err := inject.Pod(after.Pod, "shop", g.options())
		if err != nil || !reflect.DeepEqual(again.Pod, after.Pod) {
			want, _ := yaml.Marshal(after.Pod)
			got, _ := yaml.Marshal(again.Pod)
			t.Errorf("%v\n%s\nwas\n%s", err, got, want)
		}
	})
}

func TestAPatchMakesThePod(t *testing.T) {
	changed(t, func(t *testing.T, _ given, before *core.Pod, after inject.Result) {
		patch, err := inject.Patch(before, after.Pod)
		if err != nil {
			t.Fatal(err)
		}
		// A field of a later Kubernetes stays.
		object, want := generic(t, before), generic(t, after.Pod)
		for _, o := range []map[string]any{object, want} {
			field[map[string]any](o, "spec")["later"] = "1"
			field[map[string]any](field[[]any](field[map[string]any](o, "spec"), "containers")[0].(map[string]any), "")["later"] = "2"
		}
		if got := inject.Apply(object, patch); !reflect.DeepEqual(got, any(want)) {
			t.Errorf("%v\nwant\n%v", got, want)
		}
		for _, o := range patch {
			if o.Path == "/spec" || o.Path == "/spec/containers" || o.Path == "/metadata" || strings.HasPrefix(o.Path, "/spec/") && strings.Count(o.Path, "/") == 3 && o.Op == "replace" {
				t.Errorf("the patch replaces %s", o.Path)
			}
		}
	})
}

// expression is what expanded replaces.
var expression = regexp.MustCompile(`\$\$|\$\([^)]*\)`)

// expanded is a command or an argument as the kubelet gives it to a process that has no
// variables, where a reference to one becomes nothing.
// https://github.com/kubernetes/kubernetes/blob/v1.37.2/third_party/forked/golang/expansion/expand.go
func expanded(text string) string {
	return expression.ReplaceAllStringFunc(text, func(found string) string {
		if found == "$$" {
			return "$"
		}
		return ""
	})
}

// The kubelet expands variables in commands, arguments and probes, but not in hooks.
func TestTextsOfPodsReachTheirProcessAsTheyAre(t *testing.T) {
	for _, text := range []string{"$(X)", "$$(X)", "$$$(X)", "$$$$(X)", "$", "$$", "a$", "$X", "$$X", "$(", "$()", "$($(X))", "$(X)$$(Y)$", "é$(é)"} {
		at := "/files" + text
		pod := func(annotations map[string]string) *core.Pod {
			command := func() *core.ExecAction { return &core.ExecAction{Command: []string{"/check"}} }
			return &core.Pod{ObjectMeta: meta.ObjectMeta{Annotations: annotations}, Spec: core.PodSpec{
				Volumes: []core.Volume{{Name: "login", VolumeSource: core.VolumeSource{Projected: &core.ProjectedVolumeSource{Sources: []core.VolumeProjection{{ServiceAccountToken: &core.ServiceAccountTokenProjection{Path: "jwt" + text}}}}}}},
				Containers: []core.Container{{
					Name: "web", Command: []string{"/app"}, Env: []core.EnvVar{{Name: "A", Value: "vault:a#b"}},
					LivenessProbe: &core.Probe{ProbeHandler: core.ProbeHandler{Exec: command()}},
					Lifecycle:     &core.Lifecycle{PreStop: &core.LifecycleHandler{Exec: command()}},
				}},
			}}
		}
		for _, c := range []struct {
			dialect     string
			annotations map[string]string
			want        []string
		}{
			{"", map[string]string{"lanyard.dev/inject": "env", "lanyard.dev/class": "web", "lanyard.dev/mode": "agent", "lanyard.dev/path": at, "lanyard.dev/env": "A=a" + text, "lanyard.dev/wrap-probes": "true", "lanyard.dev/notify-url": "http://127.0.0.1/" + text},
				[]string{"agent: --target=" + at, "agent: --notify-url=http://127.0.0.1/" + text, "ready: --target=" + at, "command: --volume=" + at, "command: --env=A=a" + text, "probe: --env=A=a" + text, "hook: --env=A=a" + text}},
			{inject.VaultAgent, map[string]string{
				"vault.hashicorp.com/agent-inject": "true", "vault.hashicorp.com/role": "web", "vault.hashicorp.com/agent-inject-secret-a": "a", "vault.hashicorp.com/secret-volume-path": at,
				"vault.hashicorp.com/agent-inject-command-a": "curl http://127.0.0.1/" + text, "vault.hashicorp.com/agent-service-account-token-volume-name": "login",
			}, []string{"agent: --target=" + at, "agent: --notify-url=http://127.0.0.1/" + text, "agent: --token=vault=/var/run/secrets/lanyard.dev/login/jwt" + text, "ready: --target=" + at}},
			{inject.BankVaults, map[string]string{"vault.security.banzaicloud.io/service-account-token-volume-name": "login"}, []string{"agent: --token=vault=/var/run/secrets/lanyard.dev/login/jwt" + text}},
		} {
			result, err := inject.Pod(pod(c.annotations), "shop", inject.Options{Image: "lanyard", Audiences: []string{"vault"}, Dialects: []string{c.dialect}, Vault: inject.Vault{Address: "https://v", AuthPath: "kubernetes"}})
			if err != nil {
				t.Errorf("%s: %v", text, err)
				continue
			}
			var got []string
			add := func(what string, words []string) {
				for _, word := range words {
					got = append(got, what+": "+word)
				}
			}
			addExpanded := func(what string, words []string) {
				for _, word := range words {
					add(what, []string{expanded(word)})
				}
			}
			for _, c := range result.Pod.Spec.InitContainers {
				addExpanded("agent", c.Args)
				if c.StartupProbe != nil {
					addExpanded("ready", c.StartupProbe.Exec.Command)
				}
			}
			web := result.Pod.Spec.Containers[0]
			addExpanded("command", web.Command)
			addExpanded("probe", web.LivenessProbe.Exec.Command)
			add("hook", web.Lifecycle.PreStop.Exec.Command)
			for _, want := range c.want {
				if !slices.Contains(got, want) {
					t.Errorf("%s is not among what is run:\n%s", want, strings.Join(got, "\n"))
				}
			}
		}
	}
}

func generic(t *testing.T, value any) map[string]any {
	t.Helper()
	text, err := json.Marshal(value)
	var read map[string]any
	if err := errors.Join(err, json.Unmarshal(text, &read)); err != nil {
		t.Fatal(err)
	}
	return read
}

func field[T any](o map[string]any, name string) T {
	if name == "" {
		return any(o).(T) //nolint:forcetypeassert // a test may panic
	}
	return o[name].(T) //nolint:forcetypeassert // a test may panic
}

// What is added passes the restricted profile, has resources, and changes nothing of the
// pod's own containers but their mounts and commands.
func TestWhatIsAddedIsRestricted(t *testing.T) {
	changed(t, func(t *testing.T, _ given, before *core.Pod, after inject.Result) {
		for _, c := range slices.Concat(after.Pod.Spec.InitContainers, after.Pod.Spec.Containers) {
			at := slices.IndexFunc(slices.Concat(before.Spec.InitContainers, before.Spec.Containers), func(o core.Container) bool { return o.Name == c.Name })
			if at >= 0 {
				was := slices.Concat(before.Spec.InitContainers, before.Spec.Containers)[at]
				c.Command, c.VolumeMounts, was.Command, was.VolumeMounts = nil, nil, nil, nil
				c.Env = slices.DeleteFunc(slices.Clone(c.Env), func(v core.EnvVar) bool { return v.ValueFrom != nil && v.ValueFrom.FileKeyRef != nil })
				if len(c.Env)+len(was.Env) == 0 {
					c.Env = was.Env // nil or empty
				}
				for _, o := range []*core.Container{&c, &was} {
					o.LivenessProbe, o.ReadinessProbe, o.StartupProbe, o.Lifecycle = nil, nil, nil, nil
				}
				if !reflect.DeepEqual(c, was) {
					t.Errorf("%s is %v, was %v", c.Name, c, was)
				}
				continue
			}
			s := c.SecurityContext
			if s == nil || *s.AllowPrivilegeEscalation || !*s.RunAsNonRoot || !*s.ReadOnlyRootFilesystem || s.RunAsUser != nil && *s.RunAsUser == 0 ||
				!slices.Equal(s.Capabilities.Drop, []core.Capability{"ALL"}) || len(s.Capabilities.Add) != 0 || s.SeccompProfile.Type != core.SeccompProfileTypeRuntimeDefault {
				t.Errorf("%s has %v", c.Name, s)
			}
			if c.Resources.Requests.Memory().IsZero() || c.Resources.Limits.Memory().IsZero() {
				t.Errorf("%s has %v", c.Name, c.Resources)
			}
			if len(c.Name) > 63 {
				t.Errorf("%s is too long", c.Name)
			}
		}
		for _, v := range after.Pod.Spec.Volumes {
			if v.HostPath != nil || len(v.Name) > 63 {
				t.Errorf("%v", v)
			}
		}
	})
}

func TestOnlyPodsThatAskAreChanged(t *testing.T) {
	asks := given{Annotations: map[string]string{"lanyard.dev/inject": "files", "lanyard.dev/class": "web"}}
	for namespace, want := range map[string]bool{"shop": true, "kube-system": false, "lanyard": false} {
		if result, err := inject.Pod(asks.pod(), namespace, options()); err != nil || result.Changed != want {
			t.Errorf("%s: %v, %v", namespace, result.Changed, err)
		}
	}
	none := options()
	none.Dialects = nil
	for _, g := range []given{
		{}, {Annotations: map[string]string{"vault.hashicorp.com/agent-inject": "true"}},
		{Env: []core.EnvVar{{Name: "A", Value: "vault:secret/data/a#b"}, {Name: "B", Value: "a@azurekeyvault"}}},
	} {
		before := g.pod()
		if result, err := inject.Pod(before, "shop", none); err != nil || result.Changed || result.Pod != before {
			t.Errorf("%v: %v, %v", g, result.Changed, err)
		}
	}
}

// Every annotation and variable that a dialect answers is in its corpus.
func TestTheCorpusHasEveryAnnotation(t *testing.T) {
	all := files(t)
	has := func(dialect string, prefixes []string, name string) bool {
		return slices.ContainsFunc(all["testdata/"+dialect+".yaml"], func(g given) bool {
			for annotation := range g.Annotations {
				for _, p := range prefixes {
					rest, ok := strings.CutPrefix(annotation, p)
					if ok && (rest == name || strings.HasSuffix(name, "-") && strings.HasPrefix(rest, name) && rest != name) {
						return true
					}
				}
			}
			return len(prefixes) == 0 && slices.ContainsFunc(g.Env, func(v core.EnvVar) bool { return v.Name == name })
		})
	}
	for _, table := range inject.Tables {
		for _, a := range table.Answers {
			if !has(table.Dialect, table.Prefixes, a.Name) {
				t.Errorf("%s: no pod has %s", table.Dialect, a.Name)
			}
		}
	}
	for _, a := range inject.Annotations {
		if !has("lanyard", []string{""}, a.Name) {
			t.Errorf("no pod has %s", a.Name)
		}
	}
	for file, pods := range all {
		if len(pods) < 60 {
			t.Errorf("%s has only %d pods", file, len(pods))
		}
	}
}

func TestAnnotationsThatKubernetesDoesNotTakeAreRefused(t *testing.T) {
	for n, want := range map[int]bool{256<<10 - len("lanyard.dev/inject"): true, 256 << 10: false} {
		pod := given{Annotations: map[string]string{"lanyard.dev/inject": strings.Repeat("x", n)}}.pod()
		_, err := inject.Pod(pod, "shop", options())
		if taken := err != nil && !strings.Contains(err.Error(), "Kubernetes takes 262144"); taken != want {
			t.Errorf("%d bytes: %.100v", n, err)
		}
	}
}

// Whatever a pod says, it is refused or changed, and what it is changed to stays.
func FuzzPod(f *testing.F) {
	found, err := filepath.Glob("testdata/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range found {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		var pods []given
		if err := yaml.Unmarshal(text, &pods); err != nil {
			f.Fatal(err)
		}
		for _, g := range pods {
			seed, err := json.Marshal(g.pod())
			if err != nil {
				f.Fatal(err)
			}
			f.Add(seed)
		}
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var pod core.Pod
		if json.Unmarshal(text, &pod) != nil {
			return
		}
		result, err := inject.Pod(&pod, "shop", options())
		if err != nil || !result.Changed {
			return
		}
		again, err := inject.Pod(result.Pod, "shop", options())
		if err != nil || !reflect.DeepEqual(again.Pod, result.Pod) {
			t.Errorf("%v: %s", err, text)
		}
		patch, err := inject.Patch(&pod, result.Pod)
		if err != nil {
			t.Fatal(err)
		}
		if got := inject.Apply(generic(t, &pod), patch); !reflect.DeepEqual(got, any(generic(t, result.Pod))) {
			t.Errorf("the patch of %s makes another pod", text)
		}
	})
}

// No more than a few milliseconds: 100 pods a second are started in a large cluster.
func BenchmarkPod(b *testing.B) {
	pod := given{Annotations: map[string]string{"vault.hashicorp.com/agent-inject": "true", "vault.hashicorp.com/role": "web", "vault.hashicorp.com/agent-inject-secret-a": "secret/data/a"}}.pod()
	for b.Loop() {
		result, err := inject.Pod(pod, "shop", options())
		if err != nil {
			b.Fatal(err)
		}
		if _, err := inject.Patch(pod, result.Pod); err != nil {
			b.Fatal(err)
		}
	}
}
