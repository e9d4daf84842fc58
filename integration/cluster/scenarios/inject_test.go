package scenarios

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/lanyardhq/lanyard/integration/checkout"
	"github.com/lanyardhq/lanyard/integration/cluster"
	"github.com/lanyardhq/lanyard/integration/cluster/lab"
)

// corpusPod is a pod of the webhook's corpus, server/inject/testdata.
type corpusPod struct {
	Name        string
	Annotations map[string]string
	Spec        *corev1.PodSpec
	Env         []corev1.EnvVar
	Dialects    []string
	// Run is what its containers have as the original documents it; nil for a pod that is
	// not run. A text that ends with * is only a beginning.
	Run []containerHas
	// Ends says that its containers end by themselves.
	Ends bool
}

// containerHas is what one container has, the pod's first one if it has no name.
type containerHas struct {
	Container string
	Files     map[string]string
	Modes     map[string]string // octal, by file
	Variables map[string]string
	Absent    []string // paths
}

// script prints what a container has, a line for each thing.
func (h containerHas) script() string {
	var b strings.Builder
	for path := range h.Files {
		fmt.Fprintf(&b, "echo \"file %s `base64 < %s | tr -d '\\n'`\"; ", path, path)
	}
	for path := range h.Modes {
		fmt.Fprintf(&b, "stat -L -c 'mode %s %%a' %s; ", path, path)
	}
	for name := range h.Variables {
		fmt.Fprintf(&b, "echo \"variable %s `printf %%s \"$%s\" | base64 | tr -d '\\n'`\"; ", name, name)
	}
	for _, path := range h.Absent {
		fmt.Fprintf(&b, "[ -e %s ] && echo \"there is %s\"; ", path, path)
	}
	return b.String() + "echo all"
}

// check compares what the script printed.
func (h containerHas) check(printed string) error {
	var errs []error
	got := map[string]string{}
	for line := range strings.Lines(printed) {
		kind, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		name, text, _ := strings.Cut(rest, " ")
		if kind == "there" {
			errs = append(errs, errors.New(line))
		}
		if kind == "file" || kind == "variable" {
			decoded, err := base64.StdEncoding.DecodeString(text)
			errs = append(errs, err)
			text = string(decoded)
		}
		got[kind+" "+name] = text
	}
	for kind, wanted := range map[string]map[string]string{"file": h.Files, "mode": h.Modes, "variable": h.Variables} {
		for name, want := range wanted {
			has, there := got[kind+" "+name]
			begin, open := strings.CutSuffix(want, "*")
			if !there || open && !strings.HasPrefix(has, begin) || !open && has != want {
				errs = append(errs, fmt.Errorf("%s %s is %q, want %q", kind, name, has, want))
			}
		}
	}
	return errors.Join(errs...)
}

// pod is the pod as it is given to the webhook: with the image and in the security context of
// the scenarios, and commands that print what there is.
func (p corpusPod) pod(name string) *corev1.Pod {
	pod := &corev1.Pod{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"}, ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: p.Annotations}}
	if p.Spec != nil {
		pod.Spec = *p.Spec
	} else {
		pod.Spec.Containers = []corev1.Container{{Name: "web", Command: []string{"/app/server"}, Env: p.Env}}
	}
	no, yes, user := false, true, int64(65532)
	pod.Spec.ServiceAccountName, pod.Spec.TerminationGracePeriodSeconds = account, new(int64(1))
	pod.Spec.SecurityContext = &corev1.PodSecurityContext{RunAsNonRoot: &yes, RunAsUser: &user, SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}}
	for _, list := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range list {
			c := &list[i]
			c.Image, c.ImagePullPolicy = cluster.Workload, corev1.PullNever
			if c.SecurityContext == nil {
				c.SecurityContext = &corev1.SecurityContext{}
			}
			c.SecurityContext.AllowPrivilegeEscalation, c.SecurityContext.Capabilities = &no, &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}}
			if len(c.Command) == 0 {
				continue
			}
			script := "echo all"
			if has := p.of(c.Name); has != nil {
				script = has.script()
			}
			if !p.Ends && slices.ContainsFunc(pod.Spec.Containers, func(other corev1.Container) bool { return other.Name == c.Name }) {
				script += "; while :; do sleep 1 & wait; done"
			}
			c.Command, c.Args = []string{"sh", "-c", script}, nil
		}
	}
	return pod
}

// of is what a container has, or nil if that is not said.
func (p corpusPod) of(container string) *containerHas {
	first := "web"
	if p.Spec != nil {
		first = p.Spec.Containers[0].Name
	}
	for i, has := range p.Run {
		if cmp.Or(has.Container, first) == container {
			return &p.Run[i]
		}
	}
	return nil
}

// corpus are the pods of a dialect's corpus that run, as those of the scenario.
func (s *scenario) corpus(dialect string) (run []corpusPod) {
	s.t.Helper()
	dir, err := checkout.Path("server", "inject", "testdata")
	s.must(err)
	text, err := os.ReadFile(filepath.Join(dir, dialect+".yaml"))
	s.must(err)
	var all []corpusPod
	s.must(yaml.Unmarshal([]byte(strings.NewReplacer(
		"secret/data/shop/", "secret/data/"+s.namespace+"/", "role: web", "role: "+lab.Role,
		"type: vault, address", "type: vault, tls: {caCert: "+s.authority()+"}, address", "https://vault.example.com:8200", lab.VaultAddress,
	).Replace(string(text))), &all))
	for _, p := range all {
		if p.Run != nil {
			run = append(run, p)
		}
	}
	if len(run) < 10 {
		s.t.Fatalf("the corpus of %s has %d pods that run", dialect, len(run))
	}
	return run
}

// corpusSecrets makes what the pods of the corpus read.
func (s *scenario) corpusSecrets() {
	s.t.Helper()
	s.put("db", map[string]any{"password": "planted", "user": "shop"})
	s.put("changed", map[string]any{"password": "planted first"})
	s.put("changed", map[string]any{"password": "planted second"})
	s.put("odd", map[string]any{"dotted.key": "planted\nlines\n", "url": "planted w&rd", "dollar": "planted$(user)$$", "reference": s.text("vault:secret/data/$namespace/db#user planted")})
	s.put("web", map[string]any{"tls.crt": "planted certificate", "tls.key": "planted key"})
	s.put("other", map[string]any{"password": "planted other"})
	s.class("web", asWorkload+`
    objects: |
      - {path: db/password, store: vault, key: secret/data/$namespace/db, property: password}
      - {path: db/user, store: vault, key: secret/data/$namespace/db, property: user}
      - {path: greeting, store: vault, key: secret/data/$namespace/odd, property: '"dotted.key"'}
`)
	s.class("akv2k8s", asWorkload+`
    objects: |
      - {path: db-password, store: vault, key: secret/data/$namespace/db, property: password}
      - {path: greeting, store: vault, key: secret/data/$namespace/odd, property: '"dotted.key"'}
      - {path: db, store: vault, key: secret/data/$namespace/db, expand: true}
      - {path: web, store: vault, key: secret/data/$namespace/web, expand: true}
`)
	s.class("other", asWorkload+`
    objects: |
      - {path: other-password, store: vault, key: secret/data/$namespace/other, property: password}
`)
	s.apply(`
apiVersion: v1
kind: ConfigMap
metadata: {name: references}
data: {REFERENCE: "vault:secret/data/$namespace/db#password", PLAIN: plain}
---
apiVersion: v1
kind: Secret
metadata: {name: references}
stringData: {REFERENCE: "vault:secret/data/$namespace/db#password"}
`)
	authority, err := s.Authority()
	s.must(err)
	_, err = s.Kube.CoreV1().Secrets(s.namespace).Create(s.t.Context(),
		&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "vault-ca"}, Data: map[string][]byte{"ca.crt": authority}}, metav1.CreateOptions{})
	s.must(err)
}

// inject is a pod as the webhook makes it.
func (s *scenario) inject(p corpusPod, name string) []byte {
	s.t.Helper()
	dialects := "vault-agent,bank-vaults,akv2k8s"
	if p.Dialects != nil {
		dialects = strings.Join(p.Dialects, ",")
	}
	text, err := yaml.Marshal(p.pod(name))
	s.must(err)
	command := exec.CommandContext(s.t.Context(), s.Path("lanyard"), "inject", "--dry-run", "-o", "yaml", "--namespace", s.namespace,
		"--dialects", dialects, "--image", lab.Repository+":"+lab.Tag, "--audience", lab.Audience,
		"--vault-address", lab.VaultAddress, "--vault-audience", lab.Audience, "--vault-ca-secret", "vault-ca", "-")
	command.Stdin = bytes.NewReader(text)
	var problems bytes.Buffer
	command.Stderr = &problems
	injected, err := command.Output()
	if err != nil {
		s.t.Fatalf("%s: %v\n%s", p.Name, err, &problems)
	}
	return injected
}

// printed is what a container of a pod has printed in the end.
func (s *scenario) printed(pod, container string) (text string) {
	s.t.Helper()
	s.eventually(fmt.Sprintf("container %s of %s has printed all", container, pod), func() error {
		stream, err := s.Kube.CoreV1().Pods(s.namespace).GetLogs(pod, &corev1.PodLogOptions{Container: container}).Stream(s.t.Context())
		if err != nil {
			return err
		}
		read, err := io.ReadAll(stream)
		if err := errors.Join(err, stream.Close()); err != nil {
			return err
		}
		if text = string(read); !strings.HasSuffix(text, "all\n") {
			return fmt.Errorf("it has printed %q", text)
		}
		return nil
	})
	return text
}

// Pods that ask for secrets in each dialect, as the webhook makes them, run in a namespace of
// the restricted standard and have what the original's documents say, at least ten of each. The
// cluster has no network of Services, over which API servers call webhooks, so that the pods are
// changed by the same code before they are made; package injected has the API server ask.
func TestInjectedPodsHaveWhatTheyAskFor(t *testing.T) {
	for _, dialect := range []string{"lanyard", "vault-agent", "bank-vaults", "akv2k8s"} {
		t.Run(dialect, func(t *testing.T) {
			s := beside(t)
			s.restricted()
			s.corpusSecrets()
			pods := s.corpus(dialect)
			name := func(i int) string { return fmt.Sprintf("pod-%d", i) }
			for i, p := range pods {
				s.must(s.ApplyIn(t.Context(), s.namespace, s.inject(p, name(i))))
			}
			for i, p := range pods {
				s.hasWhatItAsksFor(p, name(i))
			}
		})
	}
}

// hasWhatItAsksFor checks a pod of the corpus.
func (s *scenario) hasWhatItAsksFor(p corpusPod, name string) {
	s.t.Helper()
	if !p.Ends {
		s.ready(name)
	}
	made := s.get(name)
	for _, c := range slices.Concat(made.Spec.InitContainers, made.Spec.Containers) {
		has := p.of(c.Name)
		if has == nil {
			continue
		}
		var printed string
		if len(c.Command) > 0 {
			printed = s.printed(name, c.Name)
		} else {
			var err error
			printed, err = s.exec(name, "sh", "-c", has.script())
			s.must(err)
		}
		if err := has.check(printed); err != nil {
			s.t.Errorf("%s, container %s: %v", p.Name, c.Name, err)
		}
	}
	if p.Ends {
		s.eventually(fmt.Sprintf("the pod %q has ended", p.Name), func() error {
			if phase := s.get(name).Status.Phase; phase != corev1.PodSucceeded {
				return fmt.Errorf("it is %s", phase)
			}
			return nil
		})
	}
	if strings.Contains(made.String(), "planted") {
		s.t.Errorf("%s: the pod shows the value in the API", p.Name)
	}
}
