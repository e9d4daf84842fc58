package kube

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	meta "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lanyardhq/lanyard/provider/fault"
)

// metadataAlone requests an object without its specification and status.
// https://kubernetes.io/docs/reference/using-api/api-concepts/#receiving-resources-as-tables
const metadataAlone = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"

// Objects reads annotations of service accounts and labels of the provider's own
// node, which cloud stores need. It caches nothing. It is safe for concurrent use.
type Objects struct {
	tokens  *Tokens
	enabled func() bool
}

// Objects returns Objects that share the connection to the API server and end
// with t. enabled says whether the operator allows them now.
func (t *Tokens) Objects(enabled func() bool) *Objects { return &Objects{tokens: t, enabled: enabled} }

// Annotation is an annotation of a service account, empty if it has none. The
// error wraps a kind of package fault.
func (o *Objects) Annotation(ctx context.Context, namespace, serviceAccount, name string) (string, error) {
	if !isName(namespace) || !isName(serviceAccount) {
		return "", fault.Fail(fault.ErrInvalid, errors.New("the mount names a service account that cannot exist"))
	}
	what := fmt.Sprintf("service account %s in namespace %s", serviceAccount, namespace)
	object, err := o.get(ctx, what, "get on serviceaccounts", "api", "v1", "namespaces", namespace, "serviceaccounts", serviceAccount)
	if err != nil {
		return "", err
	}
	return object.Annotations[name], nil
}

// NodeLabel is a label of the node that the provider runs on, empty if it has
// none. The error wraps a kind of package fault.
func (o *Objects) NodeLabel(ctx context.Context, name string) (string, error) {
	if !o.enabled() {
		return "", notAllowed("its own node")
	}
	server, err := o.tokens.apiServer()
	if err != nil {
		return "", fault.Fail(fault.ErrUnavailable, err)
	}
	node := server.claims().Kubernetes.Node.Name
	if !isName(node) {
		return "", fault.Fail(fault.ErrInvalid, errors.New("the provider's own token does not name the node it runs on, as those of Kubernetes 1.30 and later do"))
	}
	object, err := o.get(ctx, "node "+node, "get on nodes", "api", "v1", "nodes", node)
	if err != nil {
		return "", err
	}
	return object.Labels[name], nil
}

func notAllowed(what string) error {
	return fault.Fail(fault.ErrInvalid, fmt.Errorf("the provider may not read %s at the API server: let the operator set policy.readObjects, or write into the class what it would say", what))
}

// get reads one object, with the bounds of token requests. right is the needed
// permission.
func (o *Objects) get(ctx context.Context, what, right string, path ...string) (*meta.PartialObjectMetadata, error) {
	if !o.enabled() {
		return nil, notAllowed(what)
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	select {
	case o.tokens.turns <- struct{}{}:
		defer func() { <-o.tokens.turns }()
	case <-ctx.Done():
		return nil, fault.Fail(fault.ErrUnavailable, fmt.Errorf("the API server did not answer %d earlier requests", maxCalls))
	}
	server, err := o.tokens.apiServer()
	if err != nil {
		return nil, fault.Fail(fault.ErrUnavailable, err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, server.base.JoinPath(path...).String(), nil)
	if err != nil {
		return nil, fault.Fail(fault.ErrInvalid, fmt.Errorf("%s cannot be asked for", what))
	}
	req.Header.Set("Accept", metadataAlone)
	resp, err := server.client.Do(req)
	if err != nil {
		return nil, fault.Fail(fault.ErrUnavailable, fmt.Errorf("the API server does not answer for %s: %w", what, cause(err)))
	}
	defer resp.Body.Close() //nolint:errcheck // it has been read as far as it matters
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, fault.Fail(fault.ErrUnavailable, fmt.Errorf("the API server's answer for %s breaks off: %w", what, cause(err)))
	}
	switch resp.StatusCode {
	case http.StatusOK:
	case http.StatusForbidden:
		return nil, fault.Fail(fault.ErrInvalid, fmt.Errorf("the provider may not read %s at the API server: grant its own service account %s, or turn policy.readObjects off%s", what, right, statusMessage(answer)))
	case http.StatusNotFound:
		return nil, fault.Fail(fault.ErrInvalid, fmt.Errorf("the API server knows no %s%s", what, statusMessage(answer)))
	default:
		return nil, fault.Fail(fault.ErrUnavailable, fmt.Errorf("the API server answers with status %d for %s%s", resp.StatusCode, what, statusMessage(answer)))
	}
	var object meta.PartialObjectMetadata
	if json.Unmarshal(answer, &object) != nil {
		return nil, fault.Fail(fault.ErrUnavailable, fmt.Errorf("the API server's answer for %s cannot be read", what))
	}
	return &object, nil
}
