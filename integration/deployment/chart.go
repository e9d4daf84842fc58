// Package deployment renders the chart in deployment/charts/lanyard as Helm
// does, for its tests and for the plain manifests. It never talks to a cluster.
//
// Start with Render.
package deployment

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	"helm.sh/helm/v3/pkg/releaseutil"
	"sigs.k8s.io/yaml"

	"github.com/lanyardhq/lanyard/integration/checkout"
)

// kubeVersion is the version of Kubernetes that is rendered for.
const kubeVersion = "v1.34.4"

// Release is what a rendering is for.
type Release struct {
	Name, Namespace string
	// Service is who manages the objects; "Helm" if empty.
	Service string
	// Values are laid over the chart's own.
	Values map[string]any
	// Packaged renders the packaged chart, which holds the driver's, in place of the checkout's. As
	// the driver's chart needs it, templates may then use values that are not there.
	Packaged bool
}

// Rendered is what came out.
type Rendered struct {
	// Notes is the text that Helm prints.
	Notes string
	// Objects are documents of YAML, one object each, in the order in which
	// they are to be created.
	Objects []releaseutil.Manifest
}

// Values reads values as they stand in a values file.
func Values(text string) (map[string]any, error) {
	values, err := chartutil.ReadValues([]byte(text))
	if err != nil {
		return nil, fmt.Errorf("these values are no YAML: %w", err)
	}
	return values, nil
}

// Render renders the chart. Values that its schema refuses, templates that fail
// and templates that use what is not there are errors.
func Render(release Release) (Rendered, error) {
	read := load
	if release.Packaged {
		read = withDriver
	}
	chart, err := read()
	if err != nil {
		return Rendered{}, fmt.Errorf("the chart cannot be loaded: %w", err)
	}
	if err := chartutil.ProcessDependencies(chart, release.Values); err != nil {
		return Rendered{}, err
	}
	version, err := chartutil.ParseKubeVersion(kubeVersion)
	if err != nil {
		return Rendered{}, fmt.Errorf("%s is no version: %w", kubeVersion, err)
	}
	if !chartutil.IsCompatibleRange(chart.Metadata.KubeVersion, kubeVersion) {
		return Rendered{}, fmt.Errorf("the chart is not for Kubernetes %s, but %s", kubeVersion, chart.Metadata.KubeVersion)
	}
	capabilities := chartutil.DefaultCapabilities.Copy()
	capabilities.KubeVersion = *version
	options := chartutil.ReleaseOptions{Name: release.Name, Namespace: release.Namespace, Revision: 1, IsInstall: true}
	values, err := chartutil.ToRenderValues(chart, release.Values, options, capabilities)
	if err != nil {
		return Rendered{}, err
	}
	if release.Service != "" {
		about, ok := values["Release"].(map[string]any)
		if !ok {
			return Rendered{}, errors.New("what Helm gives templates has no Release")
		}
		about["Service"] = release.Service
	}
	files, err := engine.Engine{Strict: !release.Packaged}.Render(chart, values)
	if err != nil {
		return Rendered{}, err
	}
	return sorted(files, capabilities, release.Packaged)
}

// load reads the chart of the checkout.
func load() (*chart.Chart, error) {
	dir, err := checkout.Path("deployment", "charts", "lanyard")
	if err != nil {
		return nil, err
	}
	return loader.LoadDir(dir)
}

// sorted takes the notes from the files and the objects apart. Hooks, which only the driver's chart has, are left out.
func sorted(files map[string]string, capabilities *chartutil.Capabilities, mayHook bool) (Rendered, error) {
	var rendered Rendered
	objects := maps.Clone(files)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if path.Base(name) == "NOTES.txt" {
			if name == "lanyard/templates/NOTES.txt" {
				rendered.Notes = files[name]
			}
			delete(objects, name)
		}
	}
	hooks, manifests, err := releaseutil.SortManifests(objects, capabilities.APIVersions, releaseutil.InstallOrder)
	if err != nil {
		return Rendered{}, fmt.Errorf("what the chart renders is no list of objects: %w", err)
	}
	if len(hooks) > 0 && !mayHook {
		return Rendered{}, fmt.Errorf("the chart has %d hooks, which plain manifests cannot have", len(hooks))
	}
	rendered.Objects = manifests
	return rendered, nil
}

// YAML is all objects as one file.
func (r Rendered) YAML() []byte {
	var all bytes.Buffer
	for _, object := range r.Objects {
		fmt.Fprintf(&all, "---\n%s\n", strings.TrimSpace(object.Content))
	}
	return all.Bytes()
}

// Decode reads the only object of a kind into target, which must have all of
// the object's fields. It reports whether there is one.
func (r Rendered) Decode(kind string, target any) (bool, error) {
	found := false
	for _, object := range r.Objects {
		if object.Head.Kind != kind {
			continue
		}
		if found {
			return false, fmt.Errorf("there are several objects of the kind %s", kind)
		}
		found = true
		if err := yaml.UnmarshalStrict([]byte(object.Content), target); err != nil {
			return false, fmt.Errorf("the %s is wrong: %w\n%s", kind, err, object.Content)
		}
	}
	return found, nil
}
