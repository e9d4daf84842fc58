package kms

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	kmsapi "k8s.io/kms/apis/v2"

	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/key"
	"github.com/lanyardhq/lanyard/provider/kmsring"
	"github.com/lanyardhq/lanyard/provider/secret"
)

// service has the methods that the API server calls.
type service struct {
	kmsapi.UnsafeKeyManagementServiceServer

	current  *current
	metrics  *Metrics
	interval time.Duration
	kicks    chan struct{}
}

// Status says from memory whether Encrypt would work, and with which key.
func (s *service) Status(context.Context, *kmsapi.StatusRequest) (*kmsapi.StatusResponse, error) {
	keyID, err := s.current.status(time.Now(), s.interval)
	if keyID == "" {
		return nil, statusOf(err)
	}
	healthz := "ok"
	if err != nil {
		healthz = bounded(err.Error())
	}
	return &kmsapi.StatusResponse{Version: "v2", Healthz: healthz, KeyId: keyID}, nil
}

// Encrypt encrypts a seed of the API server's with the write key. The key ID
// that it returns is the one that Status names next.
func (s *service) Encrypt(ctx context.Context, req *kmsapi.EncryptRequest) (*kmsapi.EncryptResponse, error) {
	used, err := s.current.hold(toEncrypt(time.Now()))
	if err != nil {
		return nil, statusOf(err)
	}
	defer used.release()
	ctx, cancel := budget(ctx)
	defer cancel()
	plaintext := secret.New(req.GetPlaintext())
	if size := plaintext.Len(); size < 1 || size > key.MaxPlaintext {
		return nil, statusOf(fault.Fail(fault.ErrInvalid, fmt.Errorf("the plaintext has %d bytes, it must have 1 to %d", size, key.MaxPlaintext)))
	}
	ciphertext, err := s.encrypt(ctx, used.entry, plaintext)
	if err == nil {
		err = s.proved(ctx, used, plaintext, ciphertext)
	}
	if err != nil {
		if !errors.Is(err, context.Canceled) {
			s.current.failed(used, err)
			s.kick()
		}
		return nil, statusOf(err)
	}
	answer, err := encryptAnswer(used.entry, ciphertext)
	if err != nil {
		// Whether that is the key's fault or the plaintext's is the probe's to
		// find out.
		s.kick()
		return nil, statusOf(err)
	}
	s.current.encrypted(used, answer.GetKeyId())
	return answer, nil
}

// proved decrypts what the first Encrypt with a version has made, before
// anything is written with it.
func (s *service) proved(ctx context.Context, used use, plaintext secret.Bytes, ciphertext key.Ciphertext) error {
	if used.entry.KeyID(ciphertext.Version) == used.keyID {
		return nil // by an earlier one
	}
	opened, err := s.decrypt(ctx, used.entry, ciphertext)
	if err != nil {
		return err
	}
	if !bytes.Equal(opened.Reveal(), plaintext.Reveal()) {
		return differs(used.entry)
	}
	return nil
}

// differs is final: nothing may be written with a key that does not give back
// what it was given.
func differs(entry *kmsring.Entry) error {
	return fault.Fail(fault.ErrInvalid, fmt.Errorf("key %s (%s) does not decrypt to what was encrypted; nothing is written with it until it does; look at what stands between the plugin and the key service", entry.Name, entry.Service()))
}

// Decrypt decrypts with the one key that the key ID names.
func (s *service) Decrypt(ctx context.Context, req *kmsapi.DecryptRequest) (*kmsapi.DecryptResponse, error) {
	version, err := versionOf(req)
	if err != nil {
		return nil, statusOf(err)
	}
	used, err := s.current.hold(func(ring *kmsring.Ring, _ *kmsring.Entry) (*kmsring.Entry, error) {
		return ring.Find(req.GetKeyId(), version)
	})
	if err != nil {
		return nil, statusOf(err)
	}
	defer used.release()
	ctx, cancel := budget(ctx)
	defer cancel()
	plaintext, err := s.decryptInTurn(ctx, used.entry, key.Ciphertext{Data: req.GetCiphertext(), Version: version})
	s.hear(used, req.GetKeyId(), err)
	if err != nil {
		return nil, statusOf(err)
	}
	return &kmsapi.DecryptResponse{Plaintext: plaintext.Reveal()}, nil
}

// hear has the probe look at once if a Decrypt with the write key went
// otherwise than Status says. It does not decide itself: a ciphertext that is
// not whole fails with a key that is well.
func (s *service) hear(used use, keyID string, err error) {
	if keyID != used.keyID || errors.Is(err, fault.ErrInvalid) || errors.Is(err, context.Canceled) {
		return
	}
	if (s.current.trouble() == nil) != (err == nil) {
		s.kick()
	}
}

// trouble is why the last call failed; nil if it did not.
func (c *current) trouble() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}
