package cluster

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"time"
)

// Names of parts.
const (
	partEtcd              = "etcd"
	partAPIServer         = "apiserver"
	partControllerManager = "controller-manager"
	partScheduler         = "scheduler"
)

// build makes sure that the binaries are in the cache.
func (c *Cluster) build(ctx context.Context) error { return those.build(ctx, driver) }

// Kubectl is the path of the kubectl that fits the cluster.
func (c *Cluster) Kubectl(ctx context.Context) (string, error) {
	return those.program(ctx, "kubectl")
}

func (c *Cluster) startEtcd(ctx context.Context) error {
	etcd, err := lookPath("etcd")
	if err != nil {
		return err
	}
	peer := "http://127.0.0.1:" + c.at.etcdPeer
	if err := c.Start(Part{Name: partEtcd, Command: []string{
		etcd, "--name=node", "--data-dir=" + c.Path("etcd"),
		"--listen-client-urls=" + c.at.etcdURL(), "--advertise-client-urls=" + c.at.etcdURL(),
		"--listen-peer-urls=" + peer, "--initial-advertise-peer-urls=" + peer,
		"--initial-cluster=node=" + peer,
	}}); err != nil {
		return err
	}
	return c.await(ctx, partEtcd, func(ctx context.Context) error { return get(ctx, http.DefaultClient, c.at.etcdURL()+"/health") })
}

// apiServerFlags is the file of what Options.BeforeAPIServer returned, so that
// any program can start the API server again.
const apiServerFlags = "apiserver-flags.json"

// StartAPIServer starts the API server of a cluster with a node, which must not
// run, and waits until it is ready.
func (c *Cluster) StartAPIServer(ctx context.Context) error {
	text, err := os.ReadFile(c.Path(apiServerFlags))
	if err != nil {
		return err
	}
	var flags []string
	if err := json.Unmarshal(text, &flags); err != nil {
		return err
	}
	if err := c.startAPIServer(ctx, partAPIServer, c.at.api, append(flags, "--advertise-address="+c.at.address)...); err != nil {
		return err
	}
	return c.awaitAPIServer(ctx, partAPIServer, c.at.api)
}

// StopAPIServer stops the API server; pods run on.
func (c *Cluster) StopAPIServer(ctx context.Context) error { return c.Stop(ctx, partAPIServer) }

// startAPIServer starts an API server at a port, with flags beside those that
// all of them have.
func (c *Cluster) startAPIServer(ctx context.Context, part, port string, flags ...string) error {
	apiserver, err := those.program(ctx, "kube-apiserver")
	if err != nil {
		return err
	}
	return c.Start(Part{Name: part, Command: append([]string{
		apiserver,
		"--etcd-servers=" + c.at.etcdURL(),
		"--bind-address=" + c.at.address, "--secure-port=" + port,
		"--tls-cert-file=" + c.Path("apiserver.crt"), "--tls-private-key-file=" + c.Path("apiserver.key"),
		"--client-ca-file=" + c.AuthorityFile(),
		"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
		"--service-account-key-file=" + c.Path("tokens.pub"), "--service-account-signing-key-file=" + c.Path("tokens.key"),
		"--service-cluster-ip-range=" + serviceNetwork,
		"--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction",
		"--kubelet-client-certificate=" + c.Path("apiserver-kubelet.crt"), "--kubelet-client-key=" + c.Path("apiserver-kubelet.key"),
		"--kubelet-certificate-authority=" + c.AuthorityFile(), "--kubelet-preferred-address-types=InternalIP",
		"--allow-privileged=true", "--profiling=false",
	}, flags...)})
}

// awaitAPIServer waits until an API server is ready.
func (c *Cluster) awaitAPIServer(ctx context.Context, part, port string) error {
	client, err := c.httpClient()
	if err != nil {
		return err
	}
	return c.await(ctx, part, func(ctx context.Context) error { return get(ctx, client, c.at.server(port)+"/readyz") })
}

func (c *Cluster) startControllers(ctx context.Context) error {
	scheduler, err := those.program(ctx, "kube-scheduler")
	if err != nil {
		return err
	}
	return errors.Join(
		c.startControllerManager(ctx, c.Path("controller-manager.kubeconfig")),
		c.Start(Part{Name: partScheduler, Command: []string{
			scheduler, "--kubeconfig=" + c.Path("scheduler.kubeconfig"), "--leader-elect=false",
			"--bind-address=127.0.0.1", "--profiling=false",
		}}),
	)
}

// startControllerManager starts a controller manager that reaches its API server by a
// kubeconfig, with flags beside those that all of them have.
func (c *Cluster) startControllerManager(ctx context.Context, kubeconfig string, flags ...string) error {
	manager, err := those.program(ctx, "kube-controller-manager")
	if err != nil {
		return err
	}
	return c.Start(Part{Name: partControllerManager, Command: append([]string{
		manager, "--kubeconfig=" + kubeconfig, "--leader-elect=false",
		"--service-account-private-key-file=" + c.Path("tokens.key"), "--root-ca-file=" + c.AuthorityFile(),
		"--use-service-account-credentials", "--bind-address=127.0.0.1", "--profiling=false",
		// Statuses of volumes whose pods never were are collected as garbage;
		// at the default rate others would wait for minutes behind them.
		"--kube-api-qps=200", "--kube-api-burst=400",
	}, flags...)})
}

// httpClient is the administrator's, for what is no object.
func (c *Cluster) httpClient() (*http.Client, error) {
	authority, err := c.Authority()
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority)
	pair, err := tls.LoadX509KeyPair(c.CertificateFiles(administrator))
	if err != nil {
		return nil, err
	}
	return &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12},
	}}, nil
}

// get succeeds if the URL answers 200.
func get(ctx context.Context, client *http.Client, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close() //nolint:errcheck // nothing is read
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, resp.Status)
	}
	return nil
}
