package fault

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"google.golang.org/grpc/codes"
)

// The order in which a mount's failures decide its code is part of the contract.
func TestTableOrder(t *testing.T) {
	want := []error{ErrInternal, ErrPrecondition, ErrInvalid, ErrUnauthenticated, ErrDenied, ErrNotFound, ErrTooLarge, ErrUnavailable}
	for i, kind := range kinds {
		if !errors.Is(kind.Err, want[i]) {
			t.Errorf("row %d is %v, want %v", i, kind.Err, want[i])
		}
		for j := range kinds {
			if got := First(kinds[j].Err, kind.Err).Err; !errors.Is(got, want[min(i, j)]) {
				t.Errorf("%v and %v: the first is %v", kinds[j].Err, kind.Err, got)
			}
		}
	}
	if len(kinds) != len(want) {
		t.Errorf("the table has %d rows, want %d", len(kinds), len(want))
	}
}

func TestRowsAreComplete(t *testing.T) {
	keepsDirectory := []codes.Code{codes.OK, codes.Unavailable, codes.ResourceExhausted, codes.Aborted, codes.Canceled, codes.DeadlineExceeded}
	for _, kind := range kinds {
		if kind.Word == "" || kind.KMS == codes.OK || slices.Contains(keepsDirectory, kind.CSI) {
			t.Errorf("%v: %+v", kind.Err, kind)
		}
		if kind.StaleOK != errors.Is(kind.Err, ErrUnavailable) {
			t.Errorf("%v: an older value stands in: %v", kind.Err, kind.StaleOK)
		}
		if of := Of(fmt.Errorf("object 1: %w", Fail(kind.Err, errors.New("x")))); of != kind {
			t.Errorf("%v: a wrapped error is %v", kind.Err, of.Err)
		}
	}
}

func TestUnknownErrorIsInternal(t *testing.T) {
	for _, err := range []error{nil, errors.New("x"), context.Canceled} {
		if got := Of(err).Err; !errors.Is(got, ErrInternal) {
			t.Errorf("%v is %v", err, got)
		}
	}
}
