package kms

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/klog/v2"
	"k8s.io/klog/v2/textlogger"

	"github.com/lanyardhq/lanyard/provider/fault"
)

// metrics are the series whose name begins so, each as its labels and value.
func (p *plugin) metrics(name string) map[string]float64 {
	p.Helper()
	families, err := p.registry.Gather()
	if err != nil {
		p.Fatal(err)
	}
	found := map[string]float64{}
	for _, family := range families {
		if family.GetName() != name {
			continue
		}
		for _, metric := range family.GetMetric() {
			var labels []string
			for _, label := range metric.GetLabel() {
				labels = append(labels, label.GetValue())
			}
			found[strings.Join(labels, " ")] = metric.GetGauge().GetValue() + metric.GetCounter().GetValue()
		}
	}
	return found
}

func (p *plugin) wantMetric(name, want string) {
	p.Helper()
	if got := fmt.Sprint(p.metrics(name)); got != "map["+want+"]" {
		p.Errorf("%s is %s, want %s", name, got, want)
	}
}

func TestMetricsTellTheKeyInUseAndForgetThoseThatAreGone(t *testing.T) {
	p := start(t, head+ringKey("a", "write", "")+ringKey("b", "read", ""))
	p.wantMetric("lanyard_kms_write_key", "")
	p.wantMetric("lanyard_kms_healthy", ":0")
	p.probe()
	p.wantMetric("lanyard_kms_write_key", "a:1")
	p.wantMetric("lanyard_kms_healthy", ":1")
	p.wantMetric("lanyard_kms_ring_keys", "read:1 retired:0 write:1")
	if err := p.to(head + ringKey("a", "read", "") + ringKey("b", "write", "")); err != nil {
		t.Fatal(err)
	}
	p.probe()
	p.wantMetric("lanyard_kms_write_key", "b:1")
	p.wantMetric("lanyard_kms_key_calls_total", "a decrypt ok:1 a encrypt ok:1 b decrypt ok:1 b encrypt ok:1")
	for _, ring := range []string{head + ringKey("a", "retired", "") + ringKey("b", "write", ""), head + ringKey("b", "write", "")} {
		if err := p.to(ring); err != nil {
			t.Fatal(err)
		}
	}
	p.wantMetric("lanyard_kms_key_calls_total", "b decrypt ok:1 b encrypt ok:1")
	p.failing(fault.ErrDenied, "b")
	p.probe()
	p.wantMetric("lanyard_kms_healthy", ":0")
	p.wantMetric("lanyard_kms_key_calls_total", "b decrypt ok:1 b encrypt denied:1 b encrypt ok:1")
}

func TestMetricsHaveNoLabelThatARequestChooses(t *testing.T) {
	p := start(t, head+ringKey("a", "write", ""))
	client := p.serve()
	p.probe()
	for i := range 50 {
		req := p.sealed("seed")
		req.KeyId, req.Uid = fmt.Sprintf("rogue%d", i), fmt.Sprintf("uid%d", i)
		if _, err := client.Decrypt(t.Context(), req); err == nil {
			t.Fatal("it decrypts")
		}
	}
	p.wantMetric("lanyard_kms_calls_total", "FailedPrecondition decrypt:50")
	p.wantMetric("lanyard_panics_total", ":0")
}

// The write key's outage is told where it is found; that of a read key here.
func TestTheStateOfEachKeyIsKnown(t *testing.T) {
	var log bytes.Buffer
	klog.SetLogger(textlogger.NewLogger(textlogger.NewConfig(textlogger.Output(&log))))
	t.Cleanup(klog.ClearLogger)
	synctest.Test(t, func(t *testing.T) {
		p := start(t, head+ringKey("a", "write", "")+ringKey("b", "read", ""))
		p.probe()
		p.wantMetric("lanyard_kms_key_up", "a:1")
		old := p.sealed("seed")
		if err := p.to(head + ringKey("a", "read", "") + ringKey("b", "write", "")); err != nil {
			t.Fatal(err)
		}
		p.probe()
		time.Sleep(time.Minute)
		log.Reset()
		p.failing(fault.ErrUnavailable, "a")
		for range 3 {
			if _, err := p.decrypt(old); err == nil {
				t.Error("it decrypts")
			}
		}
		p.wantMetric("lanyard_kms_key_up", "a:0 b:1")
		p.keys.Fail(nil)
		p.opens(old, "seed")
		p.opens(old, "seed")
		p.wantMetric("lanyard_kms_key_up", "a:1 b:1")
		for _, want := range []string{`The key's service is down; what was encrypted with the key cannot be read until it answers" key="a"`, `The key's service answers again" key="a"`} {
			if strings.Count(log.String(), want) != 1 {
				t.Errorf("%q is not told once:\n%s", want, &log)
			}
		}
		if err := p.to(head + ringKey("a", "retired", "") + ringKey("b", "write", "")); err != nil {
			t.Fatal(err)
		}
		p.wantMetric("lanyard_kms_key_up", "b:1")
	})
}
