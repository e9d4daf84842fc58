package aws

import (
	"context"
	"errors"
	"slices"

	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/internal/strict"
	"github.com/lanyardhq/lanyard/provider/backend/remote"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/identity"
)

// When further regions are asked for what the first has: once a day for each identity and
// secret, which fails nothing; with each read, which then fails if one refuses; or never.
const (
	checkDaily  = "daily"
	checkAlways = "always"
	checkNever  = "never"
)

// storeSettings are those of a store that keeps values.
type storeSettings struct {
	Settings `yaml:",inline"`

	FailoverCheck string `yaml:"failoverCheck"`
}

func (s *storeSettings) check(byOperator bool, problems *remote.Problems) {
	s.Check(byOperator, problems)
	if checks := []string{checkDaily, checkAlways, checkNever}; !slices.Contains(checks, s.FailoverCheck) {
		problems.Add("failoverCheck", "%s", strict.Unknown("check", message.Excerpt(s.FailoverCheck), checks))
	}
}

// AlwaysChecksFailover says that each read asks the further regions too.
func (a *Access) AlwaysChecksFailover() bool {
	return a.failoverCheck == checkAlways && len(a.settings.FailoverRegions) > 0
}

// ChecksFailover says that the further regions are to be asked now and then.
func (a *Access) ChecksFailover() bool {
	return a.failoverCheck == checkDaily && len(a.settings.FailoverRegions) > 0
}

// Get makes a call for a value, as Call does. If each read asks the further regions too,
// what one of those refuses or lacks fails it; one that is unavailable does not.
func Get[V any](ctx context.Context, a *Access, as identity.Identity, what string, call func(context.Context, Target) (V, error)) (value V, err error) {
	err = a.Call(ctx, as, what, func(ctx context.Context, target Target) (err error) {
		value, err = call(ctx, target)
		return err
	})
	if err == nil && a.AlwaysChecksFailover() {
		if err = CheckFailover(ctx, a, as, what, call); errors.Is(err, fault.ErrUnavailable) {
			err = nil
		}
	}
	return value, err
}

// CheckFailover makes a call for a value once in each further region, and returns the
// first error that tells of a refusal, else one of a region that is unavailable.
func CheckFailover[V any](ctx context.Context, a *Access, as identity.Identity, what string, call func(context.Context, Target) (V, error)) error {
	regions, err := a.regions(ctx)
	if err != nil {
		return err
	}
	var unavailable error
	for i := 1; i < len(regions); i++ {
		failed := a.inRegion(ctx, as, regions, i, 1, 0, func(ctx context.Context, target Target) error {
			_, err := call(ctx, target)
			return err
		})
		switch {
		case failed == nil:
			continue
		case failed.everywhere:
			failed.Text = what + ": " + failed.Text
		default:
			failed.Text = what + " in " + regions[i] + ": " + failed.Text
		}
		if !errors.Is(failed, fault.ErrUnavailable) {
			return failed
		}
		unavailable = failed
	}
	return unavailable
}
