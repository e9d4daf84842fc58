package csi

import (
	"context"
	"fmt"

	"google.golang.org/grpc/status"
	"sigs.k8s.io/secrets-store-csi-driver/provider/v1alpha1"

	"github.com/lanyardhq/lanyard/server/rpc"
)

// Probe asks the provider behind the socket at path for its version over a new
// connection, as the driver does when it first needs it. The error says why
// the driver would not get an answer before ctx ends.
func Probe(ctx context.Context, path string) error {
	conn, err := rpc.Dial(path)
	if err != nil {
		return err
	}
	defer conn.Close() //nolint:errcheck // nothing is in flight any more
	if _, err := v1alpha1.NewCSIDriverProviderClient(conn).Version(ctx, &v1alpha1.VersionRequest{Version: "v1alpha1"}); err != nil {
		return fmt.Errorf("socket %s does not answer: %s", path, status.Convert(err).Message())
	}
	return nil
}
