package restart

import (
	"fmt"
	"testing"
	"time"
)

func TestTheRegisterOfANamespaceIsBounded(t *testing.T) {
	s := NewSecrets(func() time.Time { return noon })
	for i := range 2 * maxRegistered {
		s.Set("shop", fmt.Sprint("db-", i), value("old"), time.Time{})
	}
	s.Set("other", "db", value("old"), time.Time{})
	if n := len(s.in("shop")); n != maxRegistered || len(s.in("other")) != 1 {
		t.Errorf("%d Secrets, and %d in another namespace", n, len(s.in("other")))
	}
	s.Set("shop", "db-0", value("new"), time.Time{})
	if s.in("shop")["db-0"].versions.digest() != value("new").digest() {
		t.Error("a Secret of a full namespace does not change any more")
	}
	for i := range 2 * maxRegistered {
		s.Delete("shop", fmt.Sprint("db-", i))
	}
	s.Delete("other", "db")
	if len(s.all)+len(s.full) != 0 {
		t.Errorf("%v is kept of Secrets that are gone", s.all)
	}
}
