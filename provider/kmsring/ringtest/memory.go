// Package ringtest is a key service in memory for the tests of what stands on
// key rings: its keys rotate, fail, hang and return altered plaintexts on demand, and every call is
// counted. It is for tests alone: its keys end with the process.
//
// Start with New; a ring file names a key with type memory.
package ringtest

import (
	"bytes"
	"context"
	"crypto/cipher"
	"errors"
	"fmt"
	"strconv"
	"sync"

	"github.com/lanyardhq/lanyard/internal/proxy"
	"github.com/lanyardhq/lanyard/internal/strict"
	"github.com/lanyardhq/lanyard/provider/backend/backendtest"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/key"
	"github.com/lanyardhq/lanyard/provider/secret"
)

// The operations that faults and counts know.
const (
	Encrypt = "encrypt"
	Decrypt = "decrypt"
	Current = "current"
)

// Service is a key.Type named memory. Its settings are "key", the key's name,
// "binding", which stands for what decides how ciphertexts are made, and "note",
// which changes nothing.
type Service struct {
	mu    sync.Mutex
	keys  map[string]*keyState
	fault func(ctx context.Context, keyName, operation string) error
	alter func(keyName string, plaintext []byte) []byte
	pad   int
	calls backendtest.Counter // by key and operation
	open  int
	via   proxy.Settings
}

type keyState struct {
	versions []cipher.AEAD
	uses     int          // the version that encrypts; 0 is the newest
	disabled map[int]bool // versions that do not decrypt
}

// New returns a Service without keys; one is made when it is first opened.
func New() *Service {
	return &Service{keys: map[string]*keyState{}}
}

// Name is "memory".
func (*Service) Name() string { return "memory" }

// Open implements key.Type.
func (s *Service) Open(settings key.Settings) (key.Key, error) {
	var fields struct {
		Key  string `yaml:"key"`
		Note string `yaml:"note"`
		// Binding is what Fixed says.
		Binding string `yaml:"binding"`
	}
	if err := strict.DecodeMap(settings.Fields, &fields); err != nil {
		return nil, fault.Fail(fault.ErrInvalid, err)
	}
	if fields.Key == "" || !settings.ByOperator {
		return nil, fault.Fail(fault.ErrInvalid, strict.Problems{{Field: "key", Text: "is missing, or not the operator's"}})
	}
	if settings.NameOnly {
		return key.Named("memory:"+fields.Key, fields.Binding), nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.keys[fields.Key] == nil {
		s.keys[fields.Key] = &keyState{disabled: map[int]bool{}}
		s.rotate(fields.Key)
	}
	s.open++
	s.via = settings.Proxy
	return &memoryKey{service: s, name: fields.Key, binding: fields.Binding}, nil
}

// Proxy is that of the key that was opened last.
func (s *Service) Proxy() proxy.Settings {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.via
}

// Rotate gives the key a new version.
func (s *Service) Rotate(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rotate(name)
}

// Use makes the key encrypt with one of its versions, counted from 1, as a key
// service may whose parts have not all heard of a newer one; 0 is the newest.
func (s *Service) Use(name string, version int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys[name].uses = version
}

// Disable lets a version of the key decrypt nothing any more.
func (s *Service) Disable(name string, version int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys[name].disabled[version] = true
}

// state is the version that the key uses, of so many, and whether another is
// disabled.
func (s *Service) state(name string, of, version int) (uses int, disabled bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if uses = s.keys[name].uses; uses == 0 {
		uses = of
	}
	return uses, s.keys[name].disabled[version]
}

func (s *Service) rotate(name string) {
	s.keys[name].versions = append(s.keys[name].versions, backendtest.NewAEAD())
}

// Fail makes every call first do what fault does and fail with its error, if
// it has one; nil ends it.
func (s *Service) Fail(fault func(ctx context.Context, keyName, operation string) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = fault
}

// AlterPlaintexts makes every Decrypt return the result of alter; nil ends
// it.
func (s *Service) AlterPlaintexts(alter func(keyName string, plaintext []byte) []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.alter = alter
}

// Pad makes ciphertexts longer by n bytes.
func (s *Service) Pad(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pad = n
}

// Calls is how many calls of an operation were made with the key.
func (s *Service) Calls(keyName, operation string) int {
	return s.calls.Calls(keyName + " " + operation)
}

// Opened is how many keys are open.
func (s *Service) Opened() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.open
}

type memoryKey struct {
	service *Service
	name    string
	binding string

	mu     sync.Mutex
	closed bool
}

func (k *memoryKey) Name() string { return "memory:" + k.name }

func (k *memoryKey) Fixed() string { return k.binding }

func (k *memoryKey) Close() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		return
	}
	k.closed = true
	k.service.mu.Lock()
	defer k.service.mu.Unlock()
	k.service.open--
}

// begin counts a call, lets faults happen and returns the key's versions.
func (k *memoryKey) begin(ctx context.Context, as identity.Identity, operation string) ([]cipher.AEAD, error) {
	k.mu.Lock()
	closed := k.closed
	k.mu.Unlock()
	if closed {
		return nil, errors.New("the key was used after it was closed")
	}
	if as.Namespace != "" {
		return nil, fault.Fail(fault.ErrInvalid, errors.New("a memory key is the node's"))
	}
	s := k.service
	s.mu.Lock()
	s.calls.Count(k.name + " " + operation)
	fault := s.fault
	s.mu.Unlock()
	if fault != nil {
		if err := fault(ctx, k.name, operation); err != nil {
			return nil, err
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.keys[k.name].versions, nil
}

func (k *memoryKey) Encrypt(ctx context.Context, as identity.Identity, plaintext secret.Bytes, bound key.Context) (key.Ciphertext, error) {
	if err := key.CheckEncrypt(plaintext, bound); err != nil {
		return key.Ciphertext{}, err
	}
	versions, err := k.begin(ctx, as, Encrypt)
	if err != nil {
		return key.Ciphertext{}, err
	}
	version, _ := k.service.state(k.name, len(versions), 0)
	aead := versions[version-1]
	nonce := backendtest.Random(aead.NonceSize())
	k.service.mu.Lock()
	pad := k.service.pad
	k.service.mu.Unlock()
	data := fmt.Appendf(nil, "v%d:%d:", version, pad)
	data = append(data, make([]byte, pad)...)
	data = append(data, nonce...)
	return key.Ciphertext{Data: aead.Seal(data, nonce, plaintext.Reveal(), bound.Canonical()), Version: strconv.Itoa(version)}, nil
}

func (k *memoryKey) Decrypt(ctx context.Context, as identity.Identity, ciphertext key.Ciphertext, bound key.Context) (secret.Bytes, error) {
	if err := key.CheckDecrypt(ciphertext, bound); err != nil {
		return secret.Bytes{}, err
	}
	versions, err := k.begin(ctx, as, Decrypt)
	if err != nil {
		return secret.Bytes{}, err
	}
	wrong := fault.Fail(fault.ErrInvalid, errors.New("not a ciphertext of this key and context"))
	var version, pad int
	if _, err := fmt.Sscanf(string(ciphertext.Data), "v%d:%d:", &version, &pad); err != nil || version < 1 || version > len(versions) || pad < 0 {
		return secret.Bytes{}, wrong
	}
	if _, disabled := k.service.state(k.name, len(versions), version); disabled {
		return secret.Bytes{}, fault.Fail(fault.ErrInvalid, errors.New("the version is disabled"))
	}
	if ciphertext.Version != "" && ciphertext.Version != strconv.Itoa(version) {
		return secret.Bytes{}, wrong
	}
	head := fmt.Appendf(nil, "v%d:%d:", version, pad)
	aead := versions[version-1]
	if !bytes.HasPrefix(ciphertext.Data, head) || len(ciphertext.Data) < len(head)+pad+aead.NonceSize() {
		return secret.Bytes{}, wrong
	}
	rest := ciphertext.Data[len(head)+pad:]
	plaintext, err := aead.Open(nil, rest[:aead.NonceSize()], rest[aead.NonceSize():], bound.Canonical())
	if err != nil {
		return secret.Bytes{}, wrong
	}
	k.service.mu.Lock()
	alter := k.service.alter
	k.service.mu.Unlock()
	if alter != nil {
		plaintext = alter(k.name, plaintext)
	}
	return secret.New(plaintext), nil
}

func (k *memoryKey) Current(ctx context.Context, as identity.Identity) (string, error) {
	versions, err := k.begin(ctx, as, Current)
	if err != nil {
		return "", err
	}
	return strconv.Itoa(len(versions)), nil
}
