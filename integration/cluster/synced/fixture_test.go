// Package synced holds the sync controller to what it promises, on a real API server and
// a real Vault: an etcd, a kube-apiserver whose audit log tells what the controller sent
// and got, the garbage collector, and lanyard-sync as a process with the rights that it
// needs and no others. It needs neither root nor a node, and runs beside a cluster.
//
// There are two such places: one whose controller is left alone, where each test has
// namespaces of its own, and one where controllers and API servers are killed.
package synced

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	authentication "k8s.io/api/authentication/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"

	"github.com/lanyardhq/lanyard/integration/cluster"
	"github.com/lanyardhq/lanyard/integration/deployment"
	"github.com/lanyardhq/lanyard/integration/faultproxy"
	"github.com/lanyardhq/lanyard/integration/lanyardserver"
	"github.com/lanyardhq/lanyard/integration/vaultserver"
)

// What the controllers of all tests are told. Refreshes and drift are quick enough for
// tests that wait for them.
const (
	interval = time.Second
	drift    = 4 * time.Second
	// refresh and staleOnError are those of the configuration.
	refresh      = "1s"
	staleOnError = "1s"
)

// own is the namespace of the controller.
const own = "lanyard"

// shared is what all places have in common.
type shared struct {
	directory string
	vault     *vaultserver.Server
	quiet     func() (*place, error)
	shaken    func() (*place, error)

	mu     sync.Mutex
	places []*place
}

var all *shared

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (code int, err error) {
	directory, err := os.MkdirTemp("", "lanyard-synced-")
	if err != nil {
		return 1, err
	}
	all = &shared{directory: directory}
	all.quiet = sync.OnceValues(func() (*place, error) { return all.place("quiet") })
	all.shaken = sync.OnceValues(func() (*place, error) { return all.place("shaken") })
	defer func() { err = errors.Join(err, all.close()) }()
	ctx := context.Background()
	if err := all.build(ctx); err != nil {
		return 1, err
	}
	if all.vault, err = vaultserver.Start(ctx, vaultserver.Options{Log: os.Stderr}); err != nil {
		return 1, err
	}
	if err := all.vault.Call(ctx, http.MethodPost, "sys/mounts/secret", map[string]any{"type": "kv", "options": map[string]any{"version": "2"}}, nil); err != nil {
		return 1, err
	}
	code = m.Run()
	for _, p := range all.places {
		if p.controller == nil {
			continue
		}
		if err := p.nothingPlanted(ctx); err != nil {
			return 1, fmt.Errorf("%s: %w", p.name, err)
		}
	}
	return code, nil
}

func (s *shared) path(elements ...string) string {
	return filepath.Join(append([]string{s.directory}, elements...)...)
}

// build makes both binaries, and what the controllers' configuration names: the key of
// versions, a key ring and a folder of files.
func (s *shared) build(ctx context.Context) error {
	if err := lanyardserver.BuildCommand(ctx, "./cmd/lanyard-sync", s.path("lanyard-sync")); err != nil {
		return err
	}
	keygen := exec.CommandContext(ctx, s.path("lanyard-sync"), "keygen", "--out", s.path("ring.yaml"), "--cluster", "synced", "--public-out", s.path("public.yaml"))
	if output, err := keygen.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, output)
	}
	return errors.Join(
		os.Mkdir(s.path("files"), 0o700),
		os.WriteFile(s.path("versions.key"), bytes.Repeat([]byte{7}, 32), 0o600),
	)
}

func (s *shared) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var problems []error
	for _, p := range s.places {
		problems = append(problems, p.close())
	}
	if s.vault != nil {
		s.vault.Close()
	}
	return errors.Join(append(problems, os.RemoveAll(s.directory))...)
}

// place is a control plane with a controller.
type place struct {
	*shared
	name    string
	plane   *cluster.Plane
	server  *cluster.APIServer
	kube    *kubernetes.Clientset
	dynamic dynamic.Interface
	// proxy is between the controllers and the API server of the shaken place.
	proxy      *faultproxy.Proxy
	controller *controller
}

// place makes a control plane with a controller on it.
func (s *shared) place(name string) (*place, error) {
	p := &place{shared: s, name: name}
	s.mu.Lock()
	s.places = append(s.places, p)
	s.mu.Unlock()
	ctx := context.Background()
	for _, step := range []func(context.Context) error{p.startPlane, p.install, p.allowInVault, p.configure} {
		if err := step(ctx); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	p.controller = p.newController()
	return p, p.controller.start()
}

func (p *place) close() error {
	var problems []error
	if p.controller != nil {
		p.controller.kill()
		problems = append(problems, p.controller.sound())
	}
	if p.proxy != nil {
		p.proxy.Close()
	}
	if p.plane != nil {
		problems = append(problems, p.plane.Close(context.Background()))
	}
	return errors.Join(problems...)
}

func (p *place) startPlane(ctx context.Context) (err error) {
	if p.plane, err = cluster.NewPlane(ctx, p.path(p.name)); err != nil {
		return err
	}
	policy, err := filepath.Abs("testdata/audit.yaml")
	if err != nil {
		return err
	}
	if p.server, err = p.plane.APIServer("--audit-policy-file="+policy, "--audit-log-path="+p.auditFile()); err != nil {
		return err
	}
	if err := p.server.Start(ctx); err != nil {
		return err
	}
	return p.server.Await(ctx)
}

func (p *place) auditFile() string { return p.path(p.name + "-audit.log") }

// install makes the definitions, then the rest, then starts the garbage collector, which
// knows at once what is defined by then.
func (p *place) install(ctx context.Context) error {
	manifests, err := cluster.DriverManifests(ctx)
	if err != nil {
		return err
	}
	definition, err := secretSyncs()
	if err != nil {
		return err
	}
	rights, err := os.ReadFile("testdata/rights.yaml")
	if err != nil {
		return err
	}
	manifests = slices.Concat(manifests, []byte("\n---\n"), definition, []byte("\n---\n"), rights)
	if err := p.server.Apply(ctx, manifests); err != nil {
		return err
	}
	config, err := p.server.Config()
	if err != nil {
		return err
	}
	if p.kube, err = kubernetes.NewForConfig(config); err != nil {
		return err
	}
	if p.dynamic, err = dynamic.NewForConfig(config); err != nil {
		return err
	}
	return p.server.StartGarbageCollector(ctx)
}

// secretSyncs is the chart's definition of SecretSync.
func secretSyncs() ([]byte, error) {
	values, err := deployment.Values("sync: {enabled: true, secretSyncs: {enabled: true, crd: true}}")
	if err != nil {
		return nil, err
	}
	rendered, err := deployment.Render(deployment.Release{Name: "lanyard", Namespace: own, Values: values})
	if err != nil {
		return nil, err
	}
	for document := range strings.SplitSeq(string(rendered.YAML()), "\n---\n") {
		if strings.Contains(document, "kind: CustomResourceDefinition") {
			return []byte(document), nil
		}
	}
	return nil, errors.New("the chart defines no SecretSync")
}

// token is a long-lived token of a service account of the controller's namespace.
func (p *place) token(ctx context.Context, account string) (string, error) {
	seconds := int64(24 * 3600)
	answer, err := p.kube.CoreV1().ServiceAccounts(own).CreateToken(ctx, account,
		&authentication.TokenRequest{Spec: authentication.TokenRequestSpec{ExpirationSeconds: &seconds}}, meta.CreateOptions{})
	if err != nil {
		return "", err
	}
	return answer.Status.Token, nil
}

// role is the role of all service accounts at Vault. Each may read what lies below its
// own namespace's and its own name.
const role = "workload"

// allowInVault makes the auth method of the place's name, which asks its API server.
func (p *place) allowInVault(ctx context.Context) error {
	reviewer, err := p.token(ctx, "vault")
	if err != nil {
		return err
	}
	authority, err := p.server.Authority()
	if err != nil {
		return err
	}
	post := func(path string, body map[string]any) error {
		return p.vault.Call(ctx, http.MethodPost, path, body, nil)
	}
	if err := post("sys/auth/"+p.name, map[string]any{"type": "kubernetes"}); err != nil {
		return err
	}
	if err := post("auth/"+p.name+"/config", map[string]any{"kubernetes_host": p.server.Server(), "kubernetes_ca_cert": string(authority), "token_reviewer_jwt": reviewer}); err != nil {
		return err
	}
	var answer vaultserver.Answer
	if err := p.vault.Call(ctx, http.MethodGet, "sys/auth", nil, &answer); err != nil {
		return err
	}
	method, _ := answer.Data[p.name+"/"].(map[string]any)
	who := fmt.Sprintf("identity.entity.aliases.%v.metadata", method["accessor"])
	policy := fmt.Sprintf(`path "secret/data/{{%[1]s.service_account_namespace}}/{{%[1]s.service_account_name}}/*" { capabilities = ["read"] }`, who)
	if err := post("sys/policies/acl/"+p.name, map[string]any{"policy": policy}); err != nil {
		return err
	}
	return post("auth/"+p.name+"/role/"+role, map[string]any{
		"bound_service_account_names": "*", "bound_service_account_namespaces": "*", "audience": "vault", "token_policies": p.name, "token_ttl": "1h",
	})
}

func (p *place) configFile() string     { return p.path(p.name + ".yaml") }
func (p *place) kubeconfigFile() string { return p.path(p.name + ".kubeconfig") }

// configure writes the operator's configuration and the controller's kubeconfig.
func (p *place) configure(ctx context.Context) error {
	token, err := p.token(ctx, "lanyard-sync")
	if err != nil {
		return err
	}
	authority, err := p.server.Authority()
	if err != nil {
		return err
	}
	address := p.server.Server()
	if p.name == "shaken" {
		if err := p.startProxy(authority); err != nil {
			return err
		}
		address = p.proxy.Address
	}
	config := api.NewConfig()
	config.Clusters["one"] = &api.Cluster{Server: address, CertificateAuthorityData: authority}
	config.AuthInfos["one"] = &api.AuthInfo{Token: token}
	config.Contexts["one"] = &api.Context{Cluster: "one", AuthInfo: "one"}
	config.CurrentContext = "one"
	text := fmt.Sprintf(`
cluster: synced
stores:
  vault: {type: vault, address: %q, auth: {method: kubernetes, mount: %s}}
  files: {type: file, root: %s, allow: ["*/web"]}
  sealed: {type: sealed, keyRing: %s}
policy: {classStores: [127.0.0.0/8]}
cache: {refresh: %s, staleOnError: %s, versionKeyFile: %s}
`, p.vault.Address, p.name, p.path("files"), p.path("ring.yaml"), refresh, staleOnError, p.path("versions.key"))
	return errors.Join(
		clientcmd.WriteToFile(*config, p.kubeconfigFile()),
		os.WriteFile(p.configFile(), []byte(text), 0o600),
	)
}

// startProxy starts a proxy that answers with the API server's own certificate.
func (p *place) startProxy(authority []byte) error {
	pair, err := tls.LoadX509KeyPair(p.path(p.name, "apiserver.crt"), p.path(p.name, "apiserver.key"))
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority)
	p.proxy, err = faultproxy.Start(faultproxy.Options{Target: p.server.Server(), Roots: roots, Certificate: &pair})
	return err
}

// controller is a process of lanyard-sync.
type controller struct {
	place   *place
	address string // of metrics and probes
	flags   []string
	log     lanyardserver.Output
	process *exec.Cmd
	ended   chan struct{}
}

// newController is a controller that does not run yet, with flags beside those that all have.
func (p *place) newController(flags ...string) *controller {
	return &controller{place: p, flags: flags}
}

// start starts the process, which must not run, and waits until its caches are filled.
func (c *controller) start() error {
	if err := c.begin(); err != nil {
		return err
	}
	return c.await()
}

// begin starts the process.
func (c *controller) begin() (err error) {
	if c.address, err = lanyardserver.FreeAddress(); err != nil {
		return err
	}
	p := c.place
	cmd := exec.Command(p.path("lanyard-sync"), append([]string{
		"sync", "--config", p.configFile(), "--kubeconfig", p.kubeconfigFile(), "--namespace", own, "--admin-address", c.address,
		"--interval", interval.String(), "--drift-interval", drift.String(), "--secret-syncs",
	}, c.flags...)...)
	cmd.Env = []string{"HOME=" + p.directory, "TMPDIR=" + p.directory, "PATH=/nonexistent"}
	cmd.Stdout, cmd.Stderr = &c.log, &c.log
	// The process must not outlive this one, however this one ends.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan struct{})
	c.process, c.ended = cmd, ended
	go func() { cmd.Wait(); close(ended) }() // however it ends
	return nil
}

// await waits until the controller is ready.
func (c *controller) await() error {
	var err error
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if _, err = c.get("/readyz"); err == nil {
			return nil
		}
		if !c.runs() {
			return fmt.Errorf("the controller has ended:\n%s", c.log.String())
		}
	}
	return fmt.Errorf("the controller is not ready: %w\n%s", err, c.log.String())
}

// get is what the admin listener answers.
func (c *controller) get(path string) (string, error) {
	resp, err := http.Get("http://" + c.address + path)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	var text bytes.Buffer
	if _, err := text.ReadFrom(resp.Body); err != nil {
		return "", err
	}
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s: %s: %s", path, resp.Status, text.String())
	}
	return text.String(), nil
}

func (c *controller) runs() bool {
	if c.process == nil {
		return false
	}
	select {
	case <-c.ended:
		return false
	default:
		return true
	}
}

// kill ends the process as the kernel does when memory runs out.
func (c *controller) kill() { c.end(syscall.SIGKILL) }

// stop ends the process as the kubelet does.
func (c *controller) stop() { c.end(syscall.SIGTERM) }

func (c *controller) end(signal syscall.Signal) {
	if c.process == nil {
		return
	}
	c.process.Process.Signal(signal) // it may have ended
	<-c.ended
	c.process = nil
}

// sound is an error if the process printed of a data race or a panic.
func (c *controller) sound() error {
	printed := c.log.String()
	for _, word := range []string{"DATA RACE", "panic:", "panic ["} {
		if at := strings.Index(printed, word); at >= 0 {
			return fmt.Errorf("the controller printed:\n%s", printed[at:min(len(printed), at+8<<10)])
		}
	}
	return nil
}

// call is a request of the controller's in the audit log.
type call struct {
	Verb      string `json:"verb"`
	UserAgent string `json:"userAgent"`
	Object    struct {
		Resource, Subresource, Namespace, Name string
	} `json:"objectRef"`
	Status struct {
		Code int `json:"code"`
	} `json:"responseStatus"`
	Request  json.RawMessage `json:"requestObject"`
	Response json.RawMessage `json:"responseObject"`
}

func (c call) String() string {
	return fmt.Sprintf("%s %s/%s %s/%s %d", c.Verb, c.Object.Resource, c.Object.Subresource, c.Object.Namespace, c.Object.Name, c.Status.Code)
}

// calls are the controllers' requests so far in a namespace.
func (p *place) calls(t *testing.T, namespace string) []call {
	t.Helper()
	found, err := p.audited(namespace)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// audited are the controllers' requests in the audit log, in a namespace or in all.
func (p *place) audited(namespace string) (found []call, err error) {
	text, err := os.ReadFile(p.auditFile())
	if err != nil {
		return nil, err
	}
	for line := range bytes.Lines(text) {
		var one call
		if !bytes.HasSuffix(line, []byte("\n")) || !bytes.Contains(line, []byte(`"namespace":"`+namespace)) {
			continue
		}
		if err := json.Unmarshal(line, &one); err != nil {
			return nil, err
		}
		if namespace == "" || one.Object.Namespace == namespace {
			found = append(found, one)
		}
	}
	return found, nil
}
