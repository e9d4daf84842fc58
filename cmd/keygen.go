package cmd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/lanyardhq/lanyard/internal/atomicfile"
	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/provider/manifest/reseal"
	"github.com/lanyardhq/lanyard/provider/seal"
)

// keygenFlags are the flags of keygen.
type keygenFlags struct {
	out, publicOut, cluster, retire, key string
	paths                                []string // to look through before a key is retired
	yes                                  bool
	rotate, export, wrap                 bool
	sealer                               string
}

func newKeygen() *cobra.Command {
	var flags keygenFlags
	c := &cobra.Command{
		Use:   "keygen --out FILE [PATH...]",
		Short: "Make, rotate and retire the keys of sealed values",
		Long: `Make a key ring for sealed values, or change one.

With --key the private keys are wrapped by a key of a key service, which the file
names as for lanyard seal --key; you need the right to encrypt with it, the nodes
that to decrypt. Without it the ring is a plain local key file, which is for
development: whoever reads it can open every value that was ever sealed to its
keys. A ring is written with mode 0600 and never over a file that exists.
--public-out writes its public part, which developers seal to and which may be
committed to Git.

Rotation adds a new key that values are sealed to from then on; the old key
still opens what was sealed to it. Retiring removes an old key for good: what
was sealed to it cannot be opened any more, and is refused as retired. The files
and folders that are named are looked through first, and a key that a value there
needs stays. At a terminal the command asks before it retires a key; elsewhere it
wants --yes. --wrap makes a wrapped ring of a plain one. A lock serialises
concurrent changes to one ring.`,
		Example: `  # a new key ring for the cluster "dev", and its public part
  lanyard keygen --out ring.yaml --cluster dev --public-out public.yaml

  # the same, wrapped by a key of a key service
  lanyard keygen --out ring.yaml --cluster dev --public-out public.yaml --key seal-key.yaml

  # wrap a plain ring; destroy its copies, and rotate
  lanyard keygen --out ring.yaml --wrap --key seal-key.yaml

  # a new write key; hand the new public part to the developers
  lanyard keygen --out ring.yaml --rotate --public-out public.yaml

  # once all values are sealed to the new key
  lanyard keygen --out ring.yaml --retire 5d1f0c77a1b2c3d4e5f60718293a4b5c deploy/

  # the public part once more
  lanyard keygen --out ring.yaml --export --public-out public.yaml

  # the key of a sealer, whose signature an operator may demand
  lanyard keygen --sealer ci --out sealer.yaml --public-out sealer-public.yaml`,
		Args: func(c *cobra.Command, args []string) error {
			if flags.retire != "" {
				return nil
			}
			return noArguments(c, args)
		},
		ValidArgsFunction: manifests,
		RunE: func(c *cobra.Command, paths []string) error {
			flags.paths = paths
			return runKeygen(c, flags)
		},
	}
	c.Flags().StringVar(&flags.out, "out", "", "the key ring `FILE`: new, or the one to change")
	c.Flags().StringVar(&flags.publicOut, "public-out", "", "write the public part to this `FILE`")
	c.Flags().StringVar(&flags.cluster, "cluster", "", "the `NAME` of the cluster in the provider's configuration; sealing takes it from the public part")
	c.Flags().StringVar(&flags.sealer, "sealer", "", "make the key of a sealer with this `NAME` instead, which signs values for lanyard seal --sign-with")
	c.Flags().StringVar(&flags.key, "key", "", "wrap private keys with the key of a key service that this `FILE` names")
	c.Flags().BoolVar(&flags.wrap, "wrap", false, "wrap the private keys of an existing plain key ring, with --key")
	c.Flags().BoolVar(&flags.rotate, "rotate", false, "add a new write key to an existing key ring")
	c.Flags().StringVar(&flags.retire, "retire", "", "remove the private part of the key with this `ID`")
	c.Flags().BoolVar(&flags.yes, "yes", false, "retire without a question")
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
	for _, set := range []bool{flags.rotate, flags.retire != "", flags.export, flags.wrap} {
		if set {
			changes++
		}
	}
	switch {
	case flags.out == "":
		return usagef("--out is missing; give the key ring's file")
	case changes > 1:
		return usagef("--rotate, --retire, --export and --wrap do one thing each; give one of them")
	case changes > 0 && flags.cluster != "":
		return usagef("--cluster is for a new key ring; an existing one keeps its cluster")
	case flags.wrap && flags.key == "":
		return usagef("--wrap wraps with a key of a key service; say which with --key")
	case flags.key != "" && (flags.retire != "" || flags.export):
		return usagef("--retire and --export ask no key service; leave out --key")
	case flags.export && flags.publicOut == "":
		return usagef("--export writes the public part; say where with --public-out")
	}
	if err := apart(flags.out, flags.publicOut); err != nil {
		return err
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
	kind := "a plain local key file, for development"
	if flags.key != "" {
		if ring, err = flags.wrapped(c, ring); err != nil {
			return err
		}
		kind = "wrapped by key " + ring.WrappedBy()
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
	fmt.Fprintf(c.OutOrStdout(), "key ring:   %s (%s)\n", flags.out, kind)
	if flags.cluster == "" {
		fmt.Fprintln(c.ErrOrStderr(), "note: without --cluster, each seal command has to name the cluster")
	}
	return writePublic(c, flags.publicOut, ring)
}

// lockTime is how long a command waits for another that changes the same file.
const lockTime = 30 * time.Second

func changeKeyRing(c *cobra.Command, flags keygenFlags) error {
	ctx, cancel := context.WithTimeout(c.Context(), lockTime)
	defer cancel()
	unlock, err := atomicfile.Lock(ctx, flags.out)
	if err != nil {
		return usageError{err}
	}
	defer unlock()
	ring, err := seal.ReadKeyRing(flags.out)
	if err != nil {
		return usagef("%w", err)
	}
	changed, done, err := flags.change(c, ring)
	if err != nil {
		return err
	}
	if err := mayWritePublic(flags.publicOut, changed); err != nil {
		return err
	}
	if !flags.export {
		data, err := changed.Marshal()
		if err != nil {
			return err
		}
		if err := atomicfile.Replace(flags.out, data.Reveal(), 0o600); err != nil {
			return err
		}
	}
	fmt.Fprintf(c.OutOrStdout(), "key ring:   %s\n%s", flags.out, done)
	return writePublic(c, flags.publicOut, changed)
}

// change returns the ring as the flags want it, and says what became of it.
func (f *keygenFlags) change(c *cobra.Command, ring *seal.KeyRing) (changed *seal.KeyRing, done string, err error) {
	switch {
	case f.wrap:
		if ring.WrappedBy() != "" {
			return nil, "", usagef("%s is wrapped by key %s already; --rotate wraps a new key under its newest version", f.out, ring.WrappedBy())
		}
		changed, err = f.wrapped(c, ring)
		return changed, "the private keys are wrapped; destroy every copy of the plain file, and rotate: who had one still has the keys\n", err
	case f.rotate:
		changed, err = f.rotated(c, ring)
		return changed, fmt.Sprintf("key %s only opens values from now on\n", ring.Public().ID()), err
	case f.retire != "":
		id, err := seal.ParseKeyID(f.retire)
		if err != nil {
			return nil, "", usagef("--retire: %w", err)
		}
		if changed, err = ring.Retire(id); err != nil {
			return nil, "", fmt.Errorf("%s: %w", f.out, err)
		}
		if err := f.unneeded(c, id); err != nil {
			return nil, "", err
		}
		return changed, fmt.Sprintf("key %s is retired: what was sealed to it cannot be opened any more\n", id), nil
	}
	return ring, "", nil
}

// unneeded is nil if no value in the paths needs the key, and nobody says no.
func (f *keygenFlags) unneeded(c *cobra.Command, id seal.KeyID) error {
	question := fmt.Sprintf("Retire key %s for good? What is sealed to it cannot be opened any more, wherever it is.", id)
	if len(f.paths) > 0 {
		files, err := reseal.Find(stdin(c), f.paths)
		if err != nil {
			return usageError{err}
		}
		places, err := reseal.Using(files, id)
		if err != nil {
			return err
		}
		if len(places) > 0 {
			return fmt.Errorf("%s still sealed to key %s; seal them to the new one with lanyard reseal: %s", are(len(places), "value"), id, message.Names(places, func(place string) string { return place }))
		}
	}
	return confirm(c, question, f.yes)
}

// are is a count of things with its verb.
func are(n int, what string) string {
	if n == 1 {
		return "1 " + what + " is"
	}
	return fmt.Sprintf("%d %ss are", n, what)
}

// rotated returns the ring with a new write key, which is wrapped if the others
// are.
func (f *keygenFlags) rotated(c *cobra.Command, ring *seal.KeyRing) (*seal.KeyRing, error) {
	wrapper := ring.WrappedBy()
	switch {
	case wrapper != "" && f.key == "":
		return nil, usagef("%s is wrapped by key %s of a key service, and so will be its new key; give the file that names it with --key", f.out, wrapper)
	case wrapper == "" && f.key != "":
		return nil, usagef("%s is a plain key ring; wrap it first, with --wrap --key", f.out)
	}
	rotated, err := ring.Rotate(time.Now())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.out, err)
	}
	if wrapper == "" {
		return rotated, nil
	}
	return f.wrapped(c, rotated)
}

// wrapped returns the ring with its private keys wrapped by the key of --key.
func (f *keygenFlags) wrapped(c *cobra.Command, ring *seal.KeyRing) (*seal.KeyRing, error) {
	with, err := seal.ReadServiceKey(f.key, personKeyTypes())
	if err != nil {
		return nil, usageError{err}
	}
	defer with.Close()
	wrapped, err := ring.Wrap(c.Context(), with)
	if err != nil {
		return nil, sealingFailed(err)
	}
	return wrapped, nil
}

// apart refuses two flags that lead to one file, be it there yet or not: what is
// written second would take the place of the private keys.
func apart(out, publicOut string) error {
	if publicOut == "" {
		return nil
	}
	first, firstErr := os.Stat(out)
	second, secondErr := os.Stat(publicOut)
	if firstErr == nil && secondErr == nil && os.SameFile(first, second) || place(out) == place(publicOut) {
		return usagef("--out and --public-out are both %s; give the public part a file of its own", out)
	}
	return nil
}

// place is where a path leads, by whatever links its folder is reached.
func place(path string) string {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return path
	}
	folder, err := filepath.EvalSymlinks(filepath.Dir(absolute))
	if err != nil {
		return absolute
	}
	return filepath.Join(folder, filepath.Base(absolute))
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
		if err = mayWritePublic(path, ring); err == nil {
			err = atomicfile.Replace(path, data, 0)
		}
	}
	if err != nil {
		return fmt.Errorf("the key ring is written, its public part is not: %w", err)
	}
	fmt.Fprintf(c.OutOrStdout(), "public key: %s (may be committed to Git)\n", path)
	return nil
}
