// Package tracing makes spans of what the process does, with OpenTelemetry's SDK, and sends them as OTLP where the
// operator wants them.
//
// Start with New.
package tracing

import (
	"context"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"k8s.io/klog/v2"

	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/internal/outage"
	"github.com/lanyardhq/lanyard/internal/proxy"
	"github.com/lanyardhq/lanyard/internal/span"
	"github.com/lanyardhq/lanyard/provider/backend/remote"
	"github.com/lanyardhq/lanyard/provider/config"
	"github.com/lanyardhq/lanyard/provider/outbox"
)

// Options are what a Tracer is made of.
type Options struct {
	// Settings are the operator's, and Proxy is that of the connection.
	Settings config.Tracing
	Proxy    config.Proxy
	// Service names the program, Version its version, and Node the node that it runs on; empty tells the host's name.
	Service, Version, Node string
	// Metrics is where the metrics are registered; nil for nowhere.
	Metrics prometheus.Registerer
	// Now tells the time; nil means time.Now.
	Now func() time.Time
}

// Tracer begins spans. A nil Tracer begins none. It is safe for concurrent use.
type Tracer struct {
	resource *resource.Resource
	now      func() time.Time
	spans    *prometheus.CounterVec
	outages  *outage.Tracker

	current atomic.Pointer[tracer] // nil while nothing is traced

	configuring sync.Mutex
	settings    settings
}

// settings are what a tracer is made of.
type settings struct {
	tracing config.Tracing
	proxy   config.Proxy
}

// tracer makes spans under one configuration.
type tracer struct {
	trace.Tracer

	propagate bool
	provider  *sdk.TracerProvider
	box       *outbox.Box
}

// New returns a Tracer that runs until Close.
func New(options Options) (*Tracer, error) {
	t := &Tracer{now: options.Now}
	if t.now == nil {
		t.now = time.Now
	}
	// https://opentelemetry.io/docs/specs/semconv/resource/
	about := []attribute.KeyValue{attribute.String("service.name", options.Service), attribute.String("service.version", options.Version)}
	if options.Node != "" {
		about = append(about, attribute.String("k8s.node.name", options.Node))
	} else if host, err := os.Hostname(); err == nil {
		about = append(about, attribute.String("host.name", host))
	}
	t.resource = resource.NewSchemaless(about...)
	t.spans = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "lanyard_trace_spans_total",
		Help: "Spans of traces by result: sent, or lost because the service took too long or refused them.",
	}, []string{"result"})
	up := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "lanyard_trace_up",
		Help: "1 if the last spans reached the service, 0 if not; nothing while nothing is traced.",
	}, []string{"service"})
	if options.Metrics != nil {
		options.Metrics.MustRegister(t.spans, up)
	}
	t.outages = outage.New(up, func(change outage.Change) {
		if change.Down {
			klog.ErrorS(nil, "Spans cannot be sent", "service", change.Name, "cause", message.Excerpt(change.Cause.Error()))
			return
		}
		klog.InfoS("Spans are sent again", "service", change.Name, "since", change.Since)
	})
	if err := t.Configure(options.Settings, options.Proxy); err != nil {
		return nil, err
	}
	return t, nil
}

// Configure makes other settings hold for the spans that begin from now on. After an error those before still do.
func (t *Tracer) Configure(tracing config.Tracing, proxied config.Proxy) error {
	if t == nil {
		return nil
	}
	t.configuring.Lock()
	defer t.configuring.Unlock()
	next := settings{tracing, proxied}
	if next == t.settings {
		return nil
	}
	started, err := t.start(next)
	if err != nil {
		return err
	}
	before := t.current.Swap(started)
	t.settings = next
	before.stop()
	return nil
}

// start starts a tracer; nil if the settings want none.
func (t *Tracer) start(s settings) (*tracer, error) {
	if !s.tracing.On() {
		return nil, nil //nolint:nilnil // which Tracer.current has then
	}
	box, err := outbox.New(outbox.Service{
		URL: s.tracing.URL, TokenFile: s.tracing.TokenFile, HeadersFile: s.tracing.HeadersFile, Proxy: proxy.Settings(s.proxy),
		TLS: remote.TLS{CACertFile: s.tracing.CACertFile, ClientCertFile: s.tracing.ClientCertFile, ClientKeyFile: s.tracing.ClientKeyFile},
	}, outbox.Kind{Name: "tracing", Lines: "spans", Body: t.body, Gather: gather, Rejected: "rejectedSpans"}, watcher{t})
	if err != nil {
		return nil, fmt.Errorf("tracing: %w", err)
	}
	provider := sdk.NewTracerProvider(
		sdk.WithResource(t.resource),
		sdk.WithSampler(sdk.ParentBased(sdk.TraceIDRatioBased(s.tracing.SampleRatio))),
		sdk.WithRawSpanLimits(limits),
		sdk.WithSpanProcessor(processor{box}),
	)
	return &tracer{provider.Tracer("lanyard"), s.tracing.Propagate, provider, box}, nil
}

// gather is how long spans are gathered for one call.
const gather = time.Second

// limits bound a span.
var limits = sdk.SpanLimits{
	AttributeValueLengthLimit: 512, AttributeCountLimit: 32,
	EventCountLimit: 0, LinkCountLimit: 0, AttributePerEventCountLimit: 0, AttributePerLinkCountLimit: 0,
}

// stop sends what waits and ends. Spans that end later are lost.
func (t *tracer) stop() {
	if t != nil {
		t.box.Close()
	}
}

// Start begins a span: below that of ctx if there is one, else the root of what this process does. It returns nil, and
// ctx as it was, while nothing is traced.
func (t *Tracer) Start(ctx context.Context, name string) (context.Context, *span.Span) {
	if t == nil {
		return ctx, nil
	}
	current := t.current.Load()
	switch {
	case current == nil:
		return ctx, nil
	case span.Of(ctx) != nil:
		return span.Start(ctx, name)
	}
	return span.Root(ctx, current, name, current.propagate)
}

// Close sends what waits and ends.
func (t *Tracer) Close() {
	if t == nil {
		return
	}
	t.configuring.Lock()
	defer t.configuring.Unlock()
	t.current.Swap(nil).stop()
}

// service is the only one, as metrics and the log call it.
const service = "otlp"

// watcher counts what becomes of a Tracer's spans. It implements outbox.Watcher.
type watcher struct{ *Tracer }

// Sent implements outbox.Watcher.
func (t watcher) Sent(n uint64) {
	t.spans.WithLabelValues("sent").Add(float64(n))
	t.outages.Answered(service, t.now())
}

// Lost implements outbox.Watcher.
func (t watcher) Lost(n uint64) { t.spans.WithLabelValues("lost").Add(float64(n)) }

// Failed implements outbox.Watcher.
func (t watcher) Failed(err error) {
	now := t.now()
	t.outages.Failed(service, now, now, err)
}
