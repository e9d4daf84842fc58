package deployment

import (
	"slices"
	"strings"
	"testing"

	"helm.sh/helm/v3/pkg/releaseutil"
	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

// render renders the chart with values as they stand in a file.
func render(t *testing.T, values string) Rendered {
	t.Helper()
	rendered, err := renderOrError(t, values)
	if err != nil {
		t.Fatalf("with the values\n%s\n%v", values, err)
	}
	return rendered
}

func renderOrError(t *testing.T, values string) (Rendered, error) {
	t.Helper()
	read, err := Values(values)
	if err != nil {
		t.Fatal(err)
	}
	return Render(Release{Name: "lanyard", Namespace: "secrets", Values: read})
}

// object is the only object of a kind, read strictly.
func object[T any](t *testing.T, rendered Rendered, kind string) T {
	t.Helper()
	var target T
	found, err := rendered.Decode(kind, &target)
	if err != nil || !found {
		t.Fatalf("%s: found is %v: %v", kind, found, err)
	}
	return target
}

// unmarked is a release without the mark that every one has, which gives no right.
func unmarked(rendered Rendered) Rendered {
	rendered.Objects = slices.DeleteFunc(slices.Clone(rendered.Objects), func(object releaseutil.Manifest) bool {
		return object.Head.Metadata != nil && strings.HasSuffix(object.Head.Metadata.Name, ":mark")
	})
	return rendered
}

func daemonSet(t *testing.T, rendered Rendered) apps.DaemonSet {
	t.Helper()
	return object[apps.DaemonSet](t, rendered, "DaemonSet")
}

func pod(t *testing.T, values string) core.PodSpec {
	t.Helper()
	return daemonSet(t, render(t, values)).Spec.Template.Spec
}

func container(t *testing.T, values string) core.Container {
	t.Helper()
	containers := pod(t, values).Containers
	if len(containers) != 1 {
		t.Fatalf("there are %d containers", len(containers))
	}
	return containers[0]
}

// part is what was rendered of a component of the release.
func part(t *testing.T, rendered Rendered, component string) Rendered {
	t.Helper()
	var its Rendered
	for _, object := range rendered.Objects {
		var read struct {
			Metadata struct{ Labels map[string]string }
		}
		decode(t, object.Content, &read)
		if read.Metadata.Labels["app.kubernetes.io/component"] == component {
			its.Objects = append(its.Objects, object)
		}
	}
	return its
}

// kinds are the kinds of all objects, sorted.
func kinds(rendered Rendered) string {
	var all []string
	for _, object := range rendered.Objects {
		all = append(all, object.Head.Kind)
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

// mount is the volume of a pod that is mounted at a path.
func mount(t *testing.T, spec core.PodSpec, path string) (core.VolumeMount, core.Volume) {
	t.Helper()
	for _, mount := range spec.Containers[0].VolumeMounts {
		if mount.MountPath != path {
			continue
		}
		for _, volume := range spec.Volumes {
			if volume.Name == mount.Name {
				return mount, volume
			}
		}
	}
	t.Fatalf("no volume is mounted at %s", path)
	return core.VolumeMount{}, core.Volume{}
}

// decode reads YAML of which only some fields matter.
func decode(t *testing.T, text string, target any) {
	t.Helper()
	if err := yaml.Unmarshal([]byte(text), target); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
}
