package cmd

import (
	"cmp"
	"encoding/json"
	"regexp"
	"slices"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/provider/spec"
)

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
	if account, wants := annotations[syncAnnotation]; wants {
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
	if found.account != "" {
		s.owners[found.uid] = nameOf(o)
	}
}

func (s *clusterState) takeMount(o *unstructured.Unstructured) {
	status := into[podStatus](o)
	for _, owner := range o.GetOwnerReferences() {
		pod := podKey{o.GetNamespace(), string(owner.UID)}
		if owner.Kind != "Pod" || s.pods[pod] == nil {
			continue
		}
		found := &mountState{made: o.GetCreationTimestamp().Time, mounted: status.Status.Mounted, versions: map[string]string{}}
		for _, object := range status.Status.Objects {
			found.versions[printableName(object.ID)] = printableName(object.Version)
		}
		s.mounts[mountKey{pod, status.Status.Class}] = found
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
	found := &podState{
		named: nameOf(o), uid: string(o.GetUID()), account: cmp.Or(pod.Spec.ServiceAccountName, "default"), node: pod.Spec.NodeName,
		created: o.GetCreationTimestamp().Time, classes: map[string][]string{},
	}
	for _, volume := range pod.Spec.Volumes {
		if volume.CSI.Driver == driverName {
			class := message.Cut(volume.CSI.Attributes["secretProviderClass"], maxName)
			if row := (statusRow{Namespace: found.namespace, Kind: kindPod, Name: found.name, Class: class}); !s.filter.names(&row) {
				continue
			}
			found.classes[class] = append(found.classes[class], volume.Name)
		}
	}
	if len(found.classes) > 0 {
		s.pods[podKey{found.namespace, found.uid}], s.byUID[found.uid] = found, found
	}
}

// maxName is how long the name of an object of Kubernetes can be.
const maxName = 253

// has says whether a class is mounted as the volume of a name.
func (p *podState) has(volume string) bool {
	for _, volumes := range p.classes {
		if slices.Contains(volumes, volume) {
			return true
		}
	}
	return false
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
	of := eventKey{podKey{o.GetNamespace(), string(event.InvolvedObject.UID)}, place[1]}
	if pod := s.pods[of.pod]; pod == nil || !pod.has(of.volume) {
		return
	}
	text := event.Message[len(place[0]):]
	for beforeCause.MatchString(text) {
		text = beforeCause.ReplaceAllString(text, "")
	}
	found := mountEvent{text: printablePassage(text), first: event.FirstTimestamp.Time, last: event.LastTimestamp.Time}
	if found.last.IsZero() {
		found.first, found.last = event.EventTime.Time, event.EventTime.Time
	}
	if event.Series != nil {
		found.last = event.Series.LastObservedTime.Time
	}
	if known, ok := s.events[of]; !ok || found.last.After(known.last) {
		s.events[of] = found
	}
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
	found.text = printablePassage(found.text)
	s.syncs, s.owners[found.uid] = append(s.syncs, found), found.named
}

func (s *clusterState) takeSecret(o *meta.PartialObjectMetadata) error {
	var versions map[string]string
	if json.Unmarshal([]byte(o.Annotations[syncVersionsAnnotation]), &versions) != nil {
		versions = nil // somebody has changed it
	}
	printable := map[string]string{}
	for file, version := range versions {
		printable[printableName(file)] = printableName(version)
	}
	s.secrets[nameOf(o)] = printable
	return nil
}
