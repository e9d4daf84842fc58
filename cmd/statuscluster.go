package cmd

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	core "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/lanyardhq/lanyard/provider/config"
	"github.com/lanyardhq/lanyard/provider/spec"
)

// What lanyard status reads besides what history does.
var (
	podResource   = schema.GroupVersionResource{Version: "v1", Resource: "pods"}
	eventResource = schema.GroupVersionResource{Version: "v1", Resource: "events"}
)

// driverName is what volumes call the Secrets Store CSI driver by, and the name of its
// CSIDriver.
const driverName = "secrets-store.csi.k8s.io"

// What package server/sync notes on classes; see syncOwnerLabel.
const (
	syncAnnotation       = "lanyard.dev/sync"
	syncStatusAnnotation = "lanyard.dev/sync-status"
)

// named is an object of a namespace.
type named struct{ namespace, name string }

// clusterState is what Kubernetes' objects say. Only what is shown is kept of them.
type clusterState struct {
	// classes are by name; nil if they could not be read.
	classes map[named]*classState
	pods    []podState
	mounts  map[mountKey]*mountState
	events  map[string][]mountEvent // by the pod's UID
	syncs   []syncState
	// secrets are the versions by file of the Secrets that the sync controller wrote; nil if
	// Secrets were not read.
	secrets   map[named]map[string]string
	providers []providerPod
	// dialects are the names that the providers answer to; none if no provider was seen.
	dialects map[string]bool
	// hidden says that the pods of providers could not be listed.
	hidden bool
	// notRead says what could not be read, and why.
	notRead []string
}

// classState is a class.
type classState struct {
	uid, provider string
	// objects are those that the class names; none if it cannot be parsed.
	objects []spec.Object
	// account is the service account as which its Secrets are read; empty if it asks for none.
	account string
	wanted  []string // names of the Secrets that it asks for
	synced  *syncedState
}

// syncedState is what the controller says of a class, in an annotation.
type syncedState struct {
	State   string                    `json:"state"`
	Since   time.Time                 `json:"since"`
	Message string                    `json:"message"`
	Secrets map[string]map[string]any `json:"secrets"`
}

// podState is a pod with the volumes that have a class.
type podState struct {
	named
	uid, account, node string
	created            time.Time
	classes            map[string][]string // names of volumes by class
}

// mountKey is a pod's volume to the driver, which keeps one status for each class.
type mountKey struct{ podUID, class string }

// mountState is a SecretProviderClassPodStatus.
type mountState struct {
	made     time.Time
	mounted  bool
	versions map[string]string
}

// mountEvent is an event of the kubelet about a volume that it cannot mount.
type mountEvent struct {
	volume, text string
	first, last  time.Time
}

// syncState is a SecretSync.
type syncState struct {
	named
	uid, class, account string
	tried               bool
	failing             bool
	text                string
	since               time.Time
}

// providerPod is a pod of Lanyard's own that has a status page.
type providerPod struct {
	named
	node    string
	program string // serve or sync
	port    int
}

// clusterQuery says what is read of a cluster.
type clusterQuery struct {
	namespace string // empty for all
	// release and selector say where Lanyard's own pods are; without a selector they are not
	// looked for.
	release, selector string
	secrets           bool
}

// state reads the cluster. What cannot be read is told in notRead; the error is that of a
// cluster that answers nothing.
func (h *clusterClient) state(ctx context.Context, query clusterQuery, progress func(what string, done, total int)) (*clusterState, error) {
	s := &clusterState{
		classes: map[named]*classState{}, mounts: map[mountKey]*mountState{}, events: map[string][]mountEvent{},
		dialects: map[string]bool{},
	}
	parse := dialects(func() config.Dialects { return config.Default().Dialects })
	lists := []struct {
		resource  schema.GroupVersionResource
		namespace string
		options   meta.ListOptions
		optional  bool // its definition may be missing
		take      func(*unstructured.Unstructured)
	}{
		{classResource, query.namespace, meta.ListOptions{}, false, func(o *unstructured.Unstructured) { s.takeClass(o, parse) }},
		{statusResource, query.namespace, meta.ListOptions{}, false, s.takeMount},
		{podResource, query.namespace, meta.ListOptions{}, false, s.takePod},
		{eventResource, query.namespace, meta.ListOptions{FieldSelector: "reason=FailedMount,involvedObject.kind=Pod"}, false, s.takeEvent},
		{syncResource, query.namespace, meta.ListOptions{}, true, s.takeSync},
		{podResource, query.release, meta.ListOptions{LabelSelector: query.selector}, false, s.takeProvider},
	}
	if query.selector == "" {
		lists = lists[:len(lists)-1]
	}
	for i, list := range lists {
		read := 0
		err := eachPage(ctx, func(ctx context.Context, options meta.ListOptions) (*unstructured.UnstructuredList, error) {
			options.FieldSelector, options.LabelSelector = list.options.FieldSelector, list.options.LabelSelector
			return h.objects.Resource(list.resource).Namespace(list.namespace).List(ctx, options)
		}, func(page *unstructured.UnstructuredList) error {
			for i := range page.Items {
				list.take(&page.Items[i])
			}
			read += len(page.Items)
			left := int64(0)
			if n := page.GetRemainingItemCount(); n != nil {
				left = *n
			}
			progress(list.resource.Resource, read, read+int(left))
			return nil
		})
		var answer apierrors.APIStatus
		switch {
		case err == nil, list.optional && apierrors.IsNotFound(err):
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		case apierrors.IsNotFound(err):
			s.notRead = append(s.notRead, fmt.Sprintf("%s: the API server does not know them; the Secrets Store CSI driver is not installed", list.resource.GroupResource()))
		case errors.As(err, &answer):
			s.notRead = append(s.notRead, fmt.Sprintf("%s%s cannot be listed: %s", list.resource.GroupResource(), inNamespace(list.namespace), err))
			switch i {
			case 0:
				s.classes = nil
			case len(lists) - 1:
				s.hidden = query.selector != ""
			}
		default:
			return nil, err // no API server answers, whatever is listed
		}
	}
	if query.secrets {
		s.secrets = map[named]map[string]string{}
		if err := h.eachSecret(ctx, query.namespace, s.takeSecret); err != nil {
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			s.secrets, s.notRead = nil, append(s.notRead, err.Error())
		}
	}
	return s, nil
}

// into reads the fields that are wanted of an object. What has another form is as good as
// empty: others may have written it.
func into[T any](o *unstructured.Unstructured) (wanted T) {
	var zero T
	if runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, &wanted) != nil {
		return zero
	}
	return wanted
}

func nameOf(o meta.Object) named { return named{o.GetNamespace(), o.GetName()} }

func (s *clusterState) takeClass(o *unstructured.Unstructured, parse map[string]spec.Dialect) {
	class := into[struct {
		Spec struct {
			Provider      string            `json:"provider"`
			Parameters    map[string]string `json:"parameters"`
			SecretObjects []struct {
				SecretName string `json:"secretName"`
			} `json:"secretObjects"`
		} `json:"spec"`
	}](o)
	found := &classState{uid: string(o.GetUID()), provider: class.Spec.Provider}
	if read := parse[found.provider]; read != nil {
		if parsed, err := read(class.Spec.Parameters); err == nil { // else the pods' mounts tell it
			found.objects = parsed.Objects
		}
	}
	annotations := o.GetAnnotations()
	if account, asks := annotations[syncAnnotation]; asks {
		found.account = cmp.Or(account, "default")
		for _, secret := range class.Spec.SecretObjects {
			found.wanted = append(found.wanted, secret.SecretName)
		}
		var synced syncedState
		if json.Unmarshal([]byte(annotations[syncStatusAnnotation]), &synced) == nil {
			found.synced = &synced
		}
	}
	s.classes[nameOf(o)] = found
}

func (s *clusterState) takeMount(o *unstructured.Unstructured) {
	status := into[podStatus](o)
	found := &mountState{made: o.GetCreationTimestamp().Time, mounted: status.Status.Mounted, versions: map[string]string{}}
	for _, object := range status.Status.Objects {
		found.versions[object.ID] = object.Version
	}
	for _, owner := range o.GetOwnerReferences() {
		if owner.Kind == "Pod" {
			s.mounts[mountKey{string(owner.UID), status.Status.Class}] = found
		}
	}
}

func (s *clusterState) takePod(o *unstructured.Unstructured) {
	pod := into[struct {
		Spec struct {
			NodeName           string `json:"nodeName"`
			ServiceAccountName string `json:"serviceAccountName"`
			Volumes            []struct {
				Name string `json:"name"`
				CSI  struct {
					Driver     string            `json:"driver"`
					Attributes map[string]string `json:"volumeAttributes"`
				} `json:"csi"`
			} `json:"volumes"`
		} `json:"spec"`
		Status struct {
			Phase core.PodPhase `json:"phase"`
		} `json:"status"`
	}](o)
	if pod.Status.Phase == core.PodSucceeded || pod.Status.Phase == core.PodFailed {
		return // its volumes are gone, or on the way
	}
	found := podState{
		named: nameOf(o), uid: string(o.GetUID()), account: cmp.Or(pod.Spec.ServiceAccountName, "default"), node: pod.Spec.NodeName,
		created: o.GetCreationTimestamp().Time, classes: map[string][]string{},
	}
	for _, volume := range pod.Spec.Volumes {
		if volume.CSI.Driver == driverName {
			class := volume.CSI.Attributes["secretProviderClass"]
			found.classes[class] = append(found.classes[class], volume.Name)
		}
	}
	if len(found.classes) > 0 {
		s.pods = append(s.pods, found)
	}
}

// volumeInEvent is the volume that the kubelet could not mount.
// https://github.com/kubernetes/kubernetes/blob/v1.37.2/pkg/volume/util/operationexecutor/operation_generator.go
var volumeInEvent = regexp.MustCompile(`^MountVolume\.SetUp failed for volume "([^"]*)" : `)

// beforeCause is what the kubelet and the driver put before a provider's text.
var beforeCause = regexp.MustCompile(`^(?:rpc error: code = \w+ desc = |failed to mount secrets store objects for pod \S+, err: |kubernetes\.io/csi: mounter\.SetUpAt failed[^:]*: )`)

func (s *clusterState) takeEvent(o *unstructured.Unstructured) {
	event := into[core.Event](o)
	place := volumeInEvent.FindStringSubmatch(event.Message)
	if place == nil {
		return // of a mount that takes long; why, another event tells
	}
	text := event.Message[len(place[0]):]
	for beforeCause.MatchString(text) {
		text = beforeCause.ReplaceAllString(text, "")
	}
	found := mountEvent{volume: place[1], text: text, first: event.FirstTimestamp.Time, last: event.LastTimestamp.Time}
	if found.last.IsZero() {
		found.first, found.last = event.EventTime.Time, event.EventTime.Time
	}
	if event.Series != nil {
		found.last = event.Series.LastObservedTime.Time
	}
	uid := string(event.InvolvedObject.UID)
	s.events[uid] = append(s.events[uid], found)
}

func (s *clusterState) takeSync(o *unstructured.Unstructured) {
	object := into[struct {
		Spec struct {
			Class   string `json:"secretProviderClassName"`
			Account string `json:"serviceAccountName"`
		} `json:"spec"`
		Status struct {
			Conditions []meta.Condition `json:"conditions"`
		} `json:"status"`
	}](o)
	found := syncState{named: nameOf(o), uid: string(o.GetUID()), tried: len(object.Status.Conditions) > 0, class: object.Spec.Class, account: cmp.Or(object.Spec.Account, "default")}
	for _, condition := range object.Status.Conditions {
		failing := condition.Status != meta.ConditionTrue
		// What fails counts, and of what does not, what happened last.
		if failing && !found.failing || failing == found.failing && condition.LastTransitionTime.After(found.since) {
			found.failing, found.since, found.text = failing, condition.LastTransitionTime.Time, condition.Message
		}
	}
	s.syncs = append(s.syncs, found)
}

func (s *clusterState) takeSecret(o *meta.PartialObjectMetadata) error {
	var versions map[string]string
	if json.Unmarshal([]byte(o.Annotations[syncVersionsAnnotation]), &versions) != nil {
		versions = nil // somebody has changed it
	}
	s.secrets[nameOf(o)] = versions
	return nil
}

// adminPort is the name of the port in the chart's pods at which the status page is.
const adminPort = "admin"

func (s *clusterState) takeProvider(o *unstructured.Unstructured) {
	pod := into[core.Pod](o)
	if pod.Status.Phase == core.PodSucceeded || pod.Status.Phase == core.PodFailed {
		return
	}
	found := providerPod{named: nameOf(o), node: pod.Spec.NodeName}
	for i := range pod.Spec.Containers {
		container := &pod.Spec.Containers[i]
		for _, port := range container.Ports {
			if port.Name == adminPort {
				found.port = int(port.ContainerPort)
				if len(container.Args) > 0 {
					found.program = container.Args[0]
				}
			}
		}
		for _, arg := range container.Args {
			if names, ok := strings.CutPrefix(arg, "--dialects="); ok {
				for name := range strings.SplitSeq(names, ",") {
					s.dialects[name] = true
				}
			}
		}
	}
	if found.port > 0 {
		s.providers = append(s.providers, found)
	}
}

// serves says whether Lanyard answers for classes of a provider.
func (s *clusterState) serves(provider string) bool {
	if len(s.dialects) > 0 {
		return s.dialects[provider]
	}
	_, known := pins[provider]
	return known
}

// nodes are those with pods that mount Lanyard's classes, of those that are meant. The
// values are false.
func (s *clusterState) nodes(filter *statusFilter) map[string]bool {
	nodes := map[string]bool{}
	for i := range s.pods {
		pod := &s.pods[i]
		for name := range pod.classes {
			class := s.classes[named{pod.namespace, name}]
			row := statusRow{Namespace: pod.namespace, Kind: kindPod, Name: pod.name, Class: name}
			if pod.node != "" && (class == nil || s.serves(class.provider)) && filter.names(&row) {
				nodes[pod.node] = false
			}
		}
	}
	return nodes
}

// syncsSecrets says whether there is an object that asks for Secrets.
func (s *clusterState) syncsSecrets() bool {
	if len(s.syncs) > 0 {
		return true
	}
	for _, class := range s.classes {
		if class.account != "" {
			return true
		}
	}
	return false
}
