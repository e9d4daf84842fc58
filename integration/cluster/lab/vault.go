package lab

import (
	"context"
	"crypto/x509/pkix"
	"fmt"
	"net/http"
	"os"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lanyardhq/lanyard/integration/cluster"
	"github.com/lanyardhq/lanyard/integration/vaultserver"
)

const (
	// VaultAddress is where Vault is for pods and for Lanyard.
	VaultAddress = "https://" + cluster.Address + ":18200"
	// Role is the role of Vault's Kubernetes auth for every service account:
	// it may read what lies below its own namespace's name in each engine.
	Role = "workload"
	// Audience is that of the tokens that the role takes.
	Audience = "vault"

	vaultReady = "vault-ready.json"
)

// startVault starts Vault, HTTPS with a certificate of the cluster's authority.
func (l *Lab) startVault(ctx context.Context) error {
	binary, err := vaultserver.Binary(ctx)
	if err != nil {
		return err
	}
	if err := l.Certificate("vault", pkix.Name{CommonName: "vault"}, cluster.Address); err != nil {
		return err
	}
	certificate, key := l.CertificateFiles("vault")
	ready, err := os.OpenFile(l.Path(vaultReady), os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer ready.Close() //nolint:errcheck // Vault writes to it
	if err := l.Start(cluster.Part{Name: "vault", Output: ready, Command: []string{
		binary, "-listen", cluster.Address + ":18200", "-tls-cert", certificate, "-tls-key", key,
	}}); err != nil {
		return err
	}
	return l.awaitVault(ctx)
}

// setVault puts into Vault what needs the API server or PostgreSQL.
func (l *Lab) setVault(ctx context.Context) error {
	for _, set := range []func(context.Context) error{l.vaultAuth, l.vaultEngines, l.vaultRole} {
		if err := set(ctx); err != nil {
			return err
		}
	}
	return nil
}

// awaitVault connects as soon as Vault has printed that it is ready.
func (l *Lab) awaitVault(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		err := l.connectVault()
		if err == nil {
			return nil
		}
		if !l.Running("vault") || ctx.Err() != nil {
			return fmt.Errorf("vault is not ready, see %s/vault.log: %w", l.Logs(), err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func (l *Lab) connectVault() error {
	ready, err := os.ReadFile(l.Path(vaultReady))
	if err != nil {
		return err
	}
	authority, err := l.Authority()
	if err != nil {
		return err
	}
	l.Vault, err = vaultserver.Connect(ready, authority)
	return err
}

// vaultAuth lets Vault ask the API server whose a token is, as a service
// account that may do nothing else.
func (l *Lab) vaultAuth(ctx context.Context) error {
	if err := l.Apply(ctx, []byte(`
apiVersion: v1
kind: Namespace
metadata: {name: vault}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: vault, namespace: vault}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: vault-reviews-tokens}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: system:auth-delegator}
subjects: [{kind: ServiceAccount, name: vault, namespace: vault}]
`)); err != nil {
		return err
	}
	seconds := int64(7 * 24 * 3600)
	reviewer, err := l.Kube.CoreV1().ServiceAccounts("vault").CreateToken(ctx, "vault",
		&authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: &seconds}}, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	authority, err := l.Authority()
	if err != nil {
		return err
	}
	if err := l.Vault.Call(ctx, http.MethodPost, "sys/auth/kubernetes", map[string]any{"type": "kubernetes"}, nil); err != nil {
		return err
	}
	return l.Vault.Call(ctx, http.MethodPost, "auth/kubernetes/config", map[string]any{
		"kubernetes_host": l.Server(), "kubernetes_ca_cert": string(authority), "token_reviewer_jwt": reviewer.Status.Token,
	}, nil)
}

// vaultEngines are the secret engines: KV version 2 at secret/, and one each of
// the others at its own name.
func (l *Lab) vaultEngines(ctx context.Context) error {
	for _, call := range []struct {
		path string
		body map[string]any
	}{
		{"sys/mounts/secret", map[string]any{"type": "kv", "options": map[string]any{"version": "2"}}},
		{"sys/mounts/pki", map[string]any{"type": "pki", "config": map[string]any{"max_lease_ttl": "87600h"}}},
		{"pki/root/generate/internal", map[string]any{"common_name": "lab", "ttl": "87600h"}},
		{"pki/roles/web", map[string]any{"allow_any_name": true, "enforce_hostnames": false, "max_ttl": "24h", "key_type": "ec", "key_bits": 256}},
		{"sys/mounts/database", map[string]any{"type": "database"}},
		{"database/config/postgres", map[string]any{
			"plugin_name": "postgresql-database-plugin", "allowed_roles": "*",
			"connection_url": fmt.Sprintf("postgresql://{{username}}:{{password}}@127.0.0.1:%s/postgres?sslmode=disable", l.Postgres.Port),
			"username":       l.Postgres.User, "password": l.Postgres.Password,
		}},
	} {
		if err := l.Vault.Call(ctx, http.MethodPost, call.path, call.body, nil); err != nil {
			return err
		}
	}
	return l.DatabaseRole(ctx, "app", time.Hour, 24*time.Hour)
}

// DatabaseRole makes a role of the database engine, whose credentials any
// workload may have at database/creds/NAME.
func (l *Lab) DatabaseRole(ctx context.Context, name string, ttl, maxTTL time.Duration) error {
	return l.Vault.Call(ctx, http.MethodPost, "database/roles/"+name, map[string]any{
		"db_name": "postgres", "default_ttl": ttl.String(), "max_ttl": maxTTL.String(),
		"creation_statements": `CREATE ROLE "{{name}}" LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}';`,
	}, nil)
}

// vaultRole is the role of all workloads: what each may read is told from the
// namespace that its token names, so that no scenario needs a policy of its own.
func (l *Lab) vaultRole(ctx context.Context) error {
	var methods map[string]any
	var answer vaultserver.Answer
	if err := l.Vault.Call(ctx, http.MethodGet, "sys/auth", nil, &answer); err != nil {
		return err
	}
	methods, _ = answer.Data["kubernetes/"].(map[string]any)
	policy := fmt.Sprintf(`
path "secret/data/{{identity.entity.aliases.%[1]v.metadata.service_account_namespace}}/*" { capabilities = ["read"] }
path "pki/issue/web" { capabilities = ["update"] }
path "database/creds/*" { capabilities = ["read"] }
`, methods["accessor"])
	if err := l.Vault.Call(ctx, http.MethodPut, "sys/policies/acl/"+Role, map[string]any{"policy": policy}, nil); err != nil {
		return err
	}
	return l.Vault.Call(ctx, http.MethodPost, "auth/kubernetes/role/"+Role, map[string]any{
		"bound_service_account_names": "*", "bound_service_account_namespaces": "*",
		"audience": Audience, "token_policies": Role, "token_ttl": "1h",
	}, nil)
}

// Put writes a secret of KV version 2 that the namespace's workloads may read,
// at secret/data/NAMESPACE/NAME.
func (l *Lab) Put(ctx context.Context, namespace, name string, fields map[string]any) error {
	return l.Vault.Call(ctx, http.MethodPost, "secret/data/"+namespace+"/"+name, map[string]any{"data": fields}, nil)
}
