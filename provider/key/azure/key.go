package azure

import (
	"context"
	"crypto/rand"
	"errors"
	"net/url"
	"regexp"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azkeys"

	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/provider/backend/azure"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/key"
	"github.com/lanyardhq/lanyard/provider/key/envelope"
	"github.com/lanyardhq/lanyard/provider/secret"
)

const dataKeyBytes = 32

// azureKey is one key of a vault, in all of its versions.
type azureKey struct {
	vault     *azure.Vault
	client    *azkeys.Client
	name      string
	algorithm string
}

// Name is the key's identifier without a version. Letters' case makes no
// difference to Azure, and none here.
func (k *azureKey) Name() string { return nameOf(k.identifier()) }

func nameOf(identifier string) string { return "azure " + identifier }

func (k *azureKey) identifier() string { return identifier(k.vault.Address(), k.name) }

// identifier is the key's in Key Vault, without a version.
func identifier(vault, name string) string { return strings.ToLower(vault + "/keys/" + name) }

// Fixed implements key.Fixed: Key Vault unwraps only with the algorithm that it wrapped
// with, which the ciphertext does not say.
func (k *azureKey) Fixed() string { return k.algorithm }

// UsesNode implements key.NodeUser.
func (k *azureKey) UsesNode() bool { return k.vault.UsesNode() }

// Encrypt implements key.Key.
func (k *azureKey) Encrypt(ctx context.Context, as identity.Identity, plaintext secret.Bytes, bound key.Context) (key.Ciphertext, error) {
	if err := key.CheckEncrypt(plaintext, bound); err != nil {
		return key.Ciphertext{}, err
	}
	dataKey := newDataKey()
	defer clear(dataKey)
	wrapped, version, err := k.wrap(ctx, as, dataKey)
	if err != nil {
		return key.Ciphertext{}, err
	}
	made, err := envelope.Seal(k.Name(), version, dataKey, wrapped, plaintext.Reveal(), bound)
	if err != nil {
		return key.Ciphertext{}, k.fail(fault.ErrUnavailable, err.Error())
	}
	return made, nil
}

// Decrypt implements key.Key.
func (k *azureKey) Decrypt(ctx context.Context, as identity.Identity, ciphertext key.Ciphertext, bound key.Context) (secret.Bytes, error) {
	if err := key.CheckDecrypt(ciphertext, bound); err != nil {
		return secret.Bytes{}, err
	}
	sealed, err := envelope.Parse(ciphertext)
	if err != nil {
		return secret.Bytes{}, k.fail(fault.ErrInvalid, err.Error())
	}
	if !versionForm.MatchString(sealed.Version) {
		return secret.Bytes{}, k.fail(fault.ErrInvalid, "the ciphertext names no version of a key")
	}
	dataKey, err := k.unwrap(ctx, as, sealed)
	if err != nil {
		return secret.Bytes{}, err
	}
	defer clear(dataKey)
	plain, err := sealed.Open(k.Name(), dataKey, bound)
	if err != nil {
		return secret.Bytes{}, k.fail(fault.Of(err).Err, err.Error())
	}
	return key.Plaintext(plain)
}

// Current implements key.Key. It wraps a key that nobody uses: the answer tells
// what an encryption would use, and needs no right that one does not need.
func (k *azureKey) Current(ctx context.Context, as identity.Identity) (string, error) {
	_, version, err := k.wrap(ctx, as, newDataKey())
	return version, err
}

// Close implements key.Key.
func (k *azureKey) Close() { k.vault.Close() }

// wrap has the newest version wrap a data key, and tells which version that is.
// https://learn.microsoft.com/rest/api/keyvault/keys/wrap-key/wrap-key
func (k *azureKey) wrap(ctx context.Context, as identity.Identity, dataKey []byte) (wrapped []byte, version string, err error) {
	what := operation{key: k.name, permission: "wrapKey"}
	if err := k.checkCaller(as); err != nil {
		return nil, "", err
	}
	err = k.vault.Call(ctx, as, what, func(ctx context.Context) error {
		answer, err := k.client.WrapKey(ctx, k.name, "", k.parameters(dataKey), nil)
		if err != nil {
			return err
		}
		used, ok := k.versionIn(answer.KID)
		if !ok || len(answer.Result) == 0 || len(answer.Result) > envelope.MaxWrapped {
			return k.wrongAnswer(what, answer.KID)
		}
		wrapped, version = answer.Result, used
		return nil
	})
	return wrapped, version, err
}

// unwrap has the version that wrapped the data key unwrap it.
// https://learn.microsoft.com/rest/api/keyvault/keys/unwrap-key/unwrap-key
func (k *azureKey) unwrap(ctx context.Context, as identity.Identity, sealed *envelope.Envelope) (dataKey []byte, err error) {
	what := operation{key: k.name, version: sealed.Version, permission: "unwrapKey"}
	if err := k.checkCaller(as); err != nil {
		return nil, err
	}
	err = k.vault.Call(ctx, as, what, func(ctx context.Context) error {
		answer, err := k.client.UnwrapKey(ctx, k.name, sealed.Version, k.parameters(sealed.Wrapped), nil)
		if err != nil {
			return err
		}
		used, ok := k.versionIn(answer.KID)
		if !ok || used != sealed.Version || len(answer.Result) == 0 {
			return k.wrongAnswer(what, answer.KID)
		}
		dataKey = answer.Result
		return nil
	})
	if errors.Is(err, fault.ErrInvalid) {
		return nil, fault.Failf(fault.ErrInvalid, "%v; the ciphertext was changed, is another key's, or algorithm is not the one that it was made with", err)
	}
	return dataKey, err
}

func (k *azureKey) parameters(value []byte) azkeys.KeyOperationParameters {
	algorithm := azkeys.EncryptionAlgorithm(k.algorithm)
	return azkeys.KeyOperationParameters{Algorithm: &algorithm, Value: value}
}

// https://learn.microsoft.com/azure/key-vault/general/about-keys-secrets-certificates#objects-identifiers-and-versioning
var versionForm = regexp.MustCompile(`^[0-9a-f]{32}$`)

// versionIn is the version that an answer's key identifier tells, if it is one
// of this key.
func (k *azureKey) versionIn(id *azkeys.ID) (string, bool) {
	if id == nil {
		return "", false
	}
	version, ok := strings.CutPrefix(strings.ToLower(string(*id)), k.identifier()+"/")
	return version, ok && versionForm.MatchString(version)
}

// wrongAnswer is the error for an answer that is incomplete or of another key. It names
// the host of another vault, which the setting address has to fit.
func (k *azureKey) wrongAnswer(what operation, id *azkeys.ID) error {
	if id != nil {
		expected, err := url.Parse(k.identifier())
		named, wrong := url.Parse(strings.ToLower(string(*id)))
		if err == nil && wrong == nil && named.Host != "" && named.Host != expected.Host {
			return fault.Failf(fault.ErrUnavailable, "%s: the answer is of a key at %s, and the one that was asked for is at %s; let `address` be the vault's own, or look at what stands between the node and Azure", what, message.Excerpt(named.Host), expected.Host)
		}
	}
	return k.vault.Incomplete(what)
}

// checkCaller keeps the node's login for the node, and a pod's login for pods.
func (k *azureKey) checkCaller(as identity.Identity) error {
	switch node := k.vault.UsesNode(); {
	case node && !key.IsNode(as):
		return k.fail(fault.ErrDenied, "auth.method managedIdentity is the node's own right, which no pod may use as itself; let it be workloadIdentity")
	case !node && key.IsNode(as):
		return k.fail(fault.ErrUnauthenticated, "auth is for pods, and the node is none; for the node let auth.method be managedIdentity")
	}
	return nil
}

func (k *azureKey) fail(kind error, text string) error {
	return fault.Failf(kind, "%s: %s", k.Name(), text)
}

// newDataKey never fails: crypto/rand ends the process instead.
func newDataKey() []byte {
	dataKey := make([]byte, dataKeyBytes)
	_, _ = rand.Read(dataKey)
	return dataKey
}

// operation is what a call is for, in the words of errors.
type operation struct{ key, version, permission string }

// String implements azure.Object.
func (o operation) String() string {
	if o.version == "" {
		return o.permission + " keys/" + o.key
	}
	return o.permission + " keys/" + o.key + "/" + o.version
}

// Noun implements azure.Object.
func (o operation) Noun() string { return "key" }

// OrVersion implements azure.Object.
func (o operation) OrVersion() string {
	if o.version == "" {
		return ""
	}
	return " and the version"
}

// Permission implements azure.Object.
func (o operation) Permission() string { return "keys " + o.permission }

// Role implements azure.Object. A Managed HSM's role has "Managed HSM" for "Key
// Vault".
func (o operation) Role() string { return "Key Vault Crypto Service Encryption User" }
