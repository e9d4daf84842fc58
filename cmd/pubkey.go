package cmd

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/lanyardhq/lanyard/internal/atomicfile"
	"github.com/lanyardhq/lanyard/provider/seal"
)

// pubkeyFlags are the flags of pubkey.
type pubkeyFlags struct {
	pins        []string
	caCert, out string
	timeout     time.Duration
}

func newPubkey() *cobra.Command {
	var flags pubkeyFlags
	c := &cobra.Command{
		Use:   "pubkey {URL --pin ID | FILE}",
		Short: "Fetch a cluster's public key and make sure that it is the right one",
		Long: `Fetch the public part of a key ring over HTTPS, or take it from a file: a public
key, or a key ring that you may read. It is printed, or written to --out.

What values are sealed to must be the right key, or somebody else reads them. So
a key from a URL must have an id of --pin: the key's own hash, which lanyard
keygen prints and which the operator hands out another way than the key. Whoever
serves the file or breaks the connection then cannot put in another key. Give
--pin several times around a rotation. Of a file the pin is checked if one is
given.`,
		Example: `  lanyard pubkey https://git.example.com/platform/keys/raw/main/public.yaml \
    --pin 5d1f0c77a1b2c3d4e5f60718293a4b5c --out public.yaml

  # the public part of a key ring
  lanyard pubkey ring.yaml --out public.yaml`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usagef("%s takes one URL or file; see %s --help", c.CommandPath(), c.CommandPath())
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error { return flags.run(c, args[0]) },
	}
	c.Flags().StringArrayVar(&flags.pins, "pin", nil, "the key `ID` that the key must have; may be given several times")
	c.Flags().StringVar(&flags.caCert, "ca-cert", "", "trust the certificate authorities in this PEM `FILE`, and no others")
	c.Flags().DurationVar(&flags.timeout, "timeout", 10*time.Second, "the `TIME` that fetching may take in all")
	c.Flags().StringVar(&flags.out, "out", "", "write the public key to this `FILE`")
	return c
}

func (f *pubkeyFlags) run(c *cobra.Command, from string) error {
	var pins []seal.KeyID
	for _, text := range f.pins {
		id, err := seal.ParseKeyID(text)
		if err != nil {
			return usagef("--pin: %w", err)
		}
		pins = append(pins, id)
	}
	if f.timeout <= 0 {
		return usagef("--timeout must be above 0")
	}
	public, err := f.get(c.Context(), from, pins)
	if err != nil {
		return err
	}
	if len(pins) > 0 && !slices.Contains(pins, public.ID()) {
		return fmt.Errorf("%s holds the key %s, and the pin is %s; seal nothing to it, and ask the operator which key is right", from, public.ID(), strings.Join(f.pins, " or "))
	}
	data := public.Marshal()
	if f.out == "" {
		_, err := c.OutOrStdout().Write(data)
		return err
	}
	if err := f.write(data, public); err != nil {
		return err
	}
	fmt.Fprintf(c.ErrOrStderr(), "%s holds the public key %s now\n", f.out, public.ID())
	return nil
}

// get takes the key from a URL or a file.
func (f *pubkeyFlags) get(ctx context.Context, from string, pins []seal.KeyID) (*seal.PublicKey, error) {
	if !strings.Contains(from, "://") {
		if f.caCert != "" {
			return nil, usagef("--ca-cert is for a URL; leave it out")
		}
		public, err := seal.ReadPublicKey(from)
		if err != nil {
			// A key ring tells its public part to who may read it.
			ring, ringErr := seal.ReadKeyRing(from)
			if ringErr != nil {
				if seal.IsKeyRing(from) {
					err = ringErr
				}
				return nil, usageError{err}
			}
			public = ring.Public()
		}
		return public, nil
	}
	address, err := url.Parse(from)
	switch {
	case err == nil && address.Scheme != "https":
		return nil, usagef("the URL begins with %s://, and a key is fetched over https:// alone", address.Scheme)
	case err != nil || address.Host == "":
		return nil, usagef("the URL cannot be parsed; write https://HOST/PATH")
	case address.User != nil:
		return nil, usagef("the URL holds a user name or password, which others can see; a public key is for everyone, serve it without")
	case len(pins) == 0:
		return nil, usagef("--pin is missing; give the key id that the operator gave you another way, so that nobody can put in a key of their own")
	}
	client, err := f.client()
	if err != nil {
		return nil, err
	}
	defer client.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(ctx, f.timeout)
	defer cancel()
	data, err := fetch(ctx, client, from)
	if err != nil {
		return nil, err
	}
	public, err := seal.ParsePublicKey(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", from, err)
	}
	return public, nil
}

// client trusts the system's authorities, or those of --ca-cert alone, and
// follows no redirection away from https.
func (f *pubkeyFlags) client() (*http.Client, error) {
	settings := &tls.Config{MinVersion: tls.VersionTLS12}
	if f.caCert != "" {
		data, err := readFile(f.caCert)
		if err != nil {
			return nil, usagef("--ca-cert: %w", err)
		}
		settings.RootCAs = x509.NewCertPool()
		if !settings.RootCAs.AppendCertsFromPEM(data) {
			return nil, usagef("--ca-cert: %s holds no certificate in PEM", f.caCert)
		}
	}
	return &http.Client{
		Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: settings, ForceAttemptHTTP2: true},
		CheckRedirect: func(request *http.Request, via []*http.Request) error {
			if request.URL.Scheme != "https" {
				return errors.New("it leads away from https")
			}
			if len(via) > 3 {
				return errors.New("it leads from one place to another too often")
			}
			return nil
		},
	}, nil
}

// fetch gets at most seal.MaxKeyFile bytes.
func fetch(ctx context.Context, client *http.Client, from string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, from, http.NoBody)
	if err != nil {
		return nil, usagef("the URL cannot be used: %w", err)
	}
	request.Header.Set("User-Agent", "lanyard/"+thisBuild().Version)
	response, err := client.Do(request)
	if err != nil {
		var failed *url.Error
		if errors.As(err, &failed) {
			err = failed.Err
		}
		return nil, fmt.Errorf("%s cannot be fetched: %w", from, err)
	}
	defer response.Body.Close() //nolint:errcheck // it was read as far as it is used
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s cannot be fetched: the server answered %s", from, response.Status)
	}
	data, err := io.ReadAll(io.LimitReader(response.Body, seal.MaxKeyFile+1))
	if err == nil {
		// A server that ends its answer when it is told that nobody waits can
		// make a broken one look whole.
		err = ctx.Err()
	}
	if err != nil {
		return nil, fmt.Errorf("%s was not fetched whole: %w", from, err)
	}
	if len(data) > seal.MaxKeyFile {
		return nil, fmt.Errorf("%s has more than %d bytes, which no public key has", from, seal.MaxKeyFile)
	}
	return data, nil
}

// write writes the file, over none but a public key of the same cluster.
func (f *pubkeyFlags) write(data []byte, public *seal.PublicKey) error {
	err := atomicfile.Create(f.out, data, 0o644)
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	before, err := seal.ReadPublicKey(f.out)
	if err != nil {
		return usagef("--out: %s exists and is no public key; give another file", f.out)
	}
	if before.Cluster() != public.Cluster() {
		return usagef("--out: %s is a public key of cluster %q, and this one is of %q; give another file", f.out, before.Cluster(), public.Cluster())
	}
	if now, err := os.ReadFile(f.out); err == nil && string(now) == string(data) {
		return nil
	}
	return atomicfile.Replace(f.out, data, 0)
}
