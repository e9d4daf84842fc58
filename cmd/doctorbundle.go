package cmd

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"
)

// doctorBundle is a support archive. Its texts are kept until all is known that must be
// taken out of them.
type doctorBundle struct {
	path   string
	file   *os.File
	redact *redactor
	texts  map[string]string
	done   bool
}

// createBundle makes the file, which nobody but its owner can read, and which must not
// be there yet.
func createBundle(path string) (*doctorBundle, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	switch {
	case errors.Is(err, fs.ErrExist):
		return nil, usagef("--bundle: %s is there already; give another name, or remove it", path)
	case err != nil:
		return nil, usagef("--bundle: %w", unnamed(path, err))
	}
	return &doctorBundle{path: path, file: file, redact: newRedactor(), texts: map[string]string{}}, nil
}

// abandon removes the file unless it is whole.
func (b *doctorBundle) abandon() {
	if b.done {
		return
	}
	_ = b.file.Close()    //nolint:errcheck // it is removed
	_ = os.Remove(b.path) //nolint:errcheck // nothing can be done
}

// add adds a text.
func (b *doctorBundle) add(name, text string) { b.texts[name] = text }

// addJSON adds a value as JSON.
func (b *doctorBundle) addJSON(name string, value any) {
	text, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		text = []byte(err.Error())
	}
	b.add(name, string(text)+"\n")
}

// finish writes the archive.
func (b *doctorBundle) finish(report *doctorReport) error {
	b.addJSON("doctor.json", report)
	var text strings.Builder
	if err := report.printText(&text); err != nil {
		return err
	}
	b.add("doctor.txt", text.String())
	b.addJSON("version.json", thisBuild())
	packed := gzip.NewWriter(b.file)
	archive := tar.NewWriter(packed)
	for _, name := range slices.Sorted(maps.Keys(b.texts)) {
		content := []byte(b.redact.text(b.texts[name]))
		header := &tar.Header{Name: "lanyard-support/" + name, Mode: 0o600, Size: int64(len(content)), ModTime: time.Unix(0, 0)}
		if err := archive.WriteHeader(header); err != nil {
			return err
		}
		if _, err := archive.Write(content); err != nil {
			return err
		}
	}
	for _, end := range []func() error{archive.Close, packed.Close, b.file.Sync, b.file.Close} {
		if err := end(); err != nil {
			return err
		}
	}
	b.done = true
	return nil
}

// addNode adds what was found on one machine.
func (b *doctorBundle) addNode(d *doctorNode) {
	if d.config != "" {
		text, err := readFile(d.config)
		if err != nil {
			b.add("configuration.yaml", err.Error())
		} else {
			b.add("configuration.yaml", b.redact.yaml(string(text)))
		}
	}
	for _, class := range d.classes {
		b.add("classes/"+safeName(class.name)+".yaml", b.class(class.namespace, class.name, class.provider, class.parameters))
	}
}

// class is a class without what could be a secret.
func (b *doctorBundle) class(namespace, name, provider string, parameters map[string]string) string {
	b.redact.keep(name)
	text, err := yaml.Marshal(map[string]any{
		"metadata": map[string]string{"namespace": namespace, "name": name},
		"spec":     map[string]any{"provider": provider, "parameters": parameters},
	})
	if err != nil {
		return err.Error()
	}
	var plain strings.Builder
	fmt.Fprintf(&plain, "# class %s/%s of provider %s\n", namespace, name, provider)
	plain.WriteString(b.redact.yaml(string(text)))
	return plain.String()
}

// safeName is a name of an object as part of a file's name.
func safeName(name string) string {
	return strings.Map(func(r rune) rune {
		if r == '/' || r == '\\' || r == 0 {
			return '-'
		}
		return r
	}, name)
}

// The bounds of what an archive has of a cluster.
const (
	bundleLogLines = 2000
	bundleLogBytes = 1 << 20
	bundleLogPods  = 30
	bundleObjects  = 2000
)

// addCluster adds what was found in a cluster.
func (b *doctorBundle) addCluster(ctx context.Context, reader *clusterReader, c *doctorCluster) {
	b.addJSON("cluster.json", map[string]any{"kubernetes": c.version, "driver": c.driverObject(), "nodes": len(c.driverNodes())})
	for _, node := range c.driverNodes() {
		b.redact.keep(node)
	}
	var drivers []any
	for _, set := range c.drivers() {
		b.addPlain(&set.Spec.Template.Spec)
		drivers = append(drivers, map[string]any{"name": set.name(), "spec": set.Spec.Template.Spec, "status": set.Status})
	}
	b.addJSON("drivers.json", drivers)
	for i, class := range listed[clusterClass](c, "secretproviderclasses") {
		if i < bundleObjects && c.mayBeOwn(class.Metadata.Namespace, class.Metadata.Name) {
			b.add("classes/"+safeName(class.Metadata.Namespace)+"/"+safeName(class.Metadata.Name)+".yaml", b.class(class.Metadata.Namespace, class.Metadata.Name, class.Spec.Provider, class.Spec.Parameters))
		}
	}
	b.addJSON("events.json", listed[doctorEvent](c, "events"))
	b.addStatuses(ctx, reader)
	for _, release := range c.releases {
		b.addRelease(ctx, reader, release)
	}
}

// addStatuses adds what pods show of their volumes: names, and versions, from which nobody
// learns a value.
func (b *doctorBundle) addStatuses(ctx context.Context, reader *clusterReader) {
	items, err := reader.list(ctx, statusResource, "", meta.ListOptions{})
	if err != nil {
		b.add("podstatuses.json", err.Error())
		return
	}
	var statuses []podStatus
	for i := range items[:min(len(items), bundleObjects)] {
		var status podStatus
		if runtime.DefaultUnstructuredConverter.FromUnstructured(items[i].Object, &status) == nil {
			for _, object := range status.Status.Objects {
				b.redact.keep(object.Version)
			}
			statuses = append(statuses, status)
		}
	}
	b.addJSON("podstatuses.json", statuses)
}

func (b *doctorBundle) addRelease(ctx context.Context, reader *clusterReader, r *doctorRelease) {
	below := "releases/" + safeName(r.provider.Metadata.Namespace) + "-" + safeName(r.helm()) + "/"
	b.add(below+"configuration.yaml", b.redact.yaml(r.configText))
	logs := 0
	for _, part := range slices.Sorted(maps.Keys(r.pods)) {
		pods := r.pods[part]
		for i := range pods {
			pod := &pods[i]
			b.redact.keep(pod.Metadata.Name)
			for name, value := range pod.Metadata.Annotations {
				pod.Metadata.Annotations[name] = b.redact.take(value)
			}
			b.addPlain(&pod.Spec)
			if logs++; logs > bundleLogPods {
				continue
			}
			for _, container := range pod.Spec.Containers {
				for _, previous := range []string{"", "&previous=true"} {
					text, _, err := reader.get(ctx, fmt.Sprintf("/api/v1/namespaces/%s/pods/%s/log?container=%s&tailLines=%d&limitBytes=%d%s",
						pod.Metadata.Namespace, pod.Metadata.Name, container.Name, bundleLogLines, bundleLogBytes, previous))
					switch {
					case err == nil && previous != "":
						b.add(below+"logs/"+pod.Metadata.Name+"-"+container.Name+".previous.log", text)
					case err == nil:
						b.add(below+"logs/"+pod.Metadata.Name+"-"+container.Name+".log", text)
					case previous == "":
						b.add(below+"logs/"+pod.Metadata.Name+"-"+container.Name+".log", err.Error())
					}
				}
			}
		}
	}
	b.addJSON(below+"pods.json", r.pods)
	for pod, read := range r.metrics {
		if read.err != nil {
			read.text = read.err.Error()
		}
		b.add(below+"metrics/"+pod+".txt", read.text)
	}
}

// ownFlags are the flags of the parts that run in a cluster, whose values hold no secret.
func ownFlags() map[string]bool {
	known := map[string]bool{}
	for _, c := range []*cobra.Command{newServe(), newSync(), newInject(), newAgent(), newKMS()} {
		c.Flags().VisitAll(func(f *pflag.Flag) { known[f.Name] = true })
	}
	for name := range strings.FieldsSeq("endpoint nodeid provider-volume additional-provider-volume-paths enable-secret-rotation rotation-poll-interval metrics-addr log-format-json") {
		known[name] = true
	}
	return known
}

// addPlain leaves of a pod's containers what is known to be plain: of the environment the
// names, and of arguments those of known flags.
func (b *doctorBundle) addPlain(spec *doctorPodSpec) {
	known := ownFlags()
	for i := range spec.Containers {
		container := &spec.Containers[i]
		b.redact.keep(container.Image)
		for j := range container.Env {
			container.Env[j].Value = b.redact.take(container.Env[j].Value)
		}
		for j, arg := range container.Args {
			name, value, has := strings.Cut(strings.TrimLeft(arg, "-"), "=")
			switch {
			case has && !known[name]:
				container.Args[j] = "--" + name + "=" + b.redact.take(value)
			case !has && !strings.HasPrefix(arg, "-") && j > 0:
				container.Args[j] = b.redact.take(arg)
			}
		}
	}
}
