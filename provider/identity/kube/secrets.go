package kube

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2"

	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/secret"
)

const (
	// keyField is the field of a Secret that holds the key, keyBytes its least size.
	keyField = "key"
	keyBytes = 32
	// The pause after a failed attempt doubles from the first to the last.
	firstPause, lastPause = time.Second, time.Minute
)

// Keys reads random keys that belong to the installation: each is in a Secret of the
// provider's own namespace. Where there is none, Keys makes it, and if the provider of
// another node was faster it takes that one's. It is safe for concurrent use.
type Keys struct {
	tokens *Tokens

	mu     sync.Mutex
	byName map[string]*installed
}

// installed is one key. It is guarded by Keys.mu.
type installed struct {
	tried chan struct{} // closed after the first attempt
	key   secret.Bytes
	err   error // of the last attempt; nil once key is known
}

// Keys returns Keys that share the connection to the API server and end with t.
func (t *Tokens) Keys() *Keys { return &Keys{tokens: t, byName: map[string]*installed{}} }

// Begin gets the key of that Secret in the background, until it is known.
func (k *Keys) Begin(name string) { k.installed(name) }

// Key returns the key of that Secret. It waits for the first attempt to get it; as
// long as the key is not known, the error wraps fault.ErrUnavailable. A key that is
// known is not read again.
func (k *Keys) Key(ctx context.Context, name string) (secret.Bytes, error) {
	i := k.installed(name)
	select {
	case <-i.tried:
	case <-ctx.Done():
		return secret.Bytes{}, fault.Fail(fault.ErrUnavailable, ctx.Err())
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return i.key, i.err
}

func (k *Keys) installed(name string) *installed {
	k.mu.Lock()
	defer k.mu.Unlock()
	i := k.byName[name]
	if i == nil {
		i = &installed{tried: make(chan struct{})}
		k.byName[name] = i
		k.tokens.calls.Go(func() { k.keepTrying(name, i) })
	}
	return i
}

// keepTrying gets the key, with a pause after each failure. It logs when the state
// changes.
func (k *Keys) keepTrying(name string, i *installed) {
	for pause, failed := firstPause, false; ; pause = min(2*pause, lastPause) {
		key, err := k.get(name)
		k.mu.Lock()
		i.key, i.err = key, err
		k.mu.Unlock()
		if !failed {
			close(i.tried)
		}
		if err == nil {
			if failed {
				klog.InfoS("The key of versions is known now", "secret", name)
			}
			return
		}
		if k.tokens.ctx.Err() != nil {
			return
		}
		if !failed {
			klog.ErrorS(nil, "The key of versions cannot be had; mounts fail until it can", "secret", name, "cause", err.Error())
		}
		failed = true
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-k.tokens.ctx.Done():
			timer.Stop()
			return
		}
	}
}

// get reads the Secret, and makes it if there is none.
func (k *Keys) get(name string) (secret.Bytes, error) {
	server, err := k.tokens.apiServer()
	if err != nil {
		return secret.Bytes{}, fault.Fail(fault.ErrUnavailable, err)
	}
	namespace := server.claims().Kubernetes.Namespace
	if !isName(namespace) || !isName(name) {
		return secret.Bytes{}, fault.Fail(fault.ErrUnavailable, fmt.Errorf("the provider's own token does not name the namespace of Secret %s", name))
	}
	k8s := secrets{server, k.tokens.ctx, namespace, name}
	status, answer, err := k8s.call(http.MethodGet, nil)
	if err == nil && status == http.StatusNotFound {
		status, answer, err = k8s.create()
		if err == nil && status == http.StatusConflict {
			status, answer, err = k8s.call(http.MethodGet, nil) // another node was faster
		}
	}
	if err != nil {
		return secret.Bytes{}, fault.Fail(fault.ErrUnavailable, err)
	}
	var found core.Secret
	switch {
	case status == http.StatusForbidden:
		return secret.Bytes{}, k8s.failf("the provider may not read or make it: grant its service account get on this Secret and create on secrets there, or make the Secret yourself%s", statusMessage(answer))
	case status != http.StatusOK && status != http.StatusCreated:
		return secret.Bytes{}, k8s.failf("the API server answers with status %d%s", status, statusMessage(answer))
	case json.Unmarshal(answer, &found) != nil || found.Name != name:
		return secret.Bytes{}, k8s.failf("the API server's answer is no such Secret")
	case len(found.Data[keyField]) < keyBytes:
		return secret.Bytes{}, k8s.failf("its field %s has %d bytes and needs at least %d random ones; delete the Secret to have it made anew", keyField, len(found.Data[keyField]), keyBytes)
	}
	return secret.New(found.Data[keyField]), nil
}

// secrets calls the API server for one Secret.
// https://kubernetes.io/docs/reference/kubernetes-api/config-and-storage-resources/secret-v1/
type secrets struct {
	*api
	ctx             context.Context
	namespace, name string
}

func (s secrets) failf(format string, args ...any) error {
	return fault.Fail(fault.ErrUnavailable, fmt.Errorf("Secret %s in namespace %s: "+format, append([]any{s.name, s.namespace}, args...)...))
}

// create makes the Secret with a new key. It cannot be changed any more, since every
// version changes with it.
func (s secrets) create() (status int, answer []byte, err error) {
	key := make([]byte, keyBytes)
	_, _ = rand.Read(key)
	immutable := true
	body, err := json.Marshal(core.Secret{
		TypeMeta: meta.TypeMeta{APIVersion: "v1", Kind: "Secret"},
		ObjectMeta: meta.ObjectMeta{
			Name: s.name, Namespace: s.namespace,
			Labels:      map[string]string{"app.kubernetes.io/managed-by": "lanyard"},
			Annotations: map[string]string{"kubernetes.io/description": "The key of the versions that Lanyard shows. If it is deleted, each version changes once."},
		},
		Immutable: &immutable, Type: core.SecretTypeOpaque, Data: map[string][]byte{keyField: key},
	})
	if err != nil {
		return 0, nil, errors.New("a Secret cannot be written as JSON")
	}
	return s.call(http.MethodPost, body)
}

func (s secrets) call(method string, body []byte) (status int, answer []byte, err error) {
	ctx, cancel := context.WithTimeout(s.ctx, requestTimeout)
	defer cancel()
	target := s.base.JoinPath("api", "v1", "namespaces", s.namespace, "secrets")
	if method == http.MethodGet {
		target = target.JoinPath(s.name)
	}
	req, err := http.NewRequestWithContext(ctx, method, target.String(), bytes.NewReader(body))
	if err != nil {
		return 0, nil, fmt.Errorf("the API server cannot be asked for Secret %s in namespace %s", s.name, s.namespace)
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("Content-Type", "application/json")
	resp, err := s.client.Do(req)
	if err != nil {
		return 0, nil, fmt.Errorf("the API server does not answer for Secret %s in namespace %s: %w", s.name, s.namespace, cause(err))
	}
	defer resp.Body.Close() //nolint:errcheck // it has been read as far as it matters
	answer, err = io.ReadAll(io.LimitReader(resp.Body, maxSecret))
	if err != nil {
		return 0, nil, fmt.Errorf("the API server's answer for Secret %s in namespace %s breaks off: %w", s.name, s.namespace, cause(err))
	}
	return resp.StatusCode, answer, nil
}

// maxSecret is the maximum size of an answer with a Secret, of which etcd keeps less.
const maxSecret = 2 << 20
