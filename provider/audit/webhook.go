package audit

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/lanyardhq/lanyard/internal/proxy"
	"github.com/lanyardhq/lanyard/provider/backend/remote"
	"github.com/lanyardhq/lanyard/provider/config"
	"github.com/lanyardhq/lanyard/provider/outbox"
)

// newWebhook returns what sends records to the operator's HTTP service.
func newWebhook(l *Log, s settings) (*outbox.Box, error) {
	hook := s.audit.Webhook
	kind := outbox.Kind{Name: "audit", Lines: "records", Body: func(batch []byte) ([]byte, string, error) { return batch, "application/x-ndjson", nil }}
	if hook.Format == config.AuditOTLP {
		kind.Rejected = "rejectedLogRecords"
		kind.Body = func(batch []byte) ([]byte, string, error) {
			body, err := otlp(batch)
			return body, "application/json", err
		}
	}
	box, err := outbox.New(outbox.Service{
		URL: hook.URL, TokenFile: hook.TokenFile, Proxy: proxy.Settings(s.proxy),
		TLS: remote.TLS{CACertFile: hook.CACertFile, ClientCertFile: hook.ClientCertFile, ClientKeyFile: hook.ClientKeyFile},
	}, kind, webhookMetrics{l.metrics, l.now})
	if err != nil {
		return nil, fmt.Errorf("webhook: %w", err)
	}
	return box, nil
}

// webhookMetrics is an outbox.Watcher.
type webhookMetrics struct {
	metrics *metrics
	now     func() time.Time
}

// Sent implements outbox.Watcher.
func (m webhookMetrics) Sent(n uint64) { m.metrics.wrote(sinkWebhook, m.now(), n, nil) }

// Lost implements outbox.Watcher.
func (m webhookMetrics) Lost(n uint64) { m.metrics.lost(sinkWebhook, n) }

// Failed implements outbox.Watcher.
func (m webhookMetrics) Failed(err error) { m.metrics.down(sinkWebhook, m.now(), err) }

// The messages of OTLP logs that are needed here, as JSON has them: names in lower camel
// case, numbers of 64 bits as text.
// https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding and
// https://github.com/open-telemetry/opentelemetry-proto/blob/main/opentelemetry/proto/logs/v1/logs.proto
type (
	otlpLogs struct {
		ResourceLogs []otlpResourceLogs `json:"resourceLogs"`
	}
	otlpResourceLogs struct {
		Resource  otlpResource    `json:"resource"`
		ScopeLogs []otlpScopeLogs `json:"scopeLogs"`
	}
	otlpResource struct {
		Attributes []otlpAttribute `json:"attributes"`
	}
	otlpScopeLogs struct {
		Scope      otlpScope    `json:"scope"`
		LogRecords []otlpRecord `json:"logRecords"`
	}
	otlpScope struct {
		Name string `json:"name"`
	}
	otlpRecord struct {
		Time       string          `json:"timeUnixNano"`
		Severity   int             `json:"severityNumber"`
		Event      string          `json:"eventName"`
		Body       otlpValue       `json:"body"`
		Attributes []otlpAttribute `json:"attributes"`
	}
	otlpAttribute struct {
		Key   string    `json:"key"`
		Value otlpValue `json:"value"`
	}
	otlpValue struct {
		Text string `json:"stringValue"`
	}
)

// The severities of records: INFO, and WARN for what failed.
const (
	otlpInfo = 9
	otlpWarn = 13
)

// otlp is the body of an OTLP call for a batch. Each line is the body of a record whole, so
// that its hash can be checked there too; what is searched for is beside it.
func otlp(batch []byte) ([]byte, error) {
	scope := otlpScopeLogs{Scope: otlpScope{"lanyard/audit"}}
	for line := range bytes.Lines(batch) {
		line = bytes.TrimSuffix(line, []byte{'\n'})
		var r Record
		if err := json.Unmarshal(line, &r); err != nil {
			return nil, fmt.Errorf("a record is no JSON: %w", err)
		}
		severity := otlpInfo
		if r.Result != OK {
			severity = otlpWarn
		}
		record := otlpRecord{Time: strconv.FormatInt(r.Time.UnixNano(), 10), Severity: severity, Event: "lanyard.audit." + string(r.Event), Body: otlpValue{string(line)}}
		// https://opentelemetry.io/docs/specs/semconv/registry/attributes/k8s/
		for _, a := range []struct{ name, value string }{
			{"k8s.cluster.name", r.Cluster}, {"k8s.node.name", r.Node}, {"k8s.namespace.name", r.Namespace}, {"k8s.pod.name", r.Pod}, {"k8s.pod.uid", r.PodUID},
			{"lanyard.service_account", r.ServiceAccount}, {"lanyard.store", r.Store}, {"lanyard.key", r.Key}, {"lanyard.result", r.Result},
		} {
			if a.value != "" {
				record.Attributes = append(record.Attributes, otlpAttribute{a.name, otlpValue{a.value}})
			}
		}
		scope.LogRecords = append(scope.LogRecords, record)
	}
	return json.Marshal(otlpLogs{[]otlpResourceLogs{{Resource: otlpResource{[]otlpAttribute{{"service.name", otlpValue{"lanyard"}}}}, ScopeLogs: []otlpScopeLogs{scope}}}})
}
