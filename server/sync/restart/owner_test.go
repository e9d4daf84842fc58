package restart

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	secretsstore "sigs.k8s.io/secrets-store-csi-driver/apis/v1"
)

// Whoever makes a pod or a status writes its owner references. One that has the UID of
// another's object must not make that one roll out.
func TestAForgedOwnerRollsOutNobody(t *testing.T) {
	for name, forge := range map[string]func(*corev1.Pod, *secretsstore.SecretProviderClassPodStatus){
		"a pod of another namespace with the UID of a ReplicaSet": func(p *corev1.Pod, s *secretsstore.SecretProviderClassPodStatus) {
			p.Namespace, s.Namespace = "evil", "evil"
		},
		"a pod of another namespace with the UID of a workload": func(p *corev1.Pod, s *secretsstore.SecretProviderClassPodStatus) {
			p.Namespace, s.Namespace = "evil", "evil"
			p.OwnerReferences[0] = *ownedBy("Deployment", "web")
		},
		"an owner of another kind with the UID of a workload": func(p *corev1.Pod, _ *secretsstore.SecretProviderClassPodStatus) {
			p.OwnerReferences[0] = *ownedBy("StatefulSet", "web")
		},
		"an owner of another group with the UID of a workload": func(p *corev1.Pod, _ *secretsstore.SecretProviderClassPodStatus) {
			p.OwnerReferences[0] = *ownedBy("Deployment", "web")
			p.OwnerReferences[0].APIVersion = "example.com/v1"
		},
		"a status of another namespace with the UID of a pod": func(_ *corev1.Pod, s *secretsstore.SecretProviderClassPodStatus) {
			s.Namespace = "evil"
			s.OwnerReferences[0].UID = "web-pod"
		},
		"a status whose owner of another kind has the UID of a pod": func(_ *corev1.Pod, s *secretsstore.SecretProviderClassPodStatus) {
			s.OwnerReferences[0].Kind, s.OwnerReferences[0].UID = "Job", "web-pod"
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			d := w.deployed("web", onChange, template("web"), "old")
			w.pod("forged", ownedBy("ReplicaSet", "web-rs"), nil, "new")
			pod, status := &corev1.Pod{}, &secretsstore.SecretProviderClassPodStatus{}
			w.must(w.Get(t.Context(), types.NamespacedName{Namespace: "shop", Name: "forged"}, pod))
			w.must(w.Get(t.Context(), types.NamespacedName{Namespace: "shop", Name: "forged-shop-web"}, status))
			w.must(w.Delete(t.Context(), pod))
			w.must(w.Delete(t.Context(), status))
			status.Generation = 2
			forge(pod, status)
			pod.ResourceVersion, status.ResourceVersion = "", ""
			w.must(w.Create(t.Context(), pod))
			w.must(w.Create(t.Context(), status))
			w.pass(time.Hour)
			if got := w.restartedFor(d); got != "" {
				t.Errorf("rolled out: %s", got)
			}
		})
	}
}
