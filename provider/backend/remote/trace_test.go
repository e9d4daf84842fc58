package remote_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/lanyardhq/lanyard/provider/backend/remote"
	"github.com/lanyardhq/lanyard/provider/config"
	"github.com/lanyardhq/lanyard/provider/tracing/tracingtest"
)

// Each call has a span, which counts attempts and never has the path; servers are told of it only if the operator wants
// that.
func TestCallsAreTraced(t *testing.T) {
	for _, propagate := range []bool{false, true} {
		receiver := tracingtest.New(t)
		tracer := receiver.Tracer(t, func(s *config.Tracing) { s.Propagate = propagate })
		var told []string
		statuses := []int{503, 200, 404}
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			told = append(told, r.Header.Get("traceparent"))
			w.WriteHeader(statuses[len(told)-1])
		}))
		defer server.Close()
		transport, release, err := remote.NewTransports(remote.Options{Calls: remote.NewCalls(1), MaxAnswer: 1 << 10}).Acquire(remote.Route{})
		if err != nil {
			t.Fatal(err)
		}
		defer release()
		ctx, root := tracer.Start(t.Context(), "read")
		call := func(url string) {
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := transport.Client("vault").Do(req)
			if err == nil {
				_ = resp.Body.Close()
			}
			if req.Header.Get("traceparent") != "" {
				t.Error("the caller's own request was changed")
			}
		}
		call(server.URL + "/v1/planted-secret?q=planted")
		call(server.URL + "/v1/planted-secret?q=planted")
		call(server.URL + "/v1/planted-other")
		server.Close()
		call(server.URL + "/v1/planted-secret")
		root.End()
		tracer.Close()
		const each = "  call call=vault method=GET address=127.0.0.1 attempt="
		want := "read\n" + each + "1 status_code=503 FAILED\n" + each + "2 status_code=200\n" + each + "1 status_code=404 FAILED\n" + each + "3 FAILED\n"
		if got := receiver.Tree(); got != want {
			t.Errorf("the spans are\n%s\nwant\n%s", got, want)
		}
		if strings.Contains(receiver.Text(), "planted") {
			t.Errorf("a path is in\n%s", receiver.Text())
		}
		for i, s := range receiver.Spans()[1:4] {
			if got := told[i] == "00-"+s.TraceID+"-"+s.SpanID+"-01"; got != propagate {
				t.Errorf("with propagate %v the server is told %q of the span %s", propagate, told[i], s.SpanID)
			}
		}
	}
}
