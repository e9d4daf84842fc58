package keytest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/key"
	"github.com/lanyardhq/lanyard/provider/secret"
)

// each calls every remote method and reports its result.
func (s *subject) each(ctx context.Context, as identity.Identity, made key.Ciphertext, report func(what string, err error, returned int)) {
	again, err := s.Encrypt(ctx, as, secret.NewString(text), scope)
	report("Encrypt", err, len(again.Data))
	plain, err := s.Decrypt(ctx, as, made, scope)
	report("Decrypt", err, plain.Len())
	version, err := s.Current(ctx, as)
	report("Current", err, len(version))
}

func others(t *testing.T, s *subject) {
	if len(s.OtherCallers) == 0 {
		t.Fatal("the fixture has no OtherCallers")
	}
	// The right caller comes first: its login must not serve the other one.
	made := s.encrypt(t, []byte(text), scope)
	for who, other := range s.OtherCallers {
		s.each(t.Context(), other, made, func(what string, err error, returned int) {
			s.wantKind(t, what+" as "+who, err, fault.ErrDenied, fault.ErrUnauthenticated)
			if returned != 0 {
				t.Errorf("%s as %s returned %d bytes", what, who, returned)
			}
		})
	}
	s.decrypt(t, made, scope, []byte(text))
}

func cancelled(t *testing.T, s *subject) {
	made := s.encrypt(t, []byte(text), scope)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	begin := time.Now()
	s.each(ctx, s.Identity, made, func(what string, err error, returned int) {
		if !errors.Is(err, context.Canceled) || returned != 0 {
			t.Errorf("%s after cancel: %d bytes, error %v, want context.Canceled", what, returned, err)
		}
		if err != nil {
			s.wantNothingSecret(t, err.Error())
		}
	})
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("the calls took %v after their context had ended", took)
	}
	s.decrypt(t, made, scope, []byte(text))
}

func unreachable(t *testing.T, s *subject) {
	made := s.encrypt(t, []byte(text), scope)
	s.Fail(t)
	wanted := s.FailKinds
	if wanted == nil {
		wanted = []error{fault.ErrUnavailable}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	s.each(ctx, s.Identity, made, func(what string, err error, returned int) {
		s.wantKind(t, what, err, wanted...)
		if returned != 0 {
			t.Errorf("%s returned %d bytes", what, returned)
		}
	})
}

func concurrent(t *testing.T, s *subject) {
	var wg sync.WaitGroup
	for i := range 32 {
		wg.Go(func() {
			plaintext := fmt.Appendf(nil, "%s-%d", text, i)
			bound := key.Context{"namespace": fmt.Sprint(i)}
			made, err := s.Encrypt(t.Context(), s.Identity, secret.New(bytes.Clone(plaintext)), bound)
			if err != nil {
				t.Errorf("Encrypt: %v", err)
				return
			}
			plain, err := s.Decrypt(t.Context(), s.Identity, made, bound)
			if err != nil || !bytes.Equal(plain.Reveal(), plaintext) {
				t.Errorf("Decrypt returned %d bytes, not those of this call, and error %v", plain.Len(), err)
			}
			if _, err := s.Current(t.Context(), s.Identity); err != nil {
				t.Errorf("Current: %v", err)
			}
		})
	}
	wg.Wait()
}

func names(t *testing.T, s *subject) {
	if s.Name() == "" || strings.ContainsAny(s.Name(), "\n\x00") || s.Name() != strings.TrimSpace(s.Name()) {
		t.Errorf("the name %q is not one line of text", s.Name())
	}
	s.wantNothingSecret(t, s.Name())
	s.wantNothingSecret(t, fmt.Sprintf("%v", s.Key))
	if again := open(t, s.Fixture, s.Settings); again.Name() != s.Name() {
		t.Errorf("one key is called %q and %q", s.Name(), again.Name())
	}
	if s.SameKey != nil {
		if again := open(t, s.Fixture, *s.SameKey); again.Name() != s.Name() {
			t.Errorf("one key, spelled in two ways, is called %q and %q", s.Name(), again.Name())
		}
	}
}

func settings(t *testing.T, s *subject) {
	if len(s.InvalidSettings) == 0 {
		t.Fatal("the fixture names no invalid settings")
	}
	for fields, wrong := range s.InvalidSettings {
		opened, err := s.Type.Open(wrong)
		if err == nil {
			opened.Close()
			t.Errorf("Open took settings that are wrong in %s", fields)
			continue
		}
		s.wantKind(t, "settings wrong in "+fields, err, fault.ErrInvalid)
		for _, field := range strings.Fields(fields) {
			if !strings.Contains(err.Error(), field) {
				t.Errorf("the error %q does not name the field %s", err, field)
			}
		}
	}
}

func reopened(t *testing.T, s *subject) {
	first, err := s.Type.Open(s.Settings)
	if err != nil {
		t.Fatal(err)
	}
	closing := &subject{Fixture: s.Fixture, Key: first}
	made := closing.encrypt(t, []byte(text), scope)
	first.Close()
	// A second key with the same settings stays open.
	s.decrypt(t, made, scope, []byte(text))
	again := &subject{Fixture: s.Fixture, Key: open(t, s.Fixture, s.Settings)}
	again.decrypt(t, made, scope, []byte(text))
}

func users(t *testing.T, s *subject) {
	user, says := s.Key.(key.NodeUser)
	if node := key.IsNode(s.Identity); !says || user.UsesNode() != node {
		t.Errorf("it says %v for a key that is for the node: %v", says && user.UsesNode(), node)
	}
}

func nameOnly(t *testing.T, s *subject) {
	made := s.encrypt(t, []byte(text), scope)
	settings := s.Settings
	settings.NameOnly = true
	named := open(t, s.Fixture, settings)
	if named.Name() != s.Name() {
		t.Errorf("it is called %q, and %q when it is opened for its name alone", s.Name(), named.Name())
	}
	_, encrypting := named.Encrypt(t.Context(), s.Identity, secret.New([]byte(text)), scope)
	_, decrypting := named.Decrypt(t.Context(), s.Identity, made, scope)
	_, asking := named.Current(t.Context(), s.Identity)
	for call, err := range map[string]error{"Encrypt": encrypting, "Decrypt": decrypting, "Current": asking} {
		s.wantKind(t, call+" of a name", err, fault.ErrInvalid)
	}
}
