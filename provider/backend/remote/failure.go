package remote

import (
	"errors"
	"slices"

	"github.com/lanyardhq/lanyard/provider/fault"
)

// HasKind is true of an error that wraps one of the kinds that stores and key
// services have.
func HasKind(err error) bool {
	kinds := []error{fault.ErrInvalid, fault.ErrNotFound, fault.ErrUnauthenticated, fault.ErrDenied, fault.ErrUnavailable}
	return slices.ContainsFunc(kinds, func(kind error) bool { return errors.Is(err, kind) })
}

// ClusterFailure gives an error of a question to the cluster the kind that it has
// for whoever reads. That the service account or the node is gone must not pass for
// a missing secret, and what has no kind may pass by itself.
func ClusterFailure(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fault.ErrNotFound):
		return fault.Fail(fault.ErrUnauthenticated, errors.New(err.Error()))
	case HasKind(err):
		return err
	}
	return fault.Fail(fault.ErrUnavailable, errors.New(err.Error()))
}
