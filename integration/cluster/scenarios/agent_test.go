package scenarios

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	"github.com/lanyardhq/lanyard/integration/checkout"
	"github.com/lanyardhq/lanyard/integration/cluster"
	"github.com/lanyardhq/lanyard/integration/cluster/lab"
	"github.com/lanyardhq/lanyard/integration/faultproxy"
)

// A pod as deployment/agent has it, in a namespace that admits only the restricted standard:
// no driver, files in memory before the first container starts, each change with one signal,
// and a killed agent goes on with the files that it left.
func TestAnAgentServesAPodWithoutTheDriver(t *testing.T) {
	s := beside(t)
	s.restricted()
	p := s.proxy()
	s.put("web", map[string]any{"password": "first"})
	// The process that is told is the shell, which prints what it finds at its start and at
	// each signal.
	s.agentPod(p, `command: [sh, -c, "p=/secrets/files/db/password; trap 'echo told $(cat $p)' HUP; echo began $(cat $p); while :; do sleep 1 & wait; done"]`)
	s.ready("web")
	s.prints("web", "began first")
	if kind, err := s.exec("web", "stat", "-f", "-c", "%T", "/secrets/files"); err != nil || strings.TrimSpace(kind) != "tmpfs" {
		t.Errorf("the files lie on %q, %v", kind, err)
	}
	for _, volume := range s.get("web").Spec.Volumes {
		if volume.CSI != nil {
			t.Errorf("volume %s is of a driver", volume.Name)
		}
	}

	s.put("web", map[string]any{"password": "second"})
	s.prints("web", "began first", "told second")

	// Killed, it leaves the files; what changes meanwhile is told when it is back.
	killed := s.agentOf("web")
	s.must(s.KillContainer(t.Context(), killed.ContainerID))
	if now, err := s.exec("web", "cat", "/secrets/files/db/password"); err != nil || now != "second" {
		t.Errorf("after the agent was killed there is %q, %v", now, err)
	}
	s.put("web", map[string]any{"password": "third"})
	s.eventually("the agent runs again", func() error {
		if now := s.agentOf("web"); now.State.Running == nil || now.ContainerID == killed.ContainerID {
			return fmt.Errorf("it is %+v", now.State)
		}
		return nil
	})
	s.prints("web", "began first", "told second", "told third")
	if restarts := s.get("web").Status.ContainerStatuses[0].RestartCount; restarts != 0 {
		t.Errorf("the application was restarted %d times", restarts)
	}
	// Nothing was told twice: two more refreshes have come and gone.
	seen := len(s.readsSince(p, "web", time.Now().Add(-time.Hour)))
	s.eventually("the agent has read twice more", func() error {
		return atLeast(seen+2, len(s.readsSince(p, "web", time.Now().Add(-time.Hour))))
	})
	s.prints("web", "began first", "told second", "told third")
}

// The agent of a Job ends with the Job.
func TestAnAgentEndsWithItsJob(t *testing.T) {
	s := beside(t)
	s.restricted()
	s.put("web", map[string]any{"password": "of a job"})
	spec := s.agentSpec(s.proxy(), `command: [sh, -c, "test \"$(cat /secrets/files/db/password)\" = \"of a job\""]`)
	spec.RestartPolicy = corev1.RestartPolicyNever
	_, err := s.Kube.BatchV1().Jobs(s.namespace).Create(t.Context(), &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{Name: "once"},
		Spec:       batchv1.JobSpec{BackoffLimit: new(int32(0)), Template: corev1.PodTemplateSpec{Spec: spec}},
	}, metav1.CreateOptions{})
	s.must(err)
	s.eventually("the Job is complete", func() error {
		job, err := s.Kube.BatchV1().Jobs(s.namespace).Get(t.Context(), "once", metav1.GetOptions{})
		if err != nil {
			return err
		}
		for _, condition := range job.Status.Conditions {
			switch {
			case condition.Type == batchv1.JobFailed && condition.Status == corev1.ConditionTrue:
				t.Fatalf("the Job failed: %s", condition.Message)
			case condition.Type == batchv1.JobComplete && condition.Status == corev1.ConditionTrue:
				return nil
			}
		}
		return fmt.Errorf("it is %+v", job.Status)
	})
}

// restricted lets the scenario's namespace admit only pods of the restricted standard.
func (s *scenario) restricted() {
	s.t.Helper()
	_, err := s.Kube.CoreV1().Namespaces().Patch(s.t.Context(), s.namespace, types.MergePatchType,
		[]byte(`{"metadata":{"labels":{"pod-security.kubernetes.io/enforce":"restricted"}}}`), metav1.PatchOptions{})
	s.must(err)
}

// agentPod makes the pod of deployment/agent with another command of its container.
func (s *scenario) agentPod(p *faultproxy.Proxy, command string) {
	s.t.Helper()
	_, err := s.Kube.CoreV1().Pods(s.namespace).Create(s.t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "web"}, Spec: s.agentSpec(p, command),
	}, metav1.CreateOptions{})
	s.must(err)
}

// agentSpec is that of the pod of deployment/agent, whose class it makes: for a Vault that
// is reached through the proxy and read each second.
func (s *scenario) agentSpec(p *faultproxy.Proxy, command string) corev1.PodSpec {
	s.t.Helper()
	path, err := checkout.Path("deployment", "agent", "pod.yaml")
	s.must(err)
	text, err := os.ReadFile(path)
	s.must(err)
	manifest := string(text)
	for _, change := range [][2]string{
		{"namespace: shop", "namespace: " + s.namespace},
		{"ghcr.io/lanyardhq/lanyard:v1.0.0", lab.Repository + ":" + lab.Tag},
		{"address: https://vault.vault.svc:8200", "address: " + p.Address + "\n            tls: {caCert: " + s.authority() + "}"},
		{"role: web, audience: vault", "role: " + lab.Role + ", audience: " + lab.Audience},
		{"        objects: |", "        refresh: 1s\n        objects: |"},
		{"key: secret/data/shop/web", "key: " + s.pathOf("web")},
		{"--notify-process=server", "--notify-process=sh"},
		{"registry.example.com/web:1.4.2", cluster.Workload},
		{"command: [/app/server, --password-file=/secrets/files/db/password]", command + "\n      imagePullPolicy: Never"},
	} {
		if !strings.Contains(manifest, change[0]) {
			s.t.Fatalf("deployment/agent/pod.yaml does not say %q any more", change[0])
		}
		manifest = strings.ReplaceAll(manifest, change[0], change[1])
	}
	class, rest, _ := strings.Cut(manifest, "\n---\n")
	s.apply(class)
	var made corev1.Pod
	s.must(yaml.UnmarshalStrict([]byte(rest), &made))
	made.Spec.TerminationGracePeriodSeconds = new(int64(1))
	return made.Spec
}

// agentOf is the state of a pod's agent.
func (s *scenario) agentOf(name string) corev1.ContainerStatus {
	s.t.Helper()
	for _, status := range s.get(name).Status.InitContainerStatuses {
		if strings.HasPrefix(status.Name, "lanyard") {
			return status
		}
	}
	s.t.Fatalf("pod %s has no agent", name)
	return corev1.ContainerStatus{}
}

// prints waits until the pod's first container has printed just these lines.
func (s *scenario) prints(name string, lines ...string) {
	s.t.Helper()
	container := s.get(name).Spec.Containers[0].Name
	s.eventually(fmt.Sprintf("pod %s has printed %q", name, lines), func() error {
		stream, err := s.Kube.CoreV1().Pods(s.namespace).GetLogs(name, &corev1.PodLogOptions{Container: container}).Stream(s.t.Context())
		if err != nil {
			return err
		}
		text, err := io.ReadAll(stream)
		if err := errors.Join(err, stream.Close()); err != nil {
			return err
		}
		if got := strings.TrimSpace(string(text)); got != strings.Join(lines, "\n") {
			return fmt.Errorf("it has printed %q", got)
		}
		return nil
	})
}
