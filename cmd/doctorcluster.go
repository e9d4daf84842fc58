package cmd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
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
	// installed and driver are the DaemonSets of Lanyard and of the driver.
	installed, driver doctorInstallers
	releases          []*doctorRelease
	waiting           waitingPods
	providerOf        map[string]string // of each class
	providerOnce      sync.Once
}

// classes are the providers of the classes, by namespace and name.
func (c *doctorCluster) classes() map[string]string {
	c.providerOnce.Do(func() {
		c.providerOf = map[string]string{}
		for _, class := range listed[clusterClass](c, "secretproviderclasses") {
			c.providerOf[class.Metadata.Namespace+"/"+class.Metadata.Name] = class.Spec.Provider
		}
	})
	return c.providerOf
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
	{"clusterrolebindings", bindingResource, meta.ListOptions{LabelSelector: markSelector}},
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
const maxClusterText = maxBundlePart

// cutNote ends what was longer.
const cutNote = "[cut here: it is longer]"

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
	if len(body) == maxClusterText {
		body = append(body[:bytes.LastIndexByte(body[:maxClusterText-len(cutNote)-1], '\n')+1], cutNote+"\n"...)
	}
	date, _ = http.ParseTime(resp.Header.Get("Date")) //nolint:errcheck // zero says that it is not known
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%d %s: %s", resp.StatusCode, http.StatusText(resp.StatusCode), message.Excerpt(string(body)))
	}
	return string(body), date, err
}

// read reads all that the checks look at into c. step is told what is done.
func (r *clusterReader) read(ctx context.Context, c *doctorCluster, step func(done, total int)) {
	c.server, c.now, c.lists = r.base.Host, r.now(), map[string]*doctorList{}
	text, date, err := r.get(ctx, "/version")
	if c.unreachable = err; err != nil {
		return
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
	r.findInstallers(ctx, c)
	c.findReleases()
	for _, release := range c.releases {
		r.readRelease(ctx, release)
	}
	r.findWaiting(ctx, c)
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
