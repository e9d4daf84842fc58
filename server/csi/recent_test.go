package csi

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc/codes"
	"sigs.k8s.io/secrets-store-csi-driver/provider/v1alpha1"

	"github.com/lanyardhq/lanyard/provider/engine"
)

// remembering is a server whose mounts leave their request in last.
func remembering(t *testing.T) (server *Server, last *engine.Request) {
	t.Helper()
	last = new(engine.Request)
	server = New(Options{
		Dialect: "lanyard", RequestBytes: 1 << 20, Metrics: NewMetrics(prometheus.NewRegistry()),
		Mounter: mounter(func(_ context.Context, req engine.Request) (*engine.Volume, error) {
			*last = req
			return &engine.Volume{}, nil
		}),
	})
	t.Cleanup(func() { server.Stop(context.Background()) })
	return server, last
}

func TestARequestThatIsRepeatedIsParsedOnce(t *testing.T) {
	server, last := remembering(t)
	mount := func(m *v1alpha1.MountRequest) engine.Request {
		t.Helper()
		_, err := server.service.Mount(t.Context(), m)
		must(t, err)
		return *last
	}
	whole := func() *v1alpha1.MountRequest {
		m := message(map[string]string{tokensKey: twoTokens})
		m.Secrets = `{"user":"u"}`
		return m
	}
	first := mount(whole())
	again := mount(whole())
	if first.Prepared == nil || again.Prepared != first.Prepared || again.Delivery == first.Delivery {
		t.Error("the same request is parsed again, or shares its delivery")
	}
	if id := again.Identity; again.Class != "web" || again.Dialect != "lanyard" || !maps.Equal(again.Parameters, first.Parameters) || id.Pod != "web-0" || len(id.Tokens) != 2 || len(id.Credentials) != 1 {
		t.Errorf("repeated, the request is %+v", again)
	}
	for name, change := range map[string]func(*v1alpha1.MountRequest){
		"another pod": func(m *v1alpha1.MountRequest) {
			m.Attributes = strings.Replace(m.GetAttributes(), "web-0", "web-1", 1)
		},
		"another token":      func(m *v1alpha1.MountRequest) { m.Attributes = strings.Replace(m.GetAttributes(), "jwt-1", "jwt-3", 1) },
		"other credentials":  func(m *v1alpha1.MountRequest) { m.Secrets = `{"user":"v"}` },
		"another permission": func(m *v1alpha1.MountRequest) { m.Permission = "256" },
	} {
		m := whole()
		change(m)
		if other := mount(m); other.Prepared == first.Prepared {
			t.Errorf("%s: it is taken for the same request", name)
		}
	}
}

func TestARequestThatIsNotRepeatedIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, _ := remembering(t)
		r, m := &server.service.recent, message(nil)
		_, err := server.service.Mount(t.Context(), m)
		must(t, err)
		for range 10 { // as long as it is polled
			time.Sleep(recentTime)
			if r.get(rawOf(m)) == nil {
				t.Fatal("it is forgotten between two polls")
			}
		}
		time.Sleep(2 * recentTime)
		r.get(rawRequest{})
		if len(r.newer)+len(r.older) > 0 {
			t.Error("it is remembered for ever")
		}
	})
}

func TestWhatIsRememberedOfRequestsIsBounded(t *testing.T) {
	var r recent
	most, entries := 0, map[string]string{}
	for i := range 1000 {
		for _, size := range []int{0, maxRecent / 4, maxRecent/2 - i, maxRecent} {
			entries[fmt.Sprint(i)] = ""
			r.add(rawRequest{attributes: strings.Repeat("x", size), permission: fmt.Sprint(i)}, &parsed{request: engine.Request{Parameters: maps.Clone(entries)}})
		}
		bytes := 0
		for _, generation := range []map[rawRequest]*parsed{r.newer, r.older} {
			for raw, p := range generation {
				if bytes += p.cost(raw); p.cost(raw) > maxRecent {
					t.Fatalf("a request of %d bytes is remembered", p.cost(raw))
				}
			}
		}
		most = max(most, bytes)
	}
	if most > 2*recentBytes || most < recentBytes {
		t.Errorf("%d bytes are remembered, want at most %d", most, 2*recentBytes)
	}
}

func TestRequestsAreForgottenWhereNothingElseIsAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r recent
		remembered := func() int {
			r.mu.Lock()
			defer r.mu.Unlock()
			return len(r.newer) + len(r.older)
		}
		for range 3 { // it begins again after it has forgotten all
			time.Sleep(time.Hour)
			r.add(rawRequest{attributes: "first"}, &parsed{})
			time.Sleep(recentTime - time.Second)
			r.add(rawRequest{attributes: "second"}, &parsed{})
			for range 3 {
				time.Sleep(2 * time.Minute) // as the driver polls
				if r.get(rawRequest{attributes: "second"}) == nil {
					t.Error("a request that is repeated is forgotten")
				}
			}
			if r.get(rawRequest{attributes: "first"}) != nil || remembered() == 0 {
				t.Error("one that is not repeated is remembered for longer than two generations, or the other is not")
			}
			time.Sleep(2*recentTime + time.Second)
			if n := remembered(); n != 0 {
				t.Errorf("%d requests are remembered though nothing was asked", n)
			}
		}
	})
}

func TestABoundThatIsLoweredHoldsForWhatIsRemembered(t *testing.T) {
	server, _ := remembering(t)
	m := message(nil)
	_, err := server.service.Mount(t.Context(), m)
	must(t, err)
	server.SetRequestBytes(100)
	_, err = server.service.Mount(t.Context(), m)
	wantStatus(t, err, codes.OutOfRange, "this node accepts")
}
