// Package policies asks an API server as different users, for tests that hold
// its admission policies to what they are for.
//
// Start with NewClient and Client.As; then Refused and Accepted.
package policies

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	restclient "k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"
)

// patience is how long the API server may take to know a policy or a right.
const patience = time.Minute

// Client is the API server for one user.
type Client struct {
	*kubernetes.Clientset
	Dynamic dynamic.Interface
	Config  *restclient.Config
}

// NewClient makes a client of the user whose credentials config has.
func NewClient(config *restclient.Config) (*Client, error) {
	typed, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	untyped, err := dynamic.NewForConfig(config)
	return &Client{Clientset: typed, Dynamic: untyped, Config: config}, err
}

// As is the API server for another user, in groups beside the user's own.
func (c *Client) As(t *testing.T, user string, groups ...string) *Client {
	t.Helper()
	config := restclient.CopyConfig(c.Config)
	config.Impersonate = restclient.ImpersonationConfig{UserName: user, Groups: groups}
	other, err := NewClient(config)
	if err != nil {
		t.Fatal(err)
	}
	return other
}

// Try is one request. It is made as a dry run, for which the API server asks its
// policies too: so it can be repeated until the policy or right is known.
type Try func(ctx context.Context) error

// Refused wants a request to be refused by a policy, with a text.
func Refused(t *testing.T, policy, text string, do Try) {
	t.Helper()
	Eventually(t, func() error {
		err := do(t.Context())
		if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "ValidatingAdmissionPolicy '"+policy+"'") || !strings.Contains(err.Error(), text) {
			return fmt.Errorf("the answer is %w, want a refusal by %s with %q", errOr(err), policy, text)
		}
		return nil
	})
}

// Accepted wants a request to be answered.
func Accepted(t *testing.T, do Try) {
	t.Helper()
	Eventually(t, func() error { return do(t.Context()) })
}

// WithoutRight wants a request to be refused by RBAC.
func WithoutRight(t *testing.T, do Try) {
	t.Helper()
	err := do(t.Context())
	if !apierrors.IsForbidden(err) || strings.Contains(err.Error(), "ValidatingAdmissionPolicy") {
		t.Errorf("the answer is %v, want that the right is missing", err)
	}
}

func errOr(err error) error {
	if err == nil {
		return errors.New("no error")
	}
	return err
}

// Eventually waits until something holds, which takes the API server a moment
// after an object was made.
func Eventually(t *testing.T, holds func() error) {
	t.Helper()
	var err error
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if err = holds(); err == nil {
			return
		}
	}
	t.Error(err)
}

// Object is an object from its manifest.
func Object(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	read := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(text), &read.Object); err != nil {
		t.Fatal(err)
	}
	return read
}
