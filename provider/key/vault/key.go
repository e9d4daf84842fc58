package vault

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"sync/atomic"

	"github.com/lanyardhq/lanyard/provider/backend/vault"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/key"
	"github.com/lanyardhq/lanyard/provider/secret"
)

// vaultKey is one Transit key.
type vaultKey struct {
	settings   *settings
	connection *vault.Connection
	// fit is true once Vault has confirmed that the key may be used.
	fit atomic.Bool
}

// Name includes the address, or knownAs in its place, because two Vaults may have
// keys of one name. No part has a space.
func (k *vaultKey) Name() string {
	namespace := k.settings.Namespace
	if namespace == "" {
		namespace = "-"
	}
	return "vault " + k.settings.KnownAs + " " + namespace + " " + k.path("keys")
}

// Fixed implements key.Fixed: Vault decrypts only with the binding that it encrypted
// with. It is not in the name, which is hashed into the key IDs of stored data.
func (k *vaultKey) Fixed() string { return k.settings.Binding }

// path returns the API path of an operation with the key.
func (k *vaultKey) path(operation string) string {
	return k.settings.Mount + "/" + operation + "/" + k.settings.Key
}

// Encrypt implements key.Key. The first call also checks the type of the key, unless
// Current has.
func (k *vaultKey) Encrypt(ctx context.Context, as identity.Identity, plaintext secret.Bytes, bound key.Context) (key.Ciphertext, error) {
	if err := key.CheckEncrypt(plaintext, bound); err != nil {
		return key.Ciphertext{}, err
	}
	if !k.fit.Load() {
		if _, err := k.Current(ctx, as); err != nil {
			return key.Ciphertext{}, err
		}
	}
	payload := newPayload(plaintext.Reveal(), bound)
	defer clear(payload)
	encoded := base64.StdEncoding.EncodeToString(payload)
	resp, err := k.call(ctx, as, "encrypt", map[string]string{"plaintext": encoded}, bound, encoded)
	if err != nil {
		return key.Ciphertext{}, err
	}
	if k.settings.Binding == bindAssociatedData && ignored(resp, "associated_data") {
		return key.Ciphertext{}, k.fail(fault.ErrInvalid, "this Vault ignores associated data, which needs 1.13; set binding to derived or payload")
	}
	var made encrypted
	if !data(resp, &made) {
		return key.Ciphertext{}, k.broken("the encryption")
	}
	version, ok := versionOf([]byte(made.Ciphertext))
	if !ok || version != "v"+strconv.Itoa(made.KeyVersion) || len(made.Ciphertext) > key.MaxCiphertext {
		return key.Ciphertext{}, k.broken("the encryption")
	}
	return key.Ciphertext{Data: []byte(made.Ciphertext), Version: version}, nil
}

// Decrypt implements key.Key.
func (k *vaultKey) Decrypt(ctx context.Context, as identity.Identity, ciphertext key.Ciphertext, bound key.Context) (secret.Bytes, error) {
	if err := key.CheckDecrypt(ciphertext, bound); err != nil {
		return secret.Bytes{}, err
	}
	version, ok := versionOf(ciphertext.Data)
	switch {
	case !ok:
		return secret.Bytes{}, k.fail(fault.ErrInvalid, "the ciphertext is not one of Vault's Transit engine")
	case ciphertext.Version != "" && ciphertext.Version != version:
		return secret.Bytes{}, k.fail(fault.ErrInvalid, "the ciphertext is of version %s, not of the one that it was given with", version)
	}
	resp, err := k.call(ctx, as, "decrypt", map[string]string{"ciphertext": string(ciphertext.Data)}, bound, string(ciphertext.Data))
	if err != nil {
		return secret.Bytes{}, err
	}
	var got decrypted
	if !data(resp, &got) || got.Plaintext == "" {
		return secret.Bytes{}, k.broken("the decryption")
	}
	payload, err := base64.StdEncoding.Strict().DecodeString(got.Plaintext)
	if err != nil {
		return secret.Bytes{}, k.broken("the decryption")
	}
	plain, err := openPayload(payload, bound)
	if err != nil {
		return secret.Bytes{}, k.fail(fault.ErrInvalid, "the ciphertext %v", err)
	}
	return key.Plaintext(plain)
}

// Current implements key.Key and refuses an unsuitable key.
func (k *vaultKey) Current(ctx context.Context, as identity.Identity) (string, error) {
	if err := k.checkCaller(as); err != nil {
		return "", err
	}
	resp, _, err := k.connection.Call(ctx, as, vault.Request{What: k.Name(), Method: http.MethodGet, Path: k.path("keys"), Repeatable: true})
	if err != nil {
		return "", err
	}
	if !resp.OK() {
		return "", k.refused("keys", resp)
	}
	var described description
	if !data(resp, &described) || !described.whole() {
		return "", k.broken("the key's description")
	}
	if reason := described.unfit(k.settings.Binding); reason != "" {
		k.fit.Store(false)
		return "", k.fail(fault.ErrInvalid, "%s", reason)
	}
	k.fit.Store(true)
	return "v" + strconv.Itoa(described.LatestVersion), nil
}

// UsesNode implements key.NodeUser.
func (k *vaultKey) UsesNode() bool { return k.connection.UsesNode() }

// Close implements key.Key.
func (k *vaultKey) Close() { k.connection.Close() }

// call encrypts or decrypts. It redacts sent from errors. It changes nothing at
// Vault, so retries are safe.
func (k *vaultKey) call(ctx context.Context, as identity.Identity, operation string, fields map[string]string, bound key.Context, sent string) (*vault.Response, error) {
	if err := k.checkCaller(as); err != nil {
		return nil, err
	}
	canonical := base64.StdEncoding.EncodeToString(bound.Canonical())
	switch k.settings.Binding {
	case bindDerived:
		fields["context"] = canonical
	case bindAssociatedData:
		fields["associated_data"] = canonical
	}
	body, err := json.Marshal(fields)
	if err != nil {
		return nil, k.fail(fault.ErrInvalid, "the request cannot be written as JSON")
	}
	defer clear(body)
	resp, _, err := k.connection.Call(ctx, as, vault.Request{
		What: k.Name(), Method: http.MethodPost, Path: k.path(operation), Body: body,
		Secrets: []secret.Bytes{secret.NewString(sent)}, Repeatable: true,
	})
	if err != nil {
		return nil, err
	}
	if !resp.OK() {
		return nil, k.refused(operation, resp)
	}
	return resp, nil
}

// checkCaller keeps the node's login for the node, and a pod's login for pods.
func (k *vaultKey) checkCaller(as identity.Identity) error {
	switch node := k.connection.UsesNode(); {
	case node && !key.IsNode(as):
		return k.fail(fault.ErrDenied, "%s is the node's login, which no pod may use as itself; let auth.method be kubernetes or jwt", k.connection.Who())
	case !node && key.IsNode(as):
		return k.fail(fault.ErrUnauthenticated, "%s is for pods, and the node is none; for the node use approle with secretIDFile, cert, tokenFile, or jwt with jwtFile", k.connection.Who())
	}
	return nil
}

func (k *vaultKey) fail(kind error, format string, args ...any) error {
	return fault.Failf(kind, "%s: %s", k.Name(), fmt.Sprintf(format, args...))
}

// broken explains a response that cannot be trusted.
func (k *vaultKey) broken(what string) error {
	return k.fail(fault.ErrUnavailable, "Vault's answer to %s is not complete; look at what stands between the node and Vault", what)
}
