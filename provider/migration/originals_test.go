package migration

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/lanyardhq/lanyard/provider/spec"
)

// noDialects are enough where there is no class.
var noDialects map[string]spec.Dialect

// Every row of the lists has an answer that the program knows, every name stands in one row
// only, and what is translated says where to.
func TestTheListsOfTheOriginals(t *testing.T) {
	for _, o := range Originals() {
		if !regexp.MustCompile(`^\d+\.\d+\.\d+$`).MatchString(o.Version) || len(o.Sources) == 0 || len(o.Images) == 0 || o.Title == "" {
			t.Errorf("%s lacks its version, sources, images or title", o.Provider)
		}
		seen := map[string]bool{}
		once := func(name string) {
			if seen[name] {
				t.Errorf("%s: %s stands in two rows", o.Provider, name)
			}
			seen[name] = true
		}
		for _, s := range o.Settings {
			names := slices.Concat(s.Flags, s.Environment)
			for _, name := range s.Flags {
				once("-" + name)
			}
			for _, name := range s.Environment {
				once(name)
			}
			translator := translators[s.Answer]
			known := slices.Contains([]string{answerNone, answerHand, answerLater}, s.Answer)
			if len(names) == 0 || s.Here == "" || known == (translator != nil) {
				t.Errorf("%s: %v: the answer %q for %q", o.Provider, names, s.Answer, s.Here)
			}
			if translator != nil && s.To == "" && s.Answer != "true" {
				t.Errorf("%s: %v is translated to no place", o.Provider, names)
			}
			if store := strings.Split(s.To, "."); len(store) > 2 && store[1] == "stores" && store[2] != "*" && storeTypes[o.Provider][store[2]] == "" {
				t.Errorf("%s: %v is for a store %s, which the dialect has not", o.Provider, names, store[2])
			}
		}
		for _, w := range slices.Concat(o.Parameters, o.Fields) {
			if w.Name == "" || w.Here == "" {
				t.Errorf("%s: a parameter or field %q lacks its answer", o.Provider, w.Name)
			}
		}
	}
}

// Every setting that is translated gives values, whatever its DaemonSet says; none panics.
func TestEverySettingIsAnswered(t *testing.T) {
	for _, o := range Originals() {
		for _, s := range o.Settings {
			for _, value := range []string{"true", "1", "5s", "https://example.com:1", "/etc/x/y", "\x00\x1b[31m", "unix:///a", "AzurePublicCloud", "${X}", strings.Repeat("x", 1<<16)} {
				var in Installation
				err := in.Add("DaemonSet", func(target any) error {
					w := target.(*workload) //nolint:forcetypeassert // what Add decodes into
					c := container{Image: "example.com/" + o.Images[0] + ":1", Env: []variable{}}
					for _, flag := range s.Flags {
						c.Args = append(c.Args, "-"+flag+"="+value)
					}
					for _, name := range s.Environment {
						c.Env = append(c.Env, variable{Name: name, Value: value})
					}
					w.Spec.Template.Spec.Containers = []container{c}
					return nil
				})
				if err != nil {
					t.Fatal(err)
				}
				plan, err := in.Plan(noDialects)
				if err != nil {
					t.Fatalf("%s: %v%v=%q: %v", o.Provider, s.Flags, s.Environment, value, err)
				}
				told := 0
				for _, translated := range plan.Settings {
					if slices.Contains(s.Flags, strings.TrimPrefix(translated.Name, "-")) || slices.Contains(s.Environment, translated.Name) {
						told++
					}
				}
				if want := len(s.Flags) + len(s.Environment); told != want && value != s.Default {
					t.Errorf("%s: %v%v=%q: %d of %d are told of", o.Provider, s.Flags, s.Environment, value, told, want)
				}
			}
		}
	}
}

func TestImagesAreRecognised(t *testing.T) {
	for _, test := range []struct {
		image, args, want string
	}{
		{"hashicorp/vault-csi-provider:1.7.4", "", "vault"},
		{"registry:5000/mirror/vault-csi-provider", "", "vault"},
		{"docker.io/openbao/openbao-csi-provider:2.0.2", "", "openbao"},
		{"example.com/renamed:1", "--endpoint=/provider/openbao.sock", "openbao"},
		{"quay.io/openbao/openbao:2.5.0", "", ""},
		{"public.ecr.aws/aws-secrets-manager/secrets-store-csi-driver-provider-aws@sha256:0", "", "aws"},
		{"mcr.microsoft.com/oss/azure/secrets-store/provider-azure:v1.5.3", "", "azure"},
		{"us-docker.pkg.dev/secretmanager-csi/secrets-store-csi-driver-provider-gcp/plugin:v1.9.0", "", "gcp"},
		{"example.com/renamed:1", "-endpoint=/provider/vault.sock", "vault"},
		{"example.com/renamed:1", "--endpoint=unix:///provider/azure.sock", "azure"},
		{"hashicorp/vault:1.21", "", ""},
		{"hashicorp/vault-k8s:1.7.0", "", ""},
		{"hashicorp/vault-secrets-operator:1.0", "", ""},
		{"example.com/my-vault-csi-provider-tools:1", "", ""},
		{"registry.k8s.io/csi-secrets-store/driver:v1.6.0", "--endpoint=unix:///csi/csi.sock", ""},
	} {
		c := container{Image: test.image, Args: strings.Fields(test.args)}
		flags := readFlags(c)
		got := ""
		if o := recognise(c, flags); o != nil {
			got = o.Provider
		}
		if got != test.want {
			t.Errorf("%s %s is taken for %q, want %q", test.image, test.args, got, test.want)
		}
	}
}

// Of several names of one setting the first that is given counts, and the others are told
// of all the same.
func TestTheFirstNameOfASettingCounts(t *testing.T) {
	for name, test := range map[string]struct {
		args string
		env  []variable
		want string // the timeout, the address
	}{
		"the own name":       {"", []variable{{Name: "VAULT_CLIENT_TIMEOUT", Value: "7"}, {Name: "BAO_CLIENT_TIMEOUT", Value: "5"}, {Name: "VAULT_ADDR", Value: "https://a"}, {Name: "BAO_ADDR", Value: "https://b"}}, "5s https://b"},
		"the other's":        {"", []variable{{Name: "VAULT_CLIENT_TIMEOUT", Value: "7"}, {Name: "VAULT_ADDR", Value: "https://a"}}, "7s https://a"},
		"a flag before both": {"-openbao-addr=https://c", []variable{{Name: "VAULT_ADDR", Value: "https://a"}, {Name: "BAO_ADDR", Value: "https://b"}}, " https://c"},
	} {
		var in Installation
		err := in.Add("DaemonSet", func(target any) error {
			w := target.(*workload) //nolint:forcetypeassert // what Add decodes into
			w.Spec.Template.Spec.Containers = []container{{Image: "openbao-csi-provider:2.0.2", Args: strings.Fields(test.args), Env: test.env}}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		plan, err := in.Plan(noDialects)
		if err != nil {
			t.Fatal(err)
		}
		var values struct {
			Config struct {
				Stores map[string]struct{ Timeout, Address string }
			}
		}
		if err := yaml.Unmarshal([]byte(plan.Values), &values); err != nil {
			t.Fatal(err)
		}
		store := values.Config.Stores["openbao"]
		if got := store.Timeout + " " + store.Address; got != test.want {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
		if told := len(test.env) + len(strings.Fields(test.args)); len(plan.Settings) != told {
			t.Errorf("%s: %d settings are told of, want %d: %v", name, len(plan.Settings), told, plan.Settings)
		}
	}
}

func TestFlagsAreReadAsGoReadsThem(t *testing.T) {
	flags := readFlags(container{Command: []string{"/provider"}, Args: []string{"-a=1", "--b", "2", "-c", "--d=", "--e=x=y", `--f="q"`}})
	want := map[string]string{"a": "1", "b": "2", "c": "true", "d": "", "e": "x=y", "f": "q"}
	for name, value := range want {
		if flags[name] != value {
			t.Errorf("-%s is %q, want %q", name, flags[name], value)
		}
	}
	if len(flags) != len(want) {
		t.Errorf("%v", flags)
	}
}

// A name that a file gives breaks neither the values nor a command.
func TestNamesBreakNothing(t *testing.T) {
	var in Installation
	name := "x'; rm -rf /\n# y: [\x1b[31m"
	err := in.Add("DaemonSet", func(target any) error {
		w := target.(*workload) //nolint:forcetypeassert // what Add decodes into
		w.Metadata.Name, w.Metadata.Namespace = name, name
		w.Spec.Template.Spec.NodeSelector = map[string]string{name: name}
		w.Spec.Template.Spec.Containers = []container{{Image: "vault-csi-provider", Args: []string{"-vault-addr=https://v", "-vault-mount=" + name}}}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	plan, err := in.Plan(noDialects)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(plan.Values) {
		if strings.Contains(line, "rm -rf") && !strings.HasPrefix(strings.TrimSpace(line), "#") && !strings.Contains(line, `\n`) {
			t.Errorf("the values hold %q", line)
		}
	}
	for _, step := range plan.Steps {
		for _, command := range step.Commands {
			if strings.ContainsAny(command, "\n\x1b") || strings.Contains(command, " rm -rf") && !strings.Contains(command, `'x'\''; rm -rf`) {
				t.Errorf("a command is %q", command)
			}
		}
	}
}

// A pod that a controller made is told of by the controller, if that was read, and once
// else.
func TestPodsOfOneWorkloadAreOneUser(t *testing.T) {
	var in Installation
	add := func(kind, name string, owned bool) {
		spec := podSpec{Volumes: []volume{{CSI: &csiVolume{Driver: driverName, Attributes: map[string]string{classAttribute: "web"}}}}}
		meta := metadata{Namespace: "shop", Name: name}
		if owned {
			meta.OwnerReferences = append(meta.OwnerReferences, struct {
				Kind string `json:"kind"`
			}{"ReplicaSet"})
		}
		in.use(kind, meta, spec)
	}
	add("Pod", "rollout-2", true)
	add("Pod", "rollout-1", true)
	in.sort()
	if len(in.users) != 1 || in.users[0].name != "rollout-1" {
		t.Errorf("%+v", in.users)
	}
	add("Deployment", "web", false)
	add("Pod", "alone", false)
	in.sort()
	if len(in.users) != 2 || in.users[0].String() != "Deployment shop/web" || in.users[1].String() != "Pod shop/alone" {
		t.Errorf("%+v", in.users)
	}
}
