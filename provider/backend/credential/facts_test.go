package credential_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lanyardhq/lanyard/provider/backend/credential"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/identity"
)

// annotated is a cluster whose service accounts all have one annotation.
type annotated struct {
	text  string
	err   error
	asked int
}

func (a *annotated) Annotation(context.Context, string, string, string) (string, error) {
	a.asked++
	return a.text, a.err
}

func TestAnAnnotationIsKeptUnlessItIsWrong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		facts := credential.NewFacts(nil)
		defer facts.Close()
		as := identity.Identity{Namespace: "shop", ServiceAccount: "web"}
		cluster := &annotated{text: "wrong"}
		read := func() (string, error) {
			return facts.Annotation(t.Context(), cluster, as, "role", func(text string) error {
				if text == "wrong" {
					return credential.WrongAnnotation(as, "role", "must be a role")
				}
				return nil
			})
		}
		const told = "the annotation role of service account web in namespace shop must be a role"
		if _, err := read(); !errors.Is(err, fault.ErrInvalid) || err.Error() != told {
			t.Errorf("%v, want %s", err, told)
		}
		cluster.text = "reader" // fixed
		for range 3 {
			if role, err := read(); role != "reader" || err != nil {
				t.Errorf("%q, %v", role, err)
			}
		}
		if cluster.asked != 2 {
			t.Errorf("the cluster was asked %d times, want 2", cluster.asked)
		}
		time.Sleep(5 * time.Minute)
		cluster.err = fault.ErrNotFound // which must not pass for a missing secret
		if _, err := read(); !errors.Is(err, fault.ErrUnauthenticated) || errors.Is(err, fault.ErrNotFound) {
			t.Errorf("%v, want %v", err, fault.ErrUnauthenticated)
		}
	})
}
