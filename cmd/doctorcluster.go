package cmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"

	"github.com/lanyardhq/lanyard/internal/message"
)

// doctorCluster is what was found in a cluster before it is judged: the objects, as far
// as they can be listed. Checks make no calls, so each can be tried on objects alone.
type doctorCluster struct {
	server      string
	version     string // of the API server
	unreachable error
	// date is the API server's clock, and at when it was read, by this machine's.
	date, at time.Time
	now      time.Time
	lists    map[string]*doctorList
	releases []*doctorRelease
}

// doctorResources are what doctor lists in a cluster. docs/doctor.md has the role that
// allows it.
var doctorResources = []struct {
	name     string
	resource schema.GroupVersionResource
	options  meta.ListOptions
}{
	{"csidrivers", schema.GroupVersionResource{Group: "storage.k8s.io", Version: "v1", Resource: "csidrivers"}, meta.ListOptions{}},
	{"csinodes", schema.GroupVersionResource{Group: "storage.k8s.io", Version: "v1", Resource: "csinodes"}, meta.ListOptions{}},
	{"nodes", schema.GroupVersionResource{Version: "v1", Resource: "nodes"}, meta.ListOptions{}},
	{"leases", schema.GroupVersionResource{Group: "coordination.k8s.io", Version: "v1", Resource: "leases"}, meta.ListOptions{}},
	{"daemonsets", schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "daemonsets"}, meta.ListOptions{}},
	{"deployments", schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}, meta.ListOptions{LabelSelector: partOfLanyard}},
	{"configmaps", schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}, meta.ListOptions{LabelSelector: partOfLanyard}},
	{"rolebindings", schema.GroupVersionResource{Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "rolebindings"}, meta.ListOptions{LabelSelector: partOfLanyard}},
	{"secretproviderclasses", classResource, meta.ListOptions{}},
	{"events", schema.GroupVersionResource{Version: "v1", Resource: "events"}, meta.ListOptions{FieldSelector: "reason=FailedMount"}},
	{"mutatingwebhookconfigurations", schema.GroupVersionResource{Group: "admissionregistration.k8s.io", Version: "v1", Resource: "mutatingwebhookconfigurations"}, meta.ListOptions{LabelSelector: partOfLanyard}},
	{"validatingadmissionpolicies", schema.GroupVersionResource{Group: "admissionregistration.k8s.io", Version: "v1", Resource: "validatingadmissionpolicies"}, meta.ListOptions{LabelSelector: partOfLanyard}},
	{"validatingadmissionpolicybindings", schema.GroupVersionResource{Group: "admissionregistration.k8s.io", Version: "v1", Resource: "validatingadmissionpolicybindings"}, meta.ListOptions{LabelSelector: partOfLanyard}},
}

// partOfLanyard is the label of what the chart makes.
const partOfLanyard = "app.kubernetes.io/part-of=lanyard"

var reviewResource = schema.GroupVersionResource{Group: "authorization.k8s.io", Version: "v1", Resource: "subjectaccessreviews"}

// clusterReader reads a cluster.
type clusterReader struct {
	*clusterClient
	http   *http.Client
	base   *url.URL
	within time.Duration
	now    func() time.Time
}

func openClusterReader(cluster *clusterClient, within time.Duration, now func() time.Time) (*clusterReader, error) {
	r := &clusterReader{clusterClient: cluster, within: within, now: now}
	var err error
	if r.http, err = rest.HTTPClientFor(cluster.config); err != nil {
		return nil, usageError{err}
	}
	if r.base, _, err = rest.DefaultServerUrlFor(cluster.config); err != nil {
		return nil, usageError{err}
	}
	return r, nil
}

// maxClusterText is the most of a log or of metrics that is read, in bytes.
const maxClusterText = 4 << 20

// get reads a path of the API server.
func (r *clusterReader) get(ctx context.Context, path string) (text string, date time.Time, err error) {
	ctx, cancel := context.WithTimeout(ctx, r.within)
	defer cancel()
	to := *r.base
	to.Path, to.RawQuery, _ = strings.Cut(strings.TrimSuffix(to.Path, "/")+path, "?")
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, to.String(), http.NoBody)
	if err != nil {
		return "", time.Time{}, err
	}
	resp, err := r.http.Do(req)
	if err != nil {
		var wrapped *url.Error
		if errors.As(err, &wrapped) {
			err = wrapped.Err
		}
		return "", time.Time{}, err
	}
	defer resp.Body.Close() //nolint:errcheck // it is only read
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxClusterText))
	date, _ = http.ParseTime(resp.Header.Get("Date")) //nolint:errcheck // zero says that it is not known
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%d %s: %s", resp.StatusCode, http.StatusText(resp.StatusCode), message.Excerpt(string(body)))
	}
	return string(body), date, err
}

// read reads all that the checks look at. step is told what is done.
func (r *clusterReader) read(ctx context.Context, step func(done, total int)) *doctorCluster {
	c := &doctorCluster{server: r.base.Host, now: r.now(), lists: map[string]*doctorList{}}
	text, date, err := r.get(ctx, "/version")
	if c.unreachable = err; err != nil {
		return c
	}
	c.date, c.at, c.version = date, r.now(), jsonField(text, "gitVersion")
	var (
		mu    sync.Mutex
		done  int
		group errgroup.Group
	)
	group.SetLimit(doctorAtOnce)
	for _, one := range doctorResources {
		group.Go(func() error {
			items, err := r.list(ctx, one.resource, "", one.options)
			if apierrors.IsNotFound(err) {
				err = nil // without its definition there is no object of the kind
			}
			mu.Lock()
			defer mu.Unlock()
			c.lists[one.name] = &doctorList{items, err}
			done++
			step(done, len(doctorResources))
			return nil
		})
	}
	_ = group.Wait() //nolint:errcheck // nothing returns one
	c.findReleases()
	for _, release := range c.releases {
		r.readRelease(ctx, c, release)
	}
	return c
}

// list lists what is in all namespaces, or in one.
func (r *clusterReader) list(ctx context.Context, resource schema.GroupVersionResource, namespace string, options meta.ListOptions) (all []unstructured.Unstructured, err error) {
	ctx, cancel := context.WithTimeout(ctx, r.within)
	defer cancel()
	err = eachPage(ctx, func(ctx context.Context, page meta.ListOptions) (*unstructured.UnstructuredList, error) {
		page.LabelSelector, page.FieldSelector = options.LabelSelector, options.FieldSelector
		return r.objects.Resource(resource).Namespace(namespace).List(ctx, page)
	}, func(page *unstructured.UnstructuredList) error {
		for i := range page.Items {
			page.Items[i].SetManagedFields(nil)
		}
		all = append(all, page.Items...)
		return nil
	})
	return all, err
}

// listed are the objects of a list, in a form of which only some fields are known.
func listed[T any](c *doctorCluster, list string) []T {
	var found []T
	if c.lists[list] == nil {
		return nil
	}
	for i := range c.lists[list].items {
		var one T
		if runtime.DefaultUnstructuredConverter.FromUnstructured(c.lists[list].items[i].Object, &one) == nil {
			found = append(found, one)
		}
	}
	return found
}

// unlisted is why a list is not whole.
func (c *doctorCluster) unlisted(list string) error {
	if c.lists[list] == nil {
		return errors.New("it was not read")
	}
	return c.lists[list].err
}

// doctorEvent is what is looked at of an event.
type doctorEvent struct {
	Message  string     `json:"message"`
	Involved doctorMeta `json:"involvedObject"`
	Last     string     `json:"lastTimestamp"`
	Count    int64      `json:"count"`
}

// maxDoctorPods is how many pods that do not mount are looked at.
const maxDoctorPods = 50

// ownEvents leaves of the events those of pods that are there, and that mount a class of
// a release.
func (r *clusterReader) ownEvents(ctx context.Context, c *doctorCluster) {
	list := c.lists["events"]
	if list == nil {
		return
	}
	own := map[string]bool{}
	left := list.items[:0]
	for _, item := range list.items {
		var event doctorEvent
		if runtime.DefaultUnstructuredConverter.FromUnstructured(item.Object, &event) != nil || event.Involved.Kind != "Pod" {
			continue
		}
		pod := event.Involved.Namespace + "/" + event.Involved.Name
		is, known := own[pod]
		if !known && len(own) < maxDoctorPods {
			is = r.mountsOwn(ctx, c, event.Involved.Namespace, event.Involved.Name)
			own[pod] = is
		}
		if is {
			left = append(left, item)
		}
	}
	list.items = left
}

// mountsOwn says whether a pod is there, does not run, and mounts a class of a release.
func (r *clusterReader) mountsOwn(ctx context.Context, c *doctorCluster, namespace, name string) bool {
	ctx, cancel := context.WithTimeout(ctx, r.within)
	defer cancel()
	object, err := r.objects.Resource(podResource).Namespace(namespace).Get(ctx, name, meta.GetOptions{})
	if err != nil {
		return !apierrors.IsNotFound(err)
	}
	var pod doctorPod
	if runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, &pod) != nil || pod.Status.Phase != "Pending" {
		return false
	}
	for _, volume := range pod.Spec.Volumes {
		if volume.CSI != nil && volume.CSI.Driver == driverName {
			return c.mayBeOwn(namespace, volume.CSI.Attributes["secretProviderClass"])
		}
	}
	// A part of Lanyard itself whose Secret or ConfigMap is missing.
	return slices.ContainsFunc(c.releases, func(of *doctorRelease) bool { return of.provider.Metadata.Namespace == namespace })
}

// mayBeOwn is false of a class of another provider.
func (c *doctorCluster) mayBeOwn(namespace, name string) bool {
	for _, class := range listed[clusterClass](c, "secretproviderclasses") {
		if class.Metadata.Namespace == namespace && class.Metadata.Name == name {
			return slices.ContainsFunc(c.releases, func(of *doctorRelease) bool { return slices.Contains(of.dialects, class.Spec.Provider) })
		}
	}
	return true // there is no such class, which is what is wrong
}
