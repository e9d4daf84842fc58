package remote

import (
	"errors"

	"github.com/lanyardhq/lanyard/provider/fault"
)

// HasKind reports whether err wraps a kind of package fault other than
// fault.ErrInternal.
func HasKind(err error) bool { return !errors.Is(fault.Of(err).Err, fault.ErrInternal) }

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
