package cmd

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/seal"
	"github.com/lanyardhq/lanyard/provider/secret"
)

// unsealFlags are the flags of unseal.
type unsealFlags struct {
	keyRing, key, file, object string
	as                         identity.Identity
	ignoreScope                bool
	sealers                    []string
	audit                      string
}

func newUnseal() *cobra.Command {
	var flags unsealFlags
	c := &cobra.Command{
		Use:   "unseal [--key-ring FILE] [--key FILE] [TEXT]",
		Short: "Open a sealed value as the holder of its key",
		Long: `Open a sealed value and print it, byte for byte, to standard output. The text
is the argument, or is read from --file or standard input.

The flags say which workload's place to take, and the value's scope is checked
as the provider would check it, so that unseal answers whether that workload
gets the value. The cluster is the key's unless --cluster says otherwise. With
--ignore-scope the holder of the key opens a value whatever it is sealed for and
whenever it expired.

With --sealer the value must be signed by one of these sealers, as the operator's
configuration may demand it; else no signature is looked at.

With --key the key service is asked with your own credentials, for values that
were sealed with it and for the private keys of a key ring that it wraps, and not
with the workload's: whether the key service lets the workload open the value is for its
policies to say.`,
		Example: `  # would the service account web get it?
  lanyard unseal --key-ring ring.yaml -n prod --service-account web --name db/password < sealed.txt

  # what is in it?
  lanyard unseal --key-ring ring.yaml --ignore-scope lanyard.v1.AQFd...

  # of a key service
  lanyard unseal --key seal-key.yaml --ignore-scope --file sealed.txt`,
		Args: atMostOneText,
		RunE: func(c *cobra.Command, args []string) error { return runUnseal(c, args, flags) },
	}
	c.Flags().StringVar(&flags.keyRing, "key-ring", "", "the private key ring `FILE`")
	c.Flags().StringVar(&flags.key, "key", "", "the `FILE` that names a key of a key service")
	c.Flags().StringVar(&flags.file, "file", "", "read the text from this `FILE`")
	c.Flags().StringVar(&flags.as.Cluster, "cluster", "", "the workload's cluster `NAME`; the key's if left out")
	c.Flags().StringVarP(&flags.as.Namespace, "namespace", "n", "", "the workload's namespace `NAME`")
	c.Flags().StringVar(&flags.as.ServiceAccount, "service-account", "", "the workload's service account `NAME`")
	c.Flags().StringVar(&flags.object, "name", "", "the object's `NAME` in the class: its name, or its path if it has none")
	c.Flags().StringArrayVar(&flags.sealers, "sealer", nil, "refuse a value that was not signed by the sealer whose public part is in this `FILE`; may be repeated for others")
	c.Flags().BoolVar(&flags.ignoreScope, "ignore-scope", false, "open the value whatever it is sealed for")
	addAudit(c, &flags.audit)
	return c
}

func runUnseal(c *cobra.Command, args []string, flags unsealFlags) error {
	if flags.keyRing == "" && flags.key == "" {
		return usagef("--key-ring is missing; give the private key ring's file, or with --key the file that names a key of a key service")
	}
	named := flags.as.Cluster != "" || flags.as.Namespace != "" || flags.as.ServiceAccount != "" || flags.object != ""
	if flags.ignoreScope && named {
		return usagef("--ignore-scope does not look at --cluster, --namespace, --service-account and --name; leave them out")
	}
	keys, cluster, closeKeys, err := openKeys(flags.keyRing, flags.key, "--key")
	if err != nil {
		return usagef("%w", err)
	}
	defer closeKeys()
	if keys.Signatures, err = flags.signatures(); err != nil {
		return err
	}
	text, err := readSealedText(c, args, flags.file)
	if err != nil {
		return err
	}
	sealed, err := seal.Parse(text)
	if err != nil {
		return usagef("%w", err)
	}

	as, object, now := flags.as, flags.object, time.Now()
	if as.Cluster == "" {
		as.Cluster = cluster
	}
	if flags.ignoreScope {
		as, object, now = meeting(sealed.Scope(), now)
	} else if missing := unsaid(sealed.Scope(), as, object); len(missing) > 0 {
		return usagef("%s", strings.Join(append(missing, "or give --ignore-scope to open it as the holder of the key"), "; "))
	}
	trail, err := openPersonTrail(flags.audit)
	if err != nil {
		return err
	}
	defer trail.close()
	value, err := trail.opens(flags.file, func(ctx context.Context, sealed *seal.Sealed) (secret.Bytes, error) {
		return sealed.Open(ctx, keys, as, object, now)
	})(c.Context(), sealed)
	if err != nil {
		return err
	}
	if _, err := c.OutOrStdout().Write(value.Reveal()); err != nil {
		return errors.New("the value could not be written to standard output")
	}
	return nil
}

// signatures are those that the value must have; nil demands none.
func (f *unsealFlags) signatures() (*seal.Signatures, error) {
	if len(f.sealers) == 0 {
		return nil, nil //nolint:nilnil // which is what seal.Keys calls it too
	}
	var demanded seal.Signatures
	for _, file := range f.sealers {
		key, err := seal.ReadSealerKey(file)
		if err != nil {
			return nil, usagef("--sealer: %w", err)
		}
		demanded.Trusted = append(demanded.Trusted, seal.TrustedSealer{Key: key, Namespaces: []string{"*"}})
	}
	return &demanded, nil
}

// openKeys reads a key ring, the file that names a key of a key service, or both,
// whichever are not empty, and says which cluster they are for. The private keys
// of a ring may be wrapped by that key. flag is the one that service comes from.
func openKeys(keyRing, service, flag string) (keys seal.Keys, cluster string, closeKeys func(), err error) {
	closeKeys = func() {}
	if service != "" {
		with, err := seal.ReadServiceKey(service, personKeyTypes())
		if err != nil {
			return seal.Keys{}, "", nil, fmt.Errorf("%s: %w", flag, err)
		}
		keys.Services, cluster, closeKeys = []*seal.ServiceKey{with}, with.Cluster(), with.Close
	}
	if keyRing == "" {
		return keys, cluster, closeKeys, nil
	}
	ring, err := seal.ReadKeyRing(keyRing)
	if err != nil {
		closeKeys()
		return seal.Keys{}, "", nil, fmt.Errorf("--key-ring: %w", err)
	}
	if name := ring.WrappedBy(); name != "" {
		if len(keys.Services) == 0 || keys.Services[0].Name() != name {
			closeKeys()
			return seal.Keys{}, "", nil, fmt.Errorf("%s: the private keys are wrapped by key %s of a key service; give the file that names it with %s", keyRing, name, flag)
		}
		ring = ring.Unlock(keys.Services[0], nil)
		closeService := closeKeys
		closeKeys = func() { ring.Lock(); closeService() }
	}
	keys.Ring = ring
	return keys, ring.Cluster(), closeKeys, nil
}

// meeting is a workload and a time that meet the scope.
func meeting(scope seal.Scope, now time.Time) (identity.Identity, string, time.Time) {
	if !scope.NotAfter.IsZero() && now.After(scope.NotAfter) {
		now = scope.NotAfter
	}
	return identity.Identity{
		Cluster:        scope.Cluster.String(),
		Namespace:      scope.Namespace.String(),
		ServiceAccount: scope.ServiceAccount.String(),
	}, scope.Object.String(), now
}

// unsaid lists what the scope asks about and no flag told.
func unsaid(scope seal.Scope, as identity.Identity, object string) []string {
	var missing []string
	for _, field := range []struct {
		flag, given string
		sealedFor   seal.Name
	}{
		{"--cluster", as.Cluster, scope.Cluster},
		{"--namespace", as.Namespace, scope.Namespace},
		{"--service-account", as.ServiceAccount, scope.ServiceAccount},
		{"--name", object, scope.Object},
	} {
		if field.given == "" && !field.sealedFor.IsAny() {
			missing = append(missing, field.flag+" is missing, and the value is sealed for one")
		}
	}
	return missing
}
