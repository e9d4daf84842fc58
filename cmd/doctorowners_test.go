package cmd

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// daemonSet is one that a tenant has made, with labels of its choice.
func (a *doctorAPI) daemonSet(namespace string, labels map[string]any, container map[string]any, directory string) {
	a.objects = append(a.objects, map[string]any{
		"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": map[string]any{"name": "forged", "namespace": namespace, "labels": labels},
		"spec": map[string]any{
			"selector": map[string]any{"matchLabels": map[string]any{"app": "forged"}},
			"template": map[string]any{"spec": map[string]any{"containers": []any{container}, "volumes": []any{map[string]any{"name": "d", "hostPath": map[string]any{"path": directory}}}}},
		},
		"status": map[string]any{"desiredNumberScheduled": 9, "numberReady": 0},
	})
}

func (a *doctorAPI) forgedRelease(namespace string) {
	a.daemonSet(namespace, map[string]any{"app.kubernetes.io/part-of": "lanyard", "app.kubernetes.io/component": "provider", "app.kubernetes.io/instance": "lanyard"},
		map[string]any{"name": "lanyard", "image": "x", "args": []any{"serve", "--dialects=lanyard"}}, "/etc/kubernetes/secrets-store-csi-providers")
}

func (a *doctorAPI) forgedDriver(namespace string) {
	a.daemonSet(namespace, map[string]any{}, map[string]any{"name": "secrets-store", "image": "csi-secrets-store/driver:v0.0.1", "args": []any{"--endpoint=x"}}, "/var/run/secrets-store-csi-providers")
}

// forgedPod is a pod of a forged DaemonSet, which has the node's directory if it was let in
// with it.
func (a *doctorAPI) forgedPod(namespace, directory string) {
	volume := map[string]any{"name": "d", "emptyDir": map[string]any{}}
	if directory != "" {
		volume["hostPath"] = map[string]any{"path": directory}
	}
	a.objects = append(a.objects, map[string]any{
		"apiVersion": "v1", "kind": "Pod", "metadata": map[string]any{"name": "forged-x", "namespace": namespace, "labels": map[string]any{"app": "forged"}},
		"spec": map[string]any{"nodeName": "node-1", "containers": []any{}, "volumes": []any{volume}}, "status": map[string]any{"phase": "Running"},
	})
}

// Nobody's labels make a finding of a release's, good or bad, where something that tenants
// cannot make speaks for another.
func TestDoctorTakesNoForgedInstallation(t *testing.T) {
	unspoken := func(a *doctorAPI) {
		a.objects = slices.DeleteFunc(a.objects, func(o map[string]any) bool { return o["kind"] == "ClusterRoleBinding" })
	}
	for name, c := range map[string]struct {
		change func(a *doctorAPI)
		args   []string
		want   doctorFinding
		code   int
		never  string // in the place or the text of a FAIL or an ok
	}{
		"a release's labels":    {func(a *doctorAPI) { a.forgedRelease("tenant") }, nil, doctorFinding{Check: "provider", Result: doctorWarn, Says: "tenant/forged"}, exitOK, "tenant"},
		"the driver's image":    {func(a *doctorAPI) { a.forgedDriver("tenant") }, nil, doctorFinding{Check: "driver", Result: doctorWarn, Says: "tenant/forged"}, exitOK, "tenant"},
		"pods without the node": {func(a *doctorAPI) { a.forgedRelease("tenant"); a.forgedPod("tenant", "") }, nil, doctorFinding{Check: "provider", Result: doctorWarn, Says: "tenant/forged"}, exitOK, "tenant"},
		"another node's folder": {func(a *doctorAPI) { a.forgedRelease("tenant"); a.forgedPod("tenant", "/tmp") }, nil, doctorFinding{Check: "provider", Result: doctorWarn, Says: "tenant/forged"}, exitOK, "tenant"},
		"a pod with the node": {func(a *doctorAPI) {
			a.forgedDriver("tenant")
			a.forgedPod("tenant", "/var/run/secrets-store-csi-providers")
		}, nil, doctorFinding{Check: "driver", Result: doctorFail, Place: "tenant/forged", Says: "0 of its 9 pods"}, exitFailed, ""},
		"nothing speaks for any": {func(a *doctorAPI) { unspoken(a); a.forgedRelease("tenant") }, nil, doctorFinding{Check: "provider", Result: doctorUnknown, Says: "is not known"}, exitOK, "tenant"},
		"a forged one alone":     {func(a *doctorAPI) { unspoken(a); a.remove("DaemonSet", "lanyard"); a.forgedRelease("tenant") }, nil, doctorFinding{Check: "provider", Result: doctorUnknown, Says: "is not known"}, exitOK, "tenant"},
		"--release-namespace":    {func(a *doctorAPI) { unspoken(a); a.forgedRelease("tenant") }, []string{"--release-namespace", "lanyard"}, doctorFinding{Check: "provider", Result: doctorOK, Says: "pod lanyard-a is ready"}, exitOK, "tenant"},
		"--driver-namespace":     {func(a *doctorAPI) { a.forgedDriver("tenant") }, []string{"--driver-namespace", "kube-system"}, doctorFinding{Check: "driver", Result: doctorOK, Says: "all of its 2 pods"}, exitOK, "tenant"},
		"a namespace without":    {func(*doctorAPI) {}, []string{"--release-namespace", "elsewhere"}, doctorFinding{Check: "provider", Result: doctorFail, Says: "not installed there"}, exitFailed, ""},
		"a RoleBinding": {func(a *doctorAPI) {
			a.denied = "secrets"
			a.objects = append(a.objects, map[string]any{"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": map[string]any{"name": "lanyard:forged", "namespace": "tenant", "labels": map[string]any{
				"app.kubernetes.io/part-of": "lanyard", "app.kubernetes.io/component": "sync", "app.kubernetes.io/instance": "lanyard",
			}}})
		}, nil, doctorFinding{Check: "rights", Result: doctorWarn, Says: "where a RoleBinding"}, exitOK, "tenant"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newDoctorAPI(t)
			c.change(a)
			report := diagnose(t, c.code, append([]string{"--kubeconfig", a.start()}, c.args...)...)
			wantFinding(t, report, c.want)
			for _, finding := range report.Findings {
				if c.never != "" && (finding.Result == doctorFail || finding.Result == doctorOK) && strings.Contains(finding.Place+finding.Says, c.never) {
					t.Errorf("%+v", finding)
				}
			}
		})
	}
}

// A namespace with many broken pods hides nobody else's.
func TestDoctorLooksAtEveryNamespacesPods(t *testing.T) {
	a := newDoctorAPI(t)
	for i := range maxDoctorPods + 40 {
		a.waits("aaa", fmt.Sprintf("broken-%d", i), "theirs")
	}
	a.waits("shop", "web-0", "desc = ours")
	report := diagnose(t, exitFailed, "--kubeconfig", a.start())
	wantFinding(t, report, doctorFinding{Check: "pods", Result: doctorFail, Says: "ours"})
	wantFinding(t, report, doctorFinding{Check: "pods", Result: doctorUnknown, Says: "not looked at: 41 further pods with failed mounts, in namespaces aaa"})
}

// Where the list was cut, doctor does not say that none waits.
func TestDoctorDoesNotSayOfACutListThatNoneWaits(t *testing.T) {
	a := newDoctorAPI(t)
	for i := range maxDoctorPods + 1 {
		name := fmt.Sprintf("gone-%d", i)
		a.waits("aaa", name, "theirs")
		a.find("Pod", name)["status"] = map[string]any{"phase": "Running"}
	}
	report := diagnose(t, exitOK, "--kubeconfig", a.start())
	wantFinding(t, report, doctorFinding{Check: "pods", Result: doctorUnknown, Says: "1 further pod "})
	for _, finding := range report.Findings {
		if finding.Check == "pods" && finding.Result != doctorUnknown {
			t.Errorf("%+v", finding)
		}
	}
}

// The turns go round: the newest of each namespace before the second of any.
func TestTakeTurns(t *testing.T) {
	event := func(namespace, name string) doctorEvent {
		return doctorEvent{Involved: doctorMeta{Namespace: namespace, Name: name}}
	}
	chosen, unlooked, elsewhere := takeTurns(map[string][]doctorEvent{
		"a": {event("a", "1"), event("a", "2"), event("a", "3")}, "b": {event("b", "1")}, "c": {event("c", "1"), event("c", "2")},
	}, 4)
	var names []string
	for _, one := range chosen {
		names = append(names, one.Involved.Namespace+one.Involved.Name)
	}
	if got := strings.Join(names, " "); got != "a1 b1 c1 a2" || unlooked != 2 || strings.Join(elsewhere, " ") != "c a" {
		t.Errorf("%s; %d in %v", got, unlooked, elsewhere)
	}
}

// The port that metrics are read from is a number.
func TestTheMetricsPathHasAPortThatIsANumber(t *testing.T) {
	for _, address := range []string{":9/../../secrets/x", ":0", ":65536", "x", ":", ":-1", ":8a", "http://h:1/p", ":1?x=y", ":%2f"} {
		var set doctorWorkload
		set.Spec.Template.Spec.Containers = []doctorContainer{{Args: []string{"--admin-address=" + address}}}
		if _, err := (&clusterReader{}).metrics(t.Context(), &set, &doctorPod{}); err == nil || !strings.Contains(err.Error(), "--admin-address") {
			t.Errorf("%s: %v", address, err)
		}
	}
}
