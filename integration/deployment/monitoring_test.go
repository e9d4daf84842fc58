package deployment

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	core "k8s.io/api/core/v1"
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

// TestThePrometheusRuleIsTheFileOfRules: what the rules say is tested in package monitoring.
func TestThePrometheusRuleIsTheFileOfRules(t *testing.T) {
	var rule struct {
		Metadata struct{ Labels map[string]string }
		Spec     map[string]any
	}
	for _, object := range render(t, "prometheusRule: {enabled: true, labels: {release: prometheus}}").Objects {
		if object.Head.Kind == "PrometheusRule" {
			decode(t, object.Content, &rule)
		}
	}
	var file map[string]any
	decode(t, string(source(t, "deployment/charts/lanyard/monitoring/alerts.yaml")), &file)
	if len(file) != 1 || !reflect.DeepEqual(rule.Spec, file) || rule.Metadata.Labels["release"] != "prometheus" {
		t.Errorf("the rule is not what the file says: %v", rule)
	}
}

func TestDashboardsComeAsConfigMapsThatGrafanaFinds(t *testing.T) {
	const values = "grafanaDashboards: {enabled: true, labels: {team: web}, annotations: {grafana_folder: Secrets}}"
	found := map[string]bool{}
	for _, object := range render(t, values).Objects {
		var config core.ConfigMap
		if object.Head.Kind != "ConfigMap" {
			continue
		}
		decode(t, object.Content, &config)
		if config.Labels["grafana_dashboard"] == "" {
			continue
		}
		found[config.Name] = true
		if config.Labels["grafana_dashboard"] != "1" || config.Labels["team"] != "web" || config.Annotations["grafana_folder"] != "Secrets" || len(config.Data) != 1 {
			t.Errorf("the labels of %s are %v, the annotations %v", config.Name, config.Labels, config.Annotations)
		}
		for name, content := range config.Data {
			file := string(source(t, "deployment/charts/lanyard/monitoring/dashboards/"+strings.TrimPrefix(name, "lanyard-")))
			if strings.TrimSpace(content) != strings.TrimSpace(file) {
				t.Errorf("%s is not the file", name)
			}
		}
	}
	if len(found) != 5 || !found["lanyard-provider-dashboard"] {
		t.Errorf("the dashboards are %v", found)
	}
	if got := kinds(render(t, "")); strings.Count(got, "ConfigMap") != 1 {
		t.Errorf("by default the kinds are %s", got)
	}
}
