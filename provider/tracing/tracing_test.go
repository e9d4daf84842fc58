package tracing_test

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"

	"github.com/lanyardhq/lanyard/internal/span"
	"github.com/lanyardhq/lanyard/provider/config"
	"github.com/lanyardhq/lanyard/provider/tracing"
	"github.com/lanyardhq/lanyard/provider/tracing/tracingtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// work is a root with something below it.
func work(ctx context.Context, tracer *tracing.Tracer) {
	ctx, root := tracer.Start(ctx, "root")
	root.Text("k8s.pod.name", "web")
	root.Text("lanyard.class", "")
	_, below := span.Start(ctx, "below")
	below.Number("lanyard.references", 3)
	below.Flag("lanyard.plan.made", true)
	below.Fail("denied")
	below.End()
	root.End()
}

func TestSpansAreSentWithTheirParents(t *testing.T) {
	receiver := tracingtest.New(t)
	dir := t.TempDir()
	token, headers := filepath.Join(dir, "token"), filepath.Join(dir, "headers")
	for file, content := range map[string]string{token: "sesame\n", headers: "X-Tenant: shop"} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	tracer := receiver.Tracer(t, func(s *config.Tracing) { s.TokenFile, s.HeadersFile = token, headers })
	work(t.Context(), tracer)
	tracer.Close()
	if want := "root name=web\n  below references=3 made=true FAILED denied\n"; receiver.Tree() != want {
		t.Errorf("the spans are\n%s, want\n%s", receiver.Tree(), want)
	}
	if h := receiver.Header(); h.Get("Authorization") != "Bearer sesame" || h.Get("X-Tenant") != "shop" || h.Get("Content-Type") != "application/json" {
		t.Errorf("the header is %v", h)
	}
	for _, want := range []string{`{"key":"service.name","value":{"stringValue":"lanyard"}}`, `{"key":"k8s.node.name","value":{"stringValue":"node-1"}}`} {
		if !strings.Contains(receiver.Text(), want) {
			t.Errorf("what is sent has no %s:\n%s", want, receiver.Text())
		}
	}
}

func TestACallersTraceGoesOn(t *testing.T) {
	const trace = "0af7651916cd43dd8448eb211c80319c"
	for parent, want := range map[string]int{
		"00-" + trace + "-b7ad6b7169203331-01": 2, // the caller records it, whatever the ratio
		"00-" + trace + "-b7ad6b7169203331-00": 0, // nor does this process what the caller does not
		"":                                     0,
		"nonsense":                             0,
	} {
		receiver := tracingtest.New(t)
		tracer := receiver.Tracer(t, func(s *config.Tracing) { s.SampleRatio = 0 })
		work(span.From(t.Context(), parent, ""), tracer)
		tracer.Close()
		spans := receiver.Spans()
		if len(spans) != want || want > 0 && (spans[0].TraceID != trace || spans[0].ParentID != "b7ad6b7169203331") {
			t.Errorf("below %q the spans are %v", parent, spans)
		}
	}
}

func TestWithoutAServiceNothingIsDone(t *testing.T) {
	off, err := tracing.New(tracing.Options{Settings: config.DefaultTracing()})
	if err != nil {
		t.Fatal(err)
	}
	defer off.Close()
	for name, tracer := range map[string]*tracing.Tracer{"off": off, "nil": nil} {
		allocated := testing.AllocsPerRun(100, func() { work(context.Background(), tracer) })
		if allocated != 0 {
			t.Errorf("%s: %v allocations", name, allocated)
		}
	}
}

func TestSpansThatTheServiceRefusesAreCounted(t *testing.T) {
	receiver := tracingtest.New(t)
	receiver.Status = http.StatusForbidden
	registry := prometheus.NewRegistry()
	settings := config.DefaultTracing()
	settings.URL = receiver.URL
	tracer, err := tracing.New(tracing.Options{Settings: settings, Metrics: registry})
	if err != nil {
		t.Fatal(err)
	}
	work(t.Context(), tracer)
	tracer.Close()
	want := `# HELP lanyard_trace_spans_total Spans of traces by result: sent, or lost because the service took too long or refused them.
# TYPE lanyard_trace_spans_total counter
lanyard_trace_spans_total{result="lost"} 2
# HELP lanyard_trace_up 1 if the last spans reached the service, 0 if not; nothing while nothing is traced.
# TYPE lanyard_trace_up gauge
lanyard_trace_up{service="otlp"} 0
`
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want)); err != nil {
		t.Error(err)
	}
}

func TestAChangedConfigurationHoldsForTheNextSpans(t *testing.T) {
	first, second := tracingtest.New(t), tracingtest.New(t)
	tracer := first.Tracer(t, nil)
	work(t.Context(), tracer)
	settings := config.DefaultTracing()
	settings.CACertFile, settings.URL = "/does/not/exist", second.URL
	if err := tracer.Configure(settings, config.Proxy{}); err == nil {
		t.Error("settings that cannot be used hold")
	}
	work(t.Context(), tracer)
	settings.CACertFile = ""
	if err := tracer.Configure(settings, config.Proxy{}); err != nil {
		t.Fatal(err)
	}
	work(t.Context(), tracer)
	if err := tracer.Configure(config.DefaultTracing(), config.Proxy{}); err != nil {
		t.Fatal(err)
	}
	work(t.Context(), tracer)
	if a, b := len(first.Spans()), len(second.Spans()); a != 4 || b != 2 {
		t.Errorf("the first service has %d spans and the second %d, want 4 and 2", a, b)
	}
}

func TestASpanHasBounds(t *testing.T) {
	receiver := tracingtest.New(t)
	tracer := receiver.Tracer(t, nil)
	_, s := tracer.Start(t.Context(), "root")
	s.Text("long", strings.Repeat("x", 10_000))
	for i := range 100 {
		s.Number(strings.Repeat("n", i+1), i)
	}
	s.End()
	tracer.Close()
	spans := receiver.Spans()
	if len(spans) != 1 || len(spans[0].Attributes) != 32 || len(receiver.Text()) > 8<<10 {
		t.Errorf("%d bytes were sent: %v", len(receiver.Text()), spans)
	}
}

func TestASpanOfAnotherContextGoesOnInOneThatOutlivesIt(t *testing.T) {
	receiver := tracingtest.New(t)
	tracer := receiver.Tracer(t, nil)
	ctx, root := tracer.Start(t.Context(), "root")
	_, below := span.Start(span.Within(context.Background(), ctx), "login")
	root.End()
	below.End()
	if _, none := span.Start(span.Within(context.Background(), context.Background()), "x"); none != nil {
		t.Error("there is a span below none")
	}
	tracer.Close()
	if want := "root\n  login\n"; receiver.Tree() != want {
		t.Errorf("the spans are\n%s, want\n%s", receiver.Tree(), want)
	}
}
