// Command registrar tells the kubelet of a CSI driver on its node: it answers
// the kubelet's plugin registration API on a socket in the kubelet's
// plugins_registry folder until SIGINT or SIGTERM, and then removes the socket.
//
//	registrar -name secrets-store.csi.k8s.io -endpoint /…/csi.sock -socket /…/plugins_registry/NAME-reg.sock
//
// https://github.com/kubernetes/kubelet/blob/master/pkg/apis/pluginregistration/v1/api.proto
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/signal"
	"syscall"

	"google.golang.org/grpc"
	registration "k8s.io/kubelet/pkg/apis/pluginregistration/v1"
)

func main() {
	name := flag.String("name", "", "the driver's `name`")
	endpoint := flag.String("endpoint", "", "`path` of the driver's own socket")
	socket := flag.String("socket", "", "`path` of the socket to answer the kubelet on")
	flag.Parse()
	if err := run(*socket, &server{name: *name, endpoint: *endpoint}); err != nil {
		fmt.Fprintln(os.Stderr, "registrar:", err)
		os.Exit(1)
	}
}

func run(socket string, server *server) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := os.Remove(socket); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "unix", socket)
	if err != nil {
		return err
	}
	answers := grpc.NewServer()
	registration.RegisterRegistrationServer(answers, server)
	context.AfterFunc(ctx, answers.Stop)
	return answers.Serve(listener)
}

// server answers for one driver.
type server struct {
	name, endpoint string
}

// GetInfo says where the driver is.
func (s *server) GetInfo(context.Context, *registration.InfoRequest) (*registration.PluginInfo, error) {
	return &registration.PluginInfo{
		Type: registration.CSIPlugin, Name: s.name, Endpoint: s.endpoint, SupportedVersions: []string{"1.0.0"},
	}, nil
}

// NotifyRegistrationStatus is told what the kubelet made of it. A refusal is
// only printed: the kubelet asks again when it starts anew.
func (s *server) NotifyRegistrationStatus(_ context.Context, status *registration.RegistrationStatus) (*registration.RegistrationStatusResponse, error) {
	fmt.Fprintf(os.Stderr, "registered: %t %s\n", status.PluginRegistered, status.Error)
	return &registration.RegistrationStatusResponse{}, nil
}
