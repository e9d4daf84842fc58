package deployment

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
)

// templates are the pods of all parts of the release, where each part has the
// values that are given.
func templates(t *testing.T, values string) map[string]core.PodTemplateSpec {
	t.Helper()
	all := map[string]core.PodTemplateSpec{}
	indented := strings.ReplaceAll(strings.TrimSpace(values), "\n", "\n  ")
	rendered := render(t, values+"\nsync:\n  enabled: true\n  "+indented+"\ninject:\n  enabled: true\n  "+indented+"\n")
	all["provider"] = object[apps.DaemonSet](t, rendered, "DaemonSet").Spec.Template
	for _, name := range []string{"sync", "inject"} {
		all[name] = object[apps.Deployment](t, part(t, rendered, name), "Deployment").Spec.Template
	}
	return all
}

func TestEveryPartTakesWhatKubernetesOffersAPod(t *testing.T) {
	for name, template := range templates(t, `
extraArgs: [--v=4]
extraEnv: [{name: GODEBUG, value: "http2debug=1"}]
extraVolumes: [{name: scratch, emptyDir: {}}]
extraVolumeMounts: [{name: scratch, mountPath: /scratch}]
dnsPolicy: None
dnsConfig: {nameservers: [10.0.0.10]}
hostAliases: [{ip: 10.0.0.5, hostnames: [vault.example.com]}]
podSecurityContext: {supplementalGroups: [7]}
securityContext: {readOnlyRootFilesystem: false, capabilities: {drop: [ALL], add: [SYSLOG]}}
livenessProbe: {failureThreshold: 3}
readinessProbe: {httpGet: {path: /other, port: 1}}
startupProbe: {failureThreshold: 30}
`) {
		t.Run(name, func(t *testing.T) {
			spec, c := template.Spec, template.Spec.Containers[0]
			if c.Args[len(c.Args)-1] != "--v=4" || !slices.Contains(c.Env, core.EnvVar{Name: "GODEBUG", Value: "http2debug=1"}) {
				t.Errorf("the arguments are %v, the variables %v", c.Args, c.Env)
			}
			if _, volume := mount(t, spec, "/scratch"); volume.EmptyDir == nil {
				t.Errorf("the volume is %v", volume)
			}
			if spec.DNSPolicy != core.DNSNone || spec.DNSConfig.Nameservers[0] != "10.0.0.10" || spec.HostAliases[0].Hostnames[0] != "vault.example.com" {
				t.Errorf("DNS %s %v, names %v", spec.DNSPolicy, spec.DNSConfig, spec.HostAliases)
			}
			// What is not said stays.
			if spec.SecurityContext.SupplementalGroups[0] != 7 || spec.SecurityContext.SeccompProfile.Type != core.SeccompProfileTypeRuntimeDefault {
				t.Errorf("the pod's security context is %v", spec.SecurityContext)
			}
			if own := c.SecurityContext; *own.ReadOnlyRootFilesystem || *own.AllowPrivilegeEscalation || own.Capabilities.Add[0] != "SYSLOG" {
				t.Errorf("the container's security context is %v", own)
			}
			if p := c.LivenessProbe; p.FailureThreshold != 3 || p.HTTPGet.Path != "/livez" || p.PeriodSeconds != 10 {
				t.Errorf("the liveness probe is %v", p)
			}
			if p := c.ReadinessProbe; p.HTTPGet.Path != "/other" || p.HTTPGet.Port.IntValue() != 1 || p.TimeoutSeconds != 3 {
				t.Errorf("the readiness probe is %v", p)
			}
			if p := c.StartupProbe; p.HTTPGet.Path != "/livez" || p.FailureThreshold != 30 {
				t.Errorf("the startup probe is %v", p)
			}
		})
	}
}

func TestWithoutFieldsThereIsNoStartupProbeAndNoVariable(t *testing.T) {
	for name, template := range templates(t, "extraEnv: []") {
		if c := template.Spec.Containers[0]; c.StartupProbe != nil || c.Env != nil {
			t.Errorf("%s: %v, %v", name, c.StartupProbe, c.Env)
		}
	}
}

func TestReplicasAreSpreadAsTheValuesSay(t *testing.T) {
	const values = "{enabled: true, topologySpreadConstraints: [{topologyKey: rack, maxSkew: 2, whenUnsatisfiable: DoNotSchedule}, {topologyKey: b, maxSkew: 1, whenUnsatisfiable: ScheduleAnyway, labelSelector: {matchLabels: {a: b}}}]}"
	rendered := render(t, "{sync: "+values+", inject: "+values+"}")
	for _, name := range []string{"sync", "inject"} {
		template := object[apps.Deployment](t, part(t, rendered, name), "Deployment").Spec.Template
		spread := template.Spec.TopologySpreadConstraints
		if len(spread) != 2 || spread[0].TopologyKey != "rack" || spread[0].MaxSkew != 2 || !within(spread[0].LabelSelector.MatchLabels, template.Labels) {
			t.Errorf("%s is spread by %v", name, spread)
		}
		if own := spread[1].LabelSelector.MatchLabels; !reflect.DeepEqual(own, map[string]string{"a": "b"}) {
			t.Errorf("%s: the selector is %v", name, own)
		}
	}
}

func TestTheWebhooksPortMayBeForAPIServersAlone(t *testing.T) {
	for values, want := range map[string]int{"{enabled: true}": 0, "{enabled: true, networkPolicy: {from: [{ipBlock: {cidr: 10.0.0.0/28}}]}}": 1} {
		policy := object[networking.NetworkPolicy](t, hook(t, values), "NetworkPolicy")
		if len(policy.Spec.Ingress) != 1 || len(policy.Spec.Ingress[0].From) != want || policy.Spec.Ingress[0].Ports[0].Port.String() != "webhook" {
			t.Errorf("with %s the policy is %v", values, policy.Spec.Ingress)
		}
	}
}

// Audit records and traces name the node, and no other configuration needs it.
func TestThePodKnowsItsNodeWhereItTellsOfIt(t *testing.T) {
	for config, want := range map[string]bool{
		"{}":                      false,
		"{audit: {stdout: true}}": true,
		"{tracing: {url: 'http://collector/v1'}}": true,
	} {
		c := container(t, "config: "+config)
		if got := slices.Contains(c.Args, "--node=$(NODE_NAME)") && len(c.Env) == 1 && c.Env[0].ValueFrom.FieldRef.FieldPath == "spec.nodeName"; got != want {
			t.Errorf("with %s the arguments are %v and the variables %v", config, c.Args, c.Env)
		}
	}
}
