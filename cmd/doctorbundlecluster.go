package cmd

import (
	"context"
	"fmt"
	"maps"
	"net/url"
	"slices"

	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// The bounds of what an archive has of a cluster.
const (
	bundleLogLines   = 2000
	bundleLogPods    = 30
	bundleContainers = 5
	bundleObjects    = 2000
)

// addCluster adds what was found in a cluster.
func (b *doctorBundle) addCluster(ctx context.Context, reader *clusterReader, c *doctorCluster) {
	for _, node := range c.driverNodes() {
		b.redact.keep(node)
	}
	b.addView("cluster.json", map[string]any{"kubernetes": b.redact.name(c.version), "driver": b.driverView(c.driverObject()), "nodes": len(c.driverNodes())})
	var drivers []any
	for _, set := range c.drivers() {
		drivers = append(drivers, b.workloadView(&set))
	}
	b.addView("drivers.json", drivers)
	classes := 0
	for _, class := range listed[clusterClass](c, "secretproviderclasses") {
		if own, _ := c.ownClass(class.Metadata.Namespace, class.Metadata.Name); !own {
			continue
		}
		if classes++; classes > bundleObjects {
			b.note("classes: those after the first %d are left out", bundleObjects)
			break
		}
		b.addClass("classes/"+b.fileName(class.Metadata.Namespace)+"/", class.Metadata.Namespace, class.Metadata.Name, class.Spec.Provider, class.Spec.Parameters)
	}
	var events []any
	for _, event := range c.waiting.pods {
		events = append(events, b.eventView(&event.doctorEvent))
	}
	b.addView("events.json", events)
	b.addStatuses(ctx, reader, c)
	for _, release := range c.releases {
		b.addRelease(ctx, reader, release)
	}
}

// addStatuses adds what pods show of their volumes: names, and versions, from which nobody
// learns a value. Those of classes of other providers are none of Lanyard's.
func (b *doctorBundle) addStatuses(ctx context.Context, reader *clusterReader, c *doctorCluster) {
	items, err := reader.list(ctx, statusResource, "", meta.ListOptions{})
	if err != nil {
		b.add("podstatuses.json", err.Error()+"\n", b.redact.text)
		return
	}
	var statuses []any
	for i := range items {
		var status podStatus
		if runtime.DefaultUnstructuredConverter.FromUnstructured(items[i].Object, &status) != nil {
			continue
		}
		if own, _ := c.ownClass(items[i].GetNamespace(), status.Status.Class); !own {
			continue
		}
		if len(statuses) >= bundleObjects {
			b.note("podstatuses.json: those after the first %d are left out", bundleObjects)
			break
		}
		statuses = append(statuses, b.statusView(items[i].GetNamespace(), &status))
	}
	b.addView("podstatuses.json", statuses)
}

func (b *doctorBundle) addRelease(ctx context.Context, reader *clusterReader, r *doctorRelease) {
	below := "releases/" + b.fileName(r.provider.Metadata.Namespace+"-"+r.helm()) + "/"
	b.addYAML(below+"configuration.yaml", r.configText, configLayout)
	parts, logs := map[string]any{}, 0
	for _, part := range slices.Sorted(maps.Keys(r.pods)) {
		var pods []any
		for i := range r.pods[part] {
			pod := &r.pods[part][i]
			b.redact.keep(pod.Metadata.Name)
			if len(pods) < bundleObjects {
				pods = append(pods, b.podView(pod))
			}
			if logs++; logs <= bundleLogPods {
				b.addLogs(ctx, reader, below, pod)
			}
		}
		parts[part] = pods
	}
	if logs > bundleLogPods {
		b.note("%slogs: those of %d further pods are left out", below, logs-bundleLogPods)
	}
	b.addView(below+"pods.json", parts)
	for _, pod := range slices.Sorted(maps.Keys(r.metrics)) {
		name := below + "metrics/" + b.fileName(pod) + ".txt"
		if read := r.metrics[pod]; read.err != nil {
			b.add(name, read.err.Error()+"\n", b.redact.text)
		} else {
			b.add(name, read.text, b.redact.metrics)
		}
	}
}

// addLogs adds the logs of a pod's containers, and of those that ran before them.
func (b *doctorBundle) addLogs(ctx context.Context, reader *clusterReader, below string, pod *doctorPod) {
	for i, container := range pod.Spec.Containers {
		if i >= bundleContainers || b.full() {
			b.note("%slogs: those of pod %s are not whole", below, pod.Metadata.Name)
			return
		}
		for _, previous := range []string{"", "&previous=true"} {
			text, _, err := reader.get(ctx, fmt.Sprintf("/api/v1/namespaces/%s/pods/%s/log?container=%s&tailLines=%d&limitBytes=%d%s", url.PathEscape(pod.Metadata.Namespace),
				url.PathEscape(pod.Metadata.Name), url.QueryEscape(container.Name), bundleLogLines, maxBundlePart/2, previous))
			name := below + "logs/" + b.fileName(pod.Metadata.Name+"-"+container.Name)
			switch {
			case err == nil && previous != "":
				b.add(name+".previous.log", text, b.redact.log)
			case err == nil:
				b.add(name+".log", text, b.redact.log)
			case previous == "":
				b.add(name+".log", err.Error()+"\n", b.redact.text)
			}
		}
	}
}
