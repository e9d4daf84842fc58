package synced

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"maps"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	core "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/lanyardhq/lanyard/integration/faultproxy"
)

// TestShaken is of what cannot be done beside others, one after the other: controllers and
// API servers are killed, and the definition of SecretSync is removed.
func TestShaken(t *testing.T) {
	t.Parallel()
	p, err := all.shaken()
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name string
		do   func(n *tenant)
	}{
		{"made between look and write", madeBetween},
		{"restart of the controller", controllerRestarted},
		{"restart of the API server", apiServerRestarted},
		{"definition removed and added", definitionRemoved},
		{"rights taken and given back", rightsTaken},
		{"leader killed in the middle", leaderKilled},
	} {
		t.Run(test.name, func(t *testing.T) { test.do(p.tenant(t)) })
	}
}

// madeBetween holds the request that makes a Secret back until somebody else has made it.
func madeBetween(n *tenant) {
	n.put("db", map[string]any{"value": "planted"})
	path := "/api/v1/namespaces/" + n.namespace + "/secrets"
	release := n.proxy.Add(faultproxy.Fault{Method: "POST", Prefix: path, Delay: 3 * time.Second})
	n.class("db", one)
	n.eventually("the controller makes the Secret", func() error {
		if n.proxy.Count("POST", path) == 0 {
			return errors.New("it does not")
		}
		return nil
	})
	untouched := n.foreign("db", nil)
	n.state("db", "Failed", "SecretNotOwned")
	release()
	n.passes(1)
	untouched()
}

// controllerRestarted: what was known stays so, and nothing is written anew.
func controllerRestarted(n *tenant) {
	n.put("db", map[string]any{"value": "planted"})
	n.class("db", one)
	n.class("gone", strings.Replace(one, "secretName: db", "secretName: gone", 1))
	n.class("denied", strings.NewReplacer("secretName: db", "secretName: denied", "/web/db", "/api/db").Replace(one))
	n.sync("by-sync", `{data: [{sourcePath: password, targetKey: pw}]}`)
	n.condition("by-sync", "Create", "False", "ControllerSPCError")
	n.patch("SecretSync", "by-sync", `{"spec":{"secretProviderClassName":"db"}}`)
	n.sync("no-class", `{data: [{sourcePath: password, targetKey: pw}]}`)
	n.holds("gone", map[string]string{"password": "planted"})
	n.holds("db", map[string]string{"password": "planted"})
	var secret *core.Secret
	n.eventually("it was applied once", func() error {
		secret = n.secret("db")
		if !slices.ContainsFunc(secret.ManagedFields, func(f meta.ManagedFieldsEntry) bool { return f.Operation == meta.ManagedFieldsOperationApply }) {
			return errors.New("it was not")
		}
		return nil
	})
	was := map[string]any{
		"db": n.state("db", "Synced", ""), "denied": n.state("denied", "Failed", "ProviderError"),
		"create": n.condition("by-sync", "Create", "True", "CreateSucceeded"), "update": n.condition("by-sync", "Update", "True", "NoValueChange"),
		"no-class": n.condition("no-class", "Create", "False", "ControllerSPCError"),
	}
	text, err := json.Marshal(was)
	n.must(err)

	n.controller.stop()
	n.delete("Secret", "gone")
	n.must(n.controller.start())
	n.passes(4)
	is := map[string]any{
		"db": n.state("db", "Synced", ""), "denied": n.state("denied", "Failed", "ProviderError"),
		"create": n.condition("by-sync", "Create", "True", "CreateSucceeded"), "update": n.condition("by-sync", "Update", "True", "NoValueChange"),
		"no-class": n.condition("no-class", "Create", "False", "ControllerSPCError"),
	}
	now, err := json.Marshal(is)
	n.must(err)
	if string(now) != string(text) {
		n.Errorf("before\n%s\nand after\n%s", text, now)
	}
	if s := n.secret("db"); s.ResourceVersion != secret.ResourceVersion {
		n.Errorf("the Secret was changed: %+v", s)
	}
	n.holds("gone", map[string]string{"password": "planted"})
	// What changed while no controller ran.
	n.controller.stop()
	n.put("db", map[string]any{"value": "planted-2"})
	n.class("denied", strings.Replace(one, "secretName: db", "secretName: denied", 1))
	n.delete("SecretSync", "no-class")
	n.must(n.controller.start())
	n.holds("db", map[string]string{"password": "planted-2"})
	n.holds("denied", map[string]string{"password": "planted-2"})
	n.holds("by-sync", map[string]string{"pw": "planted-2"})
}

// revive starts the controller whenever it has ended, as the kubelet does, until the
// test ends.
func (n *tenant) revive() (stop func()) {
	ctx, cancel := context.WithCancel(n.Context())
	var done sync.WaitGroup
	done.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-n.controller.ended:
				if err := n.controller.begin(); err != nil {
					n.Error(err)
					return
				}
			}
		}
	})
	return func() { cancel(); done.Wait() }
}

func apiServerRestarted(n *tenant) {
	n.put("db", map[string]any{"value": "planted"})
	n.class("db", one)
	n.sync("by-sync", `{data: [{sourcePath: password, targetKey: pw}]}`)
	n.patch("SecretSync", "by-sync", `{"spec":{"secretProviderClassName":"db"}}`)
	before := n.holds("db", map[string]string{"password": "planted"})
	n.holds("by-sync", map[string]string{"pw": "planted"})
	was, update := n.state("db", "Synced", ""), n.condition("by-sync", "Update", "True", "NoValueChange")
	defer n.revive()()
	n.must(syscall.Kill(n.server.PID(), syscall.SIGKILL))
	n.put("db", map[string]any{"value": "planted-2"})
	n.eventually("the controller finds nobody", func() error {
		return containsAll(n.controller.log.String(), []string{"The API server does not serve the controller", n.namespace + "/db"})
	})
	n.must(n.server.Start(n.Context()))
	n.must(n.server.Await(n.Context()))
	after := n.holds("db", map[string]string{"password": "planted-2"})
	n.holds("by-sync", map[string]string{"pw": "planted-2"})
	if before.UID != after.UID {
		n.Error("the Secret was made anew")
	}
	if now := n.state("db", "Synced", ""); !now.Since.Equal(was.Since) {
		n.Errorf("synced since %v, and now since %v", was.Since, now.Since)
	}
	if now := n.condition("by-sync", "Update", "True", "NoValueChange"); !now.LastTransitionTime.Equal(&update.LastTransitionTime) {
		n.Errorf("synced since %v, and now since %v", update.LastTransitionTime, now.LastTransitionTime)
	}
}

// rightsTaken: the controller's status, its page and lanyard status say what it may not do,
// until it may again.
func rightsTaken(n *tenant) {
	n.put("db", map[string]any{"value": "planted"})
	n.class("db", one)
	n.holds("db", map[string]string{"password": "planted"})
	bindings := n.dynamic.Resource(schema.GroupVersionResource{Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "clusterrolebindings"})
	binding, err := bindings.Get(n.Context(), "lanyard-sync", meta.GetOptions{})
	n.must(err)
	n.must(bindings.Delete(n.Context(), binding.GetName(), meta.DeleteOptions{}))
	give := func(ctx context.Context) error {
		binding.SetResourceVersion("")
		binding.SetUID("")
		_, err := bindings.Create(ctx, binding, meta.CreateOptions{})
		return err
	}
	n.Cleanup(func() { _ = give(context.Background()) }) // if the test has not
	tells := func(what string, words ...string) {
		n.Helper()
		n.eventually("the controller tells of "+what, func() error {
			page, err := n.controller.get("/")
			if err != nil {
				return err
			}
			run := exec.CommandContext(n.Context(), n.controller.place.path("lanyard-sync"), "status", "--provider-url", "http://"+n.controller.address)
			shown, err := run.CombinedOutput()
			var exit *exec.ExitError
			if err != nil && !errors.As(err, &exit) {
				return err
			}
			// Objects of other tests that fail are shown too.
			if code := run.ProcessState.ExitCode(); code != 3 && len(words) > 0 {
				return fmt.Errorf("lanyard status ends with %d:\n%s", code, shown)
			}
			if len(words) == 0 && strings.Contains(page+string(shown), "is forbidden") {
				return fmt.Errorf("a right that is missing is told of:\n%s", shown)
			}
			return errors.Join(containsAll(html.UnescapeString(page), words), containsAll(string(shown), words))
		})
	}
	tells("a right that is missing", "is forbidden", n.namespace)
	n.must(give(n.Context()))
	tells("nothing")
	n.put("db", map[string]any{"value": "planted-2"})
	n.holds("db", map[string]string{"password": "planted-2"})
}

// definitionRemoved: classes go on without SecretSyncs, and both with them again.
func definitionRemoved(n *tenant) {
	n.put("db", map[string]any{"value": "planted"})
	n.class("db", one)
	n.sync("by-sync", `{data: [{sourcePath: password, targetKey: pw}]}`)
	n.patch("SecretSync", "by-sync", `{"spec":{"secretProviderClassName":"db"}}`)
	n.holds("by-sync", map[string]string{"pw": "planted"})
	definitions := n.dynamic.Resource(schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"})
	remove := func() {
		n.Helper()
		const name = "secretsyncs.secret-sync.x-k8s.io"
		n.must(definitions.Delete(n.Context(), name, meta.DeleteOptions{}))
		n.eventually("the definition goes", func() error {
			_, err := definitions.Get(n.Context(), name, meta.GetOptions{})
			if apierrors.IsNotFound(err) {
				return nil
			}
			return fmt.Errorf("it is there: %w", err)
		})
	}
	remove()
	n.put("db", map[string]any{"value": "planted-2"})
	n.holds("db", map[string]string{"password": "planted-2"})
	defined := func(name, value string) {
		n.Helper()
		text, err := secretSyncs()
		n.must(err)
		n.must(n.server.Apply(n.Context(), text))
		n.eventually("the definition is served", func() error {
			_, err := n.resource("SecretSync").List(n.Context(), meta.ListOptions{})
			return err
		})
		n.sync(name, `{data: [{sourcePath: password, targetKey: pw}]}`)
		n.patch("SecretSync", name, `{"spec":{"secretProviderClassName":"db"}}`)
		n.holds(name, map[string]string{"pw": value})
	}
	defined("again", "planted-2")
	// A controller that starts without it.
	n.controller.stop()
	remove()
	n.must(n.controller.start())
	n.put("db", map[string]any{"value": "planted-3"})
	n.holds("db", map[string]string{"password": "planted-3"})
	defined("later", "planted-3")
}

// leaderKilled kills the controller that works while it makes 500 Secrets, whose values
// are in two parts.
func leaderKilled(n *tenant) {
	const namespaces, each = 5, 100
	// The one that stays looks again after a while only, so that the test is not of that.
	second := n.newController("--interval", "10s", "--drift-interval", "1h")
	n.must(second.start())
	defer second.stop()
	var all sync.WaitGroup
	tenants := make([]*tenant, namespaces)
	spec := strings.Replace(one, "{objectName: password, key: password}", "{objectName: password, key: a}, {objectName: password, key: b}", 1)
	for i := range tenants {
		tenants[i] = n.tenantIn(n.T, fmt.Sprintf("%s-%d", n.namespace, i))
		tenants[i].put("db", map[string]any{"value": "planted-1"})
	}
	for _, one := range tenants {
		all.Go(func() {
			for i := range each {
				name := fmt.Sprint("db-", i)
				one.class(name, strings.Replace(spec, "secretName: db", "secretName: "+name, 1))
			}
		})
	}
	n.eventually("some Secrets are made", func() error {
		if made := len(n.made(tenants)); made < namespaces*each/5 {
			return fmt.Errorf("%d", made)
		}
		return nil
	})
	n.controller.kill()
	killed := len(n.made(tenants))
	all.Wait()
	if killed == namespaces*each {
		n.Error("all Secrets were there before the controller was killed")
	}
	n.eventually("the other makes the rest", func() error {
		if made := len(n.made(tenants)); made != namespaces*each {
			return fmt.Errorf("%d", made)
		}
		return nil
	})
	for _, s := range n.made(tenants) {
		if !maps.EqualFunc(s.Data, map[string][]byte{"a": []byte("planted-1"), "b": []byte("planted-1")}, func(a, b []byte) bool { return string(a) == string(b) }) {
			n.Errorf("Secret %s/%s holds %d keys", s.Namespace, s.Name, len(s.Data))
		}
	}
	for _, one := range tenants {
		for i := range each {
			one.state(fmt.Sprint("db-", i), "Synced", "")
		}
		times := map[string]int{}
		for _, c := range n.calls(n.T, one.namespace) {
			if c.Object.Resource == "secrets" && c.Verb == "create" && c.Status.Code == 201 {
				times[c.Object.Name]++
			}
			if c.Object.Resource == "secrets" && c.Verb == "delete" {
				n.Errorf("%s", c)
			}
		}
		for name, count := range times {
			if count != 1 {
				n.Errorf("Secret %s/%s was made %d times", one.namespace, name, count)
			}
		}
	}
	n.Logf("killed with %d Secrets of %d", killed, namespaces*each)
	lease, err := n.kube.CoordinationV1().Leases(own).Get(n.Context(), "lanyard-sync", meta.GetOptions{})
	n.must(err)
	if lease.Spec.LeaseTransitions == nil || *lease.Spec.LeaseTransitions == 0 || lease.Spec.HolderIdentity == nil || *lease.Spec.HolderIdentity == "" {
		n.Errorf("the Lease is %+v", lease.Spec)
	}
	// A leader that stops in order makes room at once, and the next follows a change.
	n.must(n.controller.start())
	second.stop()
	n.must(second.sound())
	tenants[0].put("db", map[string]any{"value": "planted-2"})
	tenants[0].holds("db-0", map[string]string{"a": "planted-2", "b": "planted-2"})
}

// made are the tenants' Secrets.
func (n *tenant) made(tenants []*tenant) (found []core.Secret) {
	n.Helper()
	for _, one := range tenants {
		list, err := n.kube.CoreV1().Secrets(one.namespace).List(context.Background(), meta.ListOptions{})
		n.must(err)
		found = append(found, list.Items...)
	}
	return found
}
