package cmd

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/lanyardhq/lanyard/provider/seal"
)

func newInspect() *cobra.Command {
	var file, output, sealer string
	c := &cobra.Command{
		Use:   "inspect [TEXT]",
		Short: "Tell what a sealed value is sealed for, without a key",
		Long: `Tell the suite, the key, the scope and the size of a sealed value. The text is
public, so that it may be an argument; else it is read from --file or standard
input. No key is needed, and none is checked: only opening the value proves that
nobody changed what is shown here.

With --sealer the value's signature is checked by the sealer's public part. That
proves that the sealer made it and nobody changed it since; if it does not fit
nothing is printed, and the exit code is 1.`,
		Example: `  lanyard inspect lanyard.v1.AQFd...
  lanyard inspect --output json --file sealed.txt
  lanyard inspect --sealer sealer-public.yaml --file sealed.txt`,
		Args: atMostOneText,
		RunE: func(c *cobra.Command, args []string) error {
			text, err := readSealedText(c, args, file)
			if err != nil {
				return err
			}
			sealed, err := seal.Parse(text)
			if err != nil {
				return usagef("%w", err)
			}
			found := inspect(sealed, text, time.Now())
			if sealer != "" {
				key, err := seal.ReadSealerKey(sealer)
				if err != nil {
					return usagef("--sealer: %w", err)
				}
				if err := sealed.VerifiedBy(key); err != nil {
					return err
				}
				found.SignatureChecked = true
			}
			if output == "json" {
				return printJSON(c.OutOrStdout(), found)
			}
			return found.print(c.OutOrStdout(), sealed)
		},
	}
	c.Flags().StringVar(&file, "file", "", "read the text from this `FILE`")
	c.Flags().StringVar(&sealer, "sealer", "", "check the signature by the public part of a sealer in this `FILE`")
	addTextOrJSON(c, &output)
	return c
}

func atMostOneText(c *cobra.Command, args []string) error {
	if len(args) > 1 {
		return usagef("%s takes one sealed text; see %s --help", c.CommandPath(), c.CommandPath())
	}
	return nil
}

// inspection is what inspect tells, as JSON. Its fields are only added to.
type inspection struct {
	Suite int    `json:"suite"`
	KeyID string `json:"keyId"`
	// Key and KeyVersion are of a key service; empty for a public key.
	Key        string `json:"key,omitempty"`
	KeyVersion string `json:"keyVersion,omitempty"`
	// Sealer is the id of the key that signed, empty if the value is unsigned.
	Sealer           string `json:"sealer,omitempty"`
	SignatureChecked bool   `json:"signatureChecked,omitempty"`
	Scope            struct {
		Cluster        *string `json:"cluster"` // null is any, here and below
		Namespace      *string `json:"namespace"`
		ServiceAccount *string `json:"serviceAccount"`
		Object         *string `json:"object"`
	} `json:"scope"`
	NotAfter  *time.Time `json:"notAfter"` // null is never
	Expired   bool       `json:"expired"`
	ValueSize int        `json:"valueBytes"`
	TextSize  int        `json:"textBytes"`
}

func inspect(sealed *seal.Sealed, text string, now time.Time) inspection {
	exact := func(name seal.Name) *string {
		if name.IsAny() {
			return nil
		}
		only := name.String()
		return &only
	}
	scope := sealed.Scope()
	found := inspection{Suite: int(sealed.Suite()), KeyID: sealed.KeyID().String(), ValueSize: sealed.Size(), TextSize: len(text)}
	found.Key, found.KeyVersion, _ = sealed.ServiceKey()
	if id, signed := sealed.Sealer(); signed {
		found.Sealer = id.String()
	}
	found.Scope.Cluster, found.Scope.Namespace = exact(scope.Cluster), exact(scope.Namespace)
	found.Scope.ServiceAccount, found.Scope.Object = exact(scope.ServiceAccount), exact(scope.Object)
	if !scope.NotAfter.IsZero() {
		found.NotAfter, found.Expired = &scope.NotAfter, now.After(scope.NotAfter)
	}
	return found
}

func (i inspection) print(out io.Writer, sealed *seal.Sealed) error {
	notAfter := "does not expire"
	if i.NotAfter != nil {
		notAfter = i.NotAfter.Format(time.RFC3339)
		if i.Expired {
			notAfter += " (expired)"
		}
	}
	scope := sealed.Scope()
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	rows := [][2]string{
		{"suite", sealed.Suite().String()},
		{"key id", i.KeyID},
	}
	if i.Key != "" {
		rows = append(rows, [2]string{"key", i.Key}, [2]string{"key version", i.KeyVersion})
	}
	switch {
	case i.SignatureChecked:
		rows = append(rows, [2]string{"signed by", i.Sealer + " (checked)"})
	case i.Sealer != "":
		rows = append(rows, [2]string{"signed by", i.Sealer + " (not checked)"})
	}
	for _, row := range append(rows, [][2]string{
		{"cluster", scope.Cluster.String()},
		{"namespace", scope.Namespace.String()},
		{"service account", scope.ServiceAccount.String()},
		{"object", scope.Object.String()},
		{"not after", notAfter},
		{"value", count(i.ValueSize, "byte")},
		{"text", count(i.TextSize, "byte")},
	}...) {
		fmt.Fprintf(table, "%s:\t%s\n", row[0], row[1]) // an error comes from Flush
	}
	return table.Flush()
}
