package sync

import (
	"context"
	"fmt"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/lanyardhq/lanyard/integration/cluster/policies"
)

// mergeInto patches an object of the namespace shop as a dry run.
func mergeInto(who *client, resource schema.GroupVersionResource, name, body string) try {
	return func(ctx context.Context) error {
		_, err := who.Dynamic.Resource(resource).Namespace(shop).Patch(ctx, name, merge, []byte(body), dryPatch)
		return err
	}
}

// newObject makes an object of the namespace shop as the administrator.
func newObject(t *testing.T, resource schema.GroupVersionResource, text string) {
	t.Helper()
	if _, err := admin.Dynamic.Resource(resource).Namespace(shop).Create(t.Context(), policies.Object(t, text), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

func TestTheControllerChangesOneAnnotationOfAClass(t *testing.T) {
	newClass(t, "annotated")
	for _, release := range []string{plain, limited} {
		who := controllers[release]
		accepted(t, mergeInto(who, classes, "annotated", `{"metadata":{"annotations":{"lanyard.dev/sync-status":"synced"}}}`))
		accepted(t, mergeInto(who, classes, "annotated", `{}`))
		for what, body := range map[string]string{
			"its parameters":          `{"spec":{"parameters":{"objects":"- path: a"}}}`,
			"its provider":            `{"spec":{"provider":"vault"}}`,
			"what is synced":          `{"spec":{"secretObjects":[{"secretName":"a","type":"Opaque"}]}}`,
			"the whole specification": `{"spec":null}`,
			"who it is synced as":     `{"metadata":{"annotations":{"lanyard.dev/sync":""}}}`,
			"another annotation":      `{"metadata":{"annotations":{"note":"changed"}}}`,
			"an annotation away":      `{"metadata":{"annotations":{"note":null}}}`,
			"all annotations away":    `{"metadata":{"annotations":null}}`,
			"a label":                 `{"metadata":{"labels":{"team":"other"}}}`,
			"a finalizer":             `{"metadata":{"finalizers":["example.com/keep"]}}`,
			"an owner":                `{"metadata":{"ownerReferences":[{"apiVersion":"v1","kind":"ConfigMap","name":"a","uid":"b"}]}}`,
		} {
			t.Run(release+": "+what, func(t *testing.T) {
				refused(t, release, "classes", "annotation lanyard.dev/sync-status", mergeInto(who, classes, "annotated", body))
			})
		}
	}
}

// workload is one of each kind that is rolled out.
const workload = `
apiVersion: apps/v1
kind: %s
metadata: {name: rolled, labels: {team: shop}, annotations: {note: kept, lanyard.dev/restart-old: a}}
spec:
  selector: {matchLabels: {app: web}}
  %s
  template:
    metadata: {labels: {app: web}, annotations: {note: kept, lanyard.dev/restart-old: a}}
    spec:
      serviceAccountName: web
      containers: [{name: web, image: web}]
`

func TestTheControllerChangesAnnotationsOfItsOwnOfWorkloads(t *testing.T) {
	who := controllers[full]
	for kind, of := range map[string]struct {
		resource schema.GroupVersionResource
		fields   string
		more     map[string]string
	}{
		"Deployment":  {deployments, "replicas: 2", map[string]string{"its replicas": `{"spec":{"replicas":0}}`, "its strategy": `{"spec":{"strategy":{"type":"Recreate","rollingUpdate":null}}}`, "its pause": `{"spec":{"paused":true}}`}},
		"StatefulSet": {statefulSets, "serviceName: web", map[string]string{"its replicas": `{"spec":{"replicas":0}}`, "its strategy": `{"spec":{"updateStrategy":{"type":"OnDelete","rollingUpdate":null}}}`}},
		"DaemonSet":   {daemonSets, "minReadySeconds: 1", map[string]string{"its readiness": `{"spec":{"minReadySeconds":2}}`, "its strategy": `{"spec":{"updateStrategy":{"type":"OnDelete","rollingUpdate":null}}}`}},
	} {
		newObject(t, of.resource, fmt.Sprintf(workload, kind, of.fields))
		for what, body := range map[string]string{
			"nothing":                          `{}`,
			"an annotation":                    `{"metadata":{"annotations":{"lanyard.dev/restarted-for":"b"}}}`,
			"an annotation of the template":    `{"spec":{"template":{"metadata":{"annotations":{"lanyard.dev/restarted-for":"b","lanyard.dev/restart-old":"c"}}}}}`,
			"an annotation of its own, away":   `{"metadata":{"annotations":{"lanyard.dev/restart-old":null}},"spec":{"template":{"metadata":{"annotations":{"lanyard.dev/restart-old":null}}}}}`,
			"its annotations of both together": `{"metadata":{"annotations":{"lanyard.dev/restarted-for":"b"}},"spec":{"template":{"metadata":{"annotations":{"lanyard.dev/restarted-for":"b"}}}}}`,
		} {
			t.Run("accepted: "+kind+": "+what, func(t *testing.T) { accepted(t, mergeInto(who, of.resource, "rolled", body)) })
		}
		const nothing, annotation = "may change nothing of a workload but annotations", "only annotations that begin with lanyard.dev/restart"
		tries := map[string]string{
			"its label":              `{"metadata":{"labels":{"team":"other"}}}`,
			"its finalizers":         `{"metadata":{"finalizers":["example.com/keep"]}}`,
			"its owner":              `{"metadata":{"ownerReferences":[{"apiVersion":"v1","kind":"ConfigMap","name":"a","uid":"b"}]}}`,
			"a label of its pods":    `{"spec":{"template":{"metadata":{"labels":{"more":"a"}}}}}`,
			"the image":              `{"spec":{"template":{"spec":{"containers":[{"name":"web","image":"evil"}]}}}}`,
			"a variable":             `{"spec":{"template":{"spec":{"containers":[{"name":"web","image":"web","env":[{"name":"A","value":"b"}]}]}}}}`,
			"the service account":    `{"spec":{"template":{"spec":{"serviceAccountName":"api"}}}}`,
			"the host's network":     `{"spec":{"template":{"spec":{"hostNetwork":true}}}}`,
			"how many are kept":      `{"spec":{"revisionHistoryLimit":1}}`,
			"a finalizer of its pod": `{"spec":{"template":{"metadata":{"finalizers":["example.com/keep"]}}}}`,
		}
		for what, body := range of.more {
			tries[what] = body
		}
		for what, body := range tries {
			t.Run("refused: "+kind+": "+what, func(t *testing.T) {
				refused(t, full, "workloads", nothing, mergeInto(who, of.resource, "rolled", body))
			})
		}
		for what, body := range map[string]string{
			"another annotation":          `{"metadata":{"annotations":{"note":"changed"}}}`,
			"an annotation away":          `{"metadata":{"annotations":{"note":null}}}`,
			"an injector's annotation":    `{"spec":{"template":{"metadata":{"annotations":{"vault.hashicorp.com/agent-inject-command-a":"evil"}}}}}`,
			"a pod's annotation away":     `{"spec":{"template":{"metadata":{"annotations":{"note":null}}}}}`,
			"one of Lanyard's others":     `{"metadata":{"annotations":{"lanyard.dev/inject":"b"}}}`,
			"all annotations of the pods": `{"spec":{"template":{"metadata":{"annotations":null}}}}`,
		} {
			t.Run("refused: "+kind+": "+what, func(t *testing.T) {
				refused(t, full, "workloads", annotation, mergeInto(who, of.resource, "rolled", body))
			})
		}
		withoutRight(t, mergeInto(controllers[plain], of.resource, "rolled", `{}`))
	}
}
