package cmd

import (
	"context"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/lanyardhq/lanyard/provider/config"
	"github.com/lanyardhq/lanyard/provider/engine"
	"github.com/lanyardhq/lanyard/provider/spec"
)

// What lanyard status reads besides what history does.
var (
	podResource     = schema.GroupVersionResource{Version: "v1", Resource: "pods"}
	eventResource   = schema.GroupVersionResource{Version: "v1", Resource: "events"}
	bindingResource = schema.GroupVersionResource{Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "clusterrolebindings"}
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
	filter *statusFilter
	// classes are by name; nil if they could not be read.
	classes map[named]*classState
	pods    map[podKey]*podState // those that the filter shows
	byUID   map[string]*podState
	mounts  map[mountKey]*mountState
	events  map[eventKey]mountEvent // the latest of each volume
	syncs   []syncState
	owners  map[string]named // what asks for Secrets, by UID
	// secrets are the versions by file of the Secrets that the sync controller wrote; nil if
	// Secrets were not read.
	secrets   map[named]map[string]string
	providers []providerPod
	// dialects are the names that the providers answer to; none if no provider was seen.
	dialects map[string]bool
	// hidden says that the pods of providers could not be found.
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

// podKey is a pod. Who may write in one namespace can name a pod's UID of another one.
type podKey struct{ namespace, uid string }

// mountKey is a pod's volume to the driver, which keeps one status for each class.
type mountKey struct {
	pod   podKey
	class string
}

// eventKey is a pod's volume to the kubelet.
type eventKey struct {
	pod    podKey
	volume string
}

// mountState is a SecretProviderClassPodStatus.
type mountState struct {
	made     time.Time
	mounted  bool
	versions map[string]string
}

// mountEvent is an event of the kubelet about a volume that it cannot mount.
type mountEvent struct {
	text        string
	first, last time.Time
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

// clusterQuery says what is read of a cluster.
type clusterQuery struct {
	filter *statusFilter
	// release and selector say where Lanyard's own pods are; without a selector they are not
	// looked for.
	release, selector string
	secrets           bool
}

// progressFunc is told how many objects of a kind were read.
type progressFunc func(what string, done, total int)

// clusterList is one list of the API server's.
type clusterList struct {
	resource  schema.GroupVersionResource
	namespace string // empty for all
	options   meta.ListOptions
	optional  bool // its definition may be missing
	take      func(*unstructured.Unstructured)
}

// state reads the cluster. What cannot be read is told in notRead; the error is that of a
// cluster that answers nothing, or of one that has several releases. Pods are read before
// what belongs to them, so that nothing else is kept.
func (h *clusterClient) state(ctx context.Context, query clusterQuery, progress progressFunc) (*clusterState, error) {
	s := &clusterState{
		filter:  query.filter,
		classes: map[named]*classState{}, pods: map[podKey]*podState{}, byUID: map[string]*podState{}, mounts: map[mountKey]*mountState{}, events: map[eventKey]mountEvent{},
		owners: map[string]named{}, dialects: map[string]bool{},
	}
	parse := dialects(func() config.Dialects { return config.Default().Dialects })
	namespace := query.filter.namespace
	for _, list := range []clusterList{
		{resource: classResource, take: func(o *unstructured.Unstructured) { s.takeClass(o, parse) }},
		{resource: podResource, take: s.takePod},
		{resource: statusResource, take: s.takeMount},
		{resource: eventResource, options: meta.ListOptions{FieldSelector: "reason=FailedMount,involvedObject.kind=Pod"}, take: s.takeEvent},
		{resource: syncResource, optional: true, take: s.takeSync},
	} {
		list.namespace = namespace
		unread, err := h.read(ctx, list, progress)
		if err != nil {
			return nil, err
		}
		if unread != "" {
			s.notRead = append(s.notRead, unread)
			if list.resource == classResource {
				s.classes = nil
			}
		}
	}
	if query.selector != "" {
		if err := h.releasePods(ctx, query, s, progress); err != nil {
			return nil, err
		}
	}
	if query.secrets {
		s.secrets = map[named]map[string]string{}
		if err := h.eachSecret(ctx, namespace, s.takeSecret); err != nil {
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			s.secrets, s.notRead = nil, append(s.notRead, err.Error())
		}
	}
	return s, nil
}

// read reads a list. The text says why it cannot be read by this person; the error is that
// of a cluster that answers nothing.
func (h *clusterClient) read(ctx context.Context, list clusterList, progress progressFunc) (unread string, _ error) {
	done := 0
	err := eachPage(ctx, func(ctx context.Context, options meta.ListOptions) (*unstructured.UnstructuredList, error) {
		options.FieldSelector, options.LabelSelector = list.options.FieldSelector, list.options.LabelSelector
		return h.objects.Resource(list.resource).Namespace(list.namespace).List(ctx, options)
	}, func(page *unstructured.UnstructuredList) error {
		for i := range page.Items {
			list.take(&page.Items[i])
		}
		done += len(page.Items)
		left := int64(0)
		if n := page.GetRemainingItemCount(); n != nil {
			left = *n
		}
		progress(list.resource.Resource, done, done+int(left))
		return nil
	})
	var answer apierrors.APIStatus
	switch {
	case err == nil, list.optional && apierrors.IsNotFound(err):
		return "", nil
	case ctx.Err() != nil:
		return "", context.Cause(ctx)
	case apierrors.IsNotFound(err):
		return fmt.Sprintf("%s: the API server does not know them; the Secrets Store CSI driver is not installed", list.resource.GroupResource()), nil
	case errors.As(err, &answer):
		return fmt.Sprintf("%s%s cannot be listed: %s", list.resource.GroupResource(), inNamespace(list.namespace), err), nil
	}
	return "", err // no API server answers, whatever is listed
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
	for _, pod := range s.pods {
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

// vouches says whether the facts that a provider tells of a volume are about what is shown,
// and whether they are of something that the API server knows to be otherwise: another
// name, or a pod on another node. Of what it does not know nothing is shown.
func (s *clusterState) vouches(from *providerPod, volume *engine.VolumeFacts) (take, otherwise bool) {
	if from.program == programSync {
		owner, known := s.owners[volume.PodUID]
		take = known && volume.Pod == "" && sameName(volume.Namespace, owner.namespace)
		return take, known && !take
	}
	pod := s.byUID[volume.PodUID]
	if pod == nil {
		return false, false
	}
	same := sameName(volume.Namespace, pod.namespace) && sameName(volume.Pod, pod.name) && pod.node == from.node
	_, mounts := pod.classes[volume.Class]
	return same && mounts, !same
}
