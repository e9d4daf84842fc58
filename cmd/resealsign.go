package cmd

import (
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/lanyardhq/lanyard/provider/seal"
)

// resigning is what reseal does about signatures. Who signs again vouches for the
// values, so that it takes those that he may trust alone.
type resigning struct {
	signWith string
	sealers  []string
	unsigned bool

	by      *seal.Sealer
	trusted []*seal.SealerKey
}

func (r *resigning) flags(c *cobra.Command) {
	c.Flags().StringVar(&r.signWith, "sign-with", "", "sign again with the private key of a sealer in this `FILE` what that sealer signed")
	c.Flags().StringArrayVar(&r.sealers, "sealer", nil, "with --sign-with, take what the sealer whose public part is in this `FILE` signed too; may be repeated")
	c.Flags().BoolVar(&r.unsigned, "sign-unsigned", false, "with --sign-with, sign what is unsigned too: whoever put it there, you say that it is yours")
}

// read reads the files, and returns the options with which values are sealed.
func (r *resigning) read() ([]seal.Option, error) {
	if r.signWith == "" {
		if len(r.sealers) > 0 || r.unsigned {
			return nil, usagef("--sealer and --sign-unsigned say what is signed again with --sign-with, which is missing")
		}
		return nil, nil
	}
	by, err := seal.ReadSealer(r.signWith)
	if err != nil {
		return nil, usagef("--sign-with: %w", err)
	}
	r.by, r.trusted = by, []*seal.SealerKey{by.Public()}
	for _, file := range r.sealers {
		key, err := seal.ReadSealerKey(file)
		if err != nil {
			return nil, usagef("--sealer: %w", err)
		}
		r.trusted = append(r.trusted, key)
	}
	return []seal.Option{seal.SignedBy(by)}, nil
}

// check refuses a value whose signature would be lost, or that would get one that
// it should not have.
func (r *resigning) check(sealed *seal.Sealed) error {
	id, signed := sealed.Sealer()
	switch {
	case !signed && (r.by == nil || r.unsigned):
		return nil
	case !signed:
		return fmt.Errorf("%w, and would be then; if you know that it is yours, give --sign-unsigned", seal.ErrUnsigned)
	case r.by == nil:
		return fmt.Errorf("is signed by sealer %s, and would be unsigned then; give that sealer's key with --sign-with", id)
	}
	i := slices.IndexFunc(r.trusted, func(key *seal.SealerKey) bool { return key.ID() == id })
	if i < 0 {
		return fmt.Errorf("%w: it is signed by sealer %s; if you trust that one, give the public part with --sealer", seal.ErrUnknownSealer, id)
	}
	return sealed.VerifiedBy(r.trusted[i])
}

// current is true if the value has the signature that it would get.
func (r *resigning) current(sealed *seal.Sealed) bool {
	_, signed := sealed.Sealer()
	return r.by == nil && !signed || r.by != nil && sealed.VerifiedBy(r.by.Public()) == nil
}
