package scenarios

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	"github.com/lanyardhq/lanyard/integration/cluster"
	"github.com/lanyardhq/lanyard/integration/cluster/lab"
)

// doctorFinding is what lanyard doctor prints with --output json.
type doctorFinding struct{ Check, Result, Place, Says, Fix string }

// doctor runs lanyard doctor for the cluster as its administrator.
func (s *scenario) doctor(args ...string) (found []doctorFinding) {
	s.t.Helper()
	run := exec.CommandContext(s.t.Context(), s.Path("lanyard"), append([]string{"doctor", "--output", "json", "--kubeconfig", s.Kubeconfig}, args...)...)
	output, err := run.Output()
	var report struct{ Findings []doctorFinding }
	if json.Unmarshal(output, &report) != nil || len(report.Findings) == 0 {
		s.t.Fatalf("lanyard doctor: %v\n%s", err, output)
	}
	return report.Findings
}

// fails waits until doctor fails a check with words, and no other one.
func (s *scenario) fails(check, says string, also ...string) {
	s.t.Helper()
	s.eventually("doctor fails "+check+": "+says, func() error {
		told := false
		var all []string
		for _, f := range s.doctor() {
			if f.Result != "FAIL" {
				continue
			}
			all = append(all, fmt.Sprintf("%s: %s: %s", f.Check, f.Place, f.Says))
			told = told || f.Check == check && strings.Contains(f.Says, says)
			if f.Check != check && !strings.Contains(strings.Join(also, " "), f.Check) {
				return fmt.Errorf("another check fails: %+v", f)
			}
		}
		if !told {
			return fmt.Errorf("it fails %q", all)
		}
		return nil
	})
}

// well waits until doctor fails nothing.
func (s *scenario) well() {
	s.t.Helper()
	s.eventually("doctor fails nothing", func() error {
		for _, f := range s.doctor() {
			if f.Result == "FAIL" {
				return fmt.Errorf("%+v", f)
			}
		}
		return nil
	})
}

// brokenSetups are the check and the words of each row of the table of broken set-ups.
func (s *scenario) brokenSetups() map[string][2]string {
	s.t.Helper()
	text, err := os.ReadFile("../../../cmd/testdata/doctor/setups.yaml")
	s.must(err)
	var list []struct{ Name, Check, Says string }
	s.must(yaml.Unmarshal(text, &list))
	setups := map[string][2]string{}
	for _, one := range list {
		setups[one.Name] = [2]string{one.Check, one.Says}
	}
	return setups
}

// Set-ups that are broken in a real cluster, one after the other: doctor says what is
// wrong and where, and is content once it is fixed.
func TestDoctorTellsBrokenSetups(t *testing.T) {
	s := alone(t)
	setups := s.brokenSetups()
	s.put("db", map[string]any{"password": "correct horse"})
	class := func(role, property string) {
		s.class("db", `
    stores: |
      vault: {auth: {role: $role}}
    objects: |
      - {path: password, store: vault, key: secret/data/$namespace/db, $property: password}
`, "$role", role, "$property", property)
	}
	class(lab.Role, "property")
	// What other scenarios have left of reads that failed ends with the process.
	before, err := s.Provider(t.Context())
	s.must(err)
	s.must(s.Kube.CoreV1().Pods(before.Namespace).Delete(t.Context(), before.Name, metav1.DeleteOptions{}))
	s.must(s.AwaitProviders(t.Context()))
	s.start(pod{Name: "web", Classes: []string{"db"}})
	s.well()
	tells := func(name string, breaks func(), fixes func(context.Context) error, also ...string) {
		t.Helper()
		breaks()
		restored := false
		s.atEnd(func(ctx context.Context) error {
			if restored {
				return nil
			}
			return fixes(ctx)
		})
		s.fails(setups[name][0], setups[name][1], also...)
		s.must(fixes(t.Context()))
		restored = true
		s.well()
	}

	audiences, err := s.TokenAudiences(t.Context())
	s.must(err)
	tells("no-token-requests", func() { s.must(s.RequestTokens(t.Context())) },
		func(ctx context.Context) error { return s.RequestTokens(ctx, audiences...) })

	tells("class-wrong", func() { class(lab.Role, "prop") },
		func(context.Context) error { class(lab.Role, "property"); return nil })

	configuration, err := s.Kube.CoreV1().ConfigMaps(lab.Namespace).Get(t.Context(), lab.Release, metav1.GetOptions{})
	s.must(err)
	configure := func(ctx context.Context, text string) error {
		patch, err := json.Marshal(map[string]any{"data": map[string]string{"lanyard.yaml": text}})
		if err == nil {
			_, err = s.Kube.CoreV1().ConfigMaps(lab.Namespace).Patch(ctx, lab.Release, types.MergePatchType, patch, metav1.PatchOptions{})
		}
		return err
	}
	tells("chart-value-wrong", func() { s.must(configure(t.Context(), "cache: {refresh: soon}\n")) },
		func(ctx context.Context) error { return configure(ctx, configuration.Data["lanyard.yaml"]) })

	ring, err := s.Kube.CoreV1().Secrets(lab.Namespace).Get(t.Context(), "key-ring", metav1.GetOptions{})
	s.must(err)
	tells("ring-missing", func() {
		s.must(s.Kube.CoreV1().Secrets(lab.Namespace).Delete(t.Context(), "key-ring", metav1.DeleteOptions{}))
	},
		func(ctx context.Context) error {
			ring.ResourceVersion, ring.UID = "", ""
			_, err := s.Kube.CoreV1().Secrets(lab.Namespace).Create(ctx, ring, metav1.CreateOptions{})
			return err
		})

	selects := func(ctx context.Context, value string) error {
		_, err := s.Kube.AppsV1().DaemonSets(lab.Namespace).Patch(ctx, lab.Release, types.MergePatchType, []byte(`{"spec":{"template":{"spec":{"nodeSelector":{"lanyard.dev/none":`+value+`}}}}}`), metav1.PatchOptions{})
		return err
	}
	tells("node-without-provider", func() { s.must(selects(t.Context(), `"here"`)) },
		func(ctx context.Context) error { return selects(ctx, "null") })

	republish := func(ctx context.Context, value string) error {
		_, err := s.Kube.StorageV1().CSIDrivers().Patch(ctx, cluster.DriverName, types.MergePatchType, []byte(`{"spec":{"requiresRepublish":`+value+`}}`), metav1.PatchOptions{})
		return err
	}
	s.must(republish(t.Context(), "false"))
	s.atEnd(func(ctx context.Context) error { return republish(ctx, "true") })
	s.fails("rotation", "requiresRepublish is not true")
	s.must(republish(t.Context(), "true"))
	s.well()

	// What the provider says of a pod is in its event.
	class("wrong", "property")
	s.create(pod{Name: "late", Classes: []string{"db"}})
	s.fails("pods", `login as role "wrong"`)
	class(lab.Role, "property")
	s.ready("late")
	s.well()

	// An archive of the real thing holds nothing of what pods read.
	archive := filepath.Join(t.TempDir(), "support.tar.gz")
	s.doctor("--bundle", archive)
	text, err := exec.CommandContext(t.Context(), "tar", "-xzOf", archive).Output()
	s.must(err)
	if strings.Contains(string(text), "correct horse") || !strings.Contains(string(text), "Lanyard is ready") {
		t.Errorf("the archive holds a value, or no log:\n%s", text)
	}

	binding := lab.Namespace + ":" + lab.Release + ":sync"
	s.must(s.Helm(t.Context(), "sync.enabled=true"))
	s.atEnd(func(ctx context.Context) error { return s.Helm(ctx) })
	s.well()
	s.must(s.Kube.RbacV1().ClusterRoleBindings().Delete(t.Context(), binding, metav1.DeleteOptions{}))
	s.fails(setups["controller-without-rights"][0], setups["controller-without-rights"][1])

	// As the page has it, in the provider's own pod. Behind the store "watched" nobody
	// listens until there is a proxy.
	kubectl, err := s.Kubectl(t.Context())
	s.must(err)
	inPod := func() (string, error) {
		run := exec.CommandContext(t.Context(), kubectl, "--kubeconfig", s.Kubeconfig, "exec", "--namespace", lab.Namespace, "daemonset/"+lab.Release, "--",
			"/lanyard", "doctor", "--node", "--config", "/etc/lanyard/config/lanyard.yaml")
		output, err := run.CombinedOutput()
		return string(output), err
	}
	if output, err := inPod(); err == nil || !strings.Contains(output, "FAIL     connection     store watched: ") || !strings.Contains(output, setups["vault-unreachable"][1]) {
		t.Errorf("%v:\n%s", err, output)
	}
	proxy, err := s.Proxy(lab.ProxyAddress)
	s.must(err)
	defer proxy.Close()
	if output, err := inPod(); err != nil || !strings.Contains(output, "a provider answers at") {
		t.Errorf("%v:\n%s", err, output)
	}
}
