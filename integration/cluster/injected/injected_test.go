package injected

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/yaml"

	"github.com/lanyardhq/lanyard/integration/checkout"
	"github.com/lanyardhq/lanyard/server/inject"
	"github.com/lanyardhq/lanyard/server/inject/certificate"
)

func TestAPodGetsWhatItAsksFor(t *testing.T) {
	called(t)
	pod, err := create(t.Context(), asks(shop))
	if err != nil {
		t.Fatal(err)
	}
	if got := pod.Spec.Containers[0].Command; !slices.Equal(got, []string{"/lanyard/lanyard-exec", "--volume=/secrets", "--env=PGPASSWORD=db/password", "--", "/app"}) {
		t.Errorf("the command is %q", got)
	}
	wrong := asks(shop)
	wrong.Annotations["lanyard.dev/class"] = "Web!"
	if _, err := create(t.Context(), wrong); !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "lanyard.dev/class: Web! is no name of a SecretProviderClass") {
		t.Errorf("the answer is %v", err)
	}
	for _, namespace := range []string{release, "kube-system"} {
		if pod, err := create(t.Context(), asks(namespace)); err != nil || pod.Annotations[inject.Injected] != "" {
			t.Errorf("of %s: %v, %v", namespace, err, pod.Annotations)
		}
	}
}

// Every pod that package inject is tested with is one that the API server takes, with its
// defaults, and the webhook changes nothing of it when it comes again.
func TestEveryPodIsValid(t *testing.T) {
	called(t)
	dir, err := checkout.Path("server", "inject", "testdata")
	if err != nil {
		t.Fatal(err)
	}
	found, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
	if err != nil || len(found) < 4 {
		t.Fatal(found, err)
	}
	changed := 0
	for _, file := range found {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var given []struct {
			Name        string
			Annotations map[string]string
			Spec        *corev1.PodSpec
			Env         []corev1.EnvVar
		}
		if err := yaml.Unmarshal(text, &given); err != nil {
			t.Fatal(err)
		}
		for _, g := range given {
			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: shop, Annotations: maps.Clone(g.Annotations)}}
			pod.Spec.Containers = []corev1.Container{{Name: "web", Command: []string{"/app"}, Env: g.Env}}
			if g.Spec != nil {
				pod.Spec = *g.Spec
			}
			delete(pod.Annotations, corev1.MirrorPodAnnotationKey)
			pod.Spec.EphemeralContainers = nil // no pod is made with some
			for _, list := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
				for i := range list {
					list[i].Image = "web"
				}
			}
			made, err := create(t.Context(), pod)
			switch {
			case apierrors.IsForbidden(err) && strings.Contains(err.Error(), "inject.lanyard.dev"):
				continue // refused, as the golden files say
			case err != nil:
				t.Errorf("%s: %s: %v", filepath.Base(file), g.Name, err)
				continue
			case made.Annotations[inject.Injected] == "":
				continue
			}
			changed++
			again := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: shop, Annotations: made.Annotations}, Spec: made.Spec}
			second, err := create(t.Context(), again)
			if err != nil {
				t.Errorf("%s: %s: a second time: %v", filepath.Base(file), g.Name, err)
				continue
			}
			if patch, err := inject.Patch(&corev1.Pod{Spec: made.Spec}, &corev1.Pod{Spec: second.Spec}); err != nil || len(patch) > 0 {
				t.Errorf("%s: %s: a second time: %v, %v", filepath.Base(file), g.Name, err, patch)
			}
		}
	}
	if changed < 60 {
		t.Errorf("only %d pods were changed", changed)
	}
}

// While no replica answers, pods that ask are refused with the reason, and all others start.
func TestWithoutTheWebhookOnlyPodsThatAskAreRefused(t *testing.T) {
	called(t)
	for _, r := range replicas {
		if err := r.stop(); err != nil {
			t.Fatal(err)
		}
	}
	defer func() {
		for i, r := range replicas {
			var err error
			if replicas[i], err = start(r); err != nil {
				t.Fatal(err)
			}
		}
		if err := keep(t.Context(), time.Now()); err != nil {
			t.Error(err)
		}
		called(t)
	}()
	if _, err := create(t.Context(), asks(shop)); !apierrors.IsInternalError(err) || !strings.Contains(err.Error(), "failed calling webhook") || !strings.Contains(err.Error(), "inject.lanyard.dev") {
		t.Errorf("the answer is %v", err)
	}
	plain := asks(shop)
	plain.Annotations = map[string]string{"lanyard.dev/class": "web"}
	plain.Spec.Containers[0].Env = []corev1.EnvVar{{Name: "A", Value: "plain"}}
	for _, pod := range []*corev1.Pod{plain, asks("kube-system"), asks(release)} {
		if _, err := create(t.Context(), pod); err != nil {
			t.Errorf("a pod of %s with %v: %v", pod.Namespace, pod.Annotations, err)
		}
	}
}

// The certificate changes while pods are made, and none of them is refused.
func TestNoAdmissionFailsWhileTheCertificateChanges(t *testing.T) {
	called(t)
	now := time.Now()
	// A certificate that has been there for a while.
	if err := forget(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := keep(t.Context(), now.Add(certificate.RenewBefore-certificate.Lifetime-time.Hour)); err != nil {
		t.Fatal(err)
	}
	called(t)
	first := serving(t)

	ctx, cancel := context.WithCancel(t.Context())
	var load sync.WaitGroup
	var mu sync.Mutex
	var failures []error
	var made [4]int // by each who makes pods
	for who := range made {
		load.Go(func() {
			for ctx.Err() == nil {
				pod, err := create(t.Context(), asks(shop))
				if err == nil && pod.Annotations[inject.Injected] == "" {
					err = errors.New("it was not changed")
				}
				mu.Lock()
				made[who]++
				if err != nil {
					failures = append(failures, err)
				}
				mu.Unlock()
			}
		})
	}
	// Each makes more, so that none is still at a pod of before.
	enough := func() {
		mu.Lock()
		before := made
		mu.Unlock()
		eventually(t, func() error {
			mu.Lock()
			defer mu.Unlock()
			for who := range made {
				if made[who] < before[who]+10 {
					return errors.New("too few pods were made")
				}
			}
			return nil
		})
	}
	// Announced, served, and the one before forgotten.
	for step := range 5 {
		enough()
		if err := keep(t.Context(), now.Add(time.Duration(step)*(certificate.Settle+time.Second))); err != nil {
			t.Error(err)
		}
		heard(t, step) // in a cluster, Settle is far longer than that takes
	}
	enough()
	cancel()
	load.Wait()
	if len(failures) > 0 {
		t.Errorf("%d of %v pods were refused: %v", len(failures), made, failures[0])
	}
	if serving(t) == first {
		t.Error("the certificate is the same")
	}
	secret, err := admin.CoreV1().Secrets(release).Get(t.Context(), account, metav1.GetOptions{})
	if err != nil || len(secret.Data["next.crt"])+len(secret.Data["previous-ca.crt"]) != 0 {
		t.Errorf("%v; the change has not ended", err)
	}
}

// forget empties the Secret, so that a certificate is made.
func forget(ctx context.Context) error {
	secret, err := admin.CoreV1().Secrets(release).Get(ctx, account, metav1.GetOptions{})
	if err != nil {
		return err
	}
	secret.Data = nil
	_, err = admin.CoreV1().Secrets(release).Update(ctx, secret, metav1.UpdateOptions{})
	return err
}

// serving is the certificate that both replicas serve.
func serving(t *testing.T) string {
	t.Helper()
	var all []string
	for _, r := range replicas {
		c, err := r.keeper.Get(nil)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, string(c.Certificate[0]))
	}
	if all[0] != all[1] {
		t.Error("the replicas serve different certificates")
	}
	return all[0]
}

// With its rights the webhook changes two objects, and can do nothing else.
func TestTheWebhookMayDoNothingElse(t *testing.T) {
	client, err := kubernetes.NewForConfig(own)
	if err != nil {
		t.Fatal(err)
	}
	for name, do := range map[string]func() error{
		"another Secret": func() error {
			_, err := client.CoreV1().Secrets(release).Get(t.Context(), "other", metav1.GetOptions{})
			return err
		},
		"Secrets": func() error {
			_, err := client.CoreV1().Secrets(release).List(t.Context(), metav1.ListOptions{})
			return err
		},
		"a new Secret": func() error {
			_, err := client.CoreV1().Secrets(release).Create(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "new"}}, metav1.CreateOptions{})
			return err
		},
		"the Secret's end": func() error {
			return client.CoreV1().Secrets(release).Delete(t.Context(), account, metav1.DeleteOptions{})
		},
		"another configuration": func() error {
			_, err := client.AdmissionregistrationV1().MutatingWebhookConfigurations().Get(t.Context(), "other", metav1.GetOptions{})
			return err
		},
		"pods": func() error {
			_, err := client.CoreV1().Pods(shop).List(t.Context(), metav1.ListOptions{})
			return err
		},
	} {
		if err := do(); !apierrors.IsForbidden(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The time of a pod's creation with the webhook and without, and how many are made in a
// second.
func BenchmarkPods(b *testing.B) {
	called(b)
	plain := asks(shop)
	plain.Annotations = nil
	for name, pod := range map[string]*corev1.Pod{"that ask": asks(shop), "that do not": plain} {
		b.Run(name, func(b *testing.B) {
			var mu sync.Mutex
			var times []time.Duration
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					begun := time.Now()
					if _, err := create(b.Context(), pod); err != nil {
						b.Error(err)
					}
					mu.Lock()
					times = append(times, time.Since(begun))
					mu.Unlock()
				}
			})
			slices.Sort(times)
			b.ReportMetric(float64(times[len(times)*99/100].Microseconds())/1000, "p99-ms")
			b.ReportMetric(float64(len(times))/b.Elapsed().Seconds(), "pods/s")
		})
	}
}

// heard waits until the API server goes by the webhooks' configuration as it is now. It
// hears of changes in their order, so that it has heard of those before a configuration
// that it goes by, which is another at each step.
func heard(t *testing.T, step int) {
	t.Helper()
	marker := fmt.Sprintf("heard-%d.lanyard.test", step)
	configurations := admin.AdmissionregistrationV1().MutatingWebhookConfigurations()
	_, err := configurations.Create(t.Context(), &admissionv1.MutatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: marker},
		Webhooks: []admissionv1.MutatingWebhook{{
			Name:                    marker,
			ClientConfig:            admissionv1.WebhookClientConfig{URL: new("https://127.0.0.1:1")},
			ObjectSelector:          &metav1.LabelSelector{MatchLabels: map[string]string{marker: "true"}},
			Rules:                   []admissionv1.RuleWithOperations{{Operations: []admissionv1.OperationType{admissionv1.Create}, Rule: admissionv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"pods"}}}},
			AdmissionReviewVersions: []string{"v1"},
			SideEffects:             new(admissionv1.SideEffectClassNone),
		}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := configurations.Delete(context.WithoutCancel(t.Context()), marker, metav1.DeleteOptions{}); err != nil {
			t.Error(err)
		}
	}()
	marked := asks(shop)
	marked.Labels = map[string]string{marker: "true"}
	eventually(t, func() error {
		if _, err := create(t.Context(), marked); err == nil || !strings.Contains(err.Error(), marker) {
			return errors.Join(errors.New("the marker's webhook is not called"), err)
		}
		return nil
	})
}
