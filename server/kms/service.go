package kms

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	kmsapi "k8s.io/kms/apis/v2"

	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/internal/span"
	"github.com/lanyardhq/lanyard/provider/audit"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/key"
	"github.com/lanyardhq/lanyard/provider/kmsring"
	"github.com/lanyardhq/lanyard/provider/secret"
	"github.com/lanyardhq/lanyard/provider/tracing"
)

// service has the methods that the API server calls.
type service struct {
	kmsapi.UnsafeKeyManagementServiceServer

	current  *current
	metrics  *Metrics
	audit    *audit.Log
	probed   map[string]string // the last result by key, of the one who probes
	tracer   *tracing.Tracer
	interval time.Duration
	probes   chan struct{}
}

// Status answers from memory whether Encrypt would work, and with which key.
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
	record := s.record(audit.Encrypt, req.GetUid())
	ctx, traced := s.tracer.Start(ctx, "encrypt")
	answer, err := s.encryptFor(ctx, req, record)
	if err == nil {
		record.setKeyID(answer.GetKeyId())
	}
	endSpan(traced, answer.GetKeyId(), err)
	if err := s.recorded(ctx, record, err); err != nil {
		return nil, err
	}
	return answer, nil
}

func (s *service) encryptFor(ctx context.Context, req *kmsapi.EncryptRequest, record *record) (*kmsapi.EncryptResponse, error) {
	used, err := s.current.hold(toEncrypt(time.Now()))
	if err != nil {
		return nil, err
	}
	defer used.release()
	record.setKey(used)
	ctx, cancel := budget(ctx)
	defer cancel()
	plaintext := secret.New(req.GetPlaintext())
	if size := plaintext.Len(); size < 1 || size > key.MaxPlaintext {
		return nil, fault.Fail(fault.ErrInvalid, fmt.Errorf("the plaintext has %d bytes, it must have 1 to %d", size, key.MaxPlaintext))
	}
	ciphertext, err := s.encrypt(ctx, used.entry, plaintext)
	if err == nil {
		err = s.proved(ctx, used, plaintext, ciphertext)
	}
	if err != nil {
		if !errors.Is(err, context.Canceled) {
			s.current.failed(used, err)
			s.requestProbe()
		}
		return nil, err
	}
	answer, err := encryptAnswer(used.entry, ciphertext)
	if err != nil {
		// The probe finds out whether the key or the plaintext is at fault.
		s.requestProbe()
		return nil, err
	}
	s.current.encrypted(used, answer.GetKeyId())
	return answer, nil
}

// proved decrypts the result of the first Encrypt with a version of a key, before the
// API server writes anything with it.
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

// differs is the error of a key that decrypts to something else than was encrypted.
// It is final: nothing may be written with that key.
func differs(entry *kmsring.Entry) error {
	return fault.Fail(fault.ErrInvalid, fmt.Errorf("key %s (%s) does not decrypt to what was encrypted; nothing is written with it until it does; look at what stands between the plugin and the key service", entry.Name, entry.Service()))
}

// endSpan ends the span of a call with a key, whose ID is as the caller chose it.
func endSpan(s *span.Span, keyID string, err error) {
	if s == nil {
		return
	}
	s.Text("lanyard.key_id", message.Cut(keyID, maxKeyID))
	s.Text("lanyard.result", word(err))
	if err != nil {
		s.Fail(word(err))
	}
	s.End()
}

// Decrypt decrypts with the one key that the key ID names.
func (s *service) Decrypt(ctx context.Context, req *kmsapi.DecryptRequest) (*kmsapi.DecryptResponse, error) {
	record := s.record(audit.Decrypt, req.GetUid())
	record.setKeyID(req.GetKeyId())
	ctx, traced := s.tracer.Start(ctx, "decrypt")
	answer, err := s.decryptFor(ctx, req, record)
	endSpan(traced, req.GetKeyId(), err)
	if err := s.recorded(ctx, record, err); err != nil {
		return nil, err
	}
	return answer, nil
}

func (s *service) decryptFor(ctx context.Context, req *kmsapi.DecryptRequest, record *record) (*kmsapi.DecryptResponse, error) {
	version, err := versionOf(req)
	if err != nil {
		return nil, err
	}
	used, err := s.current.hold(func(ring *kmsring.Ring, _ *kmsring.Entry) (*kmsring.Entry, error) {
		return ring.Find(req.GetKeyId(), version)
	})
	if err != nil {
		return nil, err
	}
	defer used.release()
	record.setKey(used)
	ctx, cancel := budget(ctx)
	defer cancel()
	plaintext, err := s.decryptInTurn(ctx, used.entry, key.Ciphertext{Data: req.GetCiphertext(), Version: version})
	s.noteDecrypt(used, req.GetKeyId(), err)
	if err != nil {
		return nil, err
	}
	return &kmsapi.DecryptResponse{Plaintext: plaintext.Reveal()}, nil
}

// noteDecrypt requests a probe if the result of a Decrypt with the current key
// contradicts Status. It changes nothing itself, because a damaged ciphertext fails
// with a healthy key too.
func (s *service) noteDecrypt(used use, keyID string, err error) {
	if keyID != used.keyID || errors.Is(err, fault.ErrInvalid) || errors.Is(err, context.Canceled) {
		return
	}
	if (s.current.lastError() == nil) != (err == nil) {
		s.requestProbe()
	}
}

// lastError returns the error of the last call; nil if it succeeded.
func (c *current) lastError() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}
