package deployment

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

// monitor is as much of a PodMonitor and a ServiceMonitor as the chart sets.
type monitor struct {
	Metadata struct{ Labels map[string]string }
	Spec     struct {
		Selector                       struct{ MatchLabels map[string]string }
		PodMetricsEndpoints, Endpoints []struct{ Port, Path, Interval string }
	}
}

func TestMonitorsFindTheAdminPort(t *testing.T) {
	const values = "{networkPolicy: {from: [{namespaceSelector: {}}]}, podMonitor: {enabled: true, interval: 1m, labels: {release: prometheus}}, serviceMonitor: {enabled: true, interval: 1m, labels: {release: prometheus}}}"
	rendered := render(t, values)
	var service struct {
		Metadata struct{ Labels map[string]string }
		Spec     struct {
			Selector map[string]string
			Ports    []struct{ Name string }
		}
	}
	set := daemonSet(t, rendered)
	for _, object := range rendered.Objects {
		switch object.Head.Kind {
		case "Service":
			decode(t, object.Content, &service)
			if service.Spec.Ports[0].Name != "admin" || !within(service.Spec.Selector, set.Spec.Template.Labels) {
				t.Errorf("the Service is %v", service)
			}
		case "PodMonitor", "ServiceMonitor":
			var found monitor
			decode(t, object.Content, &found)
			endpoints := slices.Concat(found.Spec.Endpoints, found.Spec.PodMetricsEndpoints)
			if len(endpoints) != 1 || endpoints[0].Port != "admin" || endpoints[0].Path != "/metrics" || endpoints[0].Interval != "1m" || found.Metadata.Labels["release"] != "prometheus" {
				t.Errorf("the %s is %v", object.Head.Kind, found)
			}
			if !within(found.Spec.Selector.MatchLabels, set.Spec.Template.Labels) {
				t.Errorf("the %s asks for labels that pods do not have", object.Head.Kind)
			}
		}
	}
	if !strings.Contains(kinds(rendered), "PodMonitor Role RoleBinding Service ServiceAccount ServiceMonitor") {
		t.Errorf("the kinds are %s", kinds(rendered))
	}
}

// within reports whether all of some labels are among others.
func within(some, others map[string]string) bool {
	for label, value := range some {
		if others[label] != value {
			return false
		}
	}
	return len(some) > 0
}

// TestAlertsAskForMetricsThatThereAre holds the expressions against the manual,
// whose list is held against the provider elsewhere.
func TestAlertsAskForMetricsThatThereAre(t *testing.T) {
	var rule struct {
		Spec struct {
			Groups []struct {
				Rules []struct{ Alert, Expr string }
			}
		}
	}
	for _, object := range render(t, "prometheusRule: {enabled: true, labels: {release: prometheus}}").Objects {
		if object.Head.Kind == "PrometheusRule" {
			decode(t, object.Content, &rule)
		}
	}
	if len(rule.Spec.Groups) != 1 || len(rule.Spec.Groups[0].Rules) != 6 {
		t.Fatalf("the rules are %v", rule)
	}
	manual := string(source(t, "docs/glossary.md"))
	for _, alert := range rule.Spec.Groups[0].Rules {
		metrics := regexp.MustCompile(`lanyard_[a-z_]+`).FindAllString(alert.Expr, -1)
		if len(metrics) == 0 {
			t.Errorf("%s asks for no metric: %s", alert.Alert, alert.Expr)
		}
		for _, metric := range metrics {
			if !strings.Contains(manual, "| `"+metric+"`") {
				t.Errorf("%s asks for %s, which docs/glossary.md does not explain", alert.Alert, metric)
			}
		}
	}
}
