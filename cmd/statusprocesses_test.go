package cmd

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	core "k8s.io/api/core/v1"

	"github.com/lanyardhq/lanyard/server/status"
)

// The KMS plugin is asked where everything is looked at, and nowhere else.
func TestStatusAsksTheKMSPluginForTheWholeCluster(t *testing.T) {
	const asked = "POST /api/v1/namespaces/kube-system/pods/lanyard-kms-master-1/portforward"
	for _, test := range []struct {
		args []string
		want bool
	}{
		{[]string{"-A"}, true},
		{[]string{"-A", "--problems"}, true},
		{[]string{"-A", "--kubernetes-only"}, false},
		{[]string{"-A", "--store", "vault"}, false},
		{[]string{"-A", "--pod", "web-0"}, false},
		{[]string{"-A", "--release-namespace", "lanyard"}, true},
		{[]string{"-n", "prod"}, false},
	} {
		api := newStatusAPI(t)
		_, stdout, _ := runStatus(t.Context(), append(test.args, "--kubeconfig", api.kubeconfig)...)
		if got := slices.Contains(api.calls, asked); got != test.want || strings.Contains(stdout, "master-1") != test.want {
			t.Errorf("%v: asked %v\n%s", test.args, got, stdout)
		}
	}
}

// What keeps a process from its work is shown, and is something that is wrong.
func TestStatusTellsWhatKeepsProcessesFromTheirWork(t *testing.T) {
	setups := map[string]map[string]string{}
	for _, setup := range brokenSetups(t) {
		setups[setup.Name] = map[string]string{"status": setup.Status}
	}
	refused := func(r *status.Ring) {
		r.Healthy, r.Problem = false, "key new: vault: permission denied; allow update on transit/encrypt/kms"
		r.Keys[0].Error, r.Keys[0].LastFailure, r.Keys[0].Failures = r.Problem, at("11:59:50"), 3
	}
	for name, test := range map[string]struct {
		change func(api *statusAPI, kms, sync *status.Facts)
		want   []string
		not    []string
	}{
		"a key is refused": {func(_ *statusAPI, kms, _ *status.Facts) { refused(kms.Ring) }, []string{
			"PROCESSES\n  kms in pod kube-system/lanyard-kms-master-1 on node master-1: key new: vault: permission denied", setups["kms-key-refused"]["status"],
			"new  master-1  write    failed     30s",
		}, nil},
		"a key service is down": {func(_ *statusAPI, kms, _ *status.Facts) {
			r := kms.Ring
			refused(r)
			r.Stale, r.Until, r.Keys[0].State, r.Keys[0].Since = true, at("12:40:00"), status.KeyDown, at("11:40:00")
		}, []string{"API servers write on with the seed that they have, for 40m: key new", "new  master-1  write    down       20m"}, nil},
		"hostile": {func(_ *statusAPI, kms, _ *status.Facts) {
			refused(kms.Ring)
			kms.Ring.Problem, kms.Ring.Keys[0].Name, kms.Ring.Keys[0].State = "a\x1b[2J\nFORGED", "\x1b]0;t\x07", "up\nFORGED"
			kms.Ring.Keys = append(kms.Ring.Keys, slices.Repeat([]status.Key{{Name: "many"}}, 5000)...)
			kms.Problems = slices.Repeat([]status.Problem{{Error: "again\x1b"}}, 5000)
		}, []string{"master-1"}, []string{"\x1b", "\nFORGED", "\x07"}},
		"lists are refused": {func(_ *statusAPI, _, sync *status.Facts) {
			sync.Problems = []status.Problem{{Error: `secretproviderclasses is forbidden: User "sync" cannot list resource "secretproviderclasses"`, Since: at("11:50:00")}}
		}, []string{"  sync in pod lanyard/lanyard-sync-1 on node node-a, for 10m: secretproviderclasses is forbidden", setups["controller-without-rights"]["status"]}, nil},
		"the API server does not serve": {func(_ *statusAPI, _, sync *status.Facts) {
			sync.Synced = []status.Synced{
				{Kind: "class", Namespace: "prod", Name: "tls", State: status.SyncedFailed, Since: at("11:55:00"), Reason: "APIServer", Error: `secrets is forbidden: User "sync" cannot patch resource "secrets"`},
				{Kind: "secretsync", Namespace: "prod", Name: "api", State: status.SyncedFailed, Since: at("11:56:00"), Error: "cannot create"},
				{Kind: "class", Namespace: "other", Name: "api", State: status.SyncedFailed, Error: "another's"},
			}
		}, []string{`prod/secret/api (web): cannot create`, `(tls): secrets is forbidden: User "sync" cannot patch`, setups["controller-without-rights"]["status"]}, []string{"another's"}},
	} {
		t.Run(name, func(t *testing.T) {
			api := newStatusAPI(t)
			facts := statusFacts()
			kms, sync := facts["lanyard-kms-master-1"], facts["lanyard-sync-1"]
			test.change(api, kms, sync)
			api.providers["lanyard-kms-master-1"], api.providers["lanyard-sync-1"] = answers(http.StatusOK, kms), answers(http.StatusOK, sync)
			code, stdout, _ := runStatus(t.Context(), "-A", "--kubeconfig", api.kubeconfig)
			for _, want := range test.want {
				if !strings.Contains(stdout, want) {
					t.Errorf("it does not have %q", want)
				}
			}
			for _, not := range test.not {
				if strings.Contains(stdout, not) {
					t.Errorf("it has %q", not)
				}
			}
			if code != exitNotOK || strings.Count(stdout, "\n") > 300 {
				t.Errorf("exit code %d", code)
			}
			if t.Failed() {
				t.Log(stdout)
			}
		})
	}
}

// Each process that is kept from its work is one thing that is wrong by itself.
func TestAProcessAloneMakesTheVerdict(t *testing.T) {
	report := func(p statusProvider) error {
		r := statusReport{Time: statusNow, Providers: []statusProvider{p}}
		return r.verdict()
	}
	if err := report(statusProvider{Ring: &status.Ring{Healthy: true}}); err != nil {
		t.Errorf("healthy: %v", err)
	}
	for _, p := range []statusProvider{{Ring: &status.Ring{}}, {Problems: []status.Problem{{Error: "no", Since: time.Time{}}}}} {
		if report(p) == nil {
			t.Errorf("%+v is nothing wrong", p)
		}
	}
}

func TestThePortOfTheStatus(t *testing.T) {
	for _, test := range []struct {
		args  []string
		ports []core.ContainerPort
		want  int
	}{
		{[]string{"kms", "--admin-address=127.0.0.1:9880"}, nil, 9880},
		{[]string{"kms", "--admin-address=[::1]:1"}, nil, 1},
		{[]string{"kms", "--admin-address=:9881"}, nil, 9881},
		{[]string{"kms", "--admin-address=:9881"}, []core.ContainerPort{{Name: "admin", ContainerPort: 7}}, 7},
		{[]string{"kms", "--admin-address="}, nil, 0},
		{[]string{"kms", "--admin-address=127.0.0.1:99999"}, nil, 0},
		{[]string{"kms", "--admin-address=127.0.0.1:-1"}, nil, 0},
		{[]string{"kms", "--admin-address=127.0.0.1:http"}, nil, 0},
		{[]string{"kms"}, nil, 0},
		{[]string{"serve", "--admin-address=:9879"}, nil, 0},
		{nil, []core.ContainerPort{{Name: "admin", ContainerPort: 7}}, 7},
		{nil, nil, 0},
	} {
		if port, _ := statusPort(&core.Container{Args: test.args, Ports: test.ports}); port != test.want {
			t.Errorf("%v: port %d, want %d", test.args, port, test.want)
		}
	}
}

// What is wrong with the driver, or with the provider as a whole, is told of the pods that
// suffer from it, or of the process.
func TestStatusTellsSetupsOfTheNode(t *testing.T) {
	setups := map[string]string{}
	for _, setup := range brokenSetups(t) {
		setups[setup.Name] = setup.Status
	}
	for name, test := range map[string]struct {
		change func(provider *status.Facts)
		want   string
	}{
		"chart-value-wrong": {func(f *status.Facts) {
			f.Problems = []status.Problem{{Error: refusedFile + "lanyard.yaml: cache.refresh: must be a duration", Since: at("11:30:00")}}
		}, "serve in pod lanyard/lanyard-a on node node-a, for 30m: the file has changed and cannot be used; what held before still does: lanyard.yaml: cache.refresh"},
		"rotation-off":     {func(f *status.Facts) { f.Volumes = f.Volumes[1:] }, "prod/pod/web-0 (web): the driver has not asked for it"},
		"socket-elsewhere": {func(*status.Facts) {}, `prod/pod/web-6 (web): error connecting to provider "lanyard"`},
		"ring-missing":     {func(*status.Facts) {}, "not asked: pod lanyard/lanyard-c on node node-c"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			api := newStatusAPI(t)
			provider := statusFacts()["lanyard-a"]
			test.change(provider)
			api.providers["lanyard-a"] = answers(http.StatusOK, provider)
			_, stdout, _ := runStatus(t.Context(), "-A", "--kubeconfig", api.kubeconfig)
			if !strings.Contains(stdout, test.want) || setups[name] == "" || !strings.Contains(stdout, setups[name]) {
				t.Errorf("it does not have %q and %q:\n%s", test.want, setups[name], stdout)
			}
		})
	}
}

// A provider that has just started, or a pod that has, was not asked in vain.
func TestStatusWaitsBeforeItMissesPolls(t *testing.T) {
	const old, fresh = "00:00:00", "11:50:00"
	for _, test := range []struct {
		node, started, mounted string
		want                   bool
	}{
		{"node-a", old, old, true},
		{"node-a", fresh, old, false},
		{"node-a", old, fresh, false},
		{"node-x", old, old, false},
	} {
		b := statusBuilder{now: statusNow, started: map[string]time.Time{"node-a": at(test.started)}}
		if got := b.unasked(test.node, at(test.mounted)); (got != "") != test.want {
			t.Errorf("%+v: %q", test, got)
		}
	}
}
