package scenarios

import (
	"crypto/tls"
	"errors"
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Copies in Secrets appear with the first pod, feed environment variables,
// follow changes, and go with the last pod.
func TestCopiesInSecrets(t *testing.T) {
	// Secrets go with the pods that own them, and the driver tells no owner of any
	// Secret while it has a status of a pod that there is not, as the scenarios
	// have that mount for such pods (Patcher in its controllers).
	s := alone(t)
	s.put("db", map[string]any{"password": "correct horse"})
	s.apply(`
apiVersion: secrets-store.csi.x-k8s.io/v1
kind: SecretProviderClass
metadata: {name: copied}
spec:
  provider: lanyard
  parameters:` + asWorkload + `
    objects: |
      - {path: db/password, store: vault, key: secret/data/$namespace/db, property: password, refresh: 2s}
      - {path: tls, store: vault, key: pki/issue/web, expand: true, options: {body: {common_name: web.example.com, ttl: 1h}}}
  secretObjects:
    - secretName: db
      type: Opaque
      data: [{objectName: db/password, key: password}]
    - secretName: certificate
      type: kubernetes.io/tls
      data:
        - {objectName: tls/certificate, key: tls.crt}
        - {objectName: tls/private_key, key: tls.key}
`)
	fromSecret := []corev1.EnvVar{{Name: "PASSWORD", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{
		LocalObjectReference: corev1.LocalObjectReference{Name: "db"}, Key: "password",
	}}}}
	s.start(pod{Name: "one", Classes: []string{"copied"}, Env: fromSecret})
	if got, err := s.exec("one", "sh", "-c", "echo $PASSWORD"); err != nil || got != "correct horse\n" {
		t.Errorf("the variable is %q: %v", got, err)
	}

	certificate := s.secret("certificate")
	if certificate.Type != corev1.SecretTypeTLS {
		t.Errorf("its type is %s", certificate.Type)
	}
	if _, err := tls.X509KeyPair(certificate.Data["tls.crt"], certificate.Data["tls.key"]); err != nil {
		t.Error(err)
	}

	s.put("db", map[string]any{"password": "battery staple"})
	s.eventually("the Secret db holds the new password", func() error {
		if got := string(s.secret("db").Data["password"]); got != "battery staple" {
			return fmt.Errorf("it holds %q", got)
		}
		return nil
	})
	s.start(pod{Name: "two", Classes: []string{"copied"}, Env: fromSecret})
	if got, err := s.exec("two", "sh", "-c", "echo $PASSWORD"); err != nil || got != "battery staple\n" {
		t.Errorf("the variable of a later pod is %q: %v", got, err)
	}

	// The driver looks every 5 s which pods own a Secret. One that lost its pods
	// before it was told of them stays for good.
	for _, name := range []string{"db", "certificate"} {
		s.eventually("both pods own the Secret "+name, func() error {
			if owners := s.secret(name).OwnerReferences; len(owners) != 2 {
				return fmt.Errorf("its owners are %v", owners)
			}
			return nil
		})
	}
	s.end("one")
	s.secret("db")
	s.end("two")
	for _, name := range []string{"db", "certificate"} {
		s.eventually("the Secret "+name+" is gone", func() error {
			_, err := s.Kube.CoreV1().Secrets(s.namespace).Get(s.t.Context(), name, metav1.GetOptions{})
			if apierrors.IsNotFound(err) {
				return nil
			}
			return errors.Join(errors.New("it is there"), err)
		})
	}
}

// secret is a Secret that must be there.
func (s *scenario) secret(name string) *corev1.Secret {
	s.t.Helper()
	found, err := s.Kube.CoreV1().Secrets(s.namespace).Get(s.t.Context(), name, metav1.GetOptions{})
	s.must(err)
	return found
}
