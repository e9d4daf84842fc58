package cmd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/lanyardhq/lanyard/provider/engine"
	"github.com/lanyardhq/lanyard/server/status"
)

func takeAll(*engine.VolumeFacts) bool { return true }

// repeated is a text many times over, made as it is read.
type repeated struct {
	before, text, after string
	times               int
	rest                []byte
}

// Read reads on.
func (r *repeated) Read(p []byte) (int, error) {
	for len(r.rest) == 0 {
		switch {
		case r.before != "":
			r.rest, r.before = []byte(r.before), ""
		case r.times > 0:
			n := min(r.times, 1024)
			r.rest, r.times = bytes.Repeat([]byte(r.text), n), r.times-n
		case r.after != "":
			r.rest, r.after = []byte(r.after), ""
		default:
			return 0, io.EOF
		}
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// What one answer costs is bounded, whatever is in it.
func TestAnAnswerIsBounded(t *testing.T) {
	t.Parallel()
	many := 64 << 20
	limits := statusLimits{answer: 2 << 20, part: 1 << 19, read: 1 << 30, kept: 16 << 20, time: time.Minute}
	for name, test := range map[string]struct {
		body io.Reader
		want string
	}{
		"endless":                  {&repeated{before: `{"leases":[`, text: `{},`, times: many}, "its answer has more than 2097152 bytes"},
		"endless volumes":          {&repeated{before: `{"volumes":[`, text: `{},`, times: many}, "left out, because the answers"},
		"endless fields":           {&repeated{before: `{`, text: `"a":1,`, times: many}, "its answer has more than"},
		"endless objects":          {&repeated{before: `{"volumes":[{"objects":[`, text: `{},`, times: many}, "a part of its answer has more than 524288 bytes"},
		"endless depth":            {&repeated{before: `{"a":`, text: `[`, times: many}, "its answer"},
		"endless depth of objects": {&repeated{before: `{"a":`, text: `{"a":`, times: many}, "its answer"},
		"a deep volume":            {&repeated{before: `{"volumes":[`, text: `[`, times: many}, "its answer"},
		"endless space":            {&repeated{before: `{`, text: ` `, times: many}, "a part of its answer has more than"},
		"an endless version":       {&repeated{before: `{"version":"`, text: `a`, times: many}, "a part of its answer has more than"},
		"an endless name":          {&repeated{before: `{"volumes":[{"pod":"`, text: `a`, times: many}, "a part of its answer has more than"},
		"an endless key":           {&repeated{before: `{"`, text: `a`, times: many}, "a part of its answer has more than"},
		"an endless number":        {&repeated{before: `{"a":`, text: `1`, times: many}, "a part of its answer has more than"},
		"an endless error":         {&repeated{before: `{"stores":[{"error":"`, text: `\u001b`, times: many}, "a part of its answer has more than"},
		"a list":                   {strings.NewReader(`[]`), "is not understood"},
		"a text":                   {strings.NewReader(`"planted"`), "is not understood"},
		"nothing":                  {strings.NewReader(``), "is not understood"},
		"null":                     {strings.NewReader(`null`), "is not understood"},
		"half":                     {strings.NewReader(`{"volumes":[{}`), "is not understood"},
		"volumes that are a text":  {strings.NewReader(`{"volumes":"x"}`), "is not understood"},
		"a volume that is a text":  {strings.NewReader(`{"volumes":["x"]}`), "is not understood"},
		"objects that are texts":   {strings.NewReader(`{"volumes":[{"objects":["x"]}]}`), "is not understood"},
		"a time that is none":      {strings.NewReader(`{"volumes":[{"polled":"yesterday"}]}`), "is not understood"},
		"a number too large":       {strings.NewReader(`{"stores":[{"calls":1e999}]}`), "is not understood"},
		"an error of reading":      {io.MultiReader(strings.NewReader(`{`), failingReader{}), "broken"},
	} {
		t.Run(name, func(t *testing.T) {
			budget := newAnswerBudget(limits, statusNow)
			facts, err := budget.readFacts(test.body, takeAll)
			if err == nil || !strings.Contains(err.Error(), test.want) || facts != nil {
				t.Errorf("%v: %v", facts, err)
			}
			if read := budget.read.Load(); read > limits.answer+1<<20 {
				t.Errorf("%d bytes were read", read)
			}
		})
	}
	for name, body := range map[string]io.Reader{
		"nulls":          strings.NewReader(`{"volumes":null,"stores":null,"program":null,"leases":null,"new":{"a":[1,{"b":null}]}}`),
		"an empty one":   strings.NewReader(`{}`),
		"many stores":    &repeated{before: `{"stores":[`, text: `{"state":"down"},`, times: 9 * answerStores, after: `{}]}`},
		"many objects":   &repeated{before: `{"volumes":[{"objects":[`, text: `{},`, times: 9 * answerObjects, after: `{}]}]}`},
		"others' facts":  &repeated{before: `{"leases":[`, text: `{"namespace":"a"},`, times: 1 << 16, after: `{}]}`},
		"a volume twice": strings.NewReader(`{"volumes":[{"pod":"a"}],"volumes":[{"pod":"b"}]}`),
	} {
		facts, err := newAnswerBudget(limits, statusNow).readFacts(body, takeAll)
		if err != nil || len(facts.stores) > answerStores || len(facts.volumes) > 2 || len(facts.volumes) == 1 && len(facts.volumes[0].Objects) > answerObjects {
			t.Errorf("%s: %v", name, err)
		}
	}
}

type failingReader struct{}

// Read fails.
func (failingReader) Read([]byte) (int, error) { return 0, errors.New("broken") }

// Volumes that are not taken cost no memory, however many they are.
func TestWhatIsNotTakenIsNotKept(t *testing.T) {
	limits := defaultStatusLimits
	body := &repeated{before: `{"volumes":[`, text: `{"namespace":"prod","pod":"other","podUID":"other","class":"web","error":"` + strings.Repeat("e", 900) + `","objects":[{},{},{},{},{}]},`, times: 12_000, after: `{}]}`}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	budget := newAnswerBudget(limits, statusNow)
	seen := 0
	facts, err := budget.readFacts(body, func(*engine.VolumeFacts) bool { seen++; return false })
	runtime.GC()
	runtime.ReadMemStats(&after)
	if err != nil || seen != 12_001 || len(facts.volumes) != 0 || budget.kept.Load() != 0 {
		t.Fatalf("%d volumes: %v", seen, err)
	}
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 4<<20 {
		t.Errorf("%d bytes are kept", grown)
	}
	runtime.KeepAlive(facts)
}

// When the answers of all are too long, the nodes that are left out are named, and what was
// read is shown.
func TestTheAnswersOfAllAreBounded(t *testing.T) {
	for name, change := range map[string]func(*statusLimits){
		"read": func(l *statusLimits) { l.read = 1 },
		"kept": func(l *statusLimits) { l.kept = 1 },
		"time": func(l *statusLimits) { l.time = time.Nanosecond },
	} {
		t.Run(name, func(t *testing.T) {
			api := newStatusAPI(t)
			limits := defaultStatusLimits
			change(&limits)
			code, stdout, stderr := runStatusWithin(t.Context(), limits, "-n", "prod", "--kubeconfig", api.kubeconfig)
			text := strings.Join(strings.Fields(stdout), " ")
			for _, want := range []string{"left out, because", "choose fewer with --namespace, --pod or --class", "pod lanyard/lanyard-a on node node-a", "pod lanyard/lanyard-b on node node-b", "pod/web-0"} {
				if !strings.Contains(text, want) {
					t.Errorf("exit code %d, without %q:\n%s%s", code, want, stdout, stderr)
				}
			}
		})
	}
	// One that is too long takes nothing from the others.
	api := newStatusAPI(t)
	limits := defaultStatusLimits
	limits.answer = 64 << 10
	api.providers["lanyard-a"] = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.Copy(w, &repeated{before: `{"leases":[`, text: `{},`, times: 1 << 20})
	})
	_, stdout, _ := runStatusWithin(t.Context(), limits, "-n", "prod", "--kubeconfig", api.kubeconfig)
	if !strings.Contains(stdout, "not asked: pod lanyard/lanyard-a on node node-a: its answer has more than 65536 bytes") || !strings.Contains(stdout, "stale    prod") {
		t.Errorf("%s", stdout)
	}
}

// The head of an answer is bounded too.
func TestTheHeadOfAnAnswerIsBounded(t *testing.T) {
	for name, body := range map[string]*repeated{
		"an endless field":  {before: "HTTP/1.1 200 OK\r\nA: ", text: "a", times: 1 << 26},
		"endless fields":    {before: "HTTP/1.1 200 OK\r\n", text: "A: b\r\n", times: 1 << 26},
		"an endless status": {before: "HTTP/1.1 200 ", text: "a", times: 1 << 26},
		"an endless line":   {text: "a", times: 1 << 26},
		"endless space":     {text: "\r\n", times: 1 << 26},
	} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://localhost/", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		total := body.times
		err = readAnswer(body, request, func(io.Reader) error { return errors.New("it was read") })
		if err == nil || strings.Contains(err.Error(), "it was read") || (total-body.times)*len(body.text) > 2*headBytes {
			t.Errorf("%s: %v after %d times", name, err, total-body.times)
		}
	}
	// A long text that is no answer is shown in part.
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://localhost/", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	err = readAnswer(&repeated{before: "HTTP/1.1 500 \x1b[2J\r\n\r\n", text: "\x1b", times: 1 << 20}, request, nil)
	if err == nil || len(err.Error()) > 4096 || strings.Contains(err.Error(), "\x1b") {
		t.Errorf("%v", err)
	}
}

// fleet is a cluster of pods with five objects each on 20 nodes.
func fleet(t testing.TB, pods int) *statusAPI {
	t.Helper()
	api := newStatusAPI(t)
	api.page = listPage
	const nodes = 20
	api.objects["pods"], api.objects["events"], api.objects["secretproviderclasspodstatuses"] = nil, nil, nil
	var objects []any
	var told []engine.ObjectFacts
	for i := range 5 {
		name := fmt.Sprint("object-", i)
		objects = append(objects, map[string]any{"id": name, "version": "k1.version"})
		told = append(told, engine.ObjectFacts{Object: name, Version: "k1.version", Store: "vault", StoreName: "vault", StoreType: "vault", Source: engine.FromCache, Read: at("11:59:45"), Due: at("12:00:15")})
	}
	of := make([]*status.Facts, nodes)
	for i := range of {
		name, node := fmt.Sprint("lanyard-", i), fmt.Sprint("node-", i)
		api.add("pods", lanyardPod("lanyard", name, node))
		of[i] = &status.Facts{Program: "serve", Version: "v1.0.0", Node: node, Made: statusNow, Facts: &engine.Facts{}}
		api.providers[name] = answers(http.StatusOK, of[i])
	}
	for i := range pods {
		name, uid, node := fmt.Sprint("pod-", i), fmt.Sprint("uid-", i), i%nodes
		api.add("pods", map[string]any{
			"metadata": map[string]any{"namespace": "prod", "name": name, "uid": uid, "creationTimestamp": "2026-11-29T10:00:00Z"}, "status": map[string]any{"phase": "Running"},
			"spec": map[string]any{"nodeName": fmt.Sprint("node-", node), "serviceAccountName": "web", "volumes": []any{map[string]any{
				"name": "secrets", "csi": map[string]any{"driver": driverName, "volumeAttributes": map[string]any{"secretProviderClass": "web"}},
			}}},
		})
		api.add("secretproviderclasspodstatuses", map[string]any{
			"metadata": map[string]any{"namespace": "prod", "name": name, "creationTimestamp": "2026-11-29T10:00:00Z", "ownerReferences": []any{map[string]any{"kind": "Pod", "uid": uid}}},
			"status":   map[string]any{"podName": name, "secretProviderClassName": "web", "mounted": true, "objects": objects},
		})
		of[node].Volumes = append(of[node].Volumes, engine.VolumeFacts{Namespace: "prod", Pod: name, PodUID: uid, ServiceAccount: "web", Class: "web", Dialect: "lanyard", State: engine.VolumeOK, Mounted: at("10:00:04"), Answered: at("11:59:50"), Polled: at("11:59:50"), Objects: told})
	}
	return api
}

// A thousand pods take a list in pages of each resource, and one port-forward for each node.
func TestStatusOfAThousandPodsTakesFewCalls(t *testing.T) {
	api := fleet(t, 1000)
	_, stdout, stderr := runStatus(t.Context(), "-A", "--kubeconfig", api.kubeconfig)
	if !strings.Contains(stdout, "1000 pod volumes") || strings.Count(stdout, "ok       prod       pod/pod-") != 1000 {
		t.Fatalf("%s%s", stdout[max(0, len(stdout)-2000):], stderr)
	}
	calls := map[string]int{}
	for _, call := range api.calls {
		calls[call[strings.LastIndex(call, "/")+1:]]++
	}
	// The pods are 1,020; those of the release, and of the KMS plugin, are listed by themselves.
	want := map[string]int{
		"secretproviderclasses": 1, "secretproviderclasspodstatuses": 2, "pods": 3 + 1 + 1, "events": 1, "secretsyncs": 1, "clusterrolebindings": 1,
		"secrets": 1, "portforward": 20,
	}
	if fmt.Sprint(calls) != fmt.Sprint(want) {
		t.Errorf("the calls are %v, want %v", calls, want)
	}
}

func BenchmarkStatusOfAThousandPods(b *testing.B) {
	api := fleet(b, 1000)
	b.ReportAllocs()
	looks := 0
	for b.Loop() {
		looks++
		if _, stdout, stderr := runStatus(context.Background(), "-A", "--kubeconfig", api.kubeconfig); !strings.Contains(stdout, "1000 pod volumes") {
			b.Fatal(stderr)
		}
	}
	b.ReportMetric(float64(len(api.calls))/float64(looks), "calls/op")
}
