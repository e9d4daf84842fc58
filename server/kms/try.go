package kms

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/lanyardhq/lanyard/provider/key"
	"github.com/lanyardhq/lanyard/provider/kmsring"
	"github.com/lanyardhq/lanyard/provider/secret"
)

// Trial is what a round trip with a key has shown.
type Trial struct {
	// Version is the exact version that encrypted.
	Version string
	// KeyID is what Status would name.
	KeyID string
	// Bytes is the length of the ciphertext of a seed.
	Bytes int
	// Encrypt and Decrypt are how long the two calls took.
	Encrypt, Decrypt time.Duration
}

// ErrEncrypt is in every error of Try that comes from encrypting.
var ErrEncrypt = errors.New("encrypting")

// Try encrypts a seed of random bytes with the entry and decrypts it again, as
// the plugin does before it names a key. The caller holds the entry or its
// ring. The error is that of the key service, or that the answer is none that
// the API server would take.
func Try(ctx context.Context, entry *kmsring.Entry) (Trial, error) {
	return roundTrip(entry,
		func(plain secret.Bytes) (key.Ciphertext, error) {
			ciphertext, err := entry.Encrypt(ctx, plain)
			if err != nil {
				err = fmt.Errorf("%w: %w", ErrEncrypt, err)
			}
			return ciphertext, err
		},
		func(ciphertext key.Ciphertext) (secret.Bytes, error) {
			plain, err := entry.Decrypt(ctx, ciphertext)
			if err != nil {
				err = fmt.Errorf("decrypting: %w", err)
			}
			return plain, err
		})
}

// roundTrip is Try by other means of encrypting and decrypting.
func roundTrip(entry *kmsring.Entry, encrypt func(secret.Bytes) (key.Ciphertext, error), decrypt func(key.Ciphertext) (secret.Bytes, error)) (Trial, error) {
	plain := make([]byte, probeSize)
	_, _ = rand.Read(plain)
	began := time.Now()
	ciphertext, err := encrypt(secret.New(plain))
	if err != nil {
		return Trial{}, err
	}
	encrypted := time.Now()
	answer, err := encryptAnswer(entry, ciphertext)
	if err != nil {
		return Trial{}, err
	}
	opened, err := decrypt(ciphertext)
	if err != nil {
		return Trial{}, err
	}
	if !bytes.Equal(opened.Reveal(), plain) {
		return Trial{}, differs(entry)
	}
	return Trial{
		Version: ciphertext.Version, KeyID: answer.GetKeyId(), Bytes: len(ciphertext.Data),
		Encrypt: encrypted.Sub(began), Decrypt: time.Since(encrypted),
	}, nil
}
