// Package publish calls the Secrets Store CSI driver's own socket as the kubelet
// does, so that more volumes than a node has pods can be mounted, and each call
// timed by itself.
//
// Start with Dial; Publish mounts a Volume, Unpublish ends it. What the kubelet
// sends is in its csi_mounter.go:
// https://github.com/kubernetes/kubernetes/blob/v1.34.4/pkg/volume/csi/csi_mounter.go
package publish

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// callTime is how long the kubelet waits for a CSI driver.
const callTime = 2 * time.Minute

// Driver is a connection to a driver.
type Driver struct {
	conn *grpc.ClientConn
	node csi.NodeClient
}

// Dial connects to the driver's socket when it is first called.
func Dial(socket string) (*Driver, error) {
	conn, err := grpc.NewClient("unix://"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, err
	}
	return &Driver{conn, csi.NewNodeClient(conn)}, nil
}

// Close ends the connection.
func (d *Driver) Close() error { return d.conn.Close() }

// Token is a token of a pod's service account for one audience.
type Token struct {
	Token   string    `json:"token"`
	Expires time.Time `json:"expirationTimestamp"`
}

// Volume is an inline volume of a pod, which need not exist.
type Volume struct {
	// Target is the folder that it is mounted at, below one that may not exist
	// yet.
	Target string
	// Class is the name of a SecretProviderClass of the namespace.
	Class string

	Namespace, Pod, UID, ServiceAccount string
	// Tokens are those that the CSIDriver object asks for, by audience.
	Tokens map[string]Token
}

// id is the volume's handle, which the kubelet makes of pod and volume.
func (v Volume) id() string { return "csi-" + v.UID }

// Publish mounts a volume, or asks again for one that is mounted.
func (d *Driver) Publish(ctx context.Context, v Volume) error {
	tokens, err := json.Marshal(v.Tokens)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(v.Target), 0o750); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	_, err = d.node.NodePublishVolume(ctx, &csi.NodePublishVolumeRequest{
		VolumeId: v.id(), TargetPath: v.Target, Readonly: true,
		VolumeCapability: &csi.VolumeCapability{
			AccessType: &csi.VolumeCapability_Mount{Mount: &csi.VolumeCapability_MountVolume{}},
			AccessMode: &csi.VolumeCapability_AccessMode{Mode: csi.VolumeCapability_AccessMode_SINGLE_NODE_WRITER},
		},
		VolumeContext: map[string]string{
			"secretProviderClass":                      v.Class,
			"csi.storage.k8s.io/pod.name":              v.Pod,
			"csi.storage.k8s.io/pod.namespace":         v.Namespace,
			"csi.storage.k8s.io/pod.uid":               v.UID,
			"csi.storage.k8s.io/serviceAccount.name":   v.ServiceAccount,
			"csi.storage.k8s.io/ephemeral":             "true",
			"csi.storage.k8s.io/serviceAccount.tokens": string(tokens),
		},
	})
	if err != nil {
		return fmt.Errorf("publish %s for %s/%s: %w", v.Class, v.Namespace, v.Pod, err)
	}
	return nil
}

// Unpublish unmounts a volume and removes its folder. One that is not mounted
// is no error.
func (d *Driver) Unpublish(ctx context.Context, v Volume) error {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	_, err := d.node.NodeUnpublishVolume(ctx, &csi.NodeUnpublishVolumeRequest{VolumeId: v.id(), TargetPath: v.Target})
	if err != nil {
		return fmt.Errorf("unpublish %s of %s/%s: %w", v.Class, v.Namespace, v.Pod, err)
	}
	return nil
}
