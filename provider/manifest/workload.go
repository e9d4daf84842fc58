package manifest

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/lanyardhq/lanyard/internal/strict"
)

// Workload is an object that is a pod or makes pods, as it stands in a file or stream.
type Workload struct {
	Object
	// Pod is the node of the pod, or of the template that pods are made by, and Path is
	// where in the object it is: empty, or names with dots between.
	Pod  *yaml.Node
	Path string
}

// templates are the places of pods in objects, by the kind and the API group.
// https://kubernetes.io/docs/reference/generated/kubernetes-api/v1.35/#podtemplatespec-v1-core
var templates = map[string]string{
	"Pod ": "", "PodTemplate ": "template", "ReplicationController ": "spec.template",
	"Deployment apps": "spec.template", "StatefulSet apps": "spec.template", "DaemonSet apps": "spec.template", "ReplicaSet apps": "spec.template",
	"Job batch": "spec.template", "CronJob batch": "spec.jobTemplate.spec.template",
}

// Workloads returns the objects of documents that are pods or make pods, in their order,
// those in lists of objects included.
func Workloads(documents []*yaml.Node) []Workload {
	var found []Workload
	for _, o := range Objects(documents) {
		group, _, grouped := strings.Cut(scalarAt(o.Root, "apiVersion"), "/")
		if !grouped {
			group = ""
		}
		path, known := templates[o.Kind()+" "+group]
		if !known {
			continue
		}
		pod := o.Root
		if path != "" {
			_, value, ok := strict.Find(o.Root, path)
			if !ok {
				continue
			}
			pod = value
		}
		if pod.Kind == yaml.MappingNode {
			found = append(found, Workload{o, pod, path})
		}
	}
	return found
}

// Name is the object's name; empty if it has none.
func (o Object) Name() string { return scalarAt(o.Root, "metadata.name") }

// Namespace is the object's namespace; empty if it names none.
func (o Object) Namespace() string { return scalarAt(o.Root, "metadata.namespace") }

// workload adds what the webhook would say of a workload's pods.
func (f *file) workload(w Workload) {
	refused, warnings, wantsSecrets := f.Pods(w)
	if !wantsSecrets {
		return
	}
	f.Workloads++
	name := oneLine(w.Kind() + " " + w.Name())
	at := w.Pod
	if key, _, ok := strict.Find(w.Pod, "metadata.annotations"); ok {
		at = key
	}
	for i, text := range append(slices.Clone(refused), warnings...) {
		severity := Error
		if i >= len(refused) {
			severity = Warning
		}
		f.add(Finding{Line: at.Line, Column: at.Column, Namespace: w.Namespace(), Severity: severity, Message: text, short: name + ": " + text})
	}
}
