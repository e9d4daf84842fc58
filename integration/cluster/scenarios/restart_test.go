package scenarios

import (
	"fmt"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lanyardhq/lanyard/integration/cluster"
)

// A workload that asks for it is rolled out once when a mounted secret of it changes, and
// its new pod starts with the new value.
func TestAChangeRollsOutWhatAsksForIt(t *testing.T) {
	s := beside(t)
	s.put("db", map[string]any{"value": "before"})
	s.proxiedClass("db", s.proxy(), "[{path: password, store: proxied, key: secret/data/$namespace/db, property: value}]", "refresh", "1s")
	for name, annotations := range map[string]string{"asks": "{lanyard.dev/restart-on: change}", "reloader": `{secretproviderclass.reloader.stakater.com/auto: "true"}`, "quiet": "{}"} {
		s.apply(`
apiVersion: apps/v1
kind: Deployment
metadata: {name: $name, annotations: $annotations}
spec:
  selector: {matchLabels: {app: $name}}
  template:
    metadata: {labels: {app: $name}}
    spec:
      serviceAccountName: $account
      terminationGracePeriodSeconds: 0
      containers:
        - name: web
          image: $image
          imagePullPolicy: Never
          command: [sh, -c, "PASSWORD=$(cat /secrets/password); export PASSWORD; echo $PASSWORD > /tmp/started; exec sleep 1000000"]
          volumeMounts: [{name: db, mountPath: /secrets, readOnly: true}]
      volumes:
        - name: db
          csi: {driver: secrets-store.csi.k8s.io, readOnly: true, volumeAttributes: {secretProviderClass: db}}
`, "$account", account, "$image", cluster.Workload, "$name", name, "$annotations", annotations)
	}
	for _, name := range []string{"asks", "reloader", "quiet"} {
		s.startedWith(name, "before")
	}
	s.put("db", map[string]any{"value": "after"})
	for _, name := range []string{"asks", "reloader"} {
		s.startedWith(name, "after")
	}
	s.startedWith("quiet", "before")
	for name, want := range map[string]int64{"asks": 2, "reloader": 2, "quiet": 1} {
		if got := s.deployment(name).Generation; got != want && name == "quiet" || got < want {
			t.Errorf("%s has the generation %d, want %d", name, got, want)
		}
		sets, err := s.Kube.AppsV1().ReplicaSets(s.namespace).List(t.Context(), metav1.ListOptions{LabelSelector: "app=" + name})
		s.must(err)
		if int64(len(sets.Items)) != want {
			t.Errorf("%s has had %d sets of pods, want %d", name, len(sets.Items), want)
		}
	}
}

func (s *scenario) deployment(name string) *appsv1.Deployment {
	s.t.Helper()
	d, err := s.Kube.AppsV1().Deployments(s.namespace).Get(s.t.Context(), name, metav1.GetOptions{})
	s.must(err)
	return d
}

// startedWith waits until a Deployment has one pod, which started with the value.
func (s *scenario) startedWith(name, value string) {
	s.t.Helper()
	s.eventually(name+" has started with "+value, func() error {
		pods, err := s.Kube.CoreV1().Pods(s.namespace).List(s.t.Context(), metav1.ListOptions{LabelSelector: "app=" + name})
		if err != nil {
			return err
		}
		if len(pods.Items) != 1 {
			return fmt.Errorf("%d pods", len(pods.Items))
		}
		got, err := s.exec(pods.Items[0].Name, "cat", "/tmp/started")
		if err == nil && strings.TrimSpace(got) != value {
			err = fmt.Errorf("it has started with %q", got)
		}
		return err
	})
}
