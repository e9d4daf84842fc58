package main

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"sigs.k8s.io/secrets-store-csi-driver/provider/v1alpha1"
)

// floorCommand as the first argument makes this program the floor.
const floorCommand = "serve-floor"

// floor answers every mount with the same response.
type floor struct {
	v1alpha1.UnimplementedCSIDriverProviderServer
	response *v1alpha1.MountResponse
}

// Mount answers.
func (f floor) Mount(context.Context, *v1alpha1.MountRequest) (*v1alpha1.MountResponse, error) {
	return f.response, nil
}

// serveFloor serves, at the socket that is its first argument, the response in
// the file that is its second, until stdin ends. The server is set up as
// gRPC's fastest for such calls.
func serveFloor(args []string, stdin io.Reader) error {
	if len(args) != 2 {
		return errors.New("give the socket and the file of the response")
	}
	encoded, err := os.ReadFile(args[1])
	if err != nil {
		return err
	}
	f := floor{response: &v1alpha1.MountResponse{}}
	if err := proto.Unmarshal(encoded, f.response); err != nil {
		return err
	}
	listener, err := net.Listen("unix", args[0]) //nolint:noctx // nothing could end it earlier
	if err != nil {
		return err
	}
	workers := grpc.NumStreamWorkers(uint32(runtime.GOMAXPROCS(0))) //nolint:gosec // a small positive number
	server := grpc.NewServer(workers)
	v1alpha1.RegisterCSIDriverProviderServer(server, f)
	go func() { // ends with the process
		_, _ = io.Copy(io.Discard, stdin) //nolint:errcheck // either way it has ended
		server.Stop()
	}()
	return server.Serve(listener)
}

// startFloor starts a floor that answers the response.
func (l *lab) startFloor(ctx context.Context, response *v1alpha1.MountResponse) (*server, error) {
	dir, err := l.newDir()
	if err != nil {
		return nil, err
	}
	encoded, err := proto.Marshal(response)
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "response")
	if err := os.WriteFile(file, encoded, 0o600); err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p, err := startProcess(dir, self, floorCommand, filepath.Join(dir, provider+".sock"), file)
	if err != nil {
		return nil, err
	}
	return connect(ctx, p, dir)
}
