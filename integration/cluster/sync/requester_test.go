package sync

import (
	"context"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/lanyardhq/lanyard/integration/cluster/policies"
)

// authors are three users who may write classes and SecretSyncs in the namespace
// shop: anna no more than that, ute also use the service account web, and pia
// make pods.
const authors = `
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: author, namespace: shop}
rules:
  - {apiGroups: [secrets-store.csi.x-k8s.io], resources: [secretproviderclasses], verbs: [create, patch]}
  - {apiGroups: [secret-sync.x-k8s.io], resources: [secretsyncs], verbs: [create, patch]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: author, namespace: shop}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: author}
subjects:
  - {apiGroup: rbac.authorization.k8s.io, kind: User, name: anna}
  - {apiGroup: rbac.authorization.k8s.io, kind: User, name: ute}
  - {apiGroup: rbac.authorization.k8s.io, kind: User, name: pia}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: use-web, namespace: shop}
rules:
  - {apiGroups: [""], resources: [serviceaccounts], resourceNames: [web], verbs: [use]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: use-web, namespace: shop}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: use-web}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: ute}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: make-pods, namespace: shop}
rules:
  - {apiGroups: [""], resources: [pods], verbs: [create]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: make-pods, namespace: shop}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: make-pods}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: pia}]
`

const (
	unsynced = `
apiVersion: secrets-store.csi.x-k8s.io/v1
kind: SecretProviderClass
metadata: {name: asked}
spec: {provider: lanyard}
`
	syncedAsWeb = `
apiVersion: secrets-store.csi.x-k8s.io/v1
kind: SecretProviderClass
metadata: {name: asked, annotations: {lanyard.dev/sync: web}}
spec: {provider: lanyard}
`
	secretSync = `
apiVersion: secret-sync.x-k8s.io/v1alpha1
kind: SecretSync
metadata: {name: asked}
spec:
  secretProviderClassName: web
  serviceAccountName: web
  secretObject: {data: [{sourcePath: password, targetKey: password}]}
`
)

func TestWhoHasSecretsSyncedMayUseTheServiceAccount(t *testing.T) {
	if err := server.Apply(t.Context(), []byte(authors)); err != nil {
		t.Fatal(err)
	}
	anna, ute, pia := impersonate(t, "anna"), impersonate(t, "ute"), impersonate(t, "pia")
	create := func(who *client, resource schema.GroupVersionResource, text string) try {
		read := policies.Object(t, text)
		return func(ctx context.Context) error {
			_, err := who.Dynamic.Resource(resource).Namespace(shop).Create(ctx, read, dryCreate)
			return err
		}
	}
	const want = "may not have Secrets synced as the service account "
	accepted(t, create(anna, classes, unsynced))
	for resource, text := range map[schema.GroupVersionResource]string{classes: syncedAsWeb, secretSyncs: secretSync} {
		refused(t, full, "requester", "anna "+want+"web of namespace shop", create(anna, resource, text))
		accepted(t, create(ute, resource, text))
		accepted(t, create(pia, resource, text))
		accepted(t, create(admin, resource, text))
		newObject(t, resource, text)
		t.Cleanup(func() {
			if err := admin.Dynamic.Resource(resource).Namespace(shop).Delete(context.WithoutCancel(t.Context()), "asked", metav1.DeleteOptions{}); err != nil {
				t.Error(err)
			}
		})
	}
	newClass(t, "unsynced")
	for what, test := range map[string]struct {
		resource   schema.GroupVersionResource
		name, body string
	}{
		"who a class is synced as":      {classes, "unsynced", `{"metadata":{"annotations":{"lanyard.dev/sync":"web"}}}`},
		"what a synced class reads":     {classes, "asked", `{"spec":{"parameters":{"objects":"[]"}}}`},
		"what a synced class writes":    {classes, "asked", `{"spec":{"secretObjects":[{"secretName":"a"}]}}`},
		"who a SecretSync is of":        {secretSyncs, "asked", `{"spec":{"serviceAccountName":"web2"}}`},
		"the class of a SecretSync":     {secretSyncs, "asked", `{"spec":{"secretProviderClassName":"other"}}`},
		"what a SecretSync writes":      {secretSyncs, "asked", `{"spec":{"secretObject":{"data":[{"sourcePath":"a","targetKey":"b"}]}}}`},
		"the type that it writes":       {secretSyncs, "asked", `{"spec":{"secretObject":{"type":"kubernetes.io/tls"}}}`},
		"the labels that it writes":     {secretSyncs, "asked", `{"spec":{"secretObject":{"labels":{"a":"b"}}}}`},
		"who it is, to one without use": {classes, "asked", `{"metadata":{"annotations":{"lanyard.dev/sync":"api"}}}`},
	} {
		t.Run("refused: "+what, func(t *testing.T) {
			refused(t, full, "requester", want, mergeInto(anna, test.resource, test.name, test.body))
			accepted(t, mergeInto(pia, test.resource, test.name, test.body))
		})
	}
	t.Run("use of one is not use of another", func(t *testing.T) {
		refused(t, full, "requester", want+"api", mergeInto(ute, classes, "asked", `{"metadata":{"annotations":{"lanyard.dev/sync":"api"}}}`))
		accepted(t, mergeInto(ute, classes, "asked", `{"spec":{"parameters":{"objects":"[]"}}}`))
	})
	for what, test := range map[string]struct {
		resource   schema.GroupVersionResource
		name, body string
	}{
		"a class that is not synced": {classes, "unsynced", `{"spec":{"parameters":{"objects":"[]"}}}`},
		"another annotation":         {classes, "asked", `{"metadata":{"annotations":{"note":"changed"}}}`},
		"the synchronization away":   {classes, "asked", `{"metadata":{"annotations":{"lanyard.dev/sync":null}}}`},
		"a synchronization at once":  {secretSyncs, "asked", `{"spec":{"forceSynchronization":"again"}}`},
	} {
		t.Run("accepted: "+what, func(t *testing.T) { accepted(t, mergeInto(anna, test.resource, test.name, test.body)) })
	}
	t.Run("accepted: what the controllers say", func(t *testing.T) {
		for _, release := range []string{plain, full} {
			accepted(t, mergeInto(controllers[release], classes, "asked", `{"metadata":{"annotations":{"lanyard.dev/sync-status":"synced"}}}`))
		}
	})
}
