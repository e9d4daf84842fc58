// Package monitoring makes the Grafana dashboards that the chart installs, and holds them
// and the alerts to the metrics that the program has.
//
// Start with Dashboards.
package monitoring

import (
	"encoding/json"
	"strings"
)

// dashboard is one of Grafana's, as far as ours differ.
type dashboard struct {
	uid, title, about string
	// instance is the label by which processes are told apart.
	instance string
	// marker is a metric that the processes of this dashboard have and others have not.
	marker string
	rows   []row
}

// row is a heading and its panels, three to a line.
type row struct {
	title  string
	panels []panel
}

// panel shows queries over time. In queries, $sel stands for the processes that are chosen
// and $by for the label that tells them apart.
type panel struct {
	title, about string
	unit         string
	queries      []query
}

type query struct{ expr, legend string }

const (
	perSecond = "ops"
	seconds   = "s"
	percent   = "percentunit"
	count     = "short"
	bytes     = "bytes"
)

// quantiles are the queries of a histogram's median and 99th percentile.
func quantiles(metric, by, legend string) []query {
	labels := "le"
	if by != "" {
		labels += ", " + by
	}
	made := make([]query, 0, 2)
	for _, q := range []struct{ value, name string }{{"0.5", "median"}, {"0.99", "99 %"}} {
		made = append(made, query{"histogram_quantile(" + q.value + ", sum by (" + labels + ") (rate(" + metric + "_bucket{$sel}[$__rate_interval])))", strings.TrimSpace(legend + " " + q.name)})
	}
	return made
}

// process are the panels of any process of Lanyard.
var process = row{"Processes", []panel{
	{"Versions", "How many processes run which version.", count, []query{{"count by (version) (lanyard_build_info{$sel})", "{{version}}"}}},
	{"Memory", "What each process has of the node's memory.", bytes, []query{{"process_resident_memory_bytes{$sel}", "{{$by}}"}}},
	{"CPU", "Cores that each process uses.", count, []query{{"rate(process_cpu_seconds_total{$sel}[$__rate_interval])", "{{$by}}"}}},
	{"Starts", "How often processes were started within an hour.", count, []query{{"changes(process_start_time_seconds{$sel}[1h])", "{{$by}}"}}},
}}

// door are the panels of a process with sockets.
var door = []panel{
	{"Sockets", "Sockets that nobody can connect to, and how often one was lost within an hour.", count, []query{
		{"lanyard_sockets_lost{$sel}", "{{$by}} lost"}, {"increase(lanyard_socket_losses_total{$sel}[1h])", "{{$by}} losses"},
	}},
	{"Refused connections", "By the peer's user, and because of too many.", perSecond, []query{
		{"sum(rate(lanyard_refused_peers_total{$sel}[$__rate_interval]))", "user"}, {"sum(rate(lanyard_refused_connections_total{$sel}[$__rate_interval]))", "too many"},
	}},
}

// stores are the panels of a process that reads stores.
var stores = row{"Stores", []panel{
	{"Stores that answer", "The share of processes that each store answered last.", percent, []query{{"avg by (store) (lanyard_store_up{$sel})", "{{store}}"}}},
	{"Reads", "Values read.", perSecond, []query{{"sum by (store) (rate(lanyard_store_reads_total{$sel}[$__rate_interval]))", "{{store}}"}}},
	{"Failed reads", "Values that could not be read, by the cause.", perSecond, []query{{`sum by (store, result) (rate(lanyard_store_reads_total{result!="ok",$sel}[$__rate_interval]))`, "{{store}} {{result}}"}}},
	{"Calls by status", "Remote calls, logins and renewals included; 0 is no answer.", perSecond, []query{{"sum by (store, status) (rate(lanyard_store_calls_total{$sel}[$__rate_interval]))", "{{store}} {{status}}"}}},
	{"Latency of calls", "Until the answer begins.", seconds, quantiles("lanyard_store_call_seconds", "store", "{{store}}")},
	{"Failover regions", "Looks at the failover regions.", perSecond, []query{{"sum by (store, result) (rate(lanyard_failover_checks_total{$sel}[$__rate_interval]))", "{{store}} {{result}}"}}},
}}

// cache are the panels of a process with a cache.
var cache = row{"Cache", []panel{
	{"Cache hits", "Values that needed no call of their own.", percent, []query{{
		`sum(rate(lanyard_cache_requests_total{result=~"hit|shared",$sel}[$__rate_interval])) / sum(rate(lanyard_cache_requests_total{$sel}[$__rate_interval]))`, "hits",
	}}},
	{"Requests", "Values asked of the cache; stale ones stand in while a store is down.", perSecond, []query{{"sum by (result) (rate(lanyard_cache_requests_total{$sel}[$__rate_interval]))", "{{result}}"}}},
	{"Stale values", "Old values that were served because a store is unavailable.", perSecond, []query{{`sum by ($by) (rate(lanyard_cache_requests_total{result="stale",$sel}[$__rate_interval]))`, "{{$by}}"}}},
	{"Age of values", "The age of the oldest value of each answer.", seconds, quantiles("lanyard_value_age_seconds", "", "")},
	{"Memory of the cache", "", bytes, []query{{"lanyard_cache_bytes{$sel}", "{{$by}}"}}},
	{"Evictions", "What was dropped because the cache was full; leased is a pod's own credential.", perSecond, []query{{"sum by (what) (rate(lanyard_cache_evictions_total{$sel}[$__rate_interval]))", "{{what}}"}}},
	{"Leases", "All that are kept alive, and those that end soon without having been replaced.", count, []query{
		{"sum(lanyard_leases{$sel})", "leases"}, {"sum(lanyard_leases_ending{$sel})", "ending"},
	}},
	{"Renewals of leases", "", perSecond, []query{{"sum by (result) (rate(lanyard_lease_renewals_total{$sel}[$__rate_interval]))", "{{result}}"}}},
	certificates,
}}

var certificates = panel{"Client certificates end in", "", seconds, []query{{"min by (file) (lanyard_client_certificate_expiry_timestamp_seconds{$sel}) - time()", "{{file}}"}}}

// shares are the panels of what namespaces share.
var shares = row{"Shares of namespaces", []panel{
	{"Units held", "The share of each pool that namespaces hold, where it is highest.", percent, []query{{"max by (pool) (lanyard_share_held{$sel} / (lanyard_share_capacity{$sel} > 0))", "{{pool}}"}}},
	{"Namespaces held back", "Namespaces that wait for units.", count, []query{{"sum by (pool) (lanyard_share_tenants_waiting{$sel})", "{{pool}}"}}},
	{"Requests that wait", "", count, []query{{"sum by (pool) (lanyard_share_waiting{$sel})", "{{pool}}"}}},
	{"Time of waiting", "Of those that had to wait.", seconds, quantiles("lanyard_share_wait_seconds", "pool", "{{pool}}")},
	{"Refused", "Requests that got no units.", perSecond, []query{{"sum by (pool) (rate(lanyard_share_refused_total{$sel}[$__rate_interval]))", "{{pool}}"}}},
}}

// configuration is the panel of a process with a configuration file.
var configuration = panel{"Configuration in force", "1 if the newest file is.", count, []query{{"lanyard_config_last_reload_successful{$sel}", "{{$by}}"}}}

// faults is the panel of calls that failed because of a fault in Lanyard.
var faults = panel{"Faults in Lanyard", "Calls that failed because of one; please report it.", perSecond, []query{
	{"sum(rate(lanyard_panics_total{$sel}[$__rate_interval]))", "calls"}, {"sum(rate(lanyard_store_panics_total{$sel}[$__rate_interval]))", "stores"},
}}

// trail are the panels of the audit trail.
var trail = row{"Audit trail", []panel{
	{"Records", "Written and lost; a process without a trail has none.", perSecond, []query{{"sum by (sink, result) (rate(lanyard_audit_records_total{$sel}[$__rate_interval]))", "{{sink}} {{result}}"}}},
	{"Sinks that take records", "The share of processes whose last records reached the sink.", percent, []query{{"avg by (sink) (lanyard_audit_up{$sel})", "{{sink}}"}}},
	{"Last number", "Of the chain of each process.", count, []query{{"lanyard_audit_sequence{$sel}", "{{$by}}"}}},
}}

// traces are the panels of what is sent to a collector.
var traces = row{"Traces", []panel{
	{"Spans", "Sent and lost; a process that traces nothing has none.", perSecond, []query{{"sum by (result) (rate(lanyard_trace_spans_total{$sel}[$__rate_interval]))", "{{result}}"}}},
	{"Service that takes spans", "The share of processes whose last spans reached it.", percent, []query{{"avg by (service) (lanyard_trace_up{$sel})", "{{service}}"}}},
}}

var dashboards = map[string]dashboard{
	"provider.json": {"lanyard-provider", "Lanyard: provider", "Mounts, stores, the cache, leases and shares of the provider for the Secrets Store CSI driver.", "pod", "lanyard_mounts_in_flight", []row{
		{"Mounts", []panel{
			{"Mounts", "By gRPC status code.", perSecond, []query{{"sum by (code) (rate(lanyard_mounts_total{$sel}[$__rate_interval]))", "{{code}}"}}},
			{"Failed mounts", "The share of mounts that fail.", percent, []query{{`sum by (dialect) (rate(lanyard_mounts_total{code!="OK",$sel}[$__rate_interval])) / sum by (dialect) (rate(lanyard_mounts_total{$sel}[$__rate_interval]))`, "{{dialect}}"}}},
			{"Latency of mounts", "", seconds, quantiles("lanyard_mount_seconds", "dialect", "{{dialect}}")},
			{"Mounts in flight", "Waiting ones included.", count, []query{{"sum by (dialect) (lanyard_mounts_in_flight{$sel})", "{{dialect}}"}}},
			{"Mounts that fail without work", "The same failed a moment ago, or the class names a store that is not there.", perSecond, []query{
				{"sum by (what) (rate(lanyard_failures_remembered_total{$sel}[$__rate_interval]))", "{{what}}"}, {"sum(rate(lanyard_unknown_store_mounts_total{$sel}[$__rate_interval]))", "unknown store"},
			}},
		}},
		stores, cache, shares, trail, traces, {process.title, append(append([]panel{}, process.panels...), append([]panel{configuration, faults}, door...)...)},
	}},
	"kms.json": {"lanyard-kms", "Lanyard: KMS plugin", "Calls of API servers, keys and key services.", "instance", "lanyard_kms_healthy", []row{
		{"What API servers are told", []panel{
			{"Healthy", "1 if Status calls the plugin healthy.", count, []query{{"lanyard_kms_healthy{$sel}", "{{$by}}"}}},
			{"Write key last worked", "Time since the write key was last seen to work.", seconds, []query{{"lanyard_kms_last_good_age_seconds{$sel}", "{{$by}}"}}},
			{"Write key", "How many plugins write with which key.", count, []query{{"count by (key) (lanyard_kms_write_key{$sel} == 1)", "{{key}}"}}},
			{"Calls", "Of API servers, by method and code.", perSecond, []query{{"sum by (method, code) (rate(lanyard_kms_calls_total{$sel}[$__rate_interval]))", "{{method}} {{code}}"}}},
			{"Failed calls", "", perSecond, []query{{`sum by (code, $by) (rate(lanyard_kms_calls_total{code!="OK",$sel}[$__rate_interval]))`, "{{$by}} {{code}}"}}},
			{"Latency of calls", "API servers wait for 3 s by default.", seconds, quantiles("lanyard_kms_call_seconds", "method", "{{method}}")},
		}},
		{"Keys", []panel{
			{"Keys that answer", "The share of plugins that each key's service answered last.", percent, []query{{"avg by (key) (lanyard_kms_key_up{$sel})", "{{key}}"}}},
			{"Calls of keys", "", perSecond, []query{{"sum by (key, operation) (rate(lanyard_kms_key_calls_total{$sel}[$__rate_interval]))", "{{key}} {{operation}}"}}},
			{"Failed calls of keys", "", perSecond, []query{{`sum by (key, result) (rate(lanyard_kms_key_calls_total{result!="ok",$sel}[$__rate_interval]))`, "{{key}} {{result}}"}}},
			{"Latency of keys", "With retries.", seconds, quantiles("lanyard_kms_key_call_seconds", "operation", "{{operation}}")},
			{"Retries", "Because a key service was unavailable.", perSecond, []query{{"sum by ($by) (rate(lanyard_kms_key_retries_total{$sel}[$__rate_interval]))", "{{$by}}"}}},
			{"Keys of the ring", "", count, []query{{"max by (state) (lanyard_kms_ring_keys{$sel})", "{{state}}"}}},
			{"Ring in force", "1 if the newest file is.", count, []query{{"lanyard_kms_ring_last_reload_successful{$sel}", "{{$by}}"}}},
			certificates,
		}},
		{process.title, append(append([]panel{}, process.panels...), door...)},
	}},
	"sync.json": {"lanyard-sync", "Lanyard: sync and restarts", "Secrets that are written without a pod, and workloads that are restarted for a changed value.", "pod", "lanyard_sync_writes_total", []row{
		{"Secrets", []panel{
			{"Objects by state", "Classes and SecretSyncs that ask for Secrets.", count, []query{{"sum by (kind, state) (lanyard_sync_objects{$sel})", "{{kind}} {{state}}"}}},
			{"Longest without success", "Time since the object that waits longest was last as its store has it.", seconds, []query{{"max by (kind) (lanyard_sync_oldest_seconds{$sel})", "{{kind}}"}}},
			{"Time to change", "From a change in a store that tells when it was until the Secret had it.", seconds, quantiles("lanyard_sync_change_seconds", "", "")},
			{"Secrets written", "", perSecond, []query{{"sum by (result) (rate(lanyard_sync_writes_total{$sel}[$__rate_interval]))", "{{result}}"}}},
		}},
		{"Restarts", []panel{
			{"Workloads that wait", "By the reason.", count, []query{{"sum by (reason) (lanyard_restart_waiting{$sel})", "{{reason}}"}}},
			{"Rollouts in progress", "", count, []query{{"sum(lanyard_restart_running{$sel})", "running"}, {"sum(lanyard_restart_failing{$sel})", "failing"}}},
			{"Rollouts that ended", "Within an hour.", count, []query{{"sum by (result) (increase(lanyard_restart_rollouts_total{$sel}[1h]))", "{{result}}"}}},
		}},
		stores, cache, shares, trail, traces, {process.title, append(append([]panel{}, process.panels...), configuration)},
	}},
	"inject.json": {"lanyard-inject", "Lanyard: webhook", "Pods that the API server asks about, and the certificate that it is answered with.", "pod", "lanyard_inject_admissions_total", []row{
		{"Pods", []panel{
			{"Pods", "By what became of them.", perSecond, []query{{"sum by (result) (rate(lanyard_inject_admissions_total{$sel}[$__rate_interval]))", "{{result}}"}}},
			{"Latency", "Of one answer.", seconds, quantiles("lanyard_inject_admission_seconds", "", "")},
			{"The certificate ends in", "", seconds, []query{{"min by ($by) (lanyard_inject_certificate_expiry_timestamp_seconds{$sel}) - time()", "{{$by}}"}}},
		}},
		process,
	}},
	"agent.json": {"lanyard-agent", "Lanyard: agents", "Agents in pods and on hosts that are scraped (--address).", "instance", "lanyard_agent_fresh", []row{
		{"Files", []panel{
			{"Fresh", "The share of agents whose files are as their stores have them.", percent, []query{{"avg(lanyard_agent_fresh{$sel})", "fresh"}}},
			{"Last success", "Time since an agent last read and wrote its files.", seconds, []query{{"time() - lanyard_agent_last_success_timestamp_seconds{$sel}", "{{$by}}"}}},
			{"Values that stand in", "Past their refresh interval, because their store is unavailable.", count, []query{{"lanyard_agent_stale_values{$sel}", "{{$by}}"}}},
			{"Rounds", "In which an agent read and wrote its files.", perSecond, []query{{"sum by (result) (rate(lanyard_agent_refreshes_total{$sel}[$__rate_interval]))", "{{result}}"}}},
			{"Changes", "", perSecond, []query{{"sum(rate(lanyard_agent_changes_total{$sel}[$__rate_interval]))", "changes"}}},
			{"Notifications", "Of the application.", perSecond, []query{{"sum by (kind, result) (rate(lanyard_agent_notifications_total{$sel}[$__rate_interval]))", "{{kind}} {{result}}"}}},
		}},
		stores, cache, process,
	}},
}

// Dashboards are the files of the dashboards by name.
func Dashboards() (map[string][]byte, error) {
	files := map[string][]byte{}
	for name, d := range dashboards {
		content, err := json.MarshalIndent(d.grafana(), "", " ")
		if err != nil {
			return nil, err
		}
		files[name] = append(content, '\n')
	}
	return files, nil
}

type object = map[string]any

// datasource is the one that is chosen on the dashboard.
var datasource = object{"type": "prometheus", "uid": "${datasource}"}

const (
	panelHeight, panelWidth = 8, 8
	lineWidth               = 24 // Grafana's
)

// grafana is the dashboard in Grafana's model.
func (d dashboard) grafana() object {
	insert := strings.NewReplacer("$sel", `job=~"$job",`+d.instance+`=~"$`+d.instance+`"`, "$by", d.instance)
	panels, id, y := []object{}, 0, 0
	add := func(p object, x, w, h int) {
		id++
		p["id"], p["gridPos"] = id, object{"x": x, "y": y, "w": w, "h": h}
		panels = append(panels, p)
	}
	for _, r := range d.rows {
		add(object{"type": "row", "title": r.title, "collapsed": false, "panels": []object{}}, 0, lineWidth, 1)
		y++
		for i, p := range r.panels {
			add(p.grafana(insert), i*panelWidth%lineWidth, panelWidth, panelHeight)
			if (i+1)*panelWidth%lineWidth == 0 || i == len(r.panels)-1 {
				y += panelHeight
			}
		}
	}
	return object{
		"uid": d.uid, "title": d.title, "description": d.about, "tags": []string{"lanyard"},
		"editable": true, "schemaVersion": 39, "refresh": "1m", "time": object{"from": "now-6h", "to": "now"},
		"panels": panels, "annotations": object{"list": []object{}},
		"templating": object{"list": []object{
			{"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus"},
			variable("job", "label_values("+d.marker+", job)"),
			variable(d.instance, "label_values("+d.marker+`{job=~"$job"}, `+d.instance+")"),
		}},
	}
}

// variable is a choice of several values of a label. All of them match processes without
// the label too.
func variable(name, query string) object {
	return object{
		"name": name, "label": name, "type": "query", "datasource": datasource, "query": query, "definition": query,
		"multi": true, "includeAll": true, "allValue": ".*", "current": object{"text": []string{"All"}, "value": []string{"$__all"}}, "refresh": 2, "sort": 1,
	}
}

func (p panel) grafana(insert *strings.Replacer) object {
	targets := make([]object, 0, len(p.queries))
	for i, q := range p.queries {
		targets = append(targets, object{
			"refId": string(rune('A' + i)), "datasource": datasource,
			"expr": insert.Replace(q.expr), "legendFormat": insert.Replace(q.legend),
		})
	}
	defaults := object{"unit": p.unit, "min": 0, "custom": object{"fillOpacity": 10, "showPoints": "never"}}
	if p.unit == percent {
		defaults["max"] = 1
	}
	return object{
		"type": "timeseries", "title": p.title, "description": p.about, "datasource": datasource, "targets": targets,
		"fieldConfig": object{"defaults": defaults, "overrides": []object{}},
		"options":     object{"tooltip": object{"mode": "multi", "sort": "desc"}, "legend": object{"showLegend": true, "displayMode": "list", "placement": "bottom", "calcs": []string{}}},
	}
}
