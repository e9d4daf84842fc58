package certificate

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strconv"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
)

var (
	secrets  = schema.GroupVersionResource{Version: "v1", Resource: "secrets"}
	webhooks = schema.GroupVersionResource{Group: "admissionregistration.k8s.io", Version: "v1", Resource: "mutatingwebhookconfigurations"}
)

// cluster is a Cluster of Kubernetes.
type cluster struct {
	client                     dynamic.Interface
	namespace, secret, webhook string
}

// InCluster is the Secret and the MutatingWebhookConfiguration of an API server. Both exist:
// the rights of the webhook are to change these two and to make none.
func InCluster(config *rest.Config, namespace, secret, webhook string) (Cluster, error) {
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	return &cluster{client, namespace, secret, webhook}, nil
}

func (c *cluster) getSecret(ctx context.Context) (*unstructured.Unstructured, error) {
	o, err := c.client.Resource(secrets).Namespace(c.namespace).Get(ctx, c.secret, meta.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, fmt.Errorf("there is no Secret %s in namespace %s; install the chart again, which makes it", c.secret, c.namespace)
	}
	if err != nil {
		return nil, fmt.Errorf("Secret %s: %w", c.secret, err)
	}
	return o, nil
}

// Secret implements Cluster.
func (c *cluster) Secret(ctx context.Context) (map[string][]byte, string, error) {
	o, err := c.getSecret(ctx)
	if err != nil {
		return nil, "", err
	}
	texts, _, _ := unstructured.NestedStringMap(o.Object, "data") //nolint:errcheck // what is no data is made anew
	data := map[string][]byte{}
	for name, text := range texts {
		if value, err := base64.StdEncoding.DecodeString(text); err == nil {
			data[name] = value
		}
	}
	return data, o.GetResourceVersion(), nil
}

// SetSecret implements Cluster.
func (c *cluster) SetSecret(ctx context.Context, data map[string][]byte, version string) error {
	o, err := c.getSecret(ctx)
	if err != nil {
		return err
	}
	texts := map[string]any{}
	for name, value := range data {
		texts[name] = base64.StdEncoding.EncodeToString(value)
	}
	o.Object["data"] = texts
	o.SetResourceVersion(version)
	_, err = c.client.Resource(secrets).Namespace(c.namespace).Update(ctx, o, meta.UpdateOptions{FieldManager: "lanyard-inject"})
	switch {
	case apierrors.IsConflict(err):
		return ErrConflict
	case err != nil:
		return fmt.Errorf("Secret %s: %w", c.secret, err)
	}
	return nil
}

func (c *cluster) getWebhooks(ctx context.Context) ([]any, error) {
	o, err := c.client.Resource(webhooks).Get(ctx, c.webhook, meta.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, fmt.Errorf("there is no MutatingWebhookConfiguration %s; install the chart again, which makes it", c.webhook)
	}
	if err != nil {
		return nil, fmt.Errorf("MutatingWebhookConfiguration %s: %w", c.webhook, err)
	}
	list, _, err := unstructured.NestedSlice(o.Object, "webhooks")
	if err != nil || len(list) == 0 {
		return nil, fmt.Errorf("MutatingWebhookConfiguration %s: has no webhooks; install the chart again", c.webhook)
	}
	return list, nil
}

// Authorities implements Cluster.
func (c *cluster) Authorities(ctx context.Context) ([][]byte, error) {
	list, err := c.getWebhooks(ctx)
	if err != nil {
		return nil, err
	}
	all := make([][]byte, len(list))
	for i, item := range list {
		if webhook, ok := item.(map[string]any); ok {
			text, _, _ := unstructured.NestedString(webhook, "clientConfig", "caBundle") //nolint:errcheck // what is no text is replaced
			all[i], _ = base64.StdEncoding.DecodeString(text)                            //nolint:errcheck // as above
		}
	}
	return all, nil
}

// SetAuthorities implements Cluster. The names of the webhooks are tested, so that a
// configuration that somebody changes meanwhile gets nothing that was meant for another.
func (c *cluster) SetAuthorities(ctx context.Context, pem []byte) error {
	list, err := c.getWebhooks(ctx)
	if err != nil {
		return err
	}
	var patch []map[string]any
	for i, item := range list {
		webhook, ok := item.(map[string]any)
		if !ok {
			continue
		}
		at := "/webhooks/" + strconv.Itoa(i)
		patch = append(patch,
			map[string]any{"op": "test", "path": at + "/name", "value": webhook["name"]},
			map[string]any{"op": "add", "path": at + "/clientConfig/caBundle", "value": base64.StdEncoding.EncodeToString(pem)})
	}
	text, err := json.Marshal(patch)
	if err != nil {
		return err
	}
	if _, err := c.client.Resource(webhooks).Patch(ctx, c.webhook, types.JSONPatchType, text, meta.PatchOptions{FieldManager: "lanyard-inject"}); err != nil {
		return fmt.Errorf("MutatingWebhookConfiguration %s: %w", c.webhook, err)
	}
	return nil
}
