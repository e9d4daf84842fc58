package cmd

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"

	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
)

// doctorList are the objects of one resource.
type doctorList struct {
	items []unstructured.Unstructured
	err   error
}

// doctorMeta is what names an object.
type doctorMeta struct {
	Kind        string            `json:"kind,omitempty"` // of a reference to it
	Name        string            `json:"name"`
	Namespace   string            `json:"namespace,omitempty"`
	Labels      map[string]string `json:"labels,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

// doctorWorkload is what is looked at of a DaemonSet or a Deployment.
type doctorWorkload struct {
	Metadata doctorMeta `json:"metadata"`
	Spec     struct {
		Selector struct {
			MatchLabels map[string]string `json:"matchLabels"`
		} `json:"selector"`
		Template struct {
			Spec doctorPodSpec `json:"spec"`
		} `json:"template"`
	} `json:"spec"`
	Status struct {
		Desired   int64 `json:"desiredNumberScheduled"`
		Ready     int64 `json:"numberReady"`
		Replicas  int64 `json:"replicas"`
		Available int64 `json:"availableReplicas"`
	} `json:"status"`
}

func (w *doctorWorkload) name() string { return w.Metadata.Namespace + "/" + w.Metadata.Name }

type doctorContainer struct {
	Name  string      `json:"name"`
	Image string      `json:"image"`
	Args  []string    `json:"args"`
	Env   []doctorEnv `json:"env"`
}

type doctorEnv struct {
	Name  string `json:"name"`
	Value string `json:"value,omitempty"`
}

type doctorPodSpec struct {
	ServiceAccount string            `json:"serviceAccountName"`
	NodeName       string            `json:"nodeName"`
	Containers     []doctorContainer `json:"containers"`
	Volumes        []struct {
		Name     string `json:"name"`
		HostPath *struct {
			Path string `json:"path"`
		} `json:"hostPath"`
		Secret *struct {
			Name string `json:"secretName"`
		} `json:"secret"`
		ConfigMap *struct {
			Name string `json:"name"`
		} `json:"configMap"`
		CSI *struct {
			Driver     string            `json:"driver"`
			Attributes map[string]string `json:"volumeAttributes"`
		} `json:"csi"`
	} `json:"volumes"`
}

// doctorPod is what is looked at of a pod.
type doctorPod struct {
	Metadata doctorMeta    `json:"metadata"`
	Spec     doctorPodSpec `json:"spec"`
	Status   struct {
		Phase      string `json:"phase"`
		Reason     string `json:"reason"`
		Containers []struct {
			Name     string `json:"name"`
			Ready    bool   `json:"ready"`
			Restarts int64  `json:"restartCount"`
			State    struct {
				Waiting *struct {
					Reason  string `json:"reason"`
					Message string `json:"message"`
				} `json:"waiting"`
			} `json:"state"`
			Last struct {
				Terminated *struct {
					Reason   string `json:"reason"`
					ExitCode int64  `json:"exitCode"`
				} `json:"terminated"`
			} `json:"lastState"`
		} `json:"containerStatuses"`
	} `json:"status"`
}

// ready says whether all containers of the pod are, and else why not.
func (p *doctorPod) ready() (bool, string) {
	if len(p.Status.Containers) == 0 {
		return false, "it is " + strings.TrimSpace(p.Status.Phase+" "+p.Status.Reason)
	}
	for _, c := range p.Status.Containers {
		switch {
		case c.Ready:
		case c.State.Waiting != nil && c.Last.Terminated != nil:
			return false, fmt.Sprintf("%s, %d restarts, last ended with exit code %d (%s)", c.State.Waiting.Reason, c.Restarts, c.Last.Terminated.ExitCode, c.Last.Terminated.Reason)
		case c.State.Waiting != nil:
			return false, oneLine(c.State.Waiting.Reason + " " + c.State.Waiting.Message)
		default:
			return false, fmt.Sprintf("it runs and is not ready, %d restarts", c.Restarts)
		}
	}
	return true, ""
}

type doctorText struct {
	text string
	err  error
}

// doctorClass is a class in the cluster that is this release's.
type doctorClass struct {
	namespace, name string
	problems        []string
}

// doctorRight is a right that a part must have.
type doctorRight struct {
	account, verb, group, resource, subresource, name, namespace, why string
	allowed                                                           bool
	// bound says that a RoleBinding names the namespace, which whoever has it may make.
	bound bool
	err   error
}

func (r *doctorRight) String() string {
	text := r.verb + " " + r.resource
	if r.subresource != "" {
		text += "/" + r.subresource
	}
	if r.name != "" {
		text += " " + r.name
	}
	if r.namespace != "" {
		return text + " in namespace " + r.namespace
	}
	return text
}

// argument is the value of a flag among arguments, as --flag=value.
func argument(spec *doctorPodSpec, flag string) (string, bool) {
	for _, container := range spec.Containers {
		for _, arg := range container.Args {
			if value, ok := strings.CutPrefix(strings.TrimPrefix(arg, "-"), "-"+flag+"="); ok {
				return value, true
			}
		}
	}
	return "", false
}

// isProvider says that a DaemonSet looks like the chart's.
func (w *doctorWorkload) isProvider() bool {
	return w.Metadata.Labels["app.kubernetes.io/part-of"] == "lanyard" && w.Metadata.Labels["app.kubernetes.io/component"] == "provider"
}

// selector chooses the workload's pods.
func (w *doctorWorkload) selector() string {
	var selector []string
	for _, label := range slices.Sorted(maps.Keys(w.Spec.Selector.MatchLabels)) {
		selector = append(selector, label+"="+w.Spec.Selector.MatchLabels[label])
	}
	return strings.Join(selector, ",")
}

// pods are those of a workload.
func (r *clusterReader) pods(ctx context.Context, of *doctorWorkload) ([]doctorPod, error) {
	items, err := r.list(ctx, podResource, of.Metadata.Namespace, meta.ListOptions{LabelSelector: of.selector()})
	var pods []doctorPod
	for i := range items {
		var pod doctorPod
		if runtime.DefaultUnstructuredConverter.FromUnstructured(items[i].Object, &pod) == nil {
			pods = append(pods, pod)
		}
	}
	return pods, err
}

// metrics reads the metrics of a pod through the API server.
func (r *clusterReader) metrics(ctx context.Context, of *doctorWorkload, pod *doctorPod) (string, error) {
	address, _ := argument(&of.Spec.Template.Spec, "admin-address")
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return "", errors.New("it has no --admin-address with a port")
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil || number == 0 {
		return "", errors.New("the port of its --admin-address is no number from 1 to 65535")
	}
	text, _, err := r.get(ctx, fmt.Sprintf("/api/v1/namespaces/%s/pods/%s:%d/proxy/metrics", url.PathEscape(pod.Metadata.Namespace), url.PathEscape(pod.Metadata.Name), number))
	return text, err
}

// review asks the API server whether an account has a right.
func (r *clusterReader) review(ctx context.Context, right *doctorRight) {
	ctx, cancel := context.WithTimeout(ctx, r.within)
	defer cancel()
	attributes := map[string]any{"verb": right.verb, "group": right.group, "resource": right.resource}
	for field, value := range map[string]string{"subresource": right.subresource, "name": right.name, "namespace": right.namespace} {
		if value != "" {
			attributes[field] = value
		}
	}
	answer, err := r.objects.Resource(reviewResource).Create(ctx, &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview",
		"spec": map[string]any{"user": right.account, "groups": []any{"system:serviceaccounts", "system:authenticated"}, "resourceAttributes": attributes},
	}}, meta.CreateOptions{})
	if right.err = err; err == nil {
		right.allowed, _, right.err = unstructured.NestedBool(answer.Object, "status", "allowed")
	}
}
