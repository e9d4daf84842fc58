package tracing

import (
	"bytes"
	"context"
	"encoding/json"
	"strconv"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdk "go.opentelemetry.io/otel/sdk/trace"

	"github.com/lanyardhq/lanyard/provider/outbox"
)

// processor queues each span that ends as a line of JSON. It implements sdk.SpanProcessor.
type processor struct{ box *outbox.Box }

// OnStart implements sdk.SpanProcessor.
func (processor) OnStart(context.Context, sdk.ReadWriteSpan) {}

// OnEnd implements sdk.SpanProcessor.
func (p processor) OnEnd(ended sdk.ReadOnlySpan) {
	line, err := json.Marshal(otlpOf(ended))
	if err == nil { // no field can fail
		p.box.Add(append(line, '\n'))
	}
}

// Shutdown implements sdk.SpanProcessor.
func (processor) Shutdown(context.Context) error { return nil }

// ForceFlush implements sdk.SpanProcessor.
func (processor) ForceFlush(context.Context) error { return nil }

// The messages of OTLP traces that are needed here, as JSON has them: names in lower camel case, IDs in hexadecimal,
// numbers of 64 bits as text.
// https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding and
// https://github.com/open-telemetry/opentelemetry-proto/blob/main/opentelemetry/proto/trace/v1/trace.proto
type (
	otlpTraces struct {
		ResourceSpans []otlpResourceSpans `json:"resourceSpans"`
	}
	otlpResourceSpans struct {
		Resource   otlpResource     `json:"resource"`
		ScopeSpans []otlpScopeSpans `json:"scopeSpans"`
	}
	otlpResource struct {
		Attributes []otlpAttribute `json:"attributes"`
	}
	otlpScopeSpans struct {
		Scope otlpScope         `json:"scope"`
		Spans []json.RawMessage `json:"spans"`
	}
	otlpScope struct {
		Name string `json:"name"`
	}
	otlpSpan struct {
		TraceID    string          `json:"traceId"`
		SpanID     string          `json:"spanId"`
		State      string          `json:"traceState,omitempty"`
		ParentID   string          `json:"parentSpanId,omitempty"`
		Flags      uint32          `json:"flags"`
		Name       string          `json:"name"`
		Kind       int             `json:"kind"`
		Start      string          `json:"startTimeUnixNano"`
		End        string          `json:"endTimeUnixNano"`
		Attributes []otlpAttribute `json:"attributes,omitempty"`
		Status     *otlpStatus     `json:"status,omitempty"`
	}
	otlpStatus struct {
		Code    int    `json:"code"`
		Message string `json:"message,omitempty"`
	}
	otlpAttribute struct {
		Key   string    `json:"key"`
		Value otlpValue `json:"value"`
	}
	otlpValue struct {
		Text   *string `json:"stringValue,omitempty"`
		Number string  `json:"intValue,omitempty"`
		Flag   *bool   `json:"boolValue,omitempty"`
	}
)

// otlpError is STATUS_CODE_ERROR.
const otlpError = 2

func otlpOf(ended sdk.ReadOnlySpan) otlpSpan {
	own, parent := ended.SpanContext(), ended.Parent()
	s := otlpSpan{
		TraceID: own.TraceID().String(), SpanID: own.SpanID().String(), State: own.TraceState().String(),
		Flags: uint32(own.TraceFlags()), Name: ended.Name(), Kind: int(ended.SpanKind()),
		Start: strconv.FormatInt(ended.StartTime().UnixNano(), 10), End: strconv.FormatInt(ended.EndTime().UnixNano(), 10),
		Attributes: otlpAttributes(ended.Attributes()),
	}
	if parent.SpanID().IsValid() {
		s.ParentID = parent.SpanID().String()
	}
	if status := ended.Status(); status.Code == codes.Error {
		s.Status = &otlpStatus{otlpError, status.Description}
	}
	return s
}

func otlpAttributes(all []attribute.KeyValue) []otlpAttribute {
	attributes := make([]otlpAttribute, len(all))
	for i, a := range all {
		attributes[i].Key = string(a.Key)
		switch a.Value.Type() {
		case attribute.INT64:
			attributes[i].Value.Number = strconv.FormatInt(a.Value.AsInt64(), 10)
		case attribute.BOOL:
			flag := a.Value.AsBool()
			attributes[i].Value.Flag = &flag
		default:
			text := a.Value.String()
			attributes[i].Value.Text = &text
		}
	}
	return attributes
}

// body is the body of an OTLP call for a batch of spans.
func (t *Tracer) body(batch []byte) ([]byte, string, error) {
	scope := otlpScopeSpans{Scope: otlpScope{"lanyard"}}
	for line := range bytes.Lines(batch) {
		scope.Spans = append(scope.Spans, bytes.TrimSuffix(line, []byte{'\n'}))
	}
	body, err := json.Marshal(otlpTraces{[]otlpResourceSpans{{Resource: otlpResource{otlpAttributes(t.resource.Attributes())}, ScopeSpans: []otlpScopeSpans{scope}}}})
	return body, "application/json", err
}
