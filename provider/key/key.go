// Package key defines what a key service is to the rest: a system that encrypts
// and decrypts small plaintexts and holds no values. Every kind of key service
// (local, vault, aws, ...) is a package below this one that provides a Type and
// passes the contract test in keytest. What is encrypted is a key itself: the
// seed of a KMS plugin, or the data key of a sealed value.
//
// Nothing here or below keeps a plaintext longer than a call, chooses between
// keys, or repeats a call that another key could answer: which key is for which
// ciphertext is the caller's to know. Errors wrap the kind of package fault.
//
// Start with Key, whose comments are the contract. To add a key service:
// implement Type and Key, run keytest.Run against it, and register the Type in
// cmd.
package key

import (
	"context"

	"github.com/lanyardhq/lanyard/internal/proxy"
	"github.com/lanyardhq/lanyard/provider/backend/remote"
	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/secret"
)

// The bounds of what every key service takes.
const (
	// MaxPlaintext is the longest plaintext in bytes: what AWS KMS takes, the
	// least of all.
	// https://docs.aws.amazon.com/kms/latest/APIReference/API_Encrypt.html
	MaxPlaintext = 4096
	// MaxCiphertext is the longest ciphertext in bytes. No key service makes a
	// longer one of MaxPlaintext bytes; a longer one is refused without a call.
	MaxCiphertext = 8192
	// MaxVersion is the longest version in bytes.
	MaxVersion = 512
)

// Type is a kind of key service. There is one of each for the whole life of a
// process, so it is where connections are pooled. It is safe for concurrent use.
type Type interface {
	// Name is the type's name in configuration files and key rings.
	Name() string

	// Open checks the settings and returns the key that they name. It makes no
	// remote call. The error wraps fault.ErrInvalid and reports every wrong
	// setting at once, by its field name.
	Open(settings Settings) (Key, error)
}

// Settings name one key and say how it is reached.
type Settings struct {
	// Fields are the settings by name, without "type".
	Fields map[string]any
	// ByOperator is true if the operator's configuration or command line holds
	// the settings. Only then may the key use credentials or files of the node.
	ByOperator bool
	// NameOnly is true if the key is to do nothing but to have a name, because
	// it is retired: then Open reads no file and returns Named.
	NameOnly bool
	// Proxy is what leads to the key service.
	Proxy proxy.Settings
}

// Network is how connections to the key service leave the node. The operator, or who
// runs the command, chose all addresses.
func (s Settings) Network() remote.Network { return remote.Network{Proxy: s.Proxy} }

// Ciphertext is what a key service made of a plaintext. It is not secret, but
// it is kept out of logs and errors all the same.
type Ciphertext struct {
	// Data is the ciphertext, 1 to MaxCiphertext bytes, opaque to the caller.
	Data []byte
	// Version names the exact version of the key that made Data, in at most
	// MaxVersion bytes. It was read from Data or from the very response that
	// brought Data, never in a second call, so a rotation in between cannot
	// make it wrong. It is safe to publish.
	Version string
}

// Key is one key of a key service, in all of its versions. It is safe for
// concurrent use.
//
// The zero identity.Identity stands for the node's own credentials, and is
// taken only by a Key that the operator's settings opened. Any other identity
// is a pod: the key service is asked with that pod's own credentials and never
// with another's login.
//
// Every error wraps exactly one kind of package fault, or ctx.Err. Its text
// names the key, the cause and the remedy if it is known, and holds no
// plaintext, ciphertext, token or key. The kinds mean here:
//
//   - fault.ErrInvalid: the caller's plaintext, ciphertext or context is out of
//     bounds; or Decrypt found a ciphertext that this key did not make, that
//     was changed, or that is bound to another context; or the key cannot be
//     used so (disabled, of the wrong kind).
//   - fault.ErrNotFound: there is no such key, or no such version of it any more.
//   - fault.ErrUnauthenticated: the key service does not accept the credentials.
//   - fault.ErrDenied: it knows who asks, and refuses; where a policy looks at
//     the context, that is what another context gets.
//   - fault.ErrUnavailable: it could not answer now, or its answer cannot be
//     trusted: empty, cut short, a wrong checksum.
type Key interface {
	// Name says which service and which key, without its version: nothing
	// secret, and the same for one key however its settings are spelled, as
	// far as that can be told without a call. What an alias points to is told
	// by the version. It stands in errors and is hashed into the key IDs of
	// the KMS plugin, so it stays the same from release to release.
	Name() string

	// Encrypt encrypts a plaintext of 1 to MaxPlaintext bytes with the newest
	// version of the key and binds it to the context. Two calls never return
	// the same ciphertext.
	Encrypt(ctx context.Context, as identity.Identity, plaintext secret.Bytes, bound Context) (Ciphertext, error)

	// Decrypt returns the plaintext of what any version of this key encrypted
	// for this context. ciphertext.Version may be empty; one that can be told
	// to be wrong is refused. An answer that is empty or does not verify is an
	// error, never an empty value.
	Decrypt(ctx context.Context, as identity.Identity, ciphertext Ciphertext, bound Context) (secret.Bytes, error)

	// Current is the version that Encrypt would use now, by at most one remote
	// call after a login. That it succeeds proves that the key service answers
	// and accepts the identity.
	Current(ctx context.Context, as identity.Identity) (string, error)

	// Close releases what the key holds. No call runs during or after it.
	Close()
}

// Fixed is implemented by a Key with settings that are not in its name and still
// decide whether what it encrypted can be decrypted. While they are in use they may
// not change; a key with others is added as another entry with its own epoch.
type Fixed interface {
	// Fixed says what these settings are, in a form that is compared.
	Fixed() string
}

// FixedOf is what the key's Fixed says; empty if it has none.
func FixedOf(k Key) string {
	if with, ok := k.(Fixed); ok {
		return with.Fixed()
	}
	return ""
}

// NodeUser is implemented by a Key whose settings say who may use it.
type NodeUser interface {
	// UsesNode is true if the key is for the node alone, and false if it is for
	// pods alone.
	UsesNode() bool
}

// IsNode is true for the zero Identity, which stands for the node itself.
func IsNode(as identity.Identity) bool {
	return as.Cluster == "" && as.Namespace == "" && as.ServiceAccount == "" && as.Pod == "" && as.PodUID == "" &&
		len(as.Tokens) == 0 && len(as.Credentials) == 0
}
