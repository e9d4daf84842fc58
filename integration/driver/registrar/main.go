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
	"time"

	"google.golang.org/grpc"
	registration "k8s.io/kubelet/pkg/apis/pluginregistration/v1"
)

func main() {
	name := flag.String("name", "", "the driver's `name`")
	endpoint := flag.String("endpoint", "", "`path` of the driver's own socket")
	socket := flag.String("socket", "", "`path` of the socket to answer the kubelet on")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	err := run(ctx, *socket, *name, *endpoint)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "registrar:", err)
		os.Exit(1)
	}
}

// again is waited after a refusal, as a container is restarted.
const again = 2 * time.Second

// run answers until ctx ends. The kubelet does not ask again after it has
// refused, as it does when it starts before the API server: it has to find a new
// socket, as when the upstream registrar's container ends and is restarted.
func run(ctx context.Context, socket, name, endpoint string) error {
	for ctx.Err() == nil {
		refused, refuse := context.WithCancel(ctx)
		err := answer(refused, socket, &server{name: name, endpoint: endpoint, refuse: refuse})
		refuse()
		if err != nil {
			return err
		}
		select {
		case <-ctx.Done():
		case <-time.After(again):
		}
	}
	return nil
}

// answer answers on a new socket until ctx ends.
func answer(ctx context.Context, socket string, server *server) error {
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
	refuse         func()
}

// GetInfo says where the driver is.
func (s *server) GetInfo(context.Context, *registration.InfoRequest) (*registration.PluginInfo, error) {
	return &registration.PluginInfo{
		Type: registration.CSIPlugin, Name: s.name, Endpoint: s.endpoint, SupportedVersions: []string{"1.0.0"},
	}, nil
}

// NotifyRegistrationStatus is told what the kubelet made of it.
func (s *server) NotifyRegistrationStatus(_ context.Context, status *registration.RegistrationStatus) (*registration.RegistrationStatusResponse, error) {
	fmt.Fprintf(os.Stderr, "registered: %t %s\n", status.PluginRegistered, status.Error)
	if !status.PluginRegistered {
		s.refuse()
	}
	return &registration.RegistrationStatusResponse{}, nil
}
