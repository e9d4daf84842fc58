package deployment

import (
	"bytes"
	"maps"
	"slices"

	"sigs.k8s.io/yaml"
)

// namespace is what plain manifests install into. Pods that mount a directory
// of the node, as the provider's must, are admitted under no stricter profile.
const namespace = `---
apiVersion: v1
kind: Namespace
metadata:
  name: lanyard
  labels:
    pod-security.kubernetes.io/enforce: privileged
    pod-security.kubernetes.io/audit: privileged
    pod-security.kubernetes.io/warn: privileged
`

// madeFrom heads each file of plain manifests.
const madeFrom = "# Made from deployment/charts/lanyard by make manifests; change that.\n"

// variants are the plain manifests: the values of each file beside the chart's
// defaults, and which of the chart's objects are in it, by their component and
// kind. No kinds are all.
var variants = map[string]struct {
	values    string
	before    string
	component string
	kinds     []string
}{
	"lanyard.yaml":       {before: namespace, component: "provider"},
	"monitoring.yaml":    {values: "networkPolicy: {enabled: false}\npodMonitor: {enabled: true}\nprometheusRule: {enabled: true}\n", component: "provider", kinds: []string{"PodMonitor", "PrometheusRule"}},
	"inject.yaml":        {values: "inject: {enabled: true}\n", component: "inject"},
	"sync.yaml":          {values: "sync: {enabled: true}\n", component: "sync"},
	"impersonation.yaml": {values: "impersonation: {mode: report}\n", component: "impersonation"},
}

// Plain renders the files of deployment/manifests, by name.
func Plain() (map[string][]byte, error) {
	files := map[string][]byte{}
	for _, name := range slices.Sorted(maps.Keys(variants)) {
		variant := variants[name]
		values, err := Values(variant.values)
		if err != nil {
			return nil, err
		}
		rendered, err := Render(Release{Name: "lanyard", Namespace: "lanyard", Service: "kubectl", Values: values})
		if err != nil {
			return nil, err
		}
		var only Rendered
		for _, object := range rendered.Objects {
			var read struct {
				Metadata struct{ Labels map[string]string }
			}
			if err := yaml.Unmarshal([]byte(object.Content), &read); err != nil {
				return nil, err
			}
			if read.Metadata.Labels["app.kubernetes.io/component"] == variant.component && (variant.kinds == nil || slices.Contains(variant.kinds, object.Head.Kind)) {
				only.Objects = append(only.Objects, object)
			}
		}
		files[name] = bytes.Join([][]byte{[]byte(madeFrom), []byte(variant.before), only.YAML()}, nil)
	}
	return files, nil
}
