package cmd

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moby/spdystream"

	"github.com/lanyardhq/lanyard/provider/engine"
	"github.com/lanyardhq/lanyard/server/status"
)

// statusNow is when everything in testdata/status happens.
var statusNow = time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)

// statusAPI is the part of an API server that lanyard status calls.
type statusAPI struct {
	t          testing.TB
	kubeconfig string
	objects    map[string][]map[string]any // by resource
	// providers answer in pods, by name; one without an answer cannot be connected to.
	providers map[string]http.Handler
	forbidden []string // resources that may not be listed
	page      int      // objects in a page

	mu      sync.Mutex
	calls   []string
	stalled func() // called in place of the end of a port-forward that fails
}

func newStatusAPI(t testing.TB) *statusAPI {
	t.Helper()
	api := &statusAPI{t: t, objects: map[string][]map[string]any{}, page: 2, providers: map[string]http.Handler{}}
	resources := map[string]string{"SecretProviderClass": "secretproviderclasses", "SecretProviderClassPodStatus": "secretproviderclasspodstatuses"}
	for _, object := range objectsOf(t, "testdata/status/cluster.yaml") {
		kind := fmt.Sprint(object["kind"])
		resource := resources[kind]
		if resource == "" {
			resource = strings.ToLower(kind) + "s"
		}
		api.objects[resource] = append(api.objects[resource], object)
	}
	for name, facts := range statusFacts() {
		api.providers[name] = answers(http.StatusOK, facts)
	}
	server := httptest.NewServer(api)
	t.Cleanup(server.Close)
	api.kubeconfig = kubeconfigFor(t, server.URL)
	return api
}

// answers is a status page.
func answers(code int, facts any) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// The page refuses other hosts, against DNS rebinding, and serves who comes by loopback.
		if r.Method != http.MethodGet || r.URL.Path != "/status" || !strings.HasPrefix(r.Host, "localhost:") || r.Header.Get("Authorization") != "" {
			code = http.StatusForbidden
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		_ = json.NewEncoder(w).Encode(facts)
	})
}

func at(clock string) time.Time {
	t, err := time.Parse(time.TimeOnly, clock)
	if err != nil {
		panic(err)
	}
	return time.Date(2026, 11, 29, t.Hour(), t.Minute(), t.Second(), 0, time.UTC)
}

// statusFacts are what the providers of testdata/status/cluster.yaml say.
func statusFacts() map[string]*status.Facts {
	fresh := func(object, version string) engine.ObjectFacts {
		return engine.ObjectFacts{Object: object, Version: version, Store: "vault", StoreName: "vault", StoreType: "vault", Source: engine.FromCache, Read: at("11:59:45"), Due: at("12:00:15")}
	}
	with := func(object engine.ObjectFacts, change func(*engine.ObjectFacts)) engine.ObjectFacts {
		change(&object)
		return object
	}
	volume := func(pod, uid, class, state string, objects ...engine.ObjectFacts) engine.VolumeFacts {
		return engine.VolumeFacts{
			Namespace: "prod", Pod: pod, PodUID: uid, ServiceAccount: "web", Class: class, Dialect: "lanyard", State: state,
			Mounted: at("10:00:04"), Answered: at("11:59:50"), Polled: at("11:59:50"), Objects: objects,
		}
	}
	failed := volume("web-1", "pod-web-1", "web", engine.VolumeFailed)
	failed.Mounted, failed.Answered = time.Time{}, time.Time{}
	failed.Error = "2 of 2 objects failed: object 1 (db/password): vault: Vault at vault.example.com:8200 cannot be reached: connection refused; check the address; object 2 (api-token): the same"
	failed.Since = at("11:31:00")
	old := func(o *engine.ObjectFacts) { o.Stale, o.Read, o.Due = true, at("11:29:00"), at("11:29:30") }
	vault := engine.StoreFacts{Name: "vault", Type: "vault", State: engine.StoreUp, Calls: 120, Reads: 80, LatencySeconds: 0.012}
	database := engine.StoreFacts{Name: "database", Type: "vault", State: engine.StoreUp, Calls: 9, Reads: 4, LatencySeconds: 0.1}
	down := vault
	down.State, down.Since, down.Failures, down.LastFailure = engine.StoreDown, at("11:30:10"), 55, at("11:59:52")
	down.Error = "Vault at vault.example.com:8200 cannot be reached: connection refused; check the address"
	facts := func(program, node string, stores []engine.StoreFacts, volumes ...engine.VolumeFacts) *status.Facts {
		return &status.Facts{Program: program, Version: "v1.0.0", Node: node, Started: at("08:00:00"), Made: statusNow, Facts: &engine.Facts{Stores: stores, Volumes: volumes}}
	}
	leased := func(version string, end time.Time) engine.ObjectFacts {
		return with(fresh("user", version), func(o *engine.ObjectFacts) { o.Store, o.StoreName, o.LeaseEnd = "database", "database", end })
	}
	used := at("11:59:30")
	return map[string]*status.Facts{
		"lanyard-kms-master-1": {Program: "kms", Version: "v1.0.0", Node: "master-1", Started: at("08:00:00"), Made: statusNow, Ring: &status.Ring{
			Healthy: true, Named: "new", KeyID: "new.1", Worked: used,
			Keys: []status.Key{
				{Name: "new", Service: "vault transit/kms", Use: "write", State: status.KeyUp, Encrypted: used, Decrypted: used, Calls: 400},
				{Name: "old", Service: "local", Use: "retired", State: status.KeyUnasked},
			},
		}},
		"lanyard-a": facts("serve", "node-a", []engine.StoreFacts{database, vault},
			volume("web-0", "pod-web-0", "web", engine.VolumeOK, fresh("db/password", "k1.password"), fresh("api-token", "k1.token")),
			volume("web-4", "pod-web-4", "web", engine.VolumeOK, with(fresh("db/password", "k1.older"), func(o *engine.ObjectFacts) { o.Behind = true }), fresh("api-token", "k1.token")),
			volume("reports-1", "pod-reports-1", "reports", engine.VolumeOK, leased("k1.user1", at("11:58:00"))),
			volume("gone", "pod-gone", "web", engine.VolumeOK, fresh("api-token", "k1.token"))),
		"lanyard-b": facts("serve", "node-b", []engine.StoreFacts{database, down}, failed,
			volume("web-2", "pod-web-2", "web", engine.VolumeStale, with(fresh("db/password", "k1.password"), old), fresh("api-token", "k1.token")),
			volume("reports-0", "pod-reports-0", "reports", engine.VolumeOK, leased("k1.user", at("13:00:00")))),
		"lanyard-sync-1": facts("sync", "node-a", []engine.StoreFacts{vault},
			volume("", "class-tls", "tls", engine.VolumeOK, fresh("shop.pem", "k1.certificate")),
			volume("", "sync-api", "web", engine.VolumeOK, with(fresh("api-token", "k1.token"), func(o *engine.ObjectFacts) { o.Lagging = true }))),
	}
}

func (api *statusAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	api.mu.Lock()
	api.calls = append(api.calls, r.Method+" "+r.URL.Path)
	api.mu.Unlock()
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	resource := parts[len(parts)-1]
	if resource == "portforward" {
		api.forward(w, parts[len(parts)-2])
		return
	}
	answer := func(code int, object map[string]any) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		if err := json.NewEncoder(w).Encode(object); err != nil {
			api.t.Error(err)
		}
	}
	refuse := func(code int, reason, text string) {
		answer(code, map[string]any{"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "code": code, "message": text})
	}
	if slices.Contains(api.forbidden, resource) {
		refuse(http.StatusForbidden, "Forbidden", fmt.Sprintf(`%s is forbidden: User "ann" cannot list resource %q`, resource, resource))
		return
	}
	namespace := ""
	if i := slices.Index(parts, "namespaces"); i >= 0 {
		namespace = parts[i+1]
	}
	var items []map[string]any
	query := r.URL.Query()
	for _, object := range api.objects[resource] {
		metadata, _ := object["metadata"].(map[string]any)
		labels, _ := metadata["labels"].(map[string]any)
		selector := query.Get("labelSelector")
		name, chosen := labels["app.kubernetes.io/name"].(string)
		switch {
		case namespace != "" && metadata["namespace"] != namespace:
		case selector == markSelector && labels["app.kubernetes.io/part-of"] != "lanyard":
		case resource == "secrets" && (labels["lanyard.dev/synced-from"] == nil || selector != "lanyard.dev/synced-from"):
		case strings.HasPrefix(selector, "app.kubernetes.io/name in (") && (!chosen || !slices.Contains(strings.Split(strings.Trim(selector[len("app.kubernetes.io/name in "):], "()"), ","), name)):
		case resource == "events" && query.Get("fieldSelector") != "reason=FailedMount,involvedObject.kind=Pod":
			api.t.Errorf("events are chosen by %q", query.Get("fieldSelector"))
		case resource == "secrets":
			if !strings.Contains(r.Header.Get("Accept"), "as=PartialObjectMetadataList") {
				api.t.Errorf("Secrets are read with their values")
			}
			items = append(items, map[string]any{"metadata": metadata})
		default:
			items = append(items, object)
		}
	}
	place := 0
	fmt.Sscan(query.Get("continue"), &place)
	end := min(len(items), place+api.page)
	list := map[string]any{"kind": "List", "apiVersion": "v1", "metadata": map[string]any{}, "items": append([]map[string]any{}, items[place:end]...)}
	if resource == "secrets" {
		list["kind"], list["apiVersion"] = "PartialObjectMetadataList", "meta.k8s.io/v1"
	}
	if end < len(items) {
		list["metadata"] = map[string]any{"continue": fmt.Sprint(end), "remainingItemCount": len(items) - end}
	}
	answer(http.StatusOK, list)
}

// forward is the port-forward of a kubelet: for each pair of streams it makes a connection
// to the pod, or says on the first one why it cannot.
func (api *statusAPI) forward(w http.ResponseWriter, pod string) {
	if slices.Contains(api.forbidden, "portforward") {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprint(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Forbidden","code":403,"message":"pods \"lanyard\" is forbidden: User \"ann\" cannot create resource \"pods/portforward\""}`)
		return
	}
	connection, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		api.t.Error(err)
		return
	}
	fmt.Fprint(connection, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: portforward.k8s.io\r\n\r\n")
	streams, err := spdystream.NewConnection(connection, true)
	if err != nil {
		api.t.Error(err)
		return
	}
	var mu sync.Mutex
	var failure *spdystream.Stream
	streams.Serve(func(stream *spdystream.Stream) {
		mu.Lock()
		defer mu.Unlock()
		_ = stream.SendReply(http.Header{}, false)
		switch {
		case stream.Headers().Get("Port") != map[bool]string{false: "9879", true: "9880"}[strings.HasPrefix(pod, "lanyard-kms")]:
			api.t.Errorf("a port-forward to port %s", stream.Headers().Get("Port"))
		case stream.Headers().Get("Streamtype") == "error":
			failure = stream
		case api.providers[pod] == nil:
			fmt.Fprintf(failure, "error forwarding port 9879 to pod %s: connection refused", pod)
			if api.stalled != nil {
				api.stalled()
				return
			}
			_ = failure.Close()
			_ = stream.Close()
		default:
			_ = failure.Close()
			go api.join(stream, api.providers[pod])
		}
	})
}

// join copies between a stream and a new connection to a pod, as the kubelet does.
func (api *statusAPI) join(stream *spdystream.Stream, handler http.Handler) {
	server := httptest.NewServer(handler)
	defer server.CloseClientConnections()
	connection, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		api.t.Error(err)
		return
	}
	go func() {
		_, _ = io.Copy(connection, stream)
		_ = connection.Close()
	}()
	_, _ = io.Copy(stream, connection)
	_ = stream.Close()
}

// runStatus runs the command at statusNow, with no pause between two looks.
func runStatus(ctx context.Context, args ...string) (code int, stdout, stderr string) {
	return runStatusWithin(ctx, defaultStatusLimits, args...)
}

func runStatusWithin(ctx context.Context, limits statusLimits, args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	c := statusCommand(&statusFlags{now: func() time.Time { return statusNow }, after: func(time.Duration) <-chan time.Time {
		over := make(chan time.Time)
		close(over)
		return over
	}, limits: limits})
	c.SilenceErrors, c.SilenceUsage = true, true
	c.SetArgs(args)
	c.SetOut(&out)
	c.SetErr(&errs)
	code = reportError(c.ExecuteContext(ctx), &errs)
	return code, out.String(), errs.String()
}

func TestStatusTellsWhatPodsAndSecretsHold(t *testing.T) {
	for name, args := range map[string][]string{
		"all":       {"-A"},
		"wide":      {"-A", "-o", "wide"},
		"json":      {"-A", "-o", "json"},
		"problems":  {"-n", "prod", "--problems"},
		"pod":       {"-n", "prod", "--pod", "web-0", "-o", "wide"},
		"class":     {"-n", "prod", "--class", "reports"},
		"store":     {"-n", "prod", "--store", "database"},
		"nothing":   {"-n", "empty"},
		"alone":     {"-n", "prod", "--kubernetes-only", "--secrets=false"},
		"forbidden": {"-A"},
	} {
		t.Run(name, func(t *testing.T) {
			api := newStatusAPI(t)
			if name == "forbidden" {
				api.forbidden = []string{"secrets", "events", "portforward"}
			}
			code, stdout, stderr := runStatus(t.Context(), append(args, "--kubeconfig", api.kubeconfig)...)
			if strings.Contains(stdout+stderr, "planted") {
				t.Errorf("a secret is shown:\n%s%s", stdout, stderr)
			}
			wantGolden(t, filepath.Join("testdata", "status", name+".text"), fmt.Sprintf("%s! %sexit %d\n", stdout, stderr, code))
			if slices.Contains(api.calls, "POST /api/v1/namespaces/lanyard/pods/lanyard-e/portforward") {
				t.Error("the provider of a node was asked that has no pods")
			}
		})
	}
}

// What nobody may know is not asked for: only lists, and port-forwards to Lanyard's own pods.
func TestStatusAsksForNothingElse(t *testing.T) {
	api := newStatusAPI(t)
	runStatus(t.Context(), "-n", "prod", "--kubeconfig", api.kubeconfig)
	allowed := regexp.MustCompile(`^(GET /(api/v1|apis/[^/]+/[^/]+)/namespaces/prod/(pods|events|secrets|secretproviderclasses|secretproviderclasspodstatuses|secretsyncs)|GET /apis/rbac.authorization.k8s.io/v1/clusterrolebindings|GET /api/v1/namespaces/lanyard/pods|POST /api/v1/namespaces/lanyard/pods/[^/]+/portforward)$`)
	for _, call := range api.calls {
		if !allowed.MatchString(call) {
			t.Errorf("%s", call)
		}
	}
}

// What a provider answers that is not understood is told with the provider's name, and all
// else is shown.
func TestStatusTellsOfProvidersThatDoNotAnswer(t *testing.T) {
	for name, test := range map[string]struct {
		answer http.Handler
		want   string
	}{
		"an older version": {http.NotFoundHandler(), "it has no status page; its version is older than this command's"},
		"refused":          {answers(http.StatusForbidden, "only from loopback"), `it answers 403 Forbidden: "only from loopback"`},
		"no JSON":          {answers(http.StatusOK, "planted"), "its answer is not understood; it is of another version"},
		"no HTTP": {http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			connection, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			fmt.Fprint(connection, "SSH-2.0-x\r\n\r\n")
			_ = connection.Close()
		}), "malformed HTTP"},
		"cut off": {http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			fmt.Fprint(w, "{")
		}), "unexpected EOF"},
		"control characters": {answers(http.StatusInternalServerError, "\x1b[2J"), `\u001b[2J`},
	} {
		t.Run(name, func(t *testing.T) {
			api := newStatusAPI(t)
			api.providers["lanyard-a"] = test.answer
			code, stdout, stderr := runStatus(t.Context(), "-n", "prod", "--pod", "web-0", "--kubeconfig", api.kubeconfig)
			if code != exitFailed || !strings.Contains(stdout, "not asked: pod lanyard/lanyard-a on node node-a: ") || !strings.Contains(stdout, test.want) ||
				!strings.Contains(stdout, "mounted  prod       pod/web-0") || stderr != "lanyard: 1 provider could not be asked\n" || strings.ContainsAny(stdout, "\x1b") {
				t.Errorf("exit code %d:\n%s%s", code, stdout, stderr)
			}
		})
	}
}

func TestAnInterruptEndsStatus(t *testing.T) {
	api := newStatusAPI(t)
	ctx, interrupt := context.WithCancel(t.Context())
	api.providers["lanyard-a"] = http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		interrupt()
		<-r.Context().Done()
	})
	code, stdout, stderr := runStatus(ctx, "-n", "prod", "--pod", "web-0", "--kubeconfig", api.kubeconfig)
	if code != exitFailed || stdout != "" || stderr != "lanyard: interrupted; nothing is shown\n" {
		t.Errorf("exit code %d:\n%s%s", code, stdout, stderr)
	}
}

func TestStatusWatches(t *testing.T) {
	for _, format := range []string{"text", "json"} {
		api := newStatusAPI(t)
		ctx, interrupt := context.WithCancel(t.Context())
		looks := 0
		page := api.providers["lanyard-a"]
		api.providers["lanyard-a"] = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch looks++; looks {
			case 2:
				api.mu.Lock()
				defer api.mu.Unlock()
				api.objects["pods"] = slices.DeleteFunc(api.objects["pods"], func(o map[string]any) bool {
					metadata, _ := o["metadata"].(map[string]any)
					return metadata["name"] == "web-4"
				})
			case 4:
				interrupt()
			}
			page.ServeHTTP(w, r)
		})
		code, stdout, stderr := runStatus(ctx, "-n", "prod", "--class", "web", "--watch", "-o", format, "--kubeconfig", api.kubeconfig)
		shown, with := strings.Count(stdout, "2026-11-29 12:00:00\n"), strings.Count(stdout, "pod/web-4  ")
		if format == "json" {
			shown, with = len(strings.Split(strings.TrimSpace(stdout), "\n")), strings.Count(stdout, `"name":"web-4"`)
		}
		if code != exitOK || stderr != "" || shown != 3 || with != 2 {
			t.Errorf("exit code %d, %d times, %d times with the pod that is gone:\n%s%s", code, shown, with, stdout, stderr)
		}
	}
}

// A kubelet that says why it does not connect, and then nothing more, holds up no interrupt.
func TestAnInterruptEndsAPortForwardThatStalls(t *testing.T) {
	api := newStatusAPI(t)
	ctx, interrupt := context.WithCancel(t.Context())
	api.stalled = interrupt
	code, stdout, stderr := runStatus(ctx, "-A", "--kubeconfig", api.kubeconfig)
	if code != exitFailed || stdout != "" || !strings.Contains(stderr, "interrupted; nothing is shown") {
		t.Errorf("exit code %d:\n%s%s", code, stdout, stderr)
	}
}

// A look that fails does not end the watch, unless it is the first.
func TestStatusWatchesOnAfterAnOutage(t *testing.T) {
	api := newStatusAPI(t)
	ctx, interrupt := context.WithCancel(t.Context())
	looks := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/secretproviderclasses") && r.URL.Query().Get("continue") == "" {
			looks++
		}
		switch looks {
		case 2:
			fmt.Fprint(w, "no API server")
			return
		case 4:
			interrupt()
		}
		api.ServeHTTP(w, r)
	}))
	defer server.Close()
	args := []string{"-n", "prod", "--class", "reports", "--watch", "--kubernetes-only", "--kubeconfig", kubeconfigFor(t, server.URL)}
	code, stdout, stderr := runStatus(ctx, args...)
	if code != exitOK || strings.Count(stdout, "pod/reports-0") != 2 || strings.Count(stderr, "not read: ") != 1 {
		t.Errorf("exit code %d:\n%s%s", code, stdout, stderr)
	}
	server.Close()
	if code, stdout, stderr := runStatus(t.Context(), args...); code != exitFailed || stdout != "" || !strings.Contains(stderr, "connection refused") {
		t.Errorf("without an API server: exit code %d:\n%s%s", code, stdout, stderr)
	}
}

// Without an API server one provider on the machine tells of its volumes.
func TestStatusOfOneProvider(t *testing.T) {
	facts := statusFacts()["lanyard-b"]
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/status" || r.Header.Get("Authorization") != "" {
			http.Redirect(w, r, "http://example.com/", http.StatusFound)
			return
		}
		_ = json.NewEncoder(w).Encode(facts)
	}))
	defer server.Close()
	t.Setenv("KUBECONFIG", "nowhere")
	for _, output := range []string{"text", "json"} {
		code, stdout, stderr := runStatus(t.Context(), "--provider-url", server.URL, "-o", output)
		wantGolden(t, filepath.Join("testdata", "status", "one-provider-"+output+".text"), fmt.Sprintf("%s! %sexit %d\n", stdout, stderr, code))
	}
	code, stdout, _ := runStatus(t.Context(), "--provider-url", server.URL, "--pod", "reports-0")
	if code != exitOK || !strings.Contains(stdout, "pod/reports-0") || strings.Contains(stdout, "web-2") {
		t.Errorf("one pod: exit code %d:\n%s", code, stdout)
	}
	server.Close()
	if code, _, stderr := runStatus(t.Context(), "--provider-url", server.URL); code != exitFailed || !strings.Contains(stderr, server.URL+"/status: ") || !strings.Contains(stderr, "connection refused") {
		t.Errorf("gone: exit code %d: %s", code, stderr)
	}
}

func TestStatusRefuses(t *testing.T) {
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"an argument":           {[]string{"web-0"}, "name a pod with --pod"},
		"two namespaces":        {[]string{"-A", "-n", "prod"}, "give one"},
		"too often":             {[]string{"--watch", "--interval", "1s"}, "at least 2s"},
		"no kubeconfig":         {[]string{"--kubeconfig", "nowhere"}, "nowhere"},
		"another machine":       {[]string{"--provider-url", "http://10.0.0.1:9879"}, "is not this machine"},
		"a name":                {[]string{"--provider-url", "http://localhost.example.com:9879"}, "is not this machine"},
		"a password":            {[]string{"--provider-url", "http://a:b@127.0.0.1:9879"}, "must be as"},
		"another scheme":        {[]string{"--provider-url", "file:///etc/passwd"}, "must be as"},
		"no host":               {[]string{"--provider-url", "127.0.0.1:9879"}, "must be as"},
		"one and a cluster":     {[]string{"--provider-url", "http://127.0.0.1:9879", "--context", "c"}, "asks no API server"},
		"a format of kubectl's": {[]string{"-o", "yaml"}, "text, wide or json"},
	} {
		t.Run(name, func(t *testing.T) {
			code, stdout, stderr := runLanyard(append([]string{"status"}, test.args...)...)
			if code != exitUsage || stdout != "" || !strings.Contains(stderr, test.want) {
				t.Errorf("exit code %d: %s%s", code, stdout, stderr)
			}
		})
	}
}

// The table fits a narrow screen, and is coloured on a terminal alone.
func TestStatusFitsTheScreen(t *testing.T) {
	api := newStatusAPI(t)
	_, stdout, _ := runStatus(t.Context(), "-n", "prod", "-o", "json", "--kubeconfig", api.kubeconfig)
	var report statusReport
	if err := json.Unmarshal([]byte(stdout), &report); err != nil {
		t.Fatal(err)
	}
	for _, width := range []int{100, 60, 40, 10} {
		var out bytes.Buffer
		if err := report.print(&screen{Writer: &out, color: width == 60, width: func() int { return width }}, "text"); err != nil {
			t.Fatal(err)
		}
		wantGolden(t, filepath.Join("testdata", "status", fmt.Sprintf("width-%d.text", width)), strings.ReplaceAll(out.String(), "\x1b", "ESC"))
		if colored := strings.Contains(out.String(), "\x1b"); colored != (width == 60) {
			t.Errorf("colours: %v", colored)
		}
	}
}

// Who wrote an event or an annotation writes nothing to the terminal but text.
func TestStatusShowsTextAlone(t *testing.T) {
	api := newStatusAPI(t)
	for _, event := range api.objects["events"] {
		event["message"] = strings.ReplaceAll(fmt.Sprint(event["message"]), "context", "\x1b[2J\nFORGED  LINE\u202e")
	}
	for _, class := range api.objects["secretproviderclasses"] {
		metadata, _ := class["metadata"].(map[string]any)
		annotations, ok := metadata["annotations"].(map[string]any) // some have
		if ok {
			annotations["lanyard.dev/sync-status"] = `{"state":"Failed","message":"\u001b]0;title\u0007","secrets":{"\u001b[1m":{}}}`
		}
	}
	for _, mount := range api.objects["secretproviderclasspodstatuses"] {
		inner, _ := mount["status"].(map[string]any)
		inner["objects"] = []any{map[string]any{"id": "\x1b[31m", "version": "\r\x1b[K\n"}} // of each
	}
	for _, output := range []string{"text", "wide", "json"} {
		_, stdout, _ := runStatus(t.Context(), "-n", "prod", "-o", output, "--kubeconfig", api.kubeconfig)
		if strings.ContainsAny(stdout, "\x1b\x07\r\u202e") || regexp.MustCompile(`(?m)^FORGED`).MatchString(stdout) {
			t.Errorf("%s:\n%q", output, stdout)
		}
	}
}
