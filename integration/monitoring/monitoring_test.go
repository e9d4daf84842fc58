package monitoring

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/yaml"

	"github.com/lanyardhq/lanyard/cmd"
	"github.com/lanyardhq/lanyard/integration/binaries"
	"github.com/lanyardhq/lanyard/integration/checkout"
	"github.com/lanyardhq/lanyard/provider/audit"
	"github.com/lanyardhq/lanyard/provider/backend/remote"
	"github.com/lanyardhq/lanyard/provider/config"
	"github.com/lanyardhq/lanyard/provider/engine"
	"github.com/lanyardhq/lanyard/provider/key"
	"github.com/lanyardhq/lanyard/provider/key/local"
	"github.com/lanyardhq/lanyard/provider/kmsring"
	"github.com/lanyardhq/lanyard/provider/tracing"
	"github.com/lanyardhq/lanyard/server/admin"
	"github.com/lanyardhq/lanyard/server/agent"
	"github.com/lanyardhq/lanyard/server/csi"
	"github.com/lanyardhq/lanyard/server/inject/webhook"
	"github.com/lanyardhq/lanyard/server/kms"
	"github.com/lanyardhq/lanyard/server/sync"
	"github.com/lanyardhq/lanyard/server/sync/restart"
)

// rules is a file of rules.
type rules struct {
	Groups []struct {
		Name  string
		Rules []rule
	}
}

type rule struct {
	Alert, Expr, For    string
	Labels, Annotations map[string]string
}

// file is the path of a file of the checkout.
func file(t *testing.T, elements ...string) string {
	t.Helper()
	path, err := checkout.Path(elements...)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func read(t *testing.T, elements ...string) string {
	t.Helper()
	content, err := os.ReadFile(file(t, elements...))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// alerts are the rules that users load.
func alerts(t *testing.T) []rule {
	t.Helper()
	var all rules
	if err := yaml.UnmarshalStrict([]byte(read(t, "deployment", "charts", "lanyard", "monitoring", "alerts.yaml")), &all); err != nil {
		t.Fatal(err)
	}
	var found []rule
	for _, group := range all.Groups {
		found = append(found, group.Rules...)
	}
	if len(found) < 20 {
		t.Fatalf("there are only %d alerts", len(found))
	}
	return found
}

// promtool runs Prometheus' tool.
func promtool(t *testing.T, args ...string) {
	t.Helper()
	// Without service discovery, which this has no use for, there is far less to compile.
	built, err := binaries.Build(t.Context(), binaries.Source{
		Module: "prometheus", Packages: []string{"github.com/prometheus/prometheus/cmd/promtool"}, Tags: "remove_all_sd",
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	if output, err := exec.CommandContext(ctx, filepath.Join(built, "promtool"), args...).CombinedOutput(); err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, output)
	}
}

func TestAlertsFireWhenTheyShouldAndAreSilentOtherwise(t *testing.T) {
	directory := t.TempDir()
	test := read(t, "integration", "monitoring", "alerts_test.yaml")
	path := filepath.Join(directory, "alerts.yaml")
	write(t, path, read(t, "deployment", "charts", "lanyard", "monitoring", "alerts.yaml"))
	write(t, filepath.Join(directory, "test.yaml"), test)
	promtool(t, "check", "rules", "--lint-fatal", path)
	promtool(t, "test", "rules", filepath.Join(directory, "test.yaml"))

	var read struct {
		Tests []struct {
			Name        string
			InputSeries []struct{ Series string } `json:"input_series"`
		}
	}
	if err := yaml.Unmarshal([]byte(test), &read); err != nil {
		t.Fatal(err)
	}
	var well string
	for _, series := range read.Tests[0].InputSeries {
		well += series.Series + "\n"
	}
	for _, alert := range alerts(t) {
		if !strings.Contains(test, fmt.Sprintf(`ALERTS{alertname=%q, alertstate="firing", severity=%q`, alert.Alert, alert.Labels["severity"])) {
			t.Errorf("no test has %s fire as %s", alert.Alert, alert.Labels["severity"])
		}
		for _, used := range metricsOf(alert.Expr) {
			if !strings.Contains(well, used.name+"{") {
				t.Errorf("the test in which all is well has no %s, so that it says nothing of %s", used.name, alert.Alert)
			}
		}
	}
}

// registered are the labels of all metrics that the processes of Lanyard register, and the
// values of labels that there are from the start.
type registered struct {
	labels map[string][]string
	values map[string]map[string]bool // by metric and label
}

var describes = regexp.MustCompile(`^Desc\{fqName: "([^"]+)", .*constLabels: \{([^}]*)\}, variableLabels: \{([^}]*)\}\}$`)

func (r registered) add(t *testing.T, registry *prometheus.Registry) {
	t.Helper()
	descriptions := make(chan *prometheus.Desc)
	go func() { defer close(descriptions); registry.Describe(descriptions) }()
	for description := range descriptions {
		found := describes.FindStringSubmatch(description.String())
		if found == nil {
			t.Fatalf("this description has another form: %s", description)
		}
		labels := regexp.MustCompile(`\w+`).FindAllString(found[3], -1)
		for _, constant := range regexp.MustCompile(`(\w+)="`).FindAllStringSubmatch(found[2], -1) {
			labels = append(labels, constant[1])
		}
		r.labels[found[1]] = labels
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			for _, label := range metric.GetLabel() {
				known := family.GetName() + " " + label.GetName()
				if r.values[known] == nil {
					r.values[known] = map[string]bool{}
				}
				r.values[known][label.GetValue()] = true
			}
		}
	}
}

// running asks the registries of a provider, a KMS plugin, a controller, and of what they have
// in common with a webhook and an agent.
func running(t *testing.T) registered {
	t.Helper()
	all := registered{map[string][]string{"up": nil}, map[string]map[string]bool{}}

	provider := cmd.NewRegistry()
	csi.NewMetrics(provider)
	admin.New(admin.Options{Registry: provider})
	path := filepath.Join(t.TempDir(), "lanyard.yaml")
	write(t, path, "cluster: test\n")
	configuration, err := config.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	config.NewWatcher(configuration, func(config.Config) error { return nil }, provider)
	served, err := engine.New(engine.Options{Config: config.Default(), Calls: remote.NewCalls(1), Metrics: provider})
	if err != nil {
		t.Fatal(err)
	}
	defer served.Close()
	all.add(t, provider)

	plugin := cmd.NewRegistry()
	keys := filepath.Join(t.TempDir(), "keys")
	write(t, keys, "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=\n")
	path = filepath.Join(t.TempDir(), "ring.yaml")
	write(t, path, "kind: lanyard.kms-ring.v1\nkeys:\n  - {name: a, state: write, epoch: 1, service: {type: local, file: "+keys+"}}\n")
	ring, err := kmsring.Load(path, []key.Type{local.NewType()})
	if err != nil {
		t.Fatal(err)
	}
	defer ring.Ring.Close()
	kms.New(kms.Options{Ring: ring.Ring, Metrics: kms.NewMetrics(plugin)})
	kmsring.NewWatcher(ring, func(*kmsring.Ring) error { return nil }, plugin)
	all.add(t, plugin)

	controller := cmd.NewRegistry()
	sync.NewMetrics(controller, time.Now)
	restart.NewMetrics(controller)
	all.add(t, controller)

	others := cmd.NewRegistry()
	trail, err := audit.New(audit.Options{Metrics: others})
	if err != nil {
		t.Fatal(err)
	}
	defer trail.Close()
	traces, err := tracing.New(tracing.Options{Metrics: others})
	if err != nil {
		t.Fatal(err)
	}
	defer traces.Close()
	webhook.New(webhook.Options{Metrics: others})
	agent.New(agent.Options{Registry: others})
	all.add(t, others)
	return all
}

// targets are the labels that Prometheus gives what it scrapes by the chart's monitors.
var targets = []string{"job", "namespace", "pod", "node", "instance", "container"}

// used is a metric in an expression.
type used struct {
	name     string
	matchers [][]string // each whole, label, operator, value
}

var (
	metricPattern  = regexp.MustCompile(`\b(up|(?:lanyard|process|go)_\w+)\b(?:\{([^}]*)\})?`)
	matcherPattern = regexp.MustCompile(`(\w+)(=~|!~|!=|=)"([^"]*)"`)
	groupPattern   = regexp.MustCompile(`\b(?:by|on|without|ignoring|group_left|group_right) ?\(([^)]*)\)`)
	quoted         = regexp.MustCompile(`"[^"]*"`)
)

// metricsOf are the metrics in an expression.
func metricsOf(expr string) []used {
	var found []used
	for _, match := range metricPattern.FindAllStringSubmatch(expr, -1) {
		found = append(found, used{match[1], matcherPattern.FindAllStringSubmatch(match[2], -1)})
	}
	return found
}

// check holds an expression, and the labels that a text shows of its result, to the
// registries.
func (r registered) check(t *testing.T, where, expr string, shown []string) {
	t.Helper()
	metrics := metricsOf(expr)
	if len(metrics) == 0 {
		t.Errorf("%s: there is no metric in %s", where, expr)
	}
	known := slices.Clone(targets)
	for _, metric := range metrics {
		base := metric.name
		labels, found := r.labels[base]
		for _, suffix := range []string{"_bucket", "_sum", "_count"} {
			if cut, histogram := strings.CutSuffix(base, suffix); histogram && !found {
				if labels, found = r.labels[cut]; found && suffix == "_bucket" {
					labels = append(slices.Clone(labels), "le")
				}
			}
		}
		if !found {
			t.Errorf("%s asks for %s, which no process registers", where, metric.name)
		}
		known = append(known, labels...)
		for _, matcher := range metric.matchers {
			label, values := matcher[1], r.values[metric.name+" "+matcher[1]]
			if !slices.Contains(labels, label) && !slices.Contains(targets, label) {
				t.Errorf("%s asks for the label %s of %s, which has %q", where, label, metric.name, labels)
			}
			for value := range strings.SplitSeq(matcher[3], "|") {
				if len(values) > 1 && !values[value] {
					t.Errorf("%s asks for %s{%s=%q}, and the values are %q", where, metric.name, label, value, slices.Sorted(maps.Keys(values)))
				}
			}
		}
	}
	for _, group := range groupPattern.FindAllStringSubmatch(quoted.ReplaceAllString(expr, `""`), -1) {
		shown = append(shown, regexp.MustCompile(`\w+`).FindAllString(group[1], -1)...)
	}
	for _, label := range shown {
		if !slices.Contains(known, label) {
			t.Errorf("%s uses the label %s, and its metrics have %q", where, label, known)
		}
	}
}

func TestAlertsAndDashboardsAskForMetricsThatThereAre(t *testing.T) {
	all := running(t)
	for _, alert := range alerts(t) {
		var shown []string
		for _, label := range regexp.MustCompile(`\$labels\.(\w+)`).FindAllStringSubmatch(strings.Join(slices.Collect(maps.Values(alert.Annotations)), " "), -1) {
			shown = append(shown, label[1])
		}
		all.check(t, alert.Alert, alert.Expr, shown)
	}
	for name, d := range dashboards {
		if _, found := all.labels[d.marker]; !found {
			t.Errorf("%s: no process registers %s", name, d.marker)
		}
		for where, target := range queriesOf(t, name) {
			var shown []string
			for _, label := range regexp.MustCompile(`\{\{(\w+)\}\}`).FindAllStringSubmatch(target.LegendFormat, -1) {
				shown = append(shown, label[1])
			}
			all.check(t, where, target.Expr, shown)
		}
	}
}

// The dashboards show all that there is of Lanyard's own, but for what is of no use there.
func TestEveryMetricIsOnADashboardOrInAnAlert(t *testing.T) {
	var text strings.Builder
	for name := range dashboards {
		for _, target := range queriesOf(t, name) {
			text.WriteString(target.Expr + "\n")
		}
	}
	for _, alert := range alerts(t) {
		text.WriteString(alert.Expr + "\n")
	}
	without := []string{
		"lanyard_admin_listen_failures_total", // while it grows, nothing can be scraped
		"lanyard_cache_entries", "lanyard_config_last_reload_success_timestamp_seconds", "lanyard_kms_ring_last_reload_success_timestamp_seconds",
	}
	for name := range running(t).labels {
		if strings.HasPrefix(name, "lanyard_") && slices.Contains(without, name) == regexp.MustCompile(`\b`+name+`(_bucket)?\b`).MatchString(text.String()) {
			t.Errorf("%s is neither on a dashboard nor in an alert, or is on both lists", name)
		}
	}
}

type target struct{ Expr, LegendFormat string }

// queriesOf are the queries of a dashboard by where they stand.
func queriesOf(t *testing.T, name string) map[string]target {
	t.Helper()
	files, err := Dashboards()
	if err != nil {
		t.Fatal(err)
	}
	var read struct {
		Panels []struct {
			Title   string
			Targets []target
		}
	}
	if err := json.Unmarshal(files[name], &read); err != nil {
		t.Fatal(err)
	}
	found := map[string]target{}
	for _, panel := range read.Panels {
		for i, target := range panel.Targets {
			found[fmt.Sprintf("%s, %s, query %d", name, panel.Title, i+1)] = target
		}
	}
	return found
}

// What Grafana puts in for variables is put in here.
func TestDashboardsAskWhatPrometheusUnderstands(t *testing.T) {
	variables := strings.NewReplacer("$__rate_interval", "5m", "$job", ".*", "$pod", ".*", "$instance", ".*")
	type record struct {
		Record string `json:"record"`
		Expr   string `json:"expr"`
	}
	var records []record
	for name := range dashboards {
		for where, target := range queriesOf(t, name) {
			expr := variables.Replace(target.Expr)
			if strings.Contains(expr, "$") {
				t.Errorf("%s: a variable is left in %s", where, expr)
			}
			records = append(records, record{fmt.Sprintf("query:%d", len(records)), expr})
		}
	}
	content, err := yaml.Marshal(map[string]any{"groups": []any{map[string]any{"name": "dashboards", "rules": records}}})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "dashboards.yaml")
	write(t, path, string(content))
	promtool(t, "check", "rules", "--lint=none", path)
}

func TestGoldenDashboardsAreWhatTheProgramMakes(t *testing.T) {
	files, err := Dashboards()
	if err != nil {
		t.Fatal(err)
	}
	directory := file(t, "deployment", "charts", "lanyard", "monitoring", "dashboards")
	if os.Getenv("LANYARD_UPDATE_GOLDEN") != "" {
		for name, content := range files {
			write(t, filepath.Join(directory, name), string(content))
		}
	}
	there, err := filepath.Glob(filepath.Join(directory, "*"))
	if err != nil {
		t.Fatal(err)
	}
	if len(there) != len(files) {
		t.Errorf("%s has %d files, and there are %d dashboards", directory, len(there), len(files))
	}
	for name, content := range files {
		if found := read(t, "deployment", "charts", "lanyard", "monitoring", "dashboards", name); found != string(content) {
			t.Errorf("%s is not what the program makes; run make golden", name)
		}
	}
}

// runbook is the page with a section for each alert.
const runbook = "https://github.com/lanyardhq/lanyard/blob/main/docs/monitoring.md#"

func TestEveryAlertHasARunbook(t *testing.T) {
	sections := map[string]string{}
	for _, section := range strings.Split(read(t, "docs", "monitoring.md"), "\n### ")[1:] {
		title, text, _ := strings.Cut(section, "\n")
		text, _, _ = strings.Cut(text, "\n## ")
		if sections[title] != "" {
			t.Errorf("docs/monitoring.md has %s twice", title)
		}
		sections[title] = text
	}
	named := map[string]bool{}
	for _, alert := range alerts(t) {
		named[alert.Alert] = true
		if got, want := alert.Annotations["runbook_url"], runbook+strings.ToLower(alert.Alert); got != want {
			t.Errorf("the runbook of %s is %s, want %s", alert.Alert, got, want)
		}
		if alert.Annotations["summary"] == "" || alert.Annotations["description"] == "" {
			t.Errorf("%s does not say what it is about", alert.Alert)
		}
		if !slices.Contains([]string{"critical", "warning"}, alert.Labels["severity"]) {
			t.Errorf("%s has the severity %q", alert.Alert, alert.Labels["severity"])
		}
		after := sections[alert.Alert]
		for _, part := range []string{"**What it means.**", "**What users see.**", "**Look first.**", "**Fix.**", "**Ignore it** "} {
			_, rest, found := strings.Cut(after, part)
			if !found {
				t.Errorf("docs/monitoring.md: %s has no %s, or not in this order", alert.Alert, part)
				continue
			}
			after = rest
		}
	}
	for title := range sections {
		if strings.HasPrefix(title, "Lanyard") && !named[title] {
			t.Errorf("docs/monitoring.md has a section %s, and no alert has that name", title)
		}
	}
}
