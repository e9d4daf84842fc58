package cmd

import (
	"context"
	"errors"
	"testing"

	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/key"
	"github.com/lanyardhq/lanyard/provider/kmsring/ringtest"
	"github.com/lanyardhq/lanyard/provider/seal"
	"github.com/lanyardhq/lanyard/provider/secret"
)

// At AWS asking for the version takes a right that no policy for sealers gives.
func TestASealerNeedsNoOtherRightToTellWhatIsCurrent(t *testing.T) {
	keys := ringtest.New()
	keys.Fail(func(_ context.Context, _, operation string) error {
		if operation != ringtest.Encrypt {
			return fault.Fail(fault.ErrDenied, errors.New("denied"))
		}
		return nil
	})
	opened, err := keys.Open(key.Settings{Fields: map[string]any{"key": "a"}, ByOperator: true})
	if err != nil {
		t.Fatal(err)
	}
	with, err := seal.NewServiceKey("prod", opened, true)
	if err != nil {
		t.Fatal(err)
	}
	defer with.Close()
	scope := seal.Scope{Cluster: seal.Any(), Namespace: seal.Exact("prod"), ServiceAccount: seal.Any(), Object: seal.Any()}
	made := func() *seal.Sealed {
		text, err := seal.SealWith(t.Context(), with, scope, secret.NewString("v"))
		if err != nil {
			t.Fatal(err)
		}
		sealed, err := seal.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		return sealed
	}
	before := made()
	keys.Rotate("a")
	after := made()
	current := currentOf(with)
	calls := keys.Calls("a", ringtest.Encrypt)
	for range 3 {
		for sealed, want := range map[*seal.Sealed]bool{before: false, after: true} {
			if got, err := current(t.Context(), sealed); err != nil || got != want {
				t.Errorf("current is %v, %v, want %v", got, err, want)
			}
		}
	}
	if n := keys.Calls("a", ringtest.Encrypt) - calls; n != 1 {
		t.Errorf("the key service was asked %d times, want once", n)
	}
}
