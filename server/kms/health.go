package kms

import (
	"context"
	"crypto/rand"
	"errors"

	"google.golang.org/grpc/status"
	kmsapi "k8s.io/kms/apis/v2"

	"github.com/lanyardhq/lanyard/provider/kmsring"
	"github.com/lanyardhq/lanyard/server/rpc"
)

// maxHealthTime is how long a plugin may take to answer; an API server waits no longer.
const maxHealthTime = maxTime

// CheckHealth requests the status of the plugin at a socket over a new connection, as the API
// server does, and waits at most 10 s. The error says why the API server would call
// the plugin unhealthy.
func CheckHealth(ctx context.Context, path string) (keyID string, err error) {
	err = withPlugin(ctx, path, func(ctx context.Context, plugin kmsapi.KeyManagementServiceClient) error {
		keyID, err = healthyKey(ctx, plugin)
		return err
	})
	return keyID, err
}

// WritesWith returns the key that the plugin at a socket encrypts with: it requests
// the encryption of random bytes, as API servers do. The entry is that key in ring,
// nil if ring has no such key. It needs neither the key service nor credentials. The
// error says why an API server would call the plugin unhealthy.
func WritesWith(ctx context.Context, path string, ring *kmsring.Ring) (keyID string, entry *kmsring.Entry, err error) {
	seed := make([]byte, probeSize)
	_, _ = rand.Read(seed)
	var version string
	err = withPlugin(ctx, path, func(ctx context.Context, plugin kmsapi.KeyManagementServiceClient) error {
		if _, err := healthyKey(ctx, plugin); err != nil {
			return err
		}
		sealed, err := plugin.Encrypt(ctx, &kmsapi.EncryptRequest{Plaintext: seed, Uid: "lanyard"})
		if err != nil {
			return errors.New(status.Convert(err).Message())
		}
		keyID, version = sealed.GetKeyId(), string(sealed.GetAnnotations()[versionAnnotation])
		return nil
	})
	if err != nil {
		return "", nil, err
	}
	for _, one := range ring.Entries() {
		if one.KeyID(version) == keyID {
			entry = one
		}
	}
	return keyID, entry, nil
}

// healthyKey returns the key ID that a plugin names, or an error if it is unhealthy.
func healthyKey(ctx context.Context, plugin kmsapi.KeyManagementServiceClient) (keyID string, err error) {
	got, err := plugin.Status(ctx, &kmsapi.StatusRequest{})
	switch {
	case err != nil:
		return "", errors.New(status.Convert(err).Message())
	case got.GetHealthz() != "ok":
		return got.GetKeyId(), errors.New(got.GetHealthz())
	}
	return got.GetKeyId(), nil
}

// withPlugin makes calls to the plugin at a socket over one connection.
func withPlugin(ctx context.Context, path string, calls func(context.Context, kmsapi.KeyManagementServiceClient) error) error {
	ctx, cancel := context.WithTimeout(ctx, maxHealthTime)
	defer cancel()
	conn, err := rpc.Dial(path)
	if err != nil {
		return err
	}
	defer conn.Close() //nolint:errcheck // nothing is in flight any more
	return calls(ctx, kmsapi.NewKeyManagementServiceClient(conn))
}
