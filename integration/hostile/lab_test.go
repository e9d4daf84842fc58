package hostile

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"sigs.k8s.io/secrets-store-csi-driver/provider/v1alpha1"

	"github.com/lanyardhq/lanyard/integration/issuer"
	"github.com/lanyardhq/lanyard/integration/lanyardserver"
	"github.com/lanyardhq/lanyard/integration/postgres"
	"github.com/lanyardhq/lanyard/integration/vaultserver"
)

// binary is lanyard as users have it: without the race detector, whose memory
// is several times as much.
var binary string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	flag.Parse()
	dir, err := os.MkdirTemp("", "lanyard-binary-")
	if err == nil {
		defer func() { _ = os.RemoveAll(dir) }()
		binary, err = lanyardserver.BuildWith(context.Background(), dir, "-trimpath")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// lab is a node with its provider, and what the victim reads from.
type lab struct {
	vault    *vaultserver.Server
	postgres *postgres.Server
	issuer   *issuer.Issuer
	provider *lanyardserver.Server
	client   v1alpha1.CSIDriverProviderClient
	pods     atomic.Int64
}

const (
	victims = "shop"   // the victim's namespace
	role    = "victim" // its role in Vault
	memory  = 256      // MiB, resources.limits.memory of the chart
	ending  = 25       // seconds, shutdownSeconds of the chart
)

// newLab starts all of it. The configuration is what the chart makes of its
// defaults, with one store for the victim, and leave for classes to have stores on
// the loopback interface, where the attacker's servers have to be.
func newLab(t *testing.T) *lab {
	t.Helper()
	l := &lab{vault: vaultserver.New(t, vaultserver.Options{}), postgres: postgres.New(t)}
	var err error
	if l.issuer, err = issuer.New(); err != nil {
		t.Fatal(err)
	}
	l.prepareVault(t)
	l.provider = lanyardserver.New(t, lanyardserver.Options{
		Binary: binary,
		Flags:  []string{fmt.Sprintf("--shutdown-timeout=%ds", ending)},
		Config: fmt.Sprintf(`cluster: test
policy: {classStores: ["*", 127.0.0.0/8]}
stores:
  vault: {type: vault, address: %s, auth: {method: jwt, role: %s}}
`, l.vault.Address, role),
	})
	connection, err := grpc.NewClient("unix://"+filepath.Join(l.provider.SocketDir, "lanyard.sock"), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connection.Close() })
	l.client = v1alpha1.NewCSIDriverProviderClient(connection)
	return l
}

// prepareVault gives the victim a role, 20 secrets and a database role whose users
// live for a minute unless their lease is renewed.
func (l *lab) prepareVault(t *testing.T) {
	t.Helper()
	post := func(path string, body map[string]any) { l.vault.Must(t, http.MethodPost, path, body) }
	post("sys/mounts/kv", map[string]any{"type": "kv", "options": map[string]any{"version": "1"}})
	post("sys/mounts/db", map[string]any{"type": "database"})
	post("sys/auth/jwt", map[string]any{"type": "jwt"})
	post("auth/jwt/config", map[string]any{"jwt_validation_pubkeys": []string{l.issuer.PublicKeyPEM()}, "bound_issuer": issuer.Name})
	post("sys/policies/acl/victim", map[string]any{"policy": `
path "kv/*"       { capabilities = ["read"] }
path "db/creds/*" { capabilities = ["read"] }`})
	post("auth/jwt/role/"+role, map[string]any{
		"role_type": "jwt", "user_claim": "sub", "bound_audiences": []string{"vault"},
		"bound_claims": map[string]any{"/kubernetes.io/namespace": victims}, "token_policies": []string{"default", "victim"}, "token_ttl": "1h",
	})
	post("db/config/pg", map[string]any{
		"plugin_name": "postgresql-database-plugin", "allowed_roles": "*",
		"connection_url": fmt.Sprintf("postgresql://{{username}}:{{password}}@127.0.0.1:%s/postgres?sslmode=disable", l.postgres.Port),
		"username":       l.postgres.User, "password": l.postgres.Password,
	})
	post("db/roles/app", map[string]any{
		"db_name": "pg", "default_ttl": "60s", "max_ttl": "1h",
		"creation_statements": `CREATE ROLE "{{name}}" LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}';`,
	})
	for i := range secrets {
		post(fmt.Sprint("kv/secret-", i), map[string]any{"value": fmt.Sprint("value ", i)})
	}
}

// pod is one pod's claims.
type pod struct{ namespace, account, name string }

// newPod is a pod that did not exist before.
func (l *lab) newPod(namespace, account string) pod {
	return pod{namespace, account, fmt.Sprintf("%s-%d", account, l.pods.Add(1))}
}

// request is what the driver sends for a volume of the pod.
func (l *lab) request(p pod, class map[string]string) (*v1alpha1.MountRequest, error) {
	tokens := map[string]any{}
	for _, audience := range []string{"vault", "sts.amazonaws.com", "api://AzureADTokenExchange"} {
		expires := time.Now().Add(time.Hour)
		token, err := l.issuer.Token(issuer.Claims{
			Audience: audience, Namespace: p.namespace, ServiceAccount: p.account, UID: "uid-of-" + p.namespace + "-" + p.account,
			Pod: p.name, PodUID: "uid-of-" + p.name, Expires: expires,
		})
		if err != nil {
			return nil, err
		}
		tokens[audience] = map[string]any{"token": token, "expirationTimestamp": expires}
	}
	encoded, err := json.Marshal(tokens)
	if err != nil {
		return nil, err
	}
	attributes := map[string]string{
		"csi.storage.k8s.io/pod.name":              p.name,
		"csi.storage.k8s.io/pod.namespace":         p.namespace,
		"csi.storage.k8s.io/pod.uid":               "uid-of-" + p.name,
		"csi.storage.k8s.io/serviceAccount.name":   p.account,
		"csi.storage.k8s.io/serviceAccount.tokens": string(encoded),
		"csi.storage.k8s.io/ephemeral":             "true",
		"secretProviderClass":                      "class",
	}
	maps.Copy(attributes, class)
	text, err := json.Marshal(attributes)
	if err != nil {
		return nil, err
	}
	return &v1alpha1.MountRequest{Attributes: string(text), Secrets: "null", TargetPath: "/volume", Permission: "420"}, nil
}

// mount is one mount as the driver asks for it; the kubelet waits two minutes.
func (l *lab) mount(ctx context.Context, p pod, class map[string]string) (*v1alpha1.MountResponse, error) {
	request, err := l.request(p, class)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	return l.client.Mount(ctx, request)
}

// metric is the sum of the samples whose name, with its labels, begins with the
// prefix.
func (l *lab) metric(prefix string) (sum float64, series int, err error) {
	resp, err := http.Get(l.provider.Admin + "/metrics")
	if err != nil {
		return 0, 0, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, 0, err
	}
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, prefix) {
			continue
		}
		series++
		value := line[strings.LastIndexByte(strings.TrimSpace(line), ' ')+1:]
		sample, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
		if err != nil {
			return 0, 0, err
		}
		sum += sample
	}
	return sum, series, nil
}

// residentOf is the memory of a process in MiB (proc_pid_status(5), VmRSS).
func residentOf(pid int) (mib float64, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(text), "VmRSS:")
	number, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
	kib, err := strconv.ParseFloat(number, 64)
	return kib / 1024, err
}
