// Package injected holds the webhook to a real API server, which calls it as it does in
// production: through the chart's configuration and Service, with the certificate that
// replicas make and the rights of the chart's service account. There is no node, so no pod
// runs. It needs neither root nor a cluster.
package injected

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	restclient "k8s.io/client-go/rest"

	"github.com/lanyardhq/lanyard/integration/cluster"
	"github.com/lanyardhq/lanyard/integration/deployment"
	"github.com/lanyardhq/lanyard/server/inject"
	"github.com/lanyardhq/lanyard/server/inject/certificate"
	"github.com/lanyardhq/lanyard/server/inject/webhook"
)

const (
	release = "lanyard"
	account = "lanyard-inject"
	shop    = "shop"
	host    = "lanyard-inject.lanyard.svc"

	// patience is how long the API server may take to know an object.
	patience = time.Minute
)

var (
	admin *kubernetes.Clientset
	// own is the access of the webhook's service account.
	own *restclient.Config
	// replicas are the webhook's.
	replicas []*replica
)

// replica is one of the webhook's.
type replica struct {
	keeper  *certificate.Keeper
	server  *webhook.Server
	address string
	ended   chan error
}

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (code int, err error) {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "lanyard-inject-")
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	plane, err := cluster.NewPlane(ctx, dir)
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, plane.Close(context.Background())) }()
	// There is no kube-proxy: the API server looks up the endpoints of Services itself.
	server, err := plane.APIServer("--enable-aggregator-routing=true", "--feature-gates=EnvFiles=true,ImageVolume=true")
	if err != nil {
		return 1, err
	}
	if err := errors.Join(server.Start(ctx), server.Await(ctx), install(ctx, server)); err != nil {
		return 1, err
	}
	return m.Run(), nil
}

// install installs the chart with two replicas that run in this process.
func install(ctx context.Context, server *cluster.APIServer) error {
	config, err := server.Config()
	if err != nil {
		return err
	}
	config.QPS, config.WarningHandler = -1, restclient.NoWarnings{}
	if admin, err = kubernetes.NewForConfig(config); err != nil {
		return err
	}
	var manifests []byte
	for _, name := range []string{release, shop} {
		manifests = fmt.Appendf(manifests, "\n---\napiVersion: v1\nkind: Namespace\nmetadata: {name: %s, labels: {azure-key-vault-env-injection: enabled}}\n", name)
	}
	for _, namespace := range []string{release, shop, "kube-system"} {
		for _, name := range []string{"default", "web"} {
			manifests = fmt.Appendf(manifests, "\n---\napiVersion: v1\nkind: ServiceAccount\nmetadata: {name: %s, namespace: %s}\n", name, namespace)
		}
	}
	if err := server.Apply(ctx, manifests); err != nil {
		return err
	}
	values, err := deployment.Values("inject: {enabled: true, dialects: [vault-agent, bank-vaults, akv2k8s], vault: {address: 'https://vault.example.com:8200'}}")
	if err != nil {
		return err
	}
	rendered, err := deployment.Render(deployment.Release{Name: release, Namespace: release, Values: values})
	if err != nil {
		return err
	}
	for _, object := range rendered.Objects {
		if !strings.Contains(object.Content, "component: inject") {
			continue
		}
		if err := server.Apply(ctx, []byte(object.Content)); err != nil {
			return err
		}
	}
	token, err := admin.CoreV1().ServiceAccounts(release).CreateToken(ctx, account, &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	own = restclient.AnonymousClientConfig(config)
	own.BearerToken, own.QPS = token.Status.Token, -1
	for range 2 {
		r, err := start(nil)
		if err != nil {
			return err
		}
		replicas = append(replicas, r)
	}
	return errors.Join(keep(ctx, time.Now()), publish(ctx))
}

// start starts a replica, at the address of one that ended before or at a new one.
func start(before *replica) (*replica, error) {
	address, err := ownAddress()
	if before != nil {
		address, err = before.address, nil
	}
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	shared, err := certificate.InCluster(own, release, account, account+"."+release)
	if err != nil {
		return nil, err
	}
	r := &replica{keeper: &certificate.Keeper{Look: certificate.FromCluster(shared, []string{host})}, address: listener.Addr().String(), ended: make(chan error, 1)}
	r.server = webhook.New(webhook.Options{
		Inject: inject.Options{
			Image: "ghcr.io/lanyardhq/lanyard:v1.0.0", Audiences: []string{"vault"}, Resources: inject.DefaultResources(), Dialects: inject.Dialects(), AKVClass: "akv2k8s",
			Vault: inject.Vault{Address: "https://vault.example.com:8200", AuthPath: "kubernetes"}, Exempt: []string{release, "kube-system"},
		},
		Certificate: r.keeper.Get, Metrics: prometheus.NewRegistry(), Now: time.Now,
	})
	r.keeper.Changed = r.server.CertificateEnds
	go func() { r.ended <- r.server.Serve(listener) }()
	return r, nil
}

// stop ends a replica, as a pod that is deleted.
func (r *replica) stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	r.server.Stop(ctx)
	return <-r.ended
}

// keep has the replicas look after their certificate at a time.
func keep(ctx context.Context, now time.Time) error {
	var errs []error
	for _, r := range replicas {
		r.keeper.Once(ctx, now)
		errs = append(errs, r.keeper.Ready(now))
	}
	return errors.Join(errs...)
}

// ownAddress is an address of this machine that Services may lead to, with any port.
func ownAddress() (string, error) {
	all, err := net.InterfaceAddrs()
	if err != nil {
		return "", err
	}
	for _, a := range all {
		if network, ok := a.(*net.IPNet); ok && network.IP.To4() != nil && network.IP.IsGlobalUnicast() {
			return net.JoinHostPort(network.IP.String(), "0"), nil
		}
	}
	return "", errors.New("this machine has no address but loopback ones")
}

// publish lets the chart's Service lead to the replicas, as a cluster's controller does.
func publish(ctx context.Context) error {
	name, protocol, ready := "webhook", corev1.ProtocolTCP, true
	for i, r := range replicas {
		address, port, err := net.SplitHostPort(r.address)
		if err != nil {
			return err
		}
		var number int32
		if _, err := fmt.Sscan(port, &number); err != nil {
			return err
		}
		slice := &discoveryv1.EndpointSlice{
			ObjectMeta:  metav1.ObjectMeta{Name: fmt.Sprintf("%s-%d", account, i), Namespace: release, Labels: map[string]string{discoveryv1.LabelServiceName: account}},
			AddressType: discoveryv1.AddressTypeIPv4,
			Endpoints:   []discoveryv1.Endpoint{{Addresses: []string{address}, Conditions: discoveryv1.EndpointConditions{Ready: &ready}}},
			Ports:       []discoveryv1.EndpointPort{{Name: &name, Port: &number, Protocol: &protocol}},
		}
		if _, err := admin.DiscoveryV1().EndpointSlices(release).Create(ctx, slice, metav1.CreateOptions{}); err != nil {
			return err
		}
	}
	return nil
}

// eventually waits until something holds, which takes the API server a moment after an
// object was made.
func eventually(t testing.TB, holds func() error) {
	t.Helper()
	var err error
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if err = holds(); err == nil {
			return
		}
	}
	t.Fatal(err)
}

// asks is a pod that asks for secrets.
func asks(namespace string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "web-", Namespace: namespace, Annotations: map[string]string{"lanyard.dev/inject": "env", "lanyard.dev/class": "web", "lanyard.dev/env": "PGPASSWORD=db/password"}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "web", Image: "web", Command: []string{"/app"}}}},
	}
}

// create makes a pod, of which nothing stays.
func create(ctx context.Context, pod *corev1.Pod) (*corev1.Pod, error) {
	return admin.CoreV1().Pods(pod.Namespace).Create(ctx, pod, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
}

// called waits until the API server calls the webhook.
func called(t testing.TB) {
	t.Helper()
	eventually(t, func() error {
		pod, err := create(context.Background(), asks(shop))
		if err == nil && pod.Annotations[inject.Injected] == "" {
			err = errors.New("the webhook is not called")
		}
		return err
	})
}
