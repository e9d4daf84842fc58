package local

import (
	"context"
	"errors"
	"fmt"

	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/key"
	"github.com/lanyardhq/lanyard/provider/secret"
)

// localKey holds the keys of one file.
type localKey struct{ path string }

// Name is the file's path: two files are two keys, and a moved file is another key.
func (k *localKey) Name() string { return "local " + k.path }

// UsesNode implements key.NodeUser: the file is the node's.
func (k *localKey) UsesNode() bool { return true }

// Encrypt implements key.Key with the first key of the file.
func (k *localKey) Encrypt(ctx context.Context, as identity.Identity, plaintext secret.Bytes, bound key.Context) (key.Ciphertext, error) {
	if err := key.CheckEncrypt(plaintext, bound); err != nil {
		return key.Ciphertext{}, err
	}
	file, err := k.read(ctx, as)
	if err != nil {
		return key.Ciphertext{}, err
	}
	current := file.keys[0]
	data, err := current.seal(newSalt(), plaintext.Reveal(), bound)
	if err != nil {
		return key.Ciphertext{}, k.fail(fault.ErrInvalid, "encryption failed: %w", err)
	}
	return key.Ciphertext{Data: data, Version: current.id.String()}, nil
}

// Decrypt implements key.Key with the key that the ciphertext names.
func (k *localKey) Decrypt(ctx context.Context, as identity.Identity, ciphertext key.Ciphertext, bound key.Context) (secret.Bytes, error) {
	if err := key.CheckDecrypt(ciphertext, bound); err != nil {
		return secret.Bytes{}, err
	}
	file, err := k.read(ctx, as)
	if err != nil {
		return secret.Bytes{}, err
	}
	id, ok := idOf(ciphertext.Data)
	switch {
	case !ok:
		return secret.Bytes{}, k.fail(fault.ErrInvalid, "the ciphertext is not one of a local key")
	case ciphertext.Version != "" && ciphertext.Version != id.String():
		return secret.Bytes{}, k.fail(fault.ErrInvalid, "the ciphertext is of the key %s, not of the version that it was given with", id)
	}
	found := file.find(id)
	if found == nil {
		return secret.Bytes{}, k.fail(fault.ErrNotFound, "the file has no key %s any more; put it back, below the first one", id)
	}
	plain, err := found.open(ciphertext.Data, bound)
	if err != nil {
		return secret.Bytes{}, k.fail(fault.ErrInvalid, "the ciphertext was changed, or is bound to another context")
	}
	return key.Plaintext(plain)
}

// Current implements key.Key: the ID of the first key of the file.
func (k *localKey) Current(ctx context.Context, as identity.Identity) (string, error) {
	file, err := k.read(ctx, as)
	if err != nil {
		return "", err
	}
	return file.keys[0].id.String(), nil
}

// Close implements key.Key.
func (k *localKey) Close() {}

// read reads the file for the node, and refuses pods.
func (k *localKey) read(ctx context.Context, as identity.Identity) (*keyFile, error) {
	if !key.IsNode(as) {
		return nil, k.fail(fault.ErrDenied, "is a file of the node, which cannot tell pods apart: no pod may use it as itself")
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return readKeyFile(k.path)
}

func (k *localKey) fail(kind error, format string, args ...any) error {
	return fault.Fail(kind, errors.New(k.Name()+": "+fmt.Errorf(format, args...).Error()))
}
