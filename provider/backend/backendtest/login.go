package backendtest

import (
	"bytes"
	"errors"
	"testing"

	"github.com/lanyardhq/lanyard/provider/fault"
)

// Logins checks that a damaged answer to a login is no login: it grants nothing, and the
// error is unavailable or unauthenticated. use logs in anew and makes a call, and tells
// whether the call was made. Bodies in more are answered as they are.
func (a Answer) Logins(t *testing.T, answers *Rewriting, more map[string]string, use func(t *testing.T) (used bool, err error)) {
	t.Helper()
	var whole []byte
	answers.Rewrite(func(body []byte) []byte {
		if whole == nil {
			whole = bytes.Clone(body)
		}
		return body
	})
	defer answers.Rewrite(nil)
	if used, err := use(t); err != nil || !used || whole == nil {
		t.Fatalf("with the whole answer: used %v, error %v, %d bytes", used, err, len(whole))
	}
	if len(more) > 0 {
		whole = []byte("{}") // it is not JSON, and more has its fields
	}
	damages, err := a.Damages(whole)
	if err != nil {
		t.Fatal(err)
	}
	for what, body := range more {
		damages = append(damages, Damage{What: what, To: func([]byte) []byte { return []byte(body) }})
	}
	for _, d := range damages {
		answers.Rewrite(d.To)
		used, err := use(t)
		if used || !errors.Is(err, fault.ErrUnavailable) && !errors.Is(err, fault.ErrUnauthenticated) {
			t.Errorf("%s: the credentials were used: %v, error %v", d.What, used, err)
		}
	}
}
