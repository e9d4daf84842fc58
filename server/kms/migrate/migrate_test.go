package migrate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
)

// apiServer speaks what the migration needs of the API server's protocol, under
// client-go's own clients. An object that is stale gets a new resource version
// by a patch that changes nothing; one that is not does not.
// https://kubernetes.io/docs/reference/using-api/api-concepts/
type apiServer struct {
	*testing.T
	*httptest.Server

	mu      sync.Mutex
	objects map[string]*object // by resource and name: secrets a/b
	next    int
	patches map[string]int
	// reads and keys are what was read out of etcd, by resource and by key.
	reads, keys map[string]int
	// others are reads of Secrets under the provider named other, with the old key.
	others int
	// answer, if it returns true, has answered a request in place of the rest.
	answer func(w http.ResponseWriter, r *http.Request, name string) bool
}

type object struct {
	namespace, name string
	version         int
	stale           bool
}

func serve(t *testing.T) *apiServer {
	a := &apiServer{T: t, objects: map[string]*object{}, patches: map[string]int{}, reads: map[string]int{"secrets": 7}, keys: map[string]int{oldHash: 5}, next: 100}
	a.Server = httptest.NewServer(a)
	t.Cleanup(a.Close)
	return a
}

// add adds stale objects to a resource: namespace/name, or a name.
func (a *apiServer) add(resource string, names ...string) {
	for _, name := range names {
		namespace, rest, found := strings.Cut(name, "/")
		if !found {
			namespace, rest = "", name
		}
		a.next++
		a.objects[resource+" "+name] = &object{namespace, rest, a.next, true}
	}
}

func (a *apiServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	switch path := strings.Split(strings.Trim(r.URL.Path, "/"), "/"); {
	case r.URL.Path == "/api" || r.URL.Path == "/apis":
		a.groups(w, r.URL.Path == "/api")
	case r.URL.Path == "/metrics":
		a.metrics(w)
	case len(path) == 2 && path[0] == "api":
		reply(w, map[string]any{"kind": "APIResourceList", "groupVersion": "v1", "resources": []any{
			resource("secrets", true, "list", "patch"), resource("secrets/status", true, "list", "patch"),
			resource("namespaces", false, "list", "patch"), resource("bindings", true, "create"), resource("events", true, "list", "patch"),
		}})
	case len(path) == 3 && path[0] == "apis" && path[1] == "events.k8s.io":
		reply(w, map[string]any{"kind": "APIResourceList", "groupVersion": "events.k8s.io/v1", "resources": []any{resource("events", true, "list", "patch")}})
	case len(path) == 3 && path[0] == "apis":
		reply(w, map[string]any{"kind": "APIResourceList", "groupVersion": path[1] + "/" + path[2], "resources": []any{resource("widgets", true, "list", "patch")}})
	case !strings.Contains(r.Header.Get("Accept"), "as=PartialObjectMetadata"):
		a.Errorf("%s %s asks for more than metadata: %s", r.Method, r.URL, r.Header.Get("Accept"))
		w.WriteHeader(http.StatusNotAcceptable)
	case r.Method == http.MethodGet && r.URL.Query().Has("limit"):
		a.list(w, r, path[len(path)-1])
	case r.Method == http.MethodGet:
		resource, name := named(path)
		a.read(w, r, resource, name)
	case r.Method == http.MethodPatch:
		a.patch(w, r, path)
	default:
		a.Errorf("%s %s", r.Method, r.URL)
	}
}

func (a *apiServer) groups(w http.ResponseWriter, core bool) {
	if core {
		reply(w, map[string]any{"kind": "APIVersions", "versions": []string{"v1"}})
		return
	}
	var groups []any
	for _, name := range []string{"example.com", "events.k8s.io"} {
		version := map[string]any{"groupVersion": name + "/v1", "version": "v1"}
		groups = append(groups, map[string]any{"name": name, "versions": []any{version}, "preferredVersion": version})
	}
	reply(w, map[string]any{"kind": "APIGroupList", "groups": groups})
}

func resource(name string, namespaced bool, verbs ...string) map[string]any {
	return map[string]any{"name": name, "kind": "K", "namespaced": namespaced, "verbs": verbs}
}

func reply(w http.ResponseWriter, what any) {
	if err := json.NewEncoder(w).Encode(what); err != nil {
		panic(http.ErrAbortHandler)
	}
}

func fail(w http.ResponseWriter, code int, reason, message string) {
	w.WriteHeader(code)
	reply(w, map[string]any{"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "message": message, "code": code})
}

// list answers pages in the order of names; a page begins behind its token.
func (a *apiServer) list(w http.ResponseWriter, r *http.Request, resource string) {
	if a.answer != nil && a.answer(w, r, "") {
		return
	}
	limit, err := strconv.Atoi(r.URL.Query().Get("limit"))
	if err != nil {
		a.Errorf("no limit: %s", r.URL)
	}
	var names []string
	for name := range a.objects {
		if after, ok := strings.CutPrefix(name, resource+" "); ok && after > r.URL.Query().Get("continue") {
			names = append(names, after)
		}
	}
	slices.Sort(names)
	about := map[string]any{"resourceVersion": "1"}
	if len(names) > limit {
		about["continue"], about["remainingItemCount"] = names[limit-1], len(names)-limit
		names = names[:limit]
	}
	items := []any{}
	for _, name := range names {
		a.count(resource, a.objects[resource+" "+name].stale)
		items = append(items, a.objects[resource+" "+name].metadata())
	}
	reply(w, map[string]any{"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1", "metadata": about, "items": items})
}

func (o *object) metadata() map[string]any {
	return map[string]any{"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": map[string]any{
		"namespace": o.namespace, "name": o.name, "uid": "uid-" + o.name, "resourceVersion": strconv.Itoa(o.version),
	}}
}

// named is the object of a path.
func named(path []string) (resource, name string) {
	name, resource = path[len(path)-1], path[len(path)-2]
	if i := slices.Index(path, "namespaces"); i >= 0 && len(path) > i+3 {
		name = path[i+1] + "/" + name
	}
	return resource, name
}

func (a *apiServer) patch(w http.ResponseWriter, r *http.Request, path []string) {
	resource, name := named(path)
	a.patches[resource+" "+name]++
	if a.answer != nil && a.answer(w, r, name) {
		return
	}
	o := a.objects[resource+" "+name]
	if o == nil {
		fail(w, http.StatusNotFound, "NotFound", "not found")
		return
	}
	var body map[string]map[string]string
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil || len(body) != 1 || len(body["metadata"]) != 2 || r.Header.Get("Content-Type") != "application/merge-patch+json" {
		a.Errorf("the patch of %s is %v (%v)", name, body, err)
	}
	if body["metadata"]["uid"] != "uid-"+o.name || body["metadata"]["resourceVersion"] != strconv.Itoa(o.version) {
		fail(w, http.StatusConflict, "Conflict", "the object has been modified")
		return
	}
	if o.stale {
		a.next++
		o.version, o.stale = a.next, false
	}
	reply(w, o.metadata())
}

func (a *apiServer) config() *rest.Config { return &rest.Config{Host: a.URL, QPS: -1} }

func (a *apiServer) run(ctx context.Context, opts Options, names ...string) Report {
	a.Helper()
	resources, err := NewServer(a.config())
	if err != nil {
		a.Fatal(err)
	}
	found, err := Resolve(ctx, resources, names)
	if err != nil {
		a.Fatal(err)
	}
	if opts.Client, err = metadata.NewForConfig(a.config()); err != nil {
		a.Fatal(err)
	}
	if opts.Rate == 0 {
		opts.Rate = 10000
	}
	if opts.PageSize == 0 {
		opts.PageSize = 3
	}
	opts.Workers = 4
	return Run(ctx, opts, found)
}

// want compares the counts: objects, rewritten, current, changed, gone, skipped,
// failed.
func (a *apiServer) want(report Report, i int, counts ...int) {
	a.Helper()
	r := report.Resources[i]
	if got := []int{r.Objects, r.Rewritten, r.Current, r.Changed, r.Gone, r.Skipped, r.Failed}; !slices.Equal(got, counts) {
		a.Errorf("%s: the counts are %v, want %v; %+v", r.Resource, got, counts, r)
	}
}

func several(n int) []string {
	var names []string
	for i := range n {
		names = append(names, fmt.Sprintf("ns%d/s%02d", i%3, i))
	}
	return names
}

func TestWhatIsStaleIsRewrittenAndCounted(t *testing.T) {
	a := serve(t)
	a.add("secrets", several(20)...)
	a.add("namespaces", "prod", "test")
	a.objects["secrets ns0/s00"].stale = false
	var last Progress
	report := a.run(t.Context(), Options{Progress: func(p Progress) { last = p }}, "secrets", "namespaces")
	a.want(report, 0, 2, 2, 0, 0, 0, 0, 0)
	a.want(report, 1, 20, 19, 1, 0, 0, 0, 0)
	if !report.Complete() || report.Rewritten() != 21 || last != (Progress{"secrets", 20, 20}) {
		t.Errorf("%+v, %+v", report, last)
	}
	again := a.run(t.Context(), Options{}, "secrets")
	a.want(again, 0, 20, 0, 20, 0, 0, 0, 0)
}

func TestADryRunChangesNothing(t *testing.T) {
	a := serve(t)
	a.add("secrets", several(7)...)
	a.want(a.run(t.Context(), Options{DryRun: true}, "secrets"), 0, 7, 0, 0, 0, 0, 7, 0)
	if len(a.patches) > 0 {
		t.Errorf("patched were %v", a.patches)
	}
}

func TestOtherWritersAreNotWrittenOver(t *testing.T) {
	a := serve(t)
	a.add("secrets", several(6)...)
	a.answer = func(_ http.ResponseWriter, r *http.Request, name string) bool {
		if r.Method != http.MethodPatch {
			return false
		}
		switch name { // between the list and the patch
		case "ns0/s00":
			a.objects["secrets "+name].version += 1000
		case "ns1/s01":
			delete(a.objects, "secrets "+name)
		}
		return false
	}
	report := a.run(t.Context(), Options{}, "secrets")
	a.want(report, 0, 6, 4, 0, 1, 1, 0, 0)
	if !report.Complete() {
		t.Error("something remains")
	}
}

func TestWhatCannotBeRewrittenIsListedWithTheReason(t *testing.T) {
	a := serve(t)
	a.add("secrets", several(6)...)
	a.answer = func(w http.ResponseWriter, r *http.Request, name string) bool {
		if r.Method == http.MethodPatch && name == "ns2/s02" {
			fail(w, http.StatusForbidden, "Forbidden", "admission webhook says no\x1b[31m")
			return true
		}
		return false
	}
	checkpoint, err := OpenCheckpoint(filepath.Join(t.TempDir(), "c.json"), a.URL)
	if err != nil {
		t.Fatal(err)
	}
	report := a.run(t.Context(), Options{Checkpoint: checkpoint}, "secrets")
	a.want(report, 0, 6, 5, 0, 0, 0, 0, 1)
	failures := report.Resources[0].Failures
	if report.Complete() || len(failures) != 1 || failures[0].Object != "ns2/s02" || failures[0].Reason != `admission webhook says no\x1b[31m` {
		t.Errorf("%+v", failures)
	}
	a.answer = nil
	// What failed is not behind the checkpoint.
	if report := a.run(t.Context(), Options{Checkpoint: checkpoint}, "secrets"); report.Rewritten() != 1 || !report.Complete() {
		t.Errorf("%+v", report)
	}
}

func TestABusyAPIServerIsAskedAgain(t *testing.T) {
	a := serve(t)
	a.add("secrets", "a/b")
	a.answer = func(w http.ResponseWriter, r *http.Request, name string) bool {
		if r.Method == http.MethodPatch && a.patches["secrets "+name] == 1 {
			fail(w, http.StatusServiceUnavailable, "ServiceUnavailable", "not now")
			return true
		}
		return false
	}
	a.want(a.run(t.Context(), Options{}, "secrets"), 0, 1, 1, 0, 0, 0, 0, 0)
}

func TestPagesThatExpireAreListedAnewAndNothingIsCountedTwice(t *testing.T) {
	a := serve(t)
	a.add("secrets", several(10)...)
	expired := 0
	a.answer = func(w http.ResponseWriter, r *http.Request, _ string) bool {
		if r.Method == http.MethodGet && r.URL.Query().Get("continue") != "" && expired < 2 {
			expired++
			fail(w, http.StatusGone, "Expired", "the provided continue parameter is too old")
			return true
		}
		return false
	}
	a.want(a.run(t.Context(), Options{}, "secrets"), 0, 10, 10, 0, 0, 0, 0, 0)
}

func TestAListThatFailsIsAProblem(t *testing.T) {
	a := serve(t)
	a.add("secrets", several(10)...)
	a.answer = func(w http.ResponseWriter, r *http.Request, _ string) bool {
		if r.Method == http.MethodGet {
			fail(w, http.StatusInternalServerError, "InternalError", "failed to decrypt DEK")
		}
		return r.Method == http.MethodGet
	}
	report := a.run(t.Context(), Options{}, "secrets")
	if report.Complete() || !strings.Contains(report.Resources[0].Problem, "cannot be listed: ") || !strings.Contains(report.Resources[0].Problem, "failed to decrypt DEK") {
		t.Errorf("%+v", report)
	}
}

func TestAnInterruptedRunGoesOnWhereItWas(t *testing.T) {
	a := serve(t)
	a.add("secrets", several(30)...)
	a.add("namespaces", "prod")
	path := filepath.Join(t.TempDir(), "c.json")
	open := func() *Checkpoint {
		c, err := OpenCheckpoint(path, a.URL)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	ctx, interrupt := context.WithCancel(t.Context())
	report := a.run(ctx, Options{Checkpoint: open(), Progress: func(p Progress) {
		if p.Resource == "secrets" && p.Done == 14 {
			interrupt()
		}
	}}, "namespaces", "secrets")
	if !report.Interrupted || report.Complete() || report.Rewritten() < 13 || report.Rewritten() > 20 {
		t.Errorf("%+v", report)
	}
	again := a.run(t.Context(), Options{Checkpoint: open()}, "namespaces", "secrets")
	if !again.Complete() || again.Resources[0].Skipped != 1 || again.Resources[0].Objects != 1 || again.Skipped() != 13 || again.Resources[1].Skipped != 12 || again.Resources[1].Objects != 30 {
		t.Errorf("%+v", again)
	}
	for name, o := range a.objects {
		if o.stale {
			t.Errorf("%s is left", name)
		}
	}
	if n := a.patches["secrets ns0/s00"]; n != 1 {
		t.Errorf("the first was patched %d times", n)
	}
	checkpoint := open()
	if err := errors.Join(checkpoint.Remove(), checkpoint.Remove()); err != nil {
		t.Error(err)
	}
}

func TestCheckpointsOfSomethingElseAreRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.json")
	for content, want := range map[string]string{
		"kind: EncryptionConfiguration": "is not a checkpoint of a migration",
		`{"kind": "other"}`:             "is not a checkpoint of a migration",
		`{"kind": "lanyard.kms-migration.v1", "server": "https://other"}`: `a migration on "https://other"`,
	} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := OpenCheckpoint(path, "https://this"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", content, err)
		}
	}
	var none *Checkpoint
	if err := none.Remove(); err != nil {
		t.Error(err)
	}
}

func TestNamesAreThoseOfAnEncryptionConfiguration(t *testing.T) {
	a := serve(t)
	client, err := NewServer(a.config())
	if err != nil {
		t.Fatal(err)
	}
	for names, want := range map[string]string{
		"secrets":                     "[secrets]",
		"secrets secrets":             "[secrets]",
		"widgets.example.com":         "[widgets.example.com]",
		"*.":                          "[events namespaces secrets]",
		"events.events.k8s.io events": "[events]",
		"*.events.k8s.io":             "[events]",
		"*.example.com":               "[widgets.example.com]",
		"*.*":                         "[events namespaces secrets widgets.example.com]",
	} {
		found, err := Resolve(t.Context(), client, strings.Fields(names))
		if err != nil || fmt.Sprint(found) != want {
			t.Errorf("%s: %v, %v, want %s", names, found, err, want)
		}
	}
	_, err = Resolve(t.Context(), client, []string{"secret", "widgets", "bindings", "secrets"})
	for _, want := range []string{"secret: the API server serves no such", "widgets: the", "bindings: the"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %q", err, want)
		}
	}
}
