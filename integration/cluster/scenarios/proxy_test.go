package scenarios

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"github.com/lanyardhq/lanyard/integration/cluster/lab"
	"github.com/lanyardhq/lanyard/integration/faultproxy"
)

// proxy starts a proxy before Vault that is the scenario's own, so that what
// happens there happens to no other.
func (s *scenario) proxy() *faultproxy.Proxy {
	s.t.Helper()
	p, err := s.Proxy("")
	s.must(err)
	s.t.Cleanup(p.Close)
	return p
}

// stores is a class's parameter that makes the proxy its store "proxied".
func (s *scenario) stores(p *faultproxy.Proxy) string {
	s.t.Helper()
	authority, err := s.Authority()
	s.must(err)
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	s.must(encoder.Encode(map[string]any{"proxied": map[string]any{
		"type": "vault", "address": p.Address,
		"tls":  map[string]any{"caCert": string(authority)},
		"auth": map[string]any{"method": "kubernetes", "role": lab.Role},
	}}))
	return strings.TrimSpace(text.String())
}

// pathOf is where the scenario's secret of the name is in Vault's API.
func (s *scenario) pathOf(name string) string { return "secret/data/" + s.namespace + "/" + name }

// readsSince are the times at which the secret was read through the proxy after
// a moment.
func (s *scenario) readsSince(p *faultproxy.Proxy, name string, moment time.Time) (times []time.Time) {
	for _, request := range p.Requests() {
		if request.Method == http.MethodGet && request.Path == s.pathOf(name) && request.At.After(moment) {
			times = append(times, request.At)
		}
	}
	return times
}

// proxiedClass makes a class that reads from the proxy. objects are YAML; more are
// further parameters, name and value in turn.
func (s *scenario) proxiedClass(name string, p *faultproxy.Proxy, objects string, more ...string) {
	s.t.Helper()
	parameters := map[string]any{"stores": s.stores(p), "objects": s.text(objects)}
	for i := 0; i < len(more); i += 2 {
		parameters[more[i]] = more[i+1]
	}
	object, err := json.Marshal(map[string]any{
		"apiVersion": "secrets-store.csi.x-k8s.io/v1", "kind": "SecretProviderClass",
		"metadata": map[string]any{"name": name},
		"spec":     map[string]any{"provider": "lanyard", "parameters": parameters},
	})
	s.must(err)
	s.must(s.ApplyIn(s.t.Context(), s.namespace, object))
}

// versions are those that the driver shows for a class in a pod, by object.
func (s *scenario) versions(pod, class string) (map[string]string, error) {
	config, err := s.Config()
	if err != nil {
		return nil, err
	}
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	resource := schema.GroupVersionResource{Group: "secrets-store.csi.x-k8s.io", Version: "v1", Resource: "secretproviderclasspodstatuses"}
	status, err := client.Resource(resource).Namespace(s.namespace).
		Get(s.t.Context(), pod+"-"+s.namespace+"-"+class, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	objects, _, err := unstructured.NestedSlice(status.Object, "status", "objects")
	if err != nil {
		return nil, err
	}
	found := map[string]string{}
	for _, object := range objects {
		fields, _ := object.(map[string]any)
		id, _ := fields["id"].(string)
		found[id], _ = fields["version"].(string)
	}
	return found, nil
}

// waitsInVain waits until an event of the pod has all the texts. That the pod starts
// meanwhile is what must not happen.
func (s *scenario) waitsInVain(name string, texts ...string) {
	s.t.Helper()
	s.eventually(fmt.Sprintf("an event of pod %s says %q", name, texts), func() error {
		if s.get(name).Status.Phase == corev1.PodRunning {
			s.t.Fatalf("pod %s started, with what it may not have", name)
		}
		messages, err := s.events(name)
		if err != nil {
			return err
		}
		for _, said := range messages {
			if !slices.ContainsFunc(texts, func(text string) bool { return !strings.Contains(said, text) }) {
				return nil
			}
		}
		return fmt.Errorf("there are %q", messages)
	})
}
