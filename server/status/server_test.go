package status

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/lanyardhq/lanyard/provider/engine"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/secret"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var began = time.Date(2026, 11, 29, 3, 0, 0, 0, time.UTC)

// fullNode are the facts of a node of so many pods with 20 objects each.
func fullNode(pods int) *Facts {
	f := &Facts{Program: "serve", Version: "v1", Node: "node-1", Started: began, Made: time.Now(), Facts: &engine.Facts{
		Stores: []engine.StoreFacts{{Name: "vault", Type: "vault", State: engine.StoreUp, Calls: 3, Reads: 2, LatencySeconds: .0123}},
		Cache:  engine.CacheFacts{Bytes: 2048, Bound: 64 << 20, Entries: 2, Volumes: 1, Shares: []engine.ShareFacts{{Namespace: "shop", Bytes: 2048}}},
	}}
	for i := range pods {
		v := engine.VolumeFacts{
			Namespace: fmt.Sprint("team-", i%25), Pod: fmt.Sprint("pod-", i), PodUID: fmt.Sprint("uid-", i), ServiceAccount: "web", Class: "web", Dialect: "lanyard",
			Mounted: began, Answered: began, Polled: began.Add(time.Minute), State: engine.VolumeOK,
		}
		for j := range 20 {
			v.Objects = append(v.Objects, engine.ObjectFacts{
				Object: fmt.Sprint("db/password-", j), Version: "v1-abcdefghijklmnopqrstuvwxyz0123456789", Store: "vault", StoreName: "vault", StoreType: "vault",
				StoreVersion: "3", Source: engine.FromCache, Read: began, Due: began.Add(30 * time.Second),
			})
		}
		f.Volumes = append(f.Volumes, v)
	}
	return f
}

// serves is a Server of facts, reached as a client on this machine reaches it.
func serves(t testing.TB, opts Options) *Server {
	t.Helper()
	s := New(opts)
	t.Cleanup(s.Close)
	return s
}

// ask is the answer to a request from an address; change may change the request.
func ask(s *Server, path, from string, change func(*http.Request)) *httptest.ResponseRecorder {
	mux := http.NewServeMux()
	s.Register(mux)
	r := httptest.NewRequest(http.MethodGet, path, nil)
	r.RemoteAddr, r.Host = from, "localhost:9879"
	if change != nil {
		change(r)
	}
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, r)
	return w
}

const here, elsewhere = "127.0.0.1:40000", "10.1.2.3:40000"

func TestTheStatusIsTheFactsAsJSON(t *testing.T) {
	s := serves(t, Options{Collect: func() *Facts { return fullNode(1) }})
	w := ask(s, "/status", here, nil)
	var got Facts
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != 200 || w.Header().Get("Content-Type") != "application/json" {
		t.Fatalf("%d, %v: %s", w.Code, err, w.Body)
	}
	if got.Program != "serve" || got.Facts == nil || len(got.Volumes) != 1 || got.Volumes[0].Objects[0].Object != "db/password-0" || got.Ring != nil {
		t.Errorf("%+v", got)
	}
	// A KMS plugin has no fields of an engine.
	s = serves(t, Options{Collect: func() *Facts { return &Facts{Program: "kms", Made: time.Now(), Ring: &Ring{Keys: []Key{{Name: "a"}}}} }})
	if text := ask(s, "/status", here, nil).Body.String(); strings.Contains(text, `"volumes"`) || !strings.Contains(text, `"ring":{`) {
		t.Errorf("of a KMS plugin: %s", text)
	}
}

func TestWhoMayAskForTheStatus(t *testing.T) {
	const good = "good"
	allowed := func(_ context.Context, _ string, token secret.Bytes) error {
		switch string(token.Reveal()) {
		case good:
			return nil
		case "denied":
			return fault.Failf(fault.ErrDenied, "no right")
		case "noright":
			return fault.Failf(fault.ErrPrecondition, "it lacks create on tokenreviews")
		case "down":
			return fault.Failf(fault.ErrUnavailable, "no answer")
		}
		return fault.Failf(fault.ErrUnauthenticated, "unknown")
	}
	header := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	host := func(host string) func(*http.Request) { return func(r *http.Request) { r.Host = host } }
	bearer := func(token string) func(*http.Request) { return header("Authorization", "Bearer "+token) }
	for name, test := range map[string]struct {
		from   string
		change func(*http.Request)
		alone  bool // no tokens are checked
		want   int
		text   string
	}{
		"loopback":                            {from: here, want: 200},
		"loopback, IPv6":                      {from: "[::1]:40000", want: 200},
		"loopback, IPv4 in IPv6":              {from: "[::ffff:127.0.0.1]:40000", want: 200},
		"loopback by address":                 {from: here, change: host("127.0.0.1:9879"), want: 200},
		"loopback by address, IPv6":           {from: here, change: host("[::1]:9879"), want: 200},
		"a name that leads to loopback":       {from: here, change: host("rebound.example.com:9879"), want: 403, text: "not under another name"},
		"a name that begins so":               {from: here, change: host("localhost.example.com"), want: 403},
		"a name that begins with an address":  {from: here, change: host("127.0.0.1.example.com"), want: 403},
		"no name":                             {from: here, change: host(""), want: 403},
		"a name, with a token":                {from: here, change: func(r *http.Request) { r.Host = "x.example"; bearer(good)(r) }, want: 403},
		"a sidecar's loopback":                {from: "127.0.0.6:40000", want: 401},
		"forwarded over loopback":             {from: here, change: header("X-Forwarded-For", "10.9.9.9"), want: 401},
		"forwarded over loopback, standard":   {from: here, change: header("Forwarded", "for=10.9.9.9"), want: 401},
		"forwarded by Envoy":                  {from: here, change: header("X-Envoy-Expected-Rq-Timeout-Ms", "1"), want: 401},
		"forwarded with the scheme alone":     {from: here, change: header("X-Forwarded-Proto", "http"), want: 401},
		"through a proxy":                     {from: here, change: header("Via", "1.1 proxy"), want: 401},
		"an address that is none":             {from: "@", want: 401},
		"elsewhere":                           {from: elsewhere, want: 401, text: "port-forward"},
		"elsewhere, another scheme":           {from: elsewhere, change: header("Authorization", "Basic "+good), want: 401},
		"elsewhere, an empty token":           {from: elsewhere, change: bearer(""), want: 401},
		"elsewhere with a token":              {from: elsewhere, change: bearer(good), want: 200},
		"elsewhere under a Service's name":    {from: elsewhere, change: func(r *http.Request) { r.Host = "lanyard.lanyard.svc"; bearer(good)(r) }, want: 200},
		"elsewhere, unknown":                  {from: elsewhere, change: bearer("bad"), want: 401},
		"elsewhere, denied":                   {from: elsewhere, change: bearer("denied"), want: 403},
		"elsewhere, no right to check":        {from: elsewhere, change: bearer("noright"), want: 403, text: "tokenreviews"},
		"elsewhere, the API server is down":   {from: elsewhere, change: bearer("down"), want: 503},
		"elsewhere, no tokens":                {from: elsewhere, alone: true, change: bearer(good), want: 403, text: "loopback alone"},
		"loopback, no tokens":                 {from: here, alone: true, want: 200},
		"elsewhere, a token that is not sent": {from: elsewhere, change: header("X-Token", good), want: 401},
	} {
		t.Run(name, func(t *testing.T) {
			opts := Options{Collect: func() *Facts { return fullNode(1) }, Allowed: allowed}
			if test.alone {
				opts.Allowed = nil
			}
			s := serves(t, opts)
			for _, path := range []string{"/", "/status", "/events"} {
				if path == "/events" && test.want == 200 {
					continue // it does not end
				}
				w := ask(s, path, test.from, test.change)
				if w.Code != test.want || !strings.Contains(w.Body.String(), test.text) {
					t.Errorf("%s: %d %s, want %d with %q", path, w.Code, w.Body, test.want, test.text)
				}
				if test.want != 200 && strings.Contains(w.Body.String(), "pod-0") {
					t.Errorf("%s: a refusal has facts", path)
				}
				if (w.Header().Get("WWW-Authenticate") == "Bearer") != (test.want == 401) {
					t.Errorf("%s: WWW-Authenticate is %q", path, w.Header().Get("WWW-Authenticate"))
				}
			}
		})
	}
}

func TestAnswersAreKeptFromOtherSites(t *testing.T) {
	s := serves(t, Options{Collect: func() *Facts { return fullNode(1) }})
	w := ask(s, "/", here, nil)
	for name, want := range map[string]string{
		"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
		"Cross-Origin-Resource-Policy": "same-origin", "Cross-Origin-Opener-Policy": "same-origin", "Access-Control-Allow-Origin": "",
		"Content-Type": "text/html; charset=utf-8",
	} {
		if got := w.Header().Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	policy := w.Header().Get("Content-Security-Policy")
	if !strings.HasPrefix(policy, "default-src 'none'; ") || strings.Contains(policy, "unsafe") || strings.Contains(policy, "*") || !strings.Contains(policy, "frame-ancestors 'none'") {
		t.Errorf("the policy is %s", policy)
	}
	// What the page has inline is what the policy lets run.
	page := w.Body.String()
	for tag, text := range map[string]string{"script": script, "style": style} {
		if strings.Count(page, "<"+tag) != 1 || !strings.Contains(page, "<"+tag+">"+text+"</"+tag+">") {
			t.Errorf("the page's %s is not the one that the policy has", tag)
		}
	}
	if other := ask(s, "/other", here, nil); other.Code != 404 {
		t.Errorf("another path: %d", other.Code)
	}
}

func TestThePageEscapesNamesAndShowsEachState(t *testing.T) {
	f := fullNode(2)
	f.Volumes[0].Pod, f.Volumes[0].State, f.Volumes[0].Error, f.Volumes[0].Since = `<img src=x onerror=alert(1)>`, engine.VolumeFailed, `"><script>alert(1)</script>`, began
	f.Volumes[1].Objects[0].Behind = true
	f.Stores[0].Name = `a"b`
	f.Leases = []engine.LeaseFacts{{Namespace: "shop", PodUID: "u", State: engine.LeaseEnding, Expires: began, Store: "vault"}}
	f.Ring = &Ring{Healthy: true, Named: "a", KeyID: "id", Keys: []Key{{Name: "a", Use: "write", State: KeyUp}, {Name: "b", Use: "retired", State: KeyUnasked}}}
	f.Synced = []Synced{{Kind: "SecretSync", Namespace: "shop", Name: "web", State: SyncedFailed, Error: "no", Secrets: []SyncedSecret{{Name: "s", Written: began}}}}
	f.Problems = []Problem{{Error: `cannot list resource <img src="y">`, Since: began}}
	page := string(pageOf(f))
	if strings.Contains(page, "<img") || strings.Contains(page, "<script>alert") {
		t.Error("a name is not escaped")
	}
	for _, want := range []string{
		"&lt;img src=x onerror=alert(1)&gt;", `data-level="bad"`, "3 failing", "2 to look at", "cannot list resource &lt;img", "behind", "a&#34;b", "ending", "Keys of the ring", "Synced objects",
		`<time datetime="2026-11-29T03:00:00Z">2026-11-29 03:00:00Z</time>`, "12.3 ms", "2.0 KiB of 64.0 MiB", "retired",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not have %q", want)
		}
	}
	// The worst comes first.
	if strings.Index(page, "onerror") > strings.Index(page, "team-1/pod-1") {
		t.Error("the failing volume is not the first")
	}
}

func TestManyWhoAskAtOnceCostOneCollection(t *testing.T) {
	var collected atomic.Int64
	s := serves(t, Options{Collect: func() *Facts { collected.Add(1); return fullNode(1) }})
	for range 100 {
		ask(s, "/", here, nil)
		ask(s, "/status", here, nil)
	}
	if n := collected.Load(); n > 2 {
		t.Errorf("the facts were collected %d times", n)
	}
}

// events is a connection that follows, past its headers.
func follows(t testing.TB, address string) (net.Conn, *bufio.Reader) {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if _, err := io.WriteString(conn, "GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	reader := bufio.NewReader(conn)
	answer, err := http.ReadResponse(reader, nil) //nolint:bodyclose // it ends with the connection
	if err != nil || answer.StatusCode != http.StatusOK || answer.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("%v, %+v", err, answer)
	}
	return conn, bufio.NewReader(answer.Body)
}

// nextEvent is the next change that is told.
func nextEvent(t testing.TB, reader *bufio.Reader) (c change) {
	t.Helper()
	for {
		line, err := reader.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if data, ok := strings.CutPrefix(line, "data: "); ok {
			if err := json.Unmarshal([]byte(data), &c); err != nil {
				t.Fatal(err)
			}
			return c
		}
	}
}

// listens serves a Server on loopback.
func listens(t testing.TB, s *Server) string {
	t.Helper()
	mux := http.NewServeMux()
	s.Register(mux)
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

func TestEventsTellAllRowsAndThenThoseThatChange(t *testing.T) {
	var now atomic.Pointer[Facts]
	now.Store(fullNode(3))
	s := serves(t, Options{Collect: now.Load})
	_, reader := follows(t, listens(t, s))
	first := nextEvent(t, reader)
	if !first.All || len(first.Gone) != 0 || len(first.Rows) != 1+1+3+3+1+1 {
		t.Fatalf("first %d rows: %+v", len(first.Rows), first)
	}
	changed := fullNode(2)
	changed.Volumes[1].State, changed.Volumes[1].Error = engine.VolumeFailed, "denied"
	now.Store(changed)
	s.events.making.Lock()
	s.mu.Lock()
	s.kept = nil
	s.mu.Unlock()
	s.events.compare()
	s.events.making.Unlock()
	second := nextEvent(t, reader)
	var tables []string
	for _, r := range second.Rows {
		tables = append(tables, r.Table+"/"+r.ID[:4])
	}
	// The summary, the volume and its class; the third pod's volume and class are gone.
	if second.All || len(second.Rows) != 3 || len(second.Gone) != 2 {
		t.Errorf("then %v, gone %v", tables, second.Gone)
	}
}

// A thousand connections cost neither goroutines nor collections of their own.
func TestAThousandWhoFollowCostLittle(t *testing.T) {
	var collected atomic.Int64
	f := fullNode(2)
	s := serves(t, Options{Collect: func() *Facts {
		collected.Add(1)
		again := *f
		again.Made = time.Now()
		return &again
	}})
	address := listens(t, s)
	_, reader := follows(t, address)
	nextEvent(t, reader)
	goroutines, before := runtime.NumGoroutine(), heap()
	const more = 999
	for range more {
		_, reader := follows(t, address)
		nextEvent(t, reader)
	}
	waitFor(t, func() bool { return runtime.NumGoroutine() <= goroutines+10 })
	if each := (heap() - before) / more; each > 16<<10 {
		t.Errorf("a connection takes %d bytes, those of its client among them", each)
	}
	if n := len(s.events.followers); n != more+1 {
		t.Errorf("%d follow", n)
	}
	// The bound: one more ends the oldest.
	for range maxFollowers - more - 1 {
		follows(t, address)
	}
	_, last := follows(t, address)
	nextEvent(t, last)
	if n := len(s.events.followers); n != maxFollowers {
		t.Errorf("%d follow", n)
	}
	if _, err := reader.ReadString(0); !errors.Is(err, io.EOF) {
		t.Errorf("the oldest is not ended: %v", err)
	}
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc + stats.StackInuse)
}

func waitFor(t *testing.T, holds func() bool) {
	t.Helper()
	for range 1000 {
		if holds() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Error("it does not come to hold")
}

// stuck is a connection that nobody reads from.
type stuck struct {
	net.Conn
	closed chan struct{}
}

func (s *stuck) Write([]byte) (int, error)   { <-s.closed; return 0, errors.New("closed") }
func (s *stuck) Close() error                { close(s.closed); return nil }
func (s *stuck) SetDeadline(time.Time) error { return nil }

func TestWhoDoesNotReadIsGivenUpAndKeepsNobodyWaiting(t *testing.T) {
	e := newEvents(func() *Facts { return fullNode(1) }, time.Now)
	defer e.close()
	slow := &stuck{closed: make(chan struct{})}
	e.add(&follower{conn: slow}, []byte("head"))
	for range maxWaiting {
		e.broadcast([]byte("data: {}\n\n"))
	}
	<-slow.closed
	waitFor(t, func() bool { e.mu.Lock(); defer e.mu.Unlock(); return len(e.followers) == 0 && e.stop == nil })
}

// idle is a connection that takes whatever is written.
type idle struct {
	net.Conn
	closed atomic.Bool
}

func (i *idle) Write(p []byte) (int, error) { return len(p), nil }
func (i *idle) Close() error                { i.closed.Store(true); return nil }
func (i *idle) SetDeadline(time.Time) error { return nil }

// One address cannot keep others from following, and nobody elsewhere follows for good: the
// right to it may end.
func TestWhoFollowsIsBounded(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	e := newEvents(func() *Facts { return fullNode(1) }, func() time.Time { return now })
	defer e.close()
	conns := map[string][]*idle{}
	follow := func(host string, until time.Time) {
		conns[host] = append(conns[host], &idle{})
		e.add(&follower{conn: conns[host][len(conns[host])-1], host: host, until: until}, nil)
	}
	follow("10.0.0.2", now.Add(followTime))
	follow("127.0.0.1", time.Time{})
	for range maxFollowers {
		follow("10.0.0.1", now.Add(time.Hour))
	}
	if !conns["10.0.0.1"][0].closed.Load() || !conns["10.0.0.1"][1].closed.Load() || conns["10.0.0.1"][2].closed.Load() ||
		conns["10.0.0.2"][0].closed.Load() || conns["127.0.0.1"][0].closed.Load() {
		t.Error("another than the oldest of the address with most was ended")
	}
	now = now.Add(followTime)
	e.expire(now)
	if !conns["10.0.0.2"][0].closed.Load() || conns["127.0.0.1"][0].closed.Load() || conns["10.0.0.1"][2].closed.Load() {
		t.Error("another than the one whose time is over was ended")
	}
}

// unread is an answer that nobody reads.
type unread struct {
	*httptest.ResponseRecorder
	reading, read chan struct{}
}

func (u *unread) Write(p []byte) (int, error) {
	u.reading <- struct{}{}
	<-u.read
	return len(p), nil
}

// Clients that do not read hold few answers, and one more is told to come again.
func TestAnswersThatNobodyReadsAreFew(t *testing.T) {
	s := serves(t, Options{Collect: func() *Facts { return fullNode(1) }})
	mux := http.NewServeMux()
	s.Register(mux)
	reading, read := make(chan struct{}), make(chan struct{})
	request := func() *http.Request {
		r := httptest.NewRequest(http.MethodGet, "http://localhost/status", nil)
		r.RemoteAddr = here
		return r
	}
	var asking sync.WaitGroup
	for range answersAtOnce {
		asking.Go(func() {
			mux.ServeHTTP(&unread{httptest.NewRecorder(), reading, read}, request())
		})
		<-reading
	}
	for _, path := range []string{"/status", "/"} {
		if refused := ask(s, path, here, nil); refused.Code != http.StatusServiceUnavailable || refused.Header().Get("Retry-After") == "" {
			t.Errorf("one more is answered with %d", refused.Code)
		}
	}
	close(read)
	asking.Wait()
	if again := ask(s, "/status", here, nil); again.Code != http.StatusOK {
		t.Errorf("then one is answered with %d", again.Code)
	}
}

func TestWhatWasToldIsForgottenWithTheLastWhoFollows(t *testing.T) {
	s := serves(t, Options{Collect: func() *Facts { return fullNode(1) }})
	conn, reader := follows(t, listens(t, s))
	nextEvent(t, reader)
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	// A connection that is gone is found when it is written to.
	waitFor(t, func() bool {
		s.events.broadcast([]byte(":\n\n"))
		s.events.making.Lock()
		defer s.events.making.Unlock()
		return s.events.sent == nil && s.events.all == nil
	})
}

// What a full node's page and status cost, from the facts to the bytes.
func BenchmarkPage(b *testing.B) {
	f := fullNode(250)
	b.ReportAllocs()
	for b.Loop() {
		b.SetBytes(int64(len(pageOf(f))))
	}
}

func BenchmarkStatus(b *testing.B) {
	f := fullNode(250)
	b.ReportAllocs()
	for b.Loop() {
		text, err := json.Marshal(f)
		if err != nil {
			b.Fatal(err)
		}
		b.SetBytes(int64(len(text)))
	}
}

// BenchmarkUnchanged is what comparing a full node's facts costs while somebody follows.
func BenchmarkUnchanged(b *testing.B) {
	f := fullNode(250)
	before := rowsAfter(f, nil)
	b.ReportAllocs()
	for b.Loop() {
		if after := rowsAfter(f, before); !after.sameAs(before) {
			b.Fatal("changed")
		}
	}
}

func TestTheStatusIsValidWhereNothingHappenedYet(t *testing.T) {
	f := &Facts{Program: "serve", Made: began, Facts: &engine.Facts{}}
	page := pageOf(f)
	for _, want := range []string{"No pod has mounted", "all well", "No value has a lease."} {
		if !bytes.Contains(page, []byte(want)) {
			t.Errorf("the page does not have %q", want)
		}
	}
}
