package cmd

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/lanyardhq/lanyard/provider/atomicfile"
	"github.com/lanyardhq/lanyard/provider/seal"
)

// keygenFlags are the flags of keygen.
type keygenFlags struct {
	out, publicOut, cluster, retire string
	rotate, export                  bool
	sealer                          string
}

func newKeygen() *cobra.Command {
	var flags keygenFlags
	c := &cobra.Command{
		Use:   "keygen --out FILE",
		Short: "Make, rotate and retire the keys of sealed values",
		Long: `Make a key ring for sealed values, or change one.

The key ring is a plain local key file, which is for development: whoever reads
it can open every value that was ever sealed to its keys. It is written with
mode 0600 and never over a file that exists. --public-out writes its public
part, which developers seal to and which may be committed to Git.

Rotation adds a new key that values are sealed to from then on; the old key
still opens what was sealed to it. Retiring removes an old key for good: what
was sealed to it cannot be opened any more, and is refused as retired.`,
		Example: `  # a new key ring for the cluster "dev", and its public part
  lanyard keygen --out ring.yaml --cluster dev --public-out public.yaml

  # a new write key; hand the new public part to the developers
  lanyard keygen --out ring.yaml --rotate --public-out public.yaml

  # once all values are sealed to the new key
  lanyard keygen --out ring.yaml --retire 5d1f0c77a1b2c3d4e5f60718293a4b5c

  # the public part once more
  lanyard keygen --out ring.yaml --export --public-out public.yaml

  # the key of a sealer, whose signature an operator may demand
  lanyard keygen --sealer ci --out sealer.yaml --public-out sealer-public.yaml`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error { return runKeygen(c, flags) },
	}
	c.Flags().StringVar(&flags.out, "out", "", "the key ring `FILE`: new, or the one to change")
	c.Flags().StringVar(&flags.publicOut, "public-out", "", "write the public part to this `FILE`")
	c.Flags().StringVar(&flags.cluster, "cluster", "", "the `NAME` of the cluster in the provider's configuration; sealing takes it from the public part")
	c.Flags().StringVar(&flags.sealer, "sealer", "", "make the key of a sealer with this `NAME` instead, which signs values for lanyard seal --sign-with")
	c.Flags().BoolVar(&flags.rotate, "rotate", false, "add a new write key to an existing key ring")
	c.Flags().StringVar(&flags.retire, "retire", "", "remove the private part of the key with this `ID`")
	c.Flags().BoolVar(&flags.export, "export", false, "only write the public part of an existing key ring")
	return c
}

// noArguments refuses arguments with exitUsage.
func noArguments(c *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usagef("%s takes no arguments; see %s --help", c.CommandPath(), c.CommandPath())
	}
	return nil
}

func runKeygen(c *cobra.Command, flags keygenFlags) error {
	if flags.sealer != "" {
		return newSealerKey(c, flags)
	}
	changes := 0
	for _, set := range []bool{flags.rotate, flags.retire != "", flags.export} {
		if set {
			changes++
		}
	}
	switch {
	case flags.out == "":
		return usagef("--out is missing; give the key ring's file")
	case changes > 1:
		return usagef("--rotate, --retire and --export do one thing each; give one of them")
	case changes > 0 && flags.cluster != "":
		return usagef("--cluster is for a new key ring; an existing one keeps its cluster")
	case flags.export && flags.publicOut == "":
		return usagef("--export writes the public part; say where with --public-out")
	}
	if changes == 0 {
		return newKeyRing(c, flags)
	}
	return changeKeyRing(c, flags)
}

func newKeyRing(c *cobra.Command, flags keygenFlags) error {
	exists := usagef("%s exists, and a new key ring in its place would lose its keys; use --rotate for a new key in it, --export for its public part, or another file", flags.out)
	if _, err := os.Lstat(flags.out); err == nil {
		return exists
	}
	ring, err := seal.NewKeyRing(flags.cluster, time.Now())
	if err != nil {
		return usagef("--cluster: %w", err)
	}
	if err := mayWritePublic(flags.publicOut, ring); err != nil {
		return err
	}
	data, err := ring.Marshal()
	if err != nil {
		return err
	}
	if err := atomicfile.Create(flags.out, data.Reveal(), 0o600); errors.Is(err, fs.ErrExist) {
		return exists
	} else if err != nil {
		return err
	}
	fmt.Fprintf(c.OutOrStdout(), "key ring:   %s (a plain local key file, for development)\n", flags.out)
	if flags.cluster == "" {
		fmt.Fprintln(c.ErrOrStderr(), "note: without --cluster, seal has to be told for which cluster each value is")
	}
	return writePublic(c, flags.publicOut, ring)
}

func changeKeyRing(c *cobra.Command, flags keygenFlags) error {
	ring, err := seal.ReadKeyRing(flags.out)
	if err != nil {
		return usagef("%w", err)
	}
	done := ""
	switch {
	case flags.rotate:
		done = fmt.Sprintf("key %s only opens values from now on\n", ring.Public().ID())
		ring, err = ring.Rotate(time.Now())
	case flags.retire != "":
		var id seal.KeyID
		if id, err = seal.ParseKeyID(flags.retire); err != nil {
			return usagef("--retire: %w", err)
		}
		done = fmt.Sprintf("key %s is retired: what was sealed to it cannot be opened any more\n", id)
		ring, err = ring.Retire(id)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", flags.out, err)
	}
	if err := mayWritePublic(flags.publicOut, ring); err != nil {
		return err
	}
	if !flags.export {
		data, err := ring.Marshal()
		if err != nil {
			return err
		}
		if err := atomicfile.Replace(flags.out, data.Reveal(), 0o600); err != nil {
			return err
		}
	}
	fmt.Fprintf(c.OutOrStdout(), "key ring:   %s\n%s", flags.out, done)
	return writePublic(c, flags.publicOut, ring)
}

// mayWritePublic refuses to replace a file that is not this ring's public part,
// before anything is written.
func mayWritePublic(path string, ring *seal.KeyRing) error {
	if path == "" {
		return nil
	}
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	public, err := seal.ReadPublicKey(path)
	if err != nil {
		return usagef("--public-out: %s exists and is no public key; give another file", path)
	}
	if !slices.ContainsFunc(ring.Keys(), func(key seal.Key) bool { return key.ID == public.ID() }) {
		return usagef("--public-out: %s is the public key %s, which is not of this key ring; give another file", path, public.ID())
	}
	return nil
}

func writePublic(c *cobra.Command, path string, ring *seal.KeyRing) error {
	fmt.Fprintf(c.OutOrStdout(), "write key:  %s\n", ring.Public().ID())
	if path == "" {
		return nil
	}
	data := ring.Public().Marshal()
	err := atomicfile.Create(path, data, 0o644)
	if errors.Is(err, fs.ErrExist) {
		err = atomicfile.Replace(path, data, 0)
	}
	if err != nil {
		return fmt.Errorf("the key ring is written, its public part is not: %w", err)
	}
	fmt.Fprintf(c.OutOrStdout(), "public key: %s (may be committed to Git)\n", path)
	return nil
}
