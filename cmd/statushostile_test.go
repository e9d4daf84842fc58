package cmd

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lanyardhq/lanyard/provider/engine"
)

// asked are the pods that a port-forward was made to.
func (api *statusAPI) asked() (pods []string) {
	for _, call := range api.calls {
		if rest, ok := strings.CutPrefix(call, "POST /api/v1/namespaces/"); ok {
			pods = append(pods, strings.TrimSuffix(strings.Replace(rest, "/pods/", "/", 1), "/portforward"))
		}
	}
	slices.Sort(pods)
	return pods
}

// add adds an object to a resource, of a kind of YAML without lines.
func (api *statusAPI) add(resource string, object map[string]any) {
	api.objects[resource] = append(api.objects[resource], object)
}

// lanyardPod is a pod that looks like a provider's.
func lanyardPod(namespace, name, node string, change ...func(metadata, spec map[string]any)) map[string]any {
	metadata := map[string]any{"namespace": namespace, "name": name, "uid": "uid-" + name, "labels": map[string]any{"app.kubernetes.io/name": "lanyard", "app.kubernetes.io/part-of": "lanyard"}}
	spec := map[string]any{"nodeName": node, "containers": []any{map[string]any{
		"name": "lanyard", "args": []any{"serve", "--dialects=lanyard,vault,azure"}, "ports": []any{map[string]any{"name": "admin", "containerPort": 9879}},
	}}}
	for _, change := range change {
		change(metadata, spec)
	}
	return map[string]any{"metadata": metadata, "spec": spec, "status": map[string]any{"phase": "Running"}}
}

func mark(name string, subjects ...map[string]any) map[string]any {
	return map[string]any{"metadata": map[string]any{"name": name, "labels": map[string]any{"app.kubernetes.io/part-of": "lanyard"}}, "subjects": subjects}
}

func account(namespace string) map[string]any {
	return map[string]any{"kind": "ServiceAccount", "name": "lanyard", "namespace": namespace}
}

// Whoever may make a pod can label it. What it answers is not asked for.
func TestATenantsPodIsNoProvider(t *testing.T) {
	_, want, _ := runStatus(t.Context(), "-A", "--kubeconfig", newStatusAPI(t).kubeconfig)
	forged := statusFacts()["lanyard-b"]
	for i := range forged.Volumes {
		forged.Volumes[i].State, forged.Volumes[i].Error = engine.VolumeOK, ""
	}
	owned := func(kind string) func(map[string]any, map[string]any) {
		return func(metadata, _ map[string]any) {
			metadata["ownerReferences"] = []any{map[string]any{"kind": kind, "name": "lanyard", "uid": "set", "controller": true}}
		}
	}
	for name, pod := range map[string]map[string]any{
		"a label":               lanyardPod("shop", "evil", "node-b"),
		"of a DaemonSet":        lanyardPod("shop", "evil", "node-b", owned("DaemonSet")),
		"of a ReplicaSet":       lanyardPod("shop", "evil", "node-b", owned("ReplicaSet")),
		"of the same account":   lanyardPod("shop", "evil", "node-b", func(_, spec map[string]any) { spec["serviceAccountName"] = "lanyard" }),
		"of the same name":      lanyardPod("shop", "lanyard-b", "node-b"),
		"of the same UID":       lanyardPod("shop", "evil", "node-b", func(metadata, _ map[string]any) { metadata["uid"] = "lanyard-b" }),
		"beside the volumes":    lanyardPod("prod", "evil", "node-b"),
		"on a node without one": lanyardPod("prod", "evil", "node-d"),
		"the controller's": lanyardPod("shop", "evil", "node-a", func(metadata, _ map[string]any) {
			metadata["labels"] = map[string]any{"app.kubernetes.io/name": "lanyard-sync"}
		}),
		"an early namespace": lanyardPod("a", "a", "node-b"),
		"with all labels": lanyardPod("shop", "evil", "node-b", func(metadata, _ map[string]any) {
			metadata["labels"] = map[string]any{"app.kubernetes.io/name": "lanyard", "app.kubernetes.io/component": "provider", "app.kubernetes.io/part-of": "lanyard", "app.kubernetes.io/instance": "lanyard", "app.kubernetes.io/managed-by": "Helm"}
		}),
	} {
		t.Run(name, func(t *testing.T) {
			api := newStatusAPI(t)
			api.objects["pods"] = slices.Insert(api.objects["pods"], 0, pod)
			api.providers["evil"], api.providers["a"] = answers(http.StatusOK, forged), answers(http.StatusOK, forged)
			code, stdout, stderr := runStatus(t.Context(), "-A", "--kubeconfig", api.kubeconfig)
			if code != exitNotOK || stdout != want {
				t.Errorf("exit code %d: %s\n%s\nwant\n%s", code, stderr, stdout, want)
			}
			for _, asked := range api.asked() {
				if !strings.HasPrefix(asked, "lanyard/") && asked != "kube-system/lanyard-kms-master-1" {
					t.Errorf("%s was asked", asked)
				}
			}
		})
	}
}

// The release is the one that is named, or the only one that is marked.
func TestStatusKnowsItsRelease(t *testing.T) {
	t.Parallel()
	const original = "lanyard/lanyard-a lanyard/lanyard-b lanyard/lanyard-c lanyard/lanyard-sync-1"
	user := map[string]any{"kind": "User", "name": "lanyard", "namespace": "shop"}
	for name, test := range map[string]struct {
		change func(*statusAPI)
		args   []string
		asked  string
		code   int
		want   string
	}{
		"marked":              {code: exitNotOK, asked: original},
		"marked twice":        {change: func(api *statusAPI) { api.add("clusterrolebindings", mark("status", account("lanyard"))) }, code: exitNotOK, asked: original},
		"a mark without pods": {change: func(api *statusAPI) { api.add("clusterrolebindings", mark("old", account("gone"))) }, code: exitNotOK, asked: original},
		"a mark of a person":  {change: func(api *statusAPI) { api.add("clusterrolebindings", mark("person", user)) }, code: exitNotOK, asked: original},
		"a mark of nobody":    {change: func(api *statusAPI) { api.add("clusterrolebindings", mark("nobody")) }, code: exitNotOK, asked: original},
		"a mark of all accounts": {change: func(api *statusAPI) {
			api.add("clusterrolebindings", mark("all", map[string]any{"kind": "Group", "name": "system:serviceaccounts:shop"}))
		}, code: exitNotOK, asked: original},
		"a mark of another form": {change: func(api *statusAPI) {
			broken := mark("broken")
			broken["subjects"] = "shop"
			api.add("clusterrolebindings", broken)
		}, code: exitNotOK, asked: original},
		"two releases": {change: func(api *statusAPI) {
			api.add("clusterrolebindings", mark("two", account("shop")))
			api.add("pods", lanyardPod("shop", "other", "node-b"))
		}, code: exitUsage, want: "Lanyard is installed in several namespaces: lanyard, shop; name one with --release-namespace"},
		"two releases, one named": {change: func(api *statusAPI) {
			api.add("clusterrolebindings", mark("two", account("shop")))
			api.add("pods", lanyardPod("shop", "other", "node-b"))
		}, args: []string{"--release-namespace", "lanyard"}, code: exitNotOK, asked: original},
		"the other is named": {change: func(api *statusAPI) {
			api.add("pods", lanyardPod("shop", "lanyard-b", "node-b"))
		}, args: []string{"--release-namespace", "shop"}, code: exitNotOK, asked: "shop/lanyard-b", want: "no pod of a provider was found on nodes that have pods with classes: node-a, node-c"},
		"many releases": {change: func(api *statusAPI) {
			for i := range 9 {
				api.add("clusterrolebindings", mark(fmt.Sprint(i), account(fmt.Sprint("ns-", i))))
			}
		}, code: exitUsage, want: "name one with --release-namespace"},
		"no mark":                     {change: func(api *statusAPI) { api.objects["clusterrolebindings"] = nil }, code: exitNotOK, want: "no ClusterRoleBinding of Lanyard's chart was found; no provider was asked: name the namespace that Lanyard is installed in with --release-namespace"},
		"marks cannot be listed":      {change: func(api *statusAPI) { api.forbidden = []string{"clusterrolebindings"} }, code: exitNotOK, want: "clusterrolebindings.rbac.authorization.k8s.io cannot be listed: "},
		"named, and no mark":          {change: func(api *statusAPI) { api.forbidden = []string{"clusterrolebindings"} }, args: []string{"--release-namespace", "lanyard"}, code: exitNotOK, asked: original},
		"only Kubernetes' objects":    {change: func(api *statusAPI) { api.forbidden = []string{"clusterrolebindings"} }, args: []string{"--kubernetes-only"}, code: exitNotOK},
		"another release is nowhere":  {args: []string{"--release-namespace", "nowhere"}, code: exitNotOK, want: "no pod of a provider was found on nodes"},
		"a namespace to be printable": {change: func(api *statusAPI) { api.forbidden = []string{"pods"} }, args: []string{"--release-namespace", "\x1b[2J"}, code: exitNotOK, want: `\x1b[2J`},
	} {
		t.Run(name, func(t *testing.T) {
			api := newStatusAPI(t)
			if test.change != nil {
				test.change(api)
			}
			code, stdout, stderr := runStatus(t.Context(), append([]string{"-n", "prod", "--kubeconfig", api.kubeconfig}, test.args...)...)
			all := strings.Join(strings.Fields(stdout+stderr), " ")
			if asked := strings.Join(api.asked(), " "); code != test.code || asked != test.asked || !strings.Contains(all, test.want) || code == exitUsage && stdout != "" {
				t.Errorf("exit code %d, asked %q:\n%s%s", code, asked, stdout, stderr)
			}
			wantText(t, name, stdout+stderr)
		})
	}
}

// A provider is believed of the pods of its node alone, and the controller of what asks for
// Secrets.
func TestFactsOfOthersAreNotTaken(t *testing.T) {
	t.Parallel()
	volume := func(change func(*engine.VolumeFacts)) engine.VolumeFacts {
		v := statusFacts()["lanyard-b"].Volumes[1] // web-2, which is stale
		v.State, v.Error, v.Since, v.Polled = engine.VolumeFailed, "forged", at("11:00:00"), statusNow
		change(&v)
		return v
	}
	for name, test := range map[string]struct {
		from    string
		forged  engine.VolumeFacts
		refused bool
	}{
		"of another node":          {"lanyard-a", volume(func(*engine.VolumeFacts) {}), true},
		"of another node's, as ok": {"lanyard-a", volume(func(v *engine.VolumeFacts) { v.State, v.Error = engine.VolumeOK, "" }), true},
		"by the controller":        {"lanyard-sync-1", volume(func(*engine.VolumeFacts) {}), false},
		"without a pod":            {"lanyard-b", volume(func(v *engine.VolumeFacts) { v.Pod = "" }), true},
		"another name":             {"lanyard-b", volume(func(v *engine.VolumeFacts) { v.Pod = "web-0" }), true},
		"a part of the name":       {"lanyard-b", volume(func(v *engine.VolumeFacts) { v.Pod = "web" }), true},
		"another namespace":        {"lanyard-b", volume(func(v *engine.VolumeFacts) { v.Namespace = "shop" }), true},
		"no namespace":             {"lanyard-b", volume(func(v *engine.VolumeFacts) { v.Namespace = "" }), true},
		"another UID":              {"lanyard-b", volume(func(v *engine.VolumeFacts) { v.PodUID = "pod-unknown" }), false},
		"no UID":                   {"lanyard-b", volume(func(v *engine.VolumeFacts) { v.PodUID = "" }), false},
		"a UID in capitals":        {"lanyard-b", volume(func(v *engine.VolumeFacts) { v.PodUID = "POD-WEB-2" }), false},
		"another class":            {"lanyard-b", volume(func(v *engine.VolumeFacts) { v.Class = "reports" }), false},
		"another pod's UID":        {"lanyard-b", volume(func(v *engine.VolumeFacts) { v.PodUID = "pod-web-0" }), true},
		"a pod without a node":     {"lanyard-a", volume(func(v *engine.VolumeFacts) { v.Pod, v.PodUID = "web-3", "pod-web-3" }), true},
		"a Secret's, by a node":    {"lanyard-b", volume(func(v *engine.VolumeFacts) { v.Pod, v.PodUID = "", "sync-api" }), false},
		"a Secret's, of elsewhere": {"lanyard-sync-1", volume(func(v *engine.VolumeFacts) { v.Pod, v.PodUID, v.Namespace = "", "sync-api", "shop" }), true},
		"a Secret's, as a pod":     {"lanyard-sync-1", volume(func(v *engine.VolumeFacts) { v.PodUID = "sync-api" }), true},
	} {
		t.Run(name, func(t *testing.T) {
			_, want, _ := runStatus(t.Context(), "-A", "-o", "wide", "--kubeconfig", newStatusAPI(t).kubeconfig)
			api := newStatusAPI(t)
			facts := statusFacts()[test.from]
			facts.Volumes = append(facts.Volumes, test.forged)
			facts.Program, facts.Node = "sync", "node-b" // which nobody believes
			api.providers[test.from] = answers(http.StatusOK, facts)
			_, stdout, _ := runStatus(t.Context(), "-A", "-o", "wide", "--kubeconfig", api.kubeconfig)
			refusal := "  facts of 1 volume were not taken: the API server knows their pods under another name, in another namespace or on another node than these providers report: lanyard/" + test.from + "\n"
			if strings.Contains(stdout, refusal) != test.refused {
				t.Errorf("refused is %v:\n%s", !test.refused, stdout)
			}
			if got := strings.Replace(stdout, refusal, "", 1); got != want {
				t.Errorf("the facts were taken:\n%s\nwant\n%s", got, want)
			}
		})
	}
}

// What happened cannot be in the future, beyond what clocks differ by.
func TestTimesInTheFutureAreDropped(t *testing.T) {
	for name, test := range map[string]struct {
		ahead time.Duration
		want  bool
	}{"now": {0, true}, "a clock ahead": {30 * time.Second, true}, "an hour": {time.Hour, false}, "centuries": {200 * 365 * 24 * time.Hour, false}} {
		t.Run(name, func(t *testing.T) {
			later := statusNow.Add(test.ahead)
			facts := statusFacts()["lanyard-b"]
			v := &facts.Volumes[1]
			v.Mounted, v.Answered, v.Polled, v.Since, v.Objects[0].Read = later, later, later, later, later
			facts.Stores[1].Since, facts.Stores[1].LastFailure = later, later
			text, err := json.Marshal(facts)
			if err != nil {
				t.Fatal(err)
			}
			got, err := newAnswerBudget(defaultStatusLimits, statusNow).readFacts(strings.NewReader(string(text)), func(*engine.VolumeFacts) bool { return true })
			if err != nil {
				t.Fatal(err)
			}
			v = &got.volumes[1]
			for i, at := range []time.Time{v.Mounted, v.Answered, v.Polled, v.Since, v.Objects[0].Read, got.stores[1].Since, got.stores[1].LastFailure} {
				if at.Equal(later) != test.want || at.IsZero() == test.want {
					t.Errorf("time %d is %v", i, at)
				}
			}
			if !got.volumes[0].Since.Equal(at("11:31:00")) || !got.volumes[2].Objects[0].LeaseEnd.Equal(at("13:00:00")) {
				t.Error("a time was dropped that may be")
			}
		})
	}
	// A mount that failed is not hidden by an answer that is yet to come.
	api := newStatusAPI(t)
	facts := statusFacts()["lanyard-a"]
	facts.Volumes[0].Answered = statusNow.Add(time.Hour)
	api.providers["lanyard-a"] = answers(http.StatusOK, facts)
	api.add("events", failedMount("prod", "pod-web-0", "secrets", statusNow.Add(-time.Second)))
	if _, stdout, _ := runStatus(t.Context(), "-n", "prod", "--pod", "web-0", "--kubeconfig", api.kubeconfig); !strings.Contains(stdout, "planned") {
		t.Errorf("the event is hidden:\n%s", stdout)
	}
}

func failedMount(namespace, uid, volume string, when time.Time) map[string]any {
	return map[string]any{
		"metadata": map[string]any{"namespace": namespace, "name": "event-" + namespace}, "reason": "FailedMount",
		"involvedObject": map[string]any{"kind": "Pod", "namespace": namespace, "uid": uid},
		"message":        fmt.Sprintf("MountVolume.SetUp failed for volume %q : planned", volume), "firstTimestamp": when, "lastTimestamp": when,
	}
}

// An event, a status or a Secret's state belongs to a pod of its own namespace.
func TestWhatIsInAnotherNamespaceDoesNotAttach(t *testing.T) {
	_, want, _ := runStatus(t.Context(), "-A", "-o", "wide", "--kubeconfig", newStatusAPI(t).kubeconfig)
	forgedStatus := func(namespace string, owners ...any) map[string]any {
		return map[string]any{
			"metadata": map[string]any{"namespace": namespace, "name": "forged", "creationTimestamp": "2026-11-29T10:00:00Z", "ownerReferences": owners},
			"status":   map[string]any{"podName": "web-0", "secretProviderClassName": "web", "mounted": false, "objects": []any{map[string]any{"id": "forged", "version": "forged"}}},
		}
	}
	owner := map[string]any{"kind": "Pod", "name": "web-0", "uid": "pod-web-0"}
	for name, add := range map[string]func(*statusAPI){
		"an event":               func(api *statusAPI) { api.add("events", failedMount("shop", "pod-web-0", "secrets", statusNow)) },
		"an event of no pod":     func(api *statusAPI) { api.add("events", failedMount("prod", "pod-none", "secrets", statusNow)) },
		"an event of no volume":  func(api *statusAPI) { api.add("events", failedMount("prod", "pod-web-0", "other", statusNow)) },
		"an event without a UID": func(api *statusAPI) { api.add("events", failedMount("prod", "", "secrets", statusNow)) },
		"a status":               func(api *statusAPI) { api.add("secretproviderclasspodstatuses", forgedStatus("shop", owner)) },
		"a status of no owner":   func(api *statusAPI) { api.add("secretproviderclasspodstatuses", forgedStatus("prod")) },
		"a status of an owner": func(api *statusAPI) {
			api.add("secretproviderclasspodstatuses", forgedStatus("prod", map[string]any{"kind": "Node", "uid": "pod-web-0"}))
		},
		"a status of another UID": func(api *statusAPI) {
			api.add("secretproviderclasspodstatuses", forgedStatus("prod", map[string]any{"kind": "Pod", "uid": "other"}))
		},
	} {
		t.Run(name, func(t *testing.T) {
			api := newStatusAPI(t)
			add(api)
			if _, stdout, _ := runStatus(t.Context(), "-A", "-o", "wide", "--kubeconfig", api.kubeconfig); stdout != want {
				t.Errorf("it attaches:\n%s\nwant\n%s", stdout, want)
			}
		})
	}
}

// No text of a provider's answer, or of an object that a tenant writes, does more than text.
func TestStatusPrintsHostileTextsAsText(t *testing.T) {
	t.Parallel()
	for name, text := range hostileTexts {
		t.Run(name, func(t *testing.T) {
			api := newStatusAPI(t)
			facts := statusFacts()["lanyard-b"]
			facts.Program, facts.Version, facts.Node = text, text, text
			facts.Stores = append(facts.Stores, engine.StoreFacts{Name: text, Type: text, State: engine.StoreDown, Error: text, Calls: 1}, engine.StoreFacts{Name: "vault", Type: text, State: text, Calls: 1})
			for i := range facts.Volumes {
				v := &facts.Volumes[i]
				v.Error, v.Dialect, v.Kind, v.ServiceAccount = text, text, text, text
				for j := range v.Objects {
					o := &v.Objects[j]
					o.Store, o.StoreName, o.StoreType, o.StoreVersion, o.Version, o.Stale = text, text, text, text, text, true
				}
				v.Objects = append(v.Objects, engine.ObjectFacts{Object: text, Source: text, Version: text})
			}
			page := answers(http.StatusOK, facts)
			api.providers["lanyard-b"] = page
			api.providers["lanyard-a"] = answers(http.StatusInternalServerError, text)
			for _, object := range slices.Concat(slices.Collect(maps.Values(api.objects))...) {
				replaceTexts(object, text)
			}
			for _, output := range []string{"text", "wide", "json"} {
				_, stdout, stderr := runStatus(t.Context(), "-A", "-o", output, "--kubeconfig", api.kubeconfig)
				wantText(t, output, strings.ReplaceAll(stdout+stderr, "\ufffd", ""))
			}
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _ = json.NewEncoder(w).Encode(facts) }))
			defer server.Close()
			for _, output := range []string{"text", "wide", "json"} {
				_, stdout, stderr := runStatus(t.Context(), "--provider-url", server.URL, "-o", output)
				wantText(t, "one provider "+output, strings.ReplaceAll(stdout+stderr, "\ufffd", ""))
			}
		})
	}
}

// replaceTexts writes a text where a tenant can write one.
func replaceTexts(object map[string]any, text string) {
	spec, _ := object["spec"].(map[string]any)
	inner, _ := object["status"].(map[string]any)
	metadata, _ := object["metadata"].(map[string]any)
	annotations, _ := metadata["annotations"].(map[string]any)
	if event, ok := object["message"].(string); ok {
		object["message"] = event + text
	}
	for name := range annotations {
		if name == "lanyard.dev/sync-status" {
			annotations[name] = quotedJSON(map[string]any{"state": "Failed", "message": text, "secrets": map[string]any{text: map[string]any{}}})
		}
		if name == "lanyard.dev/versions" {
			annotations[name] = quotedJSON(map[string]any{text: text})
		}
	}
	if conditions, ok := inner["conditions"].([]any); ok {
		for _, condition := range conditions {
			if c, ok := condition.(map[string]any); ok {
				c["message"], c["status"] = text, "False"
			}
		}
	}
	if inner["secretProviderClassName"] != nil {
		inner["objects"] = []any{map[string]any{"id": text, "version": text}}
	}
	volumes, _ := spec["volumes"].([]any)
	for _, volume := range volumes {
		v, _ := volume.(map[string]any)
		csi, _ := v["csi"].(map[string]any)
		if attributes, ok := csi["volumeAttributes"].(map[string]any); ok && metadata["name"] == "web-5" {
			attributes["secretProviderClass"] = text
		}
	}
}

// A refused connection tells which flag opens what is asked.
func TestStatusTellsWhereAProviderListens(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	code, _, stderr := runStatus(t.Context(), "--provider-url", server.URL)
	if code != exitFailed || !strings.Contains(stderr, "--admin-address says where it listens: by default --provider-url is http://127.0.0.1:9879") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
}

func quotedJSON(object map[string]any) string {
	encoded, err := json.Marshal(object)
	if err != nil {
		panic(err)
	}
	return string(encoded)
}
