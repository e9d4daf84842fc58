package kms

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/lanyardhq/lanyard/integration/kmsplugin"
)

// allBegin is an error unless every Secret's bytes in etcd begin with the text.
func (b *bench) allBegin(text string) error {
	for _, one := range b.secrets() {
		if !bytes.HasPrefix(one.Value, []byte(text)) {
			return fmt.Errorf("%s begins with %q, not %q", one.Key, one.Value[:min(24, len(one.Value))], text)
		}
	}
	return nil
}

// takes waits until the API server writes by its changed configuration, which
// it reads every minute: what it writes anew begins with the text.
func (b *bench) takes(a *configured, text string) {
	b.Helper()
	eventually(b.T, 3*time.Minute, "an API server that writes "+text, func() error {
		api := a.kube.CoreV1().Secrets(namespace)
		if _, err := api.Create(b.Context(), secret("probe"), metav1.CreateOptions{}); err != nil {
			return err
		}
		stored, err := b.Stored(b.Context(), "/registry/secrets/"+namespace+"/probe")
		if err = errors.Join(err, api.Delete(b.Context(), "probe", metav1.DeleteOptions{})); err != nil {
			return err
		}
		if len(stored) != 1 || !bytes.HasPrefix(stored[0].Value, []byte(text)) {
			return errors.New("it does not")
		}
		return nil
	})
}

// What the API server writes for each provider, before the rest.
const plainPrefix = "k8s\x00" // protobuf, not encrypted

func TestMigrationFromAESAndBackToIdentityWithoutARestart(t *testing.T) {
	t.Parallel()
	key := make([]byte, 32)
	if _, err := rand.Read(key); err != nil {
		t.Fatal(err)
	}
	const secrets = 100
	for _, before := range []string{"aescbc", "secretbox"} {
		t.Run(before, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			p := b.plugin("one", "write")
			a := b.apiServer(configuration(aes(before, key)))
			b.start(a)
			pid := a.PID()
			b.create(secrets, a)
			if err := b.allBegin("k8s:enc:" + before + ":v1:key1:"); err != nil {
				t.Fatal(err)
			}

			a.reconfigure(configuration(kms(p), aes(before, key)))
			b.takes(a, prefix)
			b.rewritesAll(p, a, secrets)
			if err := b.allBegin(prefix); err != nil {
				t.Error(err)
			}

			a.reconfigure(configuration(identity, kms(p)))
			b.takes(a, plainPrefix)
			b.rewritesAll(p, a, secrets)
			if err := b.allBegin(plainPrefix); err != nil {
				t.Error(err)
			}
			b.readsAll(a, secrets)
			if a.PID() != pid {
				t.Error("the API server was restarted")
			}
		})
	}
}

// rewritesAll migrates all of n Secrets, and finds nothing after that.
func (b *bench) rewritesAll(p *kmsplugin.Plugin, a *configured, n int) {
	b.Helper()
	if first := b.migrate(p, a); first.Rewritten != n || first.Failed != 0 {
		b.Errorf("the first run: %+v", first)
	}
	if second := b.migrate(p, a); second.Rewritten != 0 || second.Current != n {
		b.Errorf("the second run: %+v", second)
	}
}

// readsAll fails the test unless the API server reads n Secrets as they were
// written.
func (b *bench) readsAll(a *configured, n int) {
	b.Helper()
	list, err := a.kube.CoreV1().Secrets(namespace).List(b.Context(), metav1.ListOptions{})
	b.must(err)
	readable := 0
	for _, one := range list.Items {
		if string(one.Data["password"]) == value {
			readable++
		}
	}
	if readable != n {
		b.Errorf("%d of %d Secrets can be read", readable, n)
	}
}

// policy refuses each change of the Secret named stubborn.
const policy = `
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: stubborn}
spec:
  matchConstraints:
    resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [UPDATE], resources: [secrets]}]
  validations:
    - expression: object.metadata.name != "stubborn"
      message: this Secret is looked after by somebody else
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: stubborn}
spec: {policyName: stubborn, validationActions: [Deny]}
`

func TestWhatCannotBeRewrittenIsReportedAndKeepsTheKeyFromRetiring(t *testing.T) {
	t.Parallel()
	const secrets = 20
	b := newBench(t)
	p := b.plugin("one", "write", "two", "read")
	a := b.apiServer(configuration(kms(p), identity))
	b.start(a)
	b.create(secrets, a)
	api := a.kube.CoreV1().Secrets(namespace)
	_, err := api.Create(b.Context(), secret("stubborn"), metav1.CreateOptions{})
	b.must(err)
	b.must(a.Apply(b.Context(), []byte(policy)))
	eventually(t, time.Minute, "a policy that holds", func() error {
		_, err := api.Patch(b.Context(), "stubborn", types.MergePatchType, []byte(`{"metadata":{"labels":{"a":"b"}}}`), metav1.PatchOptions{})
		if err == nil {
			return errors.New("the Secret can be changed")
		}
		return nil
	})
	b.rings([]*kmsplugin.Plugin{p}, "one", "read", "two", "write")
	b.writesWith("two", []*kmsplugin.Plugin{p}, []*configured{a})

	stdout, stderr, err := b.lanyard(p, "kms", "migrate", "--kubeconfig", a.Kubeconfig, "--encryption-config", a.configuration)
	if err == nil || !strings.Contains(stderr, "do not retire the old key") ||
		!strings.Contains(stdout, "secrets "+namespace+"/stubborn: ") || !strings.Contains(stdout, "this Secret is looked after by somebody else") {
		t.Errorf("migrate: %v\n%s%s", err, stdout, stderr)
	}
	if _, stderr, err := b.retire(p, a, "one"); err == nil || !strings.Contains(stderr, "key one is not retired: 1 object is still encrypted under an older key") {
		t.Errorf("retire: %v\n%s", err, stderr)
	}
	b.must(a.kube.AdmissionregistrationV1().ValidatingAdmissionPolicyBindings().Delete(b.Context(), "stubborn", metav1.DeleteOptions{}))
	eventually(t, time.Minute, "a migration that rewrites the last one", func() error {
		if stdout, stderr, err := b.lanyard(p, "kms", "migrate", "--kubeconfig", a.Kubeconfig); err != nil {
			return fmt.Errorf("%w: %s%s", err, stdout, stderr)
		}
		return nil
	})
	if stdout, stderr, err := b.retire(p, a, "one"); err != nil {
		t.Errorf("retire: %v\n%s%s", err, stdout, stderr)
	}
	b.readsAll(a, secrets+1)
}
