package lab

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/lanyardhq/lanyard/integration/cluster"
	"github.com/lanyardhq/lanyard/integration/vaultserver"
)

const (
	// KMSName is the name of the provider in the EncryptionConfiguration.
	KMSName = "lanyard"
	// KMSSocket is the plugin's socket.
	KMSSocket = kmsRun + "/kms.sock"

	// The paths of deployment/kms, of a process as of a static pod.
	kmsConfig = "/etc/lanyard"
	kmsRing   = kmsConfig + "/kms.yaml"
	kmsRun    = "/run/lanyard-kms"
	// kmsMark is a file of kmsConfig that says that the lab made it.
	kmsMark = kmsConfig + "/.of-the-lab"

	partKMS = "kms"
	kmsKey  = "kubernetes"
)

// encrypt starts Vault and, over its Transit engine, the KMS plugin, before the
// API server starts, which gets the EncryptionConfiguration that lanyard kms
// check prints.
func (l *Lab) encrypt(ctx context.Context, node *cluster.Cluster) (flags []string, err error) {
	l.Cluster = node
	for _, step := range []struct {
		name string
		do   func(context.Context) error
	}{
		{"Vault", l.startVault},
		{"command line", l.buildBinary},
		{"KMS plugin", l.prepareKMS},
	} {
		l.progress(step.name)
		if err := step.do(ctx); err != nil {
			return nil, fmt.Errorf("%s: %w", step.name, err)
		}
	}
	if err := l.StartKMS(ctx); err != nil {
		return nil, err
	}
	printed, err := l.CheckKMS(ctx)
	if err != nil {
		return nil, err
	}
	path := l.Path("encryption.yaml")
	if err := os.WriteFile(path, []byte(printed+"\n"), 0o600); err != nil {
		return nil, err
	}
	return []string{"--encryption-provider-config=" + path, "--encryption-provider-config-automatic-reload=true"}, nil
}

// CheckKMS tries the key ring as docs/kms.md tells, and returns the
// EncryptionConfiguration.
func (l *Lab) CheckKMS(ctx context.Context) (string, error) {
	return l.Lanyard(ctx, nil, "kms", "check", "--ring", kmsRing, "--socket", KMSSocket, "--name", KMSName)
}

// prepareKMS makes the key, an AppRole that may use just that, as
// docs/keys/vault.md tells, and the key ring.
func (l *Lab) prepareKMS(ctx context.Context) error {
	for _, call := range []struct {
		method, path string
		body         map[string]any
	}{
		{http.MethodPost, "sys/mounts/transit", map[string]any{"type": "transit"}},
		{http.MethodPost, "transit/keys/" + kmsKey, map[string]any{"derived": true}},
		{http.MethodPut, "sys/policies/acl/kms", map[string]any{"policy": strings.ReplaceAll(`
path "transit/keys/KEY"    { capabilities = ["read"] }
path "transit/encrypt/KEY" { capabilities = ["update"] }
path "transit/decrypt/KEY" { capabilities = ["update"] }
`, "KEY", kmsKey)}},
		{http.MethodPost, "sys/auth/approle", map[string]any{"type": "approle"}},
		{http.MethodPost, "auth/approle/role/kms", map[string]any{"token_policies": "kms", "token_ttl": "1h"}},
	} {
		if err := l.Vault.Call(ctx, call.method, call.path, call.body, nil); err != nil {
			return err
		}
	}
	var role, secret vaultserver.Answer
	if err := l.Vault.Call(ctx, http.MethodGet, "auth/approle/role/kms/role-id", nil, &role); err != nil {
		return err
	}
	if err := l.Vault.Call(ctx, http.MethodPost, "auth/approle/role/kms/secret-id", nil, &secret); err != nil {
		return err
	}
	if err := os.Mkdir(kmsConfig, 0o700); err != nil {
		return fmt.Errorf("the lab makes %s and removes it: %w", kmsConfig, err)
	}
	authority, err := l.Authority()
	if err != nil {
		return err
	}
	for name, content := range map[string]string{
		kmsMark:                  "",
		kmsConfig + "/ca.crt":    string(authority),
		kmsConfig + "/secret-id": fmt.Sprint(secret.Data["secret_id"]),
		kmsRing: fmt.Sprintf(`kind: lanyard.kms-ring.v1
keys:
- name: vault
  state: write
  cluster: %s
  service:
    type: vault
    address: %s
    key: %s
    tls: {caCertFile: %s}
    auth: {method: approle, roleID: %v, secretIDFile: %s}
`, ClusterName, VaultAddress, kmsKey, kmsConfig+"/ca.crt", role.Data["role_id"], kmsConfig+"/secret-id"),
	} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// StartKMS starts the plugin as a process, which must not run, and waits until
// it is content.
func (l *Lab) StartKMS(ctx context.Context) error {
	if err := os.MkdirAll(kmsRun, 0o755); err != nil { //nolint:gosec // as the unit of systemd has it
		return err
	}
	if err := l.Start(cluster.Part{Name: partKMS, Command: []string{
		l.Path("lanyard"), "kms", "--ring", kmsRing, "--socket", KMSSocket, "--admin-address", "",
	}}); err != nil {
		return err
	}
	return l.AwaitKMS(ctx)
}

// StopKMS stops the process.
func (l *Lab) StopKMS(ctx context.Context) error { return l.Stop(ctx, partKMS) }

// AwaitKMS waits until a plugin at the socket is content, whoever started it.
func (l *Lab) AwaitKMS(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	for {
		report, err := l.Lanyard(ctx, nil, "kms", "check", "--ring", kmsRing, "--socket", KMSSocket, "--output", "json")
		if err == nil && strings.Contains(report, `"running": true`) {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("no KMS plugin at %s is content: %s", KMSSocket, report), err, ctx.Err())
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// removeKMS removes what the lab made outside of its own folder.
func removeKMS() error {
	if _, err := os.Stat(kmsMark); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return errors.Join(os.RemoveAll(kmsRun), os.RemoveAll(kmsConfig))
}
