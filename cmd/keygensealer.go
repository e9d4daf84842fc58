package cmd

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"github.com/lanyardhq/lanyard/internal/atomicfile"
	"github.com/lanyardhq/lanyard/provider/seal"
)

// newSealerKey makes a sealer's key and writes both of its files, or neither.
func newSealerKey(c *cobra.Command, flags keygenFlags) error {
	switch {
	case flags.rotate || flags.retire != "" || flags.export || flags.wrap || flags.key != "" || flags.cluster != "":
		return usagef("--sealer makes the key of a sealer, which belongs to no cluster and has no older keys; to replace one, make another and let the operator trust both for a while")
	case flags.out == "":
		return usagef("--out is missing; give the file for the sealer's private key")
	case flags.publicOut == "":
		return usagef("--public-out is missing; give the file for the sealer's public part, which the operator needs")
	}
	sealer, err := seal.NewSealer(flags.sealer)
	if err != nil {
		return usagef("--sealer: %w", err)
	}
	if err := apart(flags.out, flags.publicOut); err != nil {
		return err
	}
	if _, err := os.Lstat(flags.out); err == nil {
		return notOver(flags.out)
	}
	// The public part first: if the private one cannot be written all the same,
	// nothing that matters is left.
	if err := createNew(flags.publicOut, sealer.Public().Marshal(), 0o644); err != nil {
		return err
	}
	if err := createNew(flags.out, sealer.Marshal().Reveal(), 0o600); err != nil {
		return err
	}
	_, err = fmt.Fprintf(c.OutOrStdout(), "sealer:     %s (private: whoever has it seals as %s)\npublic:     %s\nsealer id:  %s\n",
		flags.out, flags.sealer, flags.publicOut, sealer.Public().ID())
	return err
}

// createNew writes a file that must not exist.
func createNew(path string, data []byte, mode fs.FileMode) error {
	err := atomicfile.Create(path, data, mode)
	if errors.Is(err, fs.ErrExist) {
		return notOver(path)
	}
	return err
}

func notOver(path string) error {
	return usagef("%s exists, and is not written over; give another file", path)
}
