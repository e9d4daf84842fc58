package cmd

import (
	"regexp"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Views are what an archive has of objects: the fields that whoever helps needs, each with
// a value of its form or without.

func (b *doctorBundle) names(names []string) []any {
	list := make([]any, 0, len(names))
	for _, name := range names {
		list = append(list, b.redact.name(name))
	}
	return list
}

func (b *doctorBundle) driverView(object *csiDriver) any {
	if object == nil {
		return nil
	}
	var audiences []any
	for _, token := range object.Spec.Tokens {
		if isAddress(token.Audience) || isName(token.Audience) {
			audiences = append(audiences, token.Audience)
		} else {
			audiences = append(audiences, b.redact.take(token.Audience))
		}
	}
	return map[string]any{
		"name": b.redact.name(object.Metadata.Name), "podInfoOnMount": object.Spec.PodInfo, "requiresRepublish": object.Spec.Republish,
		"volumeLifecycleModes": b.names(object.Spec.Modes), "audiences": audiences,
	}
}

// metaView has of labels what the chart and the driver give; annotations are taken out.
func (b *doctorBundle) metaView(of *doctorMeta) map[string]any {
	labels := map[string]any{}
	for name, value := range of.Labels {
		if strings.HasPrefix(name, "app.kubernetes.io/") && isName(name) && isName(value) {
			labels[name] = value
		} else if !isName(value) {
			b.redact.take(value)
		}
	}
	for _, value := range of.Annotations {
		b.redact.take(value)
	}
	return map[string]any{"namespace": b.redact.name(of.Namespace), "name": b.redact.name(of.Name), "labels": labels}
}

func (b *doctorBundle) workloadView(of *doctorWorkload) any {
	return map[string]any{"metadata": b.metaView(&of.Metadata), "spec": b.specView(&of.Spec.Template.Spec), "status": map[string]any{
		"desiredNumberScheduled": of.Status.Desired, "numberReady": of.Status.Ready, "replicas": of.Status.Replicas, "availableReplicas": of.Status.Available,
	}}
}

func (b *doctorBundle) specView(spec *doctorPodSpec) any {
	var containers, volumes []any
	for i := range spec.Containers {
		containers = append(containers, b.containerView(&spec.Containers[i]))
	}
	for _, volume := range spec.Volumes {
		view := map[string]any{"name": b.redact.name(volume.Name)}
		switch {
		case volume.HostPath != nil:
			view["hostPath"] = b.redact.name(volume.HostPath.Path)
		case volume.Secret != nil:
			view["secret"] = b.redact.name(volume.Secret.Name)
		case volume.ConfigMap != nil:
			view["configMap"] = b.redact.name(volume.ConfigMap.Name)
		}
		volumes = append(volumes, view)
	}
	return map[string]any{
		"serviceAccountName": b.redact.name(spec.ServiceAccount), "nodeName": b.redact.name(spec.NodeName),
		"containers": containers, "volumes": volumes,
	}
}

// containerView has of the environment the names, and of arguments those of known flags.
func (b *doctorBundle) containerView(of *doctorContainer) any {
	image := of.Image
	if !isImage(image) {
		image = b.redact.take(image)
	}
	var args, env []any
	known := ownFlags()
	for i, arg := range of.Args {
		name, value, has := strings.Cut(strings.TrimLeft(arg, "-"), "=")
		switch {
		case !isWord(name) || !strings.HasPrefix(arg, "-") && i > 0:
			args = append(args, b.redact.take(arg))
		case has && (!known[name] || !isArgument(value)):
			args = append(args, "--"+name+"="+b.redact.take(value))
		default:
			args = append(args, arg)
		}
	}
	for _, variable := range of.Env {
		env = append(env, b.redact.name(variable.Name))
		b.redact.take(variable.Value)
	}
	return map[string]any{"name": b.redact.name(of.Name), "image": image, "args": args, "env": env}
}

var argumentPattern = regexp.MustCompile(`^(\$\([A-Z_]{1,40}\)|:\d{1,5}|unix://?/[a-z0-9/._-]{1,80})?$`)

// isArgument is true of what flags of the parts have.
var isArgument = isFormList(func(value string) bool {
	return argumentPattern.MatchString(value) || isBool(value) || isNumber(value) || isSize(value) || isDuration(value) || isName(value) || isAddress(value)
})

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

func (b *doctorBundle) podView(pod *doctorPod) any {
	var containers []any
	for i := range pod.Status.Containers {
		of := &pod.Status.Containers[i]
		view := map[string]any{"name": b.redact.name(of.Name), "ready": of.Ready, "restartCount": of.Restarts}
		if waiting := of.State.Waiting; waiting != nil {
			view["waiting"] = map[string]any{"reason": b.redact.name(waiting.Reason), "message": freeText(waiting.Message)}
		}
		if last := of.Last.Terminated; last != nil {
			view["lastTerminated"] = map[string]any{"reason": b.redact.name(last.Reason), "exitCode": last.ExitCode}
		}
		containers = append(containers, view)
	}
	return map[string]any{"metadata": b.metaView(&pod.Metadata), "spec": b.specView(&pod.Spec), "status": map[string]any{
		"phase": b.redact.name(pod.Status.Phase), "reason": b.redact.name(pod.Status.Reason), "containers": containers,
	}}
}

func (b *doctorBundle) eventView(of *doctorEvent) any {
	last := of.Last
	if !isTime(last) {
		last = ""
	}
	return map[string]any{"namespace": b.redact.name(of.Involved.Namespace), "pod": b.redact.name(of.Involved.Name), "count": of.Count, "last": last, "message": freeText(of.Message)}
}

// versionPattern is that of versions in pods' statuses.
var versionPattern = regexp.MustCompile(`^[A-Za-z0-9._:/+=-]{1,128}$`)

func (b *doctorBundle) statusView(namespace string, of *podStatus) any {
	var objects []any
	for _, object := range of.Status.Objects {
		version := object.Version
		if !versionPattern.MatchString(version) {
			version = b.redact.take(version)
		}
		objects = append(objects, map[string]any{"id": b.redact.name(object.ID), "version": version})
	}
	return map[string]any{"namespace": b.redact.name(namespace), "pod": b.redact.name(of.Status.PodName), "class": b.redact.name(of.Status.Class), "objects": objects}
}
