package scenarios

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lanyardhq/lanyard/integration/checkout"
	"github.com/lanyardhq/lanyard/integration/cluster"
	"github.com/lanyardhq/lanyard/integration/cluster/lab"
)

// encrypted fails the test unless etcd holds a Secret of the scenario's under
// the KMS plugin, and no trace of the values.
func (s *scenario) encrypted(name string, values ...string) {
	s.t.Helper()
	stored, err := s.Stored(s.t.Context(), "/registry/secrets/"+s.namespace+"/"+name)
	s.must(err)
	if len(stored) != 1 {
		s.t.Fatalf("etcd holds %d Secrets named %s", len(stored), name)
	}
	if prefix := "k8s:enc:kms:v2:" + lab.KMSName + ":"; !bytes.HasPrefix(stored[0].Value, []byte(prefix)) {
		s.t.Errorf("what etcd holds does not begin with %s: %q", prefix, stored[0].Value)
	}
	for _, value := range values {
		for _, trace := range []string{value, base64.StdEncoding.EncodeToString([]byte(value)), value[:len(value)/2]} {
			if bytes.Contains(stored[0].Value, []byte(trace)) {
				s.t.Errorf("etcd holds %q", trace)
			}
		}
	}
}

func TestASyncedSecretIsEncryptedAllTheWayToEtcd(t *testing.T) {
	s := beside(t)
	const before, after = "correct-horse-battery-staple", "tr0ub4dor-and-three-more"
	s.put("db", map[string]any{"password": before})
	s.apply(`
apiVersion: secrets-store.csi.x-k8s.io/v1
kind: SecretProviderClass
metadata: {name: synced}
spec:
  provider: lanyard
  parameters:
    stores: |
      vault: {auth: {role: workload}}
    objects: |
      - {path: password, store: vault, key: secret/data/$namespace/db, property: password, refresh: 2s}
  secretObjects:
    - secretName: db
      type: Opaque
      data:
        - {objectName: password, key: password}
`)
	s.start(pod{Name: "web", Classes: []string{"synced"}})
	for _, value := range []string{before, after} {
		s.put("db", map[string]any{"password": value})
		s.eventually("the Secret is in step with Vault", func() error {
			secret, err := s.Kube.CoreV1().Secrets(s.namespace).Get(s.t.Context(), "db", metav1.GetOptions{})
			if err == nil && string(secret.Data["password"]) != value {
				err = errors.New("it holds something else")
			}
			return err
		})
		s.encrypted("db", before, after)
	}
}

// A node that boots has the kubelet first, then the plugin, and the API server
// only when that answers.
func TestTheKMSPluginAsAStaticPodStartsBeforeTheAPIServer(t *testing.T) {
	s := alone(t)
	ctx := t.Context()
	const value = "written-before-the-node-went-down"
	_, err := s.Kube.CoreV1().Secrets(s.namespace).Create(ctx, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "kept"}, StringData: map[string]string{"password": value},
	}, metav1.CreateOptions{})
	s.must(err)
	manifest, err := checkout.Path("deployment", "kms", "static-pod.yaml")
	s.must(err)
	text, err := os.ReadFile(manifest)
	s.must(err)
	image := lab.Repository + ":" + lab.Tag
	_, rest, found := strings.Cut(string(text), "image: ")
	released, _, ended := strings.Cut(rest, "\n")
	if !found || !ended {
		t.Fatal("the manifest names no image")
	}

	s.must(errors.Join(s.StopAPIServer(ctx), s.StopKMS(ctx), s.StopKubelet(ctx)))
	static := filepath.Join(s.StaticPods(), "lanyard-kms.yaml")
	t.Cleanup(func() { s.endStaticPod(static) })
	s.must(os.WriteFile(static, []byte(strings.Replace(string(text), released, image, 1)), 0o600))
	s.must(s.StartKubelet(ctx))
	s.must(s.AwaitKMS(ctx))
	s.must(s.StartAPIServer(ctx))

	kept, err := s.Kube.CoreV1().Secrets(s.namespace).Get(ctx, "kept", metav1.GetOptions{})
	s.must(err)
	if got := string(kept.Data["password"]); got != value {
		t.Errorf("the Secret holds %q", got)
	}
	s.encrypted("kept", value)
	s.eventually("the API server shows the static pod as ready", func() error {
		mirror, err := s.Kube.CoreV1().Pods("kube-system").Get(ctx, "lanyard-kms-"+cluster.Node, metav1.GetOptions{})
		if err != nil {
			return err
		}
		for _, condition := range mirror.Status.Conditions {
			if condition.Type == corev1.PodReady && condition.Status == corev1.ConditionTrue {
				return nil
			}
		}
		return fmt.Errorf("it is %s", mirror.Status.Phase)
	})
}

// endStaticPod brings back the plugin that the lab has otherwise, and whatever
// else the scenario had stopped.
func (s *scenario) endStaticPod(manifest string) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := os.Remove(manifest); err != nil && !errors.Is(err, os.ErrNotExist) {
		s.t.Error(err)
	}
	if !s.Running("kubelet") {
		s.fix(s.StartKubelet(ctx))
	}
	for ctx.Err() == nil {
		conn, err := net.Dial("unix", lab.KMSSocket)
		if err != nil {
			break
		}
		s.fix(conn.Close())
		time.Sleep(250 * time.Millisecond)
	}
	s.fix(s.StartKMS(ctx))
	if !s.Running("apiserver") {
		s.fix(s.StartAPIServer(ctx))
	}
}

func (s *scenario) fix(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Error(err)
	}
}
