package certificate

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"

	"k8s.io/klog/v2"
)

// Interval is how often a Keeper looks. Tests of a whole program shorten it before it
// starts.
var Interval = 10 * time.Second

// Cluster is what a Keeper reads and writes in the cluster.
type Cluster interface {
	// Secret returns the fields of the Secret and its version.
	Secret(ctx context.Context) (data map[string][]byte, version string, err error)
	// SetSecret replaces the fields if the Secret still has the version; ErrConflict if
	// it has another.
	SetSecret(ctx context.Context, data map[string][]byte, version string) error
	// Authorities returns what API servers trust, one for each webhook of the
	// configuration.
	Authorities(ctx context.Context) ([][]byte, error)
	// SetAuthorities sets what they trust for each webhook.
	SetAuthorities(ctx context.Context, pem []byte) error
}

// ErrConflict means that another replica was faster.
var ErrConflict = errors.New("another replica has changed the Secret")

// Keeper has the certificate that is served.
type Keeper struct {
	// Look reads the newest certificate; it is FromCluster or FromFiles.
	Look func(ctx context.Context, now time.Time) (*tls.Certificate, error)
	// Changed is told when the certificate that is served ends.
	Changed func(end time.Time)

	serving atomic.Pointer[tls.Certificate]
	failing string
}

// Get is for tls.Config.GetCertificate.
func (k *Keeper) Get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	if c := k.serving.Load(); c != nil {
		return c, nil
	}
	return nil, errors.New("there is no certificate yet")
}

// Ready says why no certificate is served that the API servers trust; nil if one is.
func (k *Keeper) Ready(now time.Time) error {
	c := k.serving.Load()
	switch {
	case c == nil:
		return errors.New("there is no certificate yet")
	case !now.Before(c.Leaf.NotAfter):
		return errors.New("the certificate has ended")
	}
	return nil
}

// Run keeps the certificate until ctx ends.
func (k *Keeper) Run(ctx context.Context) {
	ticker := time.NewTicker(Interval)
	defer ticker.Stop()
	for {
		k.Once(ctx, time.Now())
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// Once looks once. After an error the certificate that is served stays.
func (k *Keeper) Once(ctx context.Context, now time.Time) {
	c, err := k.Look(ctx, now)
	switch {
	case ctx.Err() != nil:
	case err != nil:
		if text := err.Error(); text != k.failing {
			klog.ErrorS(nil, "The webhook's certificate cannot be kept; the one that is served stays", "cause", text)
			k.failing = text
		}
	case k.failing != "":
		klog.InfoS("The webhook's certificate is kept again")
		k.failing = ""
	}
	if c == nil {
		return
	}
	if before := k.serving.Swap(c); before == nil || !bytes.Equal(before.Certificate[0], c.Certificate[0]) {
		klog.InfoS("The webhook serves a certificate", "until", c.Leaf.NotAfter.UTC().Format(time.RFC3339))
		k.Changed(c.Leaf.NotAfter)
	}
}

// FromCluster keeps the certificate in a Secret that all replicas share, and tells the API
// servers whom to trust. hosts are the names that they call, the first one above all.
func FromCluster(cluster Cluster, hosts []string) func(context.Context, time.Time) (*tls.Certificate, error) {
	// The authorities that the API servers were found to trust, and since when.
	var known []byte
	var since time.Time
	return func(ctx context.Context, now time.Time) (*tls.Certificate, error) {
		data, version, err := cluster.Secret(ctx)
		if err != nil {
			return nil, err
		}
		state := Read(data)
		trusted, err := cluster.Authorities(ctx)
		if err != nil {
			// It does not matter for what is served already.
			return usable(state, now), err
		}
		all := state.Authorities()
		if !publishes(trusted, all) {
			known = nil
		} else if !bytes.Equal(known, all) {
			known, since = all, now
		}
		changed, what, err := state.Step(now, hosts, known != nil && now.Sub(since) >= Settle)
		if err != nil {
			return usable(state, now), err
		}
		if what != "" {
			switch err := cluster.SetSecret(ctx, changed.Data(), version); {
			case errors.Is(err, ErrConflict):
				return usable(state, now), nil // the next look sees what the other did
			case err != nil:
				return usable(state, now), err
			}
			klog.InfoS("The replicas' certificate: " + what)
			state = changed
		}
		if publishes(trusted, state.Authorities()) {
			return usable(state, now), nil
		}
		// Nobody serves a certificate whose authority is not trusted yet: the first one is
		// trusted before it is served, and the next one is announced first.
		if err := cluster.SetAuthorities(ctx, state.Authorities()); err != nil {
			if !trusts(trusted, state.now.authority) {
				return nil, err
			}
			return usable(state, now), err
		}
		return usable(state, now), nil
	}
}

// publishes says whether each webhook trusts exactly these authorities.
func publishes(trusted [][]byte, authorities []byte) bool {
	return len(trusted) > 0 && len(authorities) > 0 && !slices.ContainsFunc(trusted, func(t []byte) bool { return !bytes.Equal(t, authorities) })
}

// trusts says whether each webhook trusts the authority, among others.
func trusts(trusted [][]byte, authority []byte) bool {
	return len(trusted) > 0 && !slices.ContainsFunc(trusted, func(t []byte) bool { return !bytes.Contains(t, authority) })
}

// usable is what a replica may serve.
func usable(s State, now time.Time) *tls.Certificate {
	c := s.Serving()
	if c == nil || !now.Before(c.Leaf.NotAfter) {
		return nil
	}
	return c
}

// FromFiles reads the certificate that somebody else keeps in files, such as cert-manager.
// Both are read anew each time, because they are replaced.
func FromFiles(certFile, keyFile string) func(context.Context, time.Time) (*tls.Certificate, error) {
	return func(_ context.Context, now time.Time) (*tls.Certificate, error) {
		var parts [2][]byte
		for i, file := range []string{certFile, keyFile} {
			text, err := os.ReadFile(filepath.Clean(file))
			if err != nil {
				return nil, err
			}
			parts[i] = text
		}
		c, err := tls.X509KeyPair(parts[0], parts[1])
		if err != nil {
			return nil, fmt.Errorf("%s and %s: are no certificate with its key: %w", certFile, keyFile, err)
		}
		if !now.Before(c.Leaf.NotAfter) {
			return nil, fmt.Errorf("%s: the certificate ended at %s; renew it", certFile, c.Leaf.NotAfter.UTC().Format(time.RFC3339))
		}
		return &c, nil
	}
}
