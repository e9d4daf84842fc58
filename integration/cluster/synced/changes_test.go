package synced

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	core "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/lanyardhq/lanyard/server/sync"
)

// What somebody does to a Secret by hand is put right, and nothing else is touched.
func TestDriftIsPutRight(t *testing.T) {
	for name, c := range map[string]struct {
		spoil string // a merge patch
		right func(s *core.Secret) bool
	}{
		"a value":              {`{"stringData":{"password":"other"}}`, nil},
		"a key too many":       {`{"stringData":{"more":"other"}}`, nil},
		"a key too few":        {`{"data":{"password":null}}`, nil},
		"no keys":              {`{"data":null}`, nil},
		"a label of the class": {`{"metadata":{"labels":{"app":"other"}}}`, func(s *core.Secret) bool { return s.Labels["app"] == "shop" }},
		"whose it is":          {`{"metadata":{"labels":{"lanyard.dev/synced-from":null}}}`, func(s *core.Secret) bool { return s.Labels[sync.OwnerLabel] != "" }},
		"its owner":            {`{"metadata":{"ownerReferences":null}}`, func(s *core.Secret) bool { return len(s.OwnerReferences) == 1 }},
		"its versions":         {`{"metadata":{"annotations":{"lanyard.dev/versions":"{}"}}}`, func(s *core.Secret) bool { return s.Annotations[sync.VersionsAnnotation] != "{}" }},
	} {
		t.Run(name, func(t *testing.T) {
			n := quiet(t)
			n.put("db", map[string]any{"value": "planted"})
			n.class("db", strings.Replace(one, "type: Opaque", "labels: {app: shop}", 1))
			n.holds("db", map[string]string{"password": "planted"})
			n.patch("Secret", "db", `{"metadata":{"annotations":{"theirs":"stays"},"labels":{"theirs":"stays"}}}`)
			n.patch("Secret", "db", c.spoil)
			n.eventually("the Secret is right", func() error {
				s := n.secret("db")
				if len(s.Data) != 1 || string(s.Data["password"]) != "planted" || c.right != nil && !c.right(s) {
					return fmt.Errorf("it is %+v", s)
				}
				if s.Labels["theirs"] != "stays" || s.Annotations["theirs"] != "stays" {
					return fmt.Errorf("labels %v and annotations %v lack those of others", s.Labels, s.Annotations)
				}
				return nil
			})
		})
	}
}

func TestADeletedSecretComesBack(t *testing.T) {
	n := quiet(t)
	n.put("db", map[string]any{"value": "planted"})
	n.class("db", one)
	n.sync("db-sync", `{data: [{sourcePath: password, targetKey: pw}]}`)
	n.patch("SecretSync", "db-sync", `{"spec":{"secretProviderClassName":"db"}}`)
	for name, key := range map[string]string{"db": "password", "db-sync": "pw"} {
		n.holds(name, map[string]string{key: "planted"})
		n.delete("Secret", name)
		n.holds(name, map[string]string{key: "planted"})
	}
}

func TestWhatTheClassLeavesOutGoes(t *testing.T) {
	n := quiet(t)
	n.put("db", map[string]any{"value": "planted"})
	two := strings.Replace(one, "  - secretName: db", `
  - secretName: other
    data: [{objectName: password, key: a}]
    labels: {app: shop, tier: "1"}
    annotations: {note: hello}
  - secretName: db`[1:], 1)
	n.class("db", strings.Replace(two, "key: a}", "key: a}, {objectName: password, key: b}", 1))
	n.holds("other", map[string]string{"a": "planted", "b": "planted"})
	db := n.holds("db", map[string]string{"password": "planted"})

	n.class("db", strings.NewReplacer(`, tier: "1"`, "", "    annotations: {note: hello}\n", "").Replace(two))
	n.holds("other", map[string]string{"a": "planted"})
	n.eventually("labels and annotations go", func() error {
		s := n.secret("other")
		if s.Labels["app"] != "shop" || s.Labels["tier"] != "" || s.Annotations["note"] != "" {
			return fmt.Errorf("%v %v", s.Labels, s.Annotations)
		}
		return nil
	})

	n.class("db", one)
	n.gone("other")
	n.patch("SecretProviderClass", "db", `{"metadata":{"annotations":{"lanyard.dev/refresh":"1"}}}`)
	if s := n.secret("db"); s == nil || s.UID != db.UID {
		t.Errorf("the Secret that stays was made anew: %+v", s)
	}
	// Another name: the new Secret is there before the old one goes.
	n.class("db", strings.Replace(one, "secretName: db", "secretName: renamed", 1))
	n.holds("renamed", map[string]string{"password": "planted"})
	n.gone("db")

	n.patch("SecretProviderClass", "db", `{"metadata":{"annotations":{"lanyard.dev/sync":null}}}`)
	n.gone("renamed")
	n.eventually("the status goes", func() error {
		if status := n.status("db"); status != nil {
			return fmt.Errorf("it is %+v", status)
		}
		return nil
	})

	// kubectl replace takes both annotations at once; the controller has seen the class before.
	n.class("db", one)
	n.holds("db", map[string]string{"password": "planted"})
	n.eventually("the status tells of it", func() error {
		if n.status("db") == nil {
			return errors.New("there is none")
		}
		return nil
	})
	n.patch("SecretProviderClass", "db", `{"metadata":{"annotations":null}}`)
	n.gone("db")
	n.event("Normal SecretRemoved db: ", "any more: db")
}

func TestWhatIsDeletedTakesItsSecretsAlong(t *testing.T) {
	n := quiet(t)
	n.put("db", map[string]any{"value": "planted"})
	n.class("db", one)
	n.class("stays", strings.Replace(one, "secretName: db", "secretName: stays", 1))
	n.sync("by-sync", `{data: [{sourcePath: password, targetKey: pw}]}`)
	n.patch("SecretSync", "by-sync", `{"spec":{"secretProviderClassName":"stays"}}`)
	first := n.holds("db", map[string]string{"password": "planted"})
	stays := n.holds("stays", map[string]string{"password": "planted"})
	n.holds("by-sync", map[string]string{"pw": "planted"})

	n.delete("SecretProviderClass", "db")
	n.gone("db")
	n.class("db", one)
	second := n.holds("db", map[string]string{"password": "planted"})
	// At once, before the garbage collector has seen the first.
	n.delete("SecretProviderClass", "db")
	n.class("db", one)
	n.eventually("the Secret is the new class's", func() error {
		s := n.secret("db")
		if s == nil || s.UID == first.UID || s.UID == second.UID || string(s.Data["password"]) != "planted" {
			return fmt.Errorf("it is %+v", s)
		}
		return nil
	})
	n.state("db", "Synced", "")

	n.delete("SecretSync", "by-sync")
	n.gone("by-sync")
	n.sync("by-sync", `{data: [{sourcePath: password, targetKey: again}]}`)
	n.condition("by-sync", "Create", "False", "ControllerSPCError", "there is no SecretProviderClass by-sync")
	n.patch("SecretSync", "by-sync", `{"spec":{"secretProviderClassName":"stays"}}`)
	n.holds("by-sync", map[string]string{"again": "planted"})
	n.condition("by-sync", "Create", "True", "CreateSucceeded")
	// A class that goes leaves the Secrets of SecretSyncs.
	n.delete("SecretProviderClass", "stays")
	n.condition("by-sync", "Update", "False", "ControllerSPCError", "there is no SecretProviderClass stays")
	n.gone("stays")
	n.holds("by-sync", map[string]string{"again": "planted"})
	if stays.UID == "" {
		t.Error("a Secret without a UID")
	}
}

// However long its refresh interval is, a value is read when somebody asks for it.
func TestReadWhenAsked(t *testing.T) {
	long := strings.Replace(one, "property: value}", "property: value, refresh: 24h}", 1)
	t.Run("class", func(t *testing.T) {
		n := quiet(t)
		n.put("db", map[string]any{"value": "planted-1"})
		n.class("db", long)
		n.holds("db", map[string]string{"password": "planted-1"})
		n.put("db", map[string]any{"value": "planted-2"})
		n.passes(2)
		n.holds("db", map[string]string{"password": "planted-1"})
		n.patch("SecretProviderClass", "db", `{"metadata":{"annotations":{"lanyard.dev/refresh":"now"}}}`)
		n.holds("db", map[string]string{"password": "planted-2"})
		n.put("db", map[string]any{"value": "planted-3"})
		n.passes(2)
		n.holds("db", map[string]string{"password": "planted-2"})
	})
	t.Run("SecretSync", func(t *testing.T) {
		n := quiet(t)
		n.put("db", map[string]any{"value": "planted-1"})
		n.class("db", long)
		n.sync("forced", `{data: [{sourcePath: password, targetKey: pw}]}`)
		n.patch("SecretSync", "forced", `{"spec":{"secretProviderClassName":"db"}}`)
		n.holds("forced", map[string]string{"pw": "planted-1"})
		for i, patch := range []string{`{"spec":{"forceSynchronization":"a"}}`, `{"spec":{"forceSynchronization":"b"}}`, `{"metadata":{"annotations":{"lanyard.dev/refresh":"now"}}}`} {
			value := fmt.Sprint("planted-", i+2)
			n.put("db", map[string]any{"value": value})
			n.patch("SecretSync", "forced", patch)
			n.holds("forced", map[string]string{"pw": value})
		}
	})
}

// A store that is down: the Secret stays, the status says since when, and when the store is
// back all goes on.
func TestAStoreThatIsDown(t *testing.T) {
	n := quiet(t)
	proxy := n.toVault()
	n.put("db", map[string]any{"value": "planted-1"})
	n.class("db", through, "$address", proxy.Address)
	n.sync("by-sync", `{data: [{sourcePath: password, targetKey: pw}]}`)
	n.patch("SecretSync", "by-sync", `{"spec":{"secretProviderClassName":"db"}}`)
	before := n.holds("db", map[string]string{"password": "planted-1"})
	n.holds("by-sync", map[string]string{"pw": "planted-1"})
	synced := n.state("db", "Synced", "")
	condition := n.condition("by-sync", "Update", "True", "NoValueChange")

	up := proxy.Add(refuse)
	down := n.state("db", "Failed", "ProviderError", "password", "cannot be reached")
	failed := n.condition("by-sync", "Update", "False", "ProviderError", "cannot be reached")
	n.condition("by-sync", "Create", "True", "CreateSucceeded")
	n.passes(3)
	if later := n.status("db"); later.State != "Failed" || !later.Since.Equal(down.Since) || later.Since.Before(synced.Since) {
		t.Errorf("down since %v, then %+v, synced since %v", down.Since, later, synced.Since)
	}
	if later := n.condition("by-sync", "Update", "False", "ProviderError"); !later.LastTransitionTime.Equal(&failed.LastTransitionTime) || later.LastTransitionTime.Before(&condition.LastTransitionTime) {
		t.Errorf("down since %v, then %v", failed.LastTransitionTime, later.LastTransitionTime)
	}
	if s := n.secret("db"); s == nil || s.UID != before.UID || string(s.Data["password"]) != "planted-1" {
		t.Errorf("the Secret is %+v", s)
	}
	n.put("db", map[string]any{"value": "planted-2"})
	up()
	n.holds("db", map[string]string{"password": "planted-2"})
	n.holds("by-sync", map[string]string{"pw": "planted-2"})
	n.state("db", "Synced", "")
	n.condition("by-sync", "Update", "True", "NoValueChange")
	n.event("Normal Synced db")
}

// Whose a Secret is, is looked at in the very request that changes it.
func TestSecretsOfOthers(t *testing.T) {
	for name, labels := range map[string]map[string]string{
		"plain":                        nil,
		"of another object":            {"lanyard.dev/synced-from": "1234"},
		"of another and of the driver": {"lanyard.dev/synced-from": "1234", "secrets-store.csi.k8s.io/managed": "true"},
		"of helm":                      {"app.kubernetes.io/managed-by": "Helm"},
		"not of the driver":            {"secrets-store.csi.k8s.io/managed": "false"},
	} {
		t.Run(name, func(t *testing.T) {
			n := quiet(t)
			n.put("db", map[string]any{"value": "planted"})
			untouched := n.foreign("db", labels)
			n.class("db", one)
			n.state("db", "Failed", "SecretNotOwned", "Secret db is there already and is somebody else's; remove it, or give this one another name")
			n.event("Warning SecretNotOwned db")
			n.sync("sync", `{data: [{sourcePath: password, targetKey: pw}]}`)
			n.passes(1)
			untouched()
			// Neither when the class goes.
			n.delete("SecretProviderClass", "db")
			n.passes(1)
			untouched()
			n.class("db", one)
			n.delete("Secret", "db")
			n.holds("db", map[string]string{"password": "planted"})
			untouched = n.replaced("db", labels)
			n.state("db", "Failed", "SecretNotOwned")
			n.passes(1)
			untouched()
		})
	}
}

// replaced puts a Secret of somebody else's in the place of one that is there; see foreign.
func (n *tenant) replaced(name string, labels map[string]string) (untouched func()) {
	n.Helper()
	for {
		n.delete("Secret", name)
		made, err := n.kube.CoreV1().Secrets(n.namespace).Create(n.Context(), theirSecret(name, labels), meta.CreateOptions{})
		if !apierrors.IsAlreadyExists(err) { // the controller was quicker
			n.must(err)
			return n.untouched(made)
		}
	}
}

// Two objects that want one Secret: one has it, and the other is told.
func TestTwoThatWantOneSecret(t *testing.T) {
	n := quiet(t)
	n.put("db", map[string]any{"value": "planted"})
	n.class("db", one)
	s := n.holds("db", map[string]string{"password": "planted"})
	n.class("second", one)
	n.sync("db", `{data: [{sourcePath: password, targetKey: pw}]}`)
	n.state("second", "Failed", "SecretNotOwned")
	n.condition("db", "Create", "False", "SecretNotOwned")
	n.passes(2)
	if now := n.secret("db"); now.UID != s.UID || now.Labels[sync.OwnerLabel] != s.Labels[sync.OwnerLabel] || len(now.OwnerReferences) != 1 {
		t.Errorf("%+v", now)
	}
	n.delete("SecretProviderClass", "db")
	n.eventually("another has it", func() error {
		now := n.secret("db")
		if now == nil || now.UID == s.UID {
			return errors.New("not yet")
		}
		return nil
	})
}

// A Secret that the driver wrote for pods, or the driver project's controller for the same
// SecretSync, is taken over with its name: its keys are then those of the object.
func TestTakingOver(t *testing.T) {
	t.Run("from the driver", func(t *testing.T) {
		n := quiet(t)
		n.put("db", map[string]any{"value": "planted"})
		before := n.theirs("db", "secrets-store-csi-driver", meta.ObjectMeta{Labels: map[string]string{"secrets-store.csi.k8s.io/managed": "true"}}, "password", "leftover")
		n.class("db", one)
		after := n.holds("db", map[string]string{"password": "planted"})
		if after.UID != before.UID || after.Labels[sync.OwnerLabel] == "" || after.Labels["secrets-store.csi.k8s.io/managed"] != "true" {
			t.Errorf("%+v", after)
		}
		n.state("db", "Synced", "")
		// It belongs to the first that took it.
		n.class("second", one)
		n.state("second", "Failed", "SecretNotOwned")
		n.passes(2)
		if now := n.secret("db"); now.Labels[sync.OwnerLabel] != after.Labels[sync.OwnerLabel] {
			t.Error("the second took it from the first")
		}
	})
	t.Run("from the controller", func(t *testing.T) {
		n := quiet(t)
		n.put("db", map[string]any{"value": "planted"})
		n.apply(`
apiVersion: secret-sync.x-k8s.io/v1alpha1
kind: SecretSync
metadata: {name: db}
spec:
  secretProviderClassName: later
  serviceAccountName: web
  secretObject: {data: [{sourcePath: password, targetKey: pw}]}
`)
		object, err := n.resource("SecretSync").Get(n.Context(), "db", meta.GetOptions{})
		n.must(err)
		before := n.theirs("db", "secrets-store-sync-controller", meta.ObjectMeta{
			Labels:          map[string]string{"secrets-store.sync.x-k8s.io": ""},
			OwnerReferences: []meta.OwnerReference{{APIVersion: "secret-sync.x-k8s.io/v1alpha1", Kind: "SecretSync", Name: "db", UID: object.GetUID()}},
		}, "pw", "leftover")
		_, err = n.resource("SecretSync").Patch(n.Context(), "db", types.MergePatchType, []byte(`{"status":{"syncHash":"$2a$10$abc","conditions":[
			{"type":"Create","status":"False","reason":"ProviderError","message":"","lastTransitionTime":"2026-01-01T00:00:00Z"}]}}`), meta.PatchOptions{}, "status")
		n.must(err)
		n.class("later", one)
		after := n.holds("db", map[string]string{"pw": "planted"})
		if after.UID != before.UID || after.Labels[sync.OwnerLabel] == "" || len(after.OwnerReferences) != 1 {
			t.Errorf("%+v", after)
		}
		n.condition("db", "Create", "True", "CreateSucceeded")
		n.condition("db", "Update", "True", "NoValueChange")
	})
}

// theirs makes a Secret with the keys as another controller does.
func (n *tenant) theirs(name, manager string, as meta.ObjectMeta, keys ...string) *core.Secret {
	n.Helper()
	as.Name = name
	s := &core.Secret{ObjectMeta: as, Data: map[string][]byte{}}
	for _, key := range keys {
		s.Data[key] = []byte("old")
	}
	made, err := n.kube.CoreV1().Secrets(n.namespace).Create(n.Context(), s, meta.CreateOptions{FieldManager: manager})
	n.must(err)
	return made
}

// A namespace that goes takes all along, and nothing is tried in it for ever.
func TestANamespaceThatGoes(t *testing.T) {
	n := quiet(t)
	n.put("db", map[string]any{"value": "planted"})
	n.class("db", one)
	n.holds("db", map[string]string{"password": "planted"})
	// The class stays while the namespace ends, and the Secret does not.
	n.patch("SecretProviderClass", "db", `{"metadata":{"finalizers":["lanyard.test/hold"]}}`)
	n.delete("Namespace", n.namespace)
	n.gone("db")
	n.patch("SecretProviderClass", "db", `{"metadata":{"finalizers":null}}`)
	n.eventually("the namespace goes", func() error {
		_, err := n.kube.CoreV1().Namespaces().Get(context.Background(), n.namespace, meta.GetOptions{})
		if err == nil {
			return errors.New("it is there")
		}
		return nil
	})
}
