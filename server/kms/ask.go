package kms

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"

	"google.golang.org/grpc"
	"google.golang.org/grpc/status"
	kmsapi "k8s.io/kms/apis/v2"

	"github.com/lanyardhq/lanyard/provider/kmsring"
	"github.com/lanyardhq/lanyard/server/socket"
)

// askTime is the most that a plugin is asked for: one that is well answers
// within what an API server waits.
const askTime = mostTime

// Ask asks the plugin that listens at a socket for its status, over a new
// connection, as the API server does, for at most 10 s. The error says why the
// API server would not be content.
func Ask(ctx context.Context, path string) (keyID string, err error) {
	err = ask(ctx, path, func(ctx context.Context, plugin kmsapi.KeyManagementServiceClient) error {
		keyID, err = content(ctx, plugin)
		return err
	})
	return keyID, err
}

// WritesWith asks the plugin at a socket with which key it writes: it has a
// seed of random bytes encrypted, as API servers do. The entry is the key of
// ring; nil if that has not got it. Neither the key service nor credentials for
// it are needed. The error says why an API server would not be content.
func WritesWith(ctx context.Context, path string, ring *kmsring.Ring) (keyID string, entry *kmsring.Entry, err error) {
	seed := make([]byte, probeSize)
	if _, err := rand.Read(seed); err != nil {
		return "", nil, err
	}
	var version string
	err = ask(ctx, path, func(ctx context.Context, plugin kmsapi.KeyManagementServiceClient) error {
		if _, err := content(ctx, plugin); err != nil {
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

// content returns the key ID that a plugin names, if all is well with it.
func content(ctx context.Context, plugin kmsapi.KeyManagementServiceClient) (keyID string, err error) {
	got, err := plugin.Status(ctx, &kmsapi.StatusRequest{})
	switch {
	case err != nil:
		return "", errors.New(status.Convert(err).Message())
	case got.GetHealthz() != "ok":
		return got.GetKeyId(), errors.New(got.GetHealthz())
	}
	return got.GetKeyId(), nil
}

// ask makes calls of the plugin at a socket over one connection.
func ask(ctx context.Context, path string, calls func(context.Context, kmsapi.KeyManagementServiceClient) error) error {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	conn, err := grpc.NewClient("passthrough:///kms", grpc.WithAuthority("localhost"),
		grpc.WithTransportCredentials(socket.Credentials(socket.Peers{})),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", path)
		}))
	if err != nil {
		return fmt.Errorf("socket %s: %w", path, err)
	}
	defer conn.Close() //nolint:errcheck // nothing is in flight any more
	return calls(ctx, kmsapi.NewKeyManagementServiceClient(conn))
}
