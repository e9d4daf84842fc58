package keytest

import (
	"bytes"
	"context"
	"testing"

	"github.com/lanyardhq/lanyard/provider/backend/backendtest"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/key"
	"github.com/lanyardhq/lanyard/provider/secret"
)

// Answers are the means to damage what the key service's server answers.
type Answers struct {
	// Settings are the key without retries.
	Settings key.Settings
	// Rewrite has the body of each successful answer to a call with the key pass
	// through change, until it is called with nil. Bodies are JSON; those of another
	// protocol are turned into it and back.
	Rewrite func(change func(body []byte) []byte)
	// Values, Free and Others are those of backendtest.Answer. Others are the texts
	// that name the key, with those of another key.
	Values, Free []string
	Others       map[string]string
	// OtherVersions are the texts that name the version of a ciphertext in an answer to
	// Decrypt, with those of another version, for a server that tells it. What an
	// answer to Decrypt may lack, it may still not say otherwise. Nobody but the server
	// knows which version encrypts.
	OtherVersions func(made key.Ciphertext) map[string]string
	// Throttled are the ways in which the server refuses too many calls: those with the
	// key, and those that log in.
	Throttled backendtest.Throttling
}

// NoServer are the Answers of a key that can fail and has no server, or one whose
// answers another test damages.
var NoServer = &Answers{}

// answers checks that an answer that is not whole, or is another key's, is no answer: it
// never becomes a ciphertext that cannot be decrypted, or another plaintext.
func answers(t *testing.T, s *subject) {
	a := s.Answers
	if a == nil && s.Fail != nil {
		t.Fatal("the fixture of a key that has a server has no Answers")
	}
	if a == nil || a == NoServer {
		return
	}
	s = &subject{Fixture: s.Fixture, Key: open(t, s.Fixture, a.Settings)}
	made := s.encrypt(t, []byte(text), scope)
	current := s.current(t)

	known := backendtest.Answer{Values: a.Values, Free: a.Free, Others: a.Others}
	versions := map[string]string{}
	if a.OtherVersions != nil {
		versions = a.OtherVersions(made)
	}
	// Each check says what is wrong with what a damaged answer became.
	calls := []struct {
		what    string
		answers []backendtest.Answer
		call    func(ctx context.Context) (check func() string, err error)
	}{
		{"Encrypt", []backendtest.Answer{known}, func(ctx context.Context) (func() string, error) {
			got, err := s.Encrypt(ctx, s.Identity, secret.New([]byte(text)), scope)
			if err != nil {
				return func() string { return nothing(len(got.Data)) }, err
			}
			return func() string {
				plain, err := s.Decrypt(ctx, s.Identity, got, scope)
				if err != nil || plain.RevealString() != text || got.Version != made.Version {
					return "the ciphertext cannot be decrypted, or has another version"
				}
				return ""
			}, nil
		}},
		{"Decrypt", []backendtest.Answer{known, {Values: a.Values, Others: versions}}, func(ctx context.Context) (func() string, error) {
			plain, err := s.Decrypt(ctx, s.Identity, made, scope)
			if err != nil {
				return func() string { return nothing(plain.Len()) }, err
			}
			return func() string {
				if plain.RevealString() != text {
					return "the plaintext is another one"
				}
				return ""
			}, nil
		}},
		{"Current", []backendtest.Answer{known}, func(ctx context.Context) (func() string, error) {
			version, err := s.Current(ctx, s.Identity)
			if err != nil {
				return func() string { return nothing(len(version)) }, err
			}
			return func() string {
				if version != current {
					return "the version is another one"
				}
				return ""
			}, nil
		}},
	}
	for _, c := range calls {
		t.Run(c.what, func(t *testing.T) {
			var whole []byte
			a.Rewrite(func(body []byte) []byte {
				if whole == nil {
					whole = bytes.Clone(body)
				}
				return body
			})
			defer a.Rewrite(nil)
			if check, err := c.call(t.Context()); err != nil || check() != "" {
				t.Fatalf("with the whole answer: error %v", err)
			}
			if whole == nil {
				t.Fatal("no answer passed through Rewrite")
			}
			for _, answer := range c.answers {
				damages, err := answer.Damages(whole)
				if err != nil {
					t.Fatal(err)
				}
				for _, d := range damages {
					a.Rewrite(d.To)
					check, err := c.call(t.Context())
					a.Rewrite(nil)
					if err != nil {
						s.wantKind(t, d.What, err, fault.ErrUnavailable)
					}
					if err == nil && d.Another {
						t.Errorf("%s: another key's answer was taken", d.What)
					}
					if wrong := check(); wrong != "" {
						t.Errorf("%s: %s", d.What, wrong)
					}
				}
			}
			if check, err := c.call(t.Context()); err != nil || check() != "" {
				t.Errorf("after the damaged answers: error %v", err)
			}
		})
	}
}

// throttled checks what a call does while the server has too many calls.
func throttled(t *testing.T, s *subject) {
	if s.Answers == nil || s.Answers == NoServer {
		return
	}
	if len(s.Answers.Throttled) == 0 {
		t.Fatal("the fixture of a key that has a server has no Throttled")
	}
	s.Answers.Throttled.Check(t, func(t *testing.T) (backendtest.Throttling, func(context.Context) error) {
		f := s.again(t)
		opened := open(t, f, f.Answers.Settings)
		return f.Answers.Throttled, func(ctx context.Context) error {
			_, err := opened.Encrypt(ctx, f.Identity, secret.New([]byte(text)), scope)
			return err
		}
	})
}

func nothing(size int) string {
	if size != 0 {
		return "there is an error, and data too"
	}
	return ""
}
