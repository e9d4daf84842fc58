package synced

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	core "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/yaml"

	"github.com/lanyardhq/lanyard/integration/faultproxy"
	"github.com/lanyardhq/lanyard/server/sync/class"
	"github.com/lanyardhq/lanyard/server/sync/secretsync"
)

// patience is how long anything may take; most of it takes a second or two.
const patience = 90 * time.Second

// resources are the kinds that tests apply.
var resources = map[string]schema.GroupVersionResource{
	"Namespace":           core.SchemeGroupVersion.WithResource("namespaces"),
	"ServiceAccount":      core.SchemeGroupVersion.WithResource("serviceaccounts"),
	"Secret":              core.SchemeGroupVersion.WithResource("secrets"),
	"SecretProviderClass": {Group: "secrets-store.csi.x-k8s.io", Version: "v1", Resource: "secretproviderclasses"},
	"SecretSync":          secretsync.Version.WithResource("secretsyncs"),
}

// tenant is a namespace with a service account web, whose values lie below
// secret/data/NAMESPACE/web in Vault.
type tenant struct {
	*testing.T
	*place
	namespace string
}

// quiet is a tenant of the place whose controller is left alone. The test runs beside
// others.
func quiet(t *testing.T) *tenant {
	t.Helper()
	t.Parallel()
	p, err := all.quiet()
	if err != nil {
		t.Fatal(err)
	}
	return p.tenant(t)
}

var notInNames = regexp.MustCompile(`[^a-z0-9]+`)

func (p *place) tenant(t *testing.T) *tenant {
	t.Helper()
	// Upper case begins a word in the names of tests.
	words := regexp.MustCompile(`[A-Z]`).ReplaceAllStringFunc(t.Name(), func(s string) string { return "-" + strings.ToLower(s) })
	name := strings.Trim(notInNames.ReplaceAllString(words, "-"), "-")
	n := p.tenantIn(t, strings.Trim(name[max(0, len(name)-60):], "-"))
	t.Cleanup(func() {
		if !t.Failed() {
			return
		}
		for line := range strings.Lines(p.controller.log.String()) {
			if strings.Contains(line, n.namespace) || strings.Contains(line, "rror") && !strings.Contains(line, "class=") && !strings.Contains(line, "secretsync=") {
				t.Log(strings.TrimSpace(line))
			}
		}
		calls := p.calls(t, n.namespace)
		for _, c := range calls[:min(len(calls), 40)] {
			t.Log(c)
		}
	})
	return n
}

func (p *place) tenantIn(t *testing.T, namespace string) *tenant {
	t.Helper()
	n := &tenant{T: t, place: p, namespace: namespace}
	n.apply(`
apiVersion: v1
kind: Namespace
metadata: {name: $namespace}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: web}
`)
	return n
}

func (n *tenant) must(err error) {
	n.Helper()
	if err != nil {
		n.Fatal(err)
	}
}

// eventually waits until something holds.
func (n *tenant) eventually(what string, holds func() error) {
	n.Helper()
	var err error
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if err = holds(); err == nil {
			return
		}
	}
	n.Fatalf("%s: not within %s: %v", what, patience, err)
}

// resource is a kind's objects in the tenant's namespace.
func (n *tenant) resource(kind string) dynamic.ResourceInterface {
	if kind == "Namespace" {
		return n.dynamic.Resource(resources[kind])
	}
	return n.dynamic.Resource(resources[kind]).Namespace(n.namespace)
}

// apply creates or changes the objects of a YAML text as their author does: what is left
// out is removed. $namespace stands for the tenant's, and each further placeholder is
// followed by what it stands for.
func (n *tenant) apply(text string, placeholders ...string) {
	n.Helper()
	text = strings.NewReplacer(append([]string{"$namespace", n.namespace}, placeholders...)...).Replace(text)
	documents := utilyaml.NewYAMLReader(bufio.NewReader(strings.NewReader(text)))
	for {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return
		}
		n.must(err)
		var object unstructured.Unstructured
		n.must(yaml.Unmarshal(document, &object.Object))
		if len(object.Object) == 0 {
			continue
		}
		_, err = n.resource(object.GetKind()).Apply(n.Context(), object.GetName(), &object, meta.ApplyOptions{FieldManager: "author", Force: true})
		n.must(err)
	}
}

// class applies a class that asks for Secrets as web. spec is below spec, indented by two.
func (n *tenant) class(name, spec string, placeholders ...string) {
	n.Helper()
	n.apply(`
apiVersion: secrets-store.csi.x-k8s.io/v1
kind: SecretProviderClass
metadata: {name: `+name+`, annotations: {lanyard.dev/sync: web}}
spec:
`+spec, placeholders...)
}

// one is the spec of a class with the Secret db, whose key password is the field value of
// the secret db.
const one = `
  provider: lanyard
  secretObjects:
  - secretName: db
    type: Opaque
    data: [{objectName: password, key: password}]
  parameters:
    stores: |
      vault: {auth: {role: workload}}
    objects: |
      - {path: password, store: vault, key: secret/data/$namespace/web/db, property: value}
`

// sync applies a SecretSync of the class with the same name. object is its secretObject.
func (n *tenant) sync(name, object string, placeholders ...string) {
	n.Helper()
	n.apply(`
apiVersion: secret-sync.x-k8s.io/v1alpha1
kind: SecretSync
metadata: {name: `+name+`}
spec:
  secretProviderClassName: `+name+`
  serviceAccountName: web
  secretObject: `+object, placeholders...)
}

// put writes a secret into Vault, which web may read at secret/data/NAMESPACE/web/NAME.
func (n *tenant) put(name string, fields map[string]any) {
	n.Helper()
	n.must(n.vault.Call(n.Context(), http.MethodPost, "secret/data/"+n.namespace+"/web/"+name, map[string]any{"data": fields}, nil))
}

// remove removes a secret from Vault.
func (n *tenant) remove(name string) {
	n.Helper()
	n.must(n.vault.Call(n.Context(), http.MethodDelete, "secret/metadata/"+n.namespace+"/web/"+name, nil, nil))
}

// secret is a Secret; nil if there is none.
func (n *tenant) secret(name string) *core.Secret {
	n.Helper()
	s, err := n.kube.CoreV1().Secrets(n.namespace).Get(n.Context(), name, meta.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	n.must(err)
	return s
}

// holds waits until a Secret has exactly these keys, and returns it.
func (n *tenant) holds(name string, want map[string]string) (s *core.Secret) {
	n.Helper()
	n.eventually("Secret "+name, func() error {
		s = n.secret(name)
		if s == nil {
			return errors.New("there is none")
		}
		got := map[string]string{}
		for key, value := range s.Data {
			got[key] = string(value)
		}
		if !maps.Equal(got, want) {
			return fmt.Errorf("it holds %q, want %q", got, want)
		}
		return nil
	})
	return s
}

// gone waits until there is no Secret of the name.
func (n *tenant) gone(name string) {
	n.Helper()
	n.eventually("Secret "+name+" goes", func() error {
		if n.secret(name) != nil {
			return errors.New("it is there")
		}
		return nil
	})
}

// patch changes an object as somebody does by hand.
func (n *tenant) patch(kind, name, body string) {
	n.Helper()
	_, err := n.resource(kind).Patch(n.Context(), name, types.MergePatchType, []byte(body), meta.PatchOptions{FieldManager: "by-hand"})
	n.must(err)
}

// delete removes an object, and waits for nothing.
func (n *tenant) delete(kind, name string) {
	n.Helper()
	n.must(n.resource(kind).Delete(n.Context(), name, meta.DeleteOptions{}))
}

// status is what the annotation of a class says; nil if it says nothing.
func (n *tenant) status(name string) *class.Status {
	n.Helper()
	object, err := n.resource("SecretProviderClass").Get(n.Context(), name, meta.GetOptions{})
	n.must(err)
	text, ok := object.GetAnnotations()[class.StatusAnnotation]
	if !ok {
		return nil
	}
	var status class.Status
	n.must(json.Unmarshal([]byte(text), &status))
	return &status
}

// state waits until a class is in the state, for the reason with all of the texts.
func (n *tenant) state(name, state, reason string, texts ...string) (status *class.Status) {
	n.Helper()
	n.eventually("class "+name, func() error {
		status = n.status(name)
		if status == nil || status.State != state || string(status.Reason) != reason {
			return fmt.Errorf("it is %+v, want %s %s", status, state, reason)
		}
		return containsAll(status.Message, texts)
	})
	return status
}

// conditions are those of a SecretSync.
func (n *tenant) conditions(name string) (found []meta.Condition) {
	n.Helper()
	object, err := n.resource("SecretSync").Get(n.Context(), name, meta.GetOptions{})
	n.must(err)
	var s secretsync.SecretSync
	n.must(runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, &s))
	return s.Status.Conditions
}

// condition waits until a SecretSync has a condition, with all of the texts.
func (n *tenant) condition(name, kind, status, reason string, texts ...string) (found *meta.Condition) {
	n.Helper()
	n.eventually("condition of "+name, func() error {
		found = apimeta.FindStatusCondition(n.conditions(name), kind)
		if found == nil || string(found.Status) != status || found.Reason != reason {
			return fmt.Errorf("%s is %+v, want %s %s", kind, found, status, reason)
		}
		return containsAll(found.Message, texts)
	})
	return found
}

func containsAll(text string, parts []string) error {
	for _, part := range parts {
		if !strings.Contains(text, part) {
			return fmt.Errorf("%q does not say %q", text, part)
		}
	}
	return nil
}

// events are the Events of the namespace as TYPE REASON NAME: NOTE.
func (n *tenant) events() (found []string) {
	n.Helper()
	list, err := n.kube.EventsV1().Events(n.namespace).List(n.Context(), meta.ListOptions{})
	n.must(err)
	for _, e := range list.Items {
		found = append(found, fmt.Sprintf("%s %s %s: %s", e.Type, e.Reason, e.Regarding.Name, e.Note))
	}
	slices.Sort(found)
	return found
}

// event waits for an Event that contains all of the texts.
func (n *tenant) event(texts ...string) {
	n.Helper()
	n.eventually("an Event", func() error {
		found := n.events()
		if !slices.ContainsFunc(found, func(e string) bool { return containsAll(e, texts) == nil }) {
			return fmt.Errorf("there are\n%s\nwant one with %q", strings.Join(found, "\n"), texts)
		}
		return nil
	})
}

// foreign makes a Secret that is somebody else's. The function returned fails the test if
// it was changed since.
func (n *tenant) foreign(name string, labels map[string]string) (untouched func()) {
	n.Helper()
	made, err := n.kube.CoreV1().Secrets(n.namespace).Create(n.Context(), theirSecret(name, labels), meta.CreateOptions{})
	n.must(err)
	return n.untouched(made)
}

func theirSecret(name string, labels map[string]string) *core.Secret {
	return &core.Secret{ObjectMeta: meta.ObjectMeta{Name: name, Labels: labels}, Data: map[string][]byte{"theirs": []byte("value")}}
}

func (n *tenant) untouched(made *core.Secret) func() {
	return func() {
		n.Helper()
		if s := n.secret(made.Name); s == nil || s.UID != made.UID || s.ResourceVersion != made.ResourceVersion {
			n.Errorf("the Secret of somebody else's was changed: %+v", s)
		}
	}
}

// passes waits until the controller has followed so many changes of a class beside those
// of the test, which takes an interval each: it has looked at all of them meanwhile.
func (n *tenant) passes(times int) {
	n.Helper()
	n.put("beside", map[string]any{"value": "0"})
	n.class("beside", strings.NewReplacer("secretName: db", "secretName: beside", "/web/db", "/web/beside").Replace(one))
	for i := range times + 1 {
		value := strconv.Itoa(i)
		n.put("beside", map[string]any{"value": value})
		n.holds("beside", map[string]string{"password": value})
	}
}

// through is one, read from a Vault at another address.
var through = strings.NewReplacer("vault: {auth: {role: workload}}", `far: {type: vault, address: "$address", retries: 0, auth: {method: kubernetes, mount: quiet, role: workload}}`,
	"store: vault", "store: far").Replace(one)

// refuse closes connections.
var refuse = faultproxy.Fault{Refuse: true}

// toVault is a proxy before Vault.
func (n *tenant) toVault() *faultproxy.Proxy {
	n.Helper()
	proxy, err := faultproxy.New(n.vault.Address)
	n.must(err)
	n.Cleanup(proxy.Close)
	return proxy
}

// vaultPut writes the field value of a secret that another service account may read.
func (n *tenant) vaultPut(account, name, value string) error {
	return n.vault.Call(n.Context(), http.MethodPost, "secret/data/"+n.namespace+"/"+account+"/"+name, map[string]any{"data": map[string]any{"value": value}}, nil)
}
