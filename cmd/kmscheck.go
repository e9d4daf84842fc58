package cmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/kmsring"
	"github.com/lanyardhq/lanyard/server/kms"
)

// kmsCheckFlags are the flags of kms check.
type kmsCheckFlags struct {
	ring      string
	socket    string
	name      string
	resources []string
	timeout   time.Duration
	output    string
}

func newKMSCheck() *cobra.Command {
	var f kmsCheckFlags
	c := &cobra.Command{
		Use:   "check",
		Short: "Try every key of a ring before the API server depends on it",
		Long: `Check reads a key ring file, makes a round trip with every key in it, an
Encrypt and a Decrypt, and prints the EncryptionConfiguration to use on standard
output if all is well. What was found goes to standard error. Run it on each
control plane node, as the user and with the environment of the plugin.

A read key may be one whose rights to encrypt were taken away. Then only that
its key service answers can be shown. Retired keys are not tried.

If a plugin listens on the socket already, it is asked for its status too.

Exit codes: 0 all is well, 1 a key cannot be used, 2 the ring file cannot be
used.`,
		Example: `  lanyard kms check --ring /etc/lanyard/kms.yaml
  lanyard kms check --ring kms.yaml --resources secrets,configmaps >encryption.yaml
  lanyard kms check --ring kms.yaml --output json`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("kms check takes no arguments; see %s --help", c.CommandPath())
			}
			return nil
		},
		RunE: func(c *cobra.Command, _ []string) error {
			if err := f.check(); err != nil {
				return err
			}
			return f.run(c)
		},
	}
	flags := c.Flags()
	flags.StringVar(&f.ring, "ring", "", "the key ring `FILE`")
	flags.StringVar(&f.socket, "socket", defaultKMSSocket, "`PATH` of the plugin's socket; @NAME for an abstract one")
	flags.StringVar(&f.name, "name", "lanyard", "the provider's `NAME` in the EncryptionConfiguration; it lies in etcd before each value and can never change")
	flags.StringSliceVar(&f.resources, "resources", []string{"secrets"}, "`RESOURCES` to encrypt")
	flags.DurationVar(&f.timeout, "timeout", 3*time.Second, "`TIME` that each key may take; what the API server waits is 3s")
	addTextOrJSON(c, &f.output)
	return c
}

func (f *kmsCheckFlags) check() error {
	switch {
	case f.ring == "":
		return usagef("--ring is missing; name the key ring file")
	case f.name == "" || strings.ContainsAny(f.name, ": \t\n"):
		return usagef("--name must not be empty, and have no colon and no space")
	case len(f.resources) == 0:
		return usagef("--resources must name one at least, such as secrets")
	case f.timeout <= 0:
		return usagef("--timeout must be positive")
	}
	return nil
}

// kmsReport is what kms check has found.
type kmsReport struct {
	OK     bool            `json:"ok"`
	Keys   []kmsKeyReport  `json:"keys"`
	Plugin kmsPluginReport `json:"plugin"`
	// Encryption is there if all is well.
	Encryption *encryptionConfiguration `json:"encryptionConfiguration,omitempty"`
}

type kmsKeyReport struct {
	Name    string `json:"name"`
	State   string `json:"state"`
	Service string `json:"service"`
	Version string `json:"version,omitempty"`
	KeyID   string `json:"keyID,omitempty"`
	// Seconds is how long the round trip took.
	Seconds float64 `json:"seconds,omitempty"`
	// Result is "round trip", "answers", "retired" or "failed"; Problem says
	// more of the last.
	Result  string `json:"result"`
	Problem string `json:"problem,omitempty"`
}

type kmsPluginReport struct {
	Socket string `json:"socket"`
	// Running says that a healthy plugin answers there.
	Running bool   `json:"running"`
	KeyID   string `json:"keyID,omitempty"`
	Note    string `json:"note,omitempty"`
}

func (f *kmsCheckFlags) run(c *cobra.Command) error {
	file, err := loadRing(f.ring)
	if err != nil {
		return err
	}
	defer file.Ring.Close()
	report, failed := kmsReport{Plugin: f.queryPlugin(c.Context())}, 0
	for _, entry := range file.Ring.Entries() {
		tried := f.try(c.Context(), entry)
		if tried.Problem != "" {
			failed++
		}
		report.Keys = append(report.Keys, tried)
	}
	if report.OK = failed == 0; report.OK {
		report.Encryption = f.encryption()
	}
	if err := f.print(c, report); err != nil {
		return err
	}
	if failed > 0 {
		return fmt.Errorf("%d of %s cannot be used; do not let the API server depend on this ring", failed, count(len(report.Keys), "key"))
	}
	return nil
}

// try makes a round trip with a key.
func (f *kmsCheckFlags) try(ctx context.Context, entry *kmsring.Entry) kmsKeyReport {
	ctx, cancel := context.WithTimeout(ctx, f.timeout)
	defer cancel()
	report := kmsKeyReport{Name: entry.Name, State: string(entry.State), Service: entry.Service()}
	if entry.State == kmsring.StateRetired {
		report.Result = "retired"
		return report
	}
	trial, err := kms.Try(ctx, entry)
	if err == nil {
		report.Result, report.Version, report.KeyID = "round trip", trial.Version, trial.KeyID
		report.Seconds = (trial.Encrypt + trial.Decrypt).Seconds()
		return report
	}
	if entry.State == kmsring.StateRead && errors.Is(err, kms.ErrEncrypt) && errors.Is(err, fault.ErrDenied) {
		// That it knows who asks is all that can be shown: telling the version
		// takes the right to encrypt too, at most key services.
		report.Result = "answers"
		return report
	}
	if ctx.Err() != nil {
		err = fmt.Errorf("no answer within %s: %w", f.timeout, err)
	}
	report.Result, report.Problem = "failed", err.Error()
	return report
}

// queryPlugin checks a plugin that runs already. That none does is no problem.
func (f *kmsCheckFlags) queryPlugin(ctx context.Context) kmsPluginReport {
	ctx, cancel := context.WithTimeout(ctx, f.timeout)
	defer cancel()
	report := kmsPluginReport{Socket: f.socket}
	keyID, err := kms.CheckHealth(ctx, f.socket)
	report.Running, report.KeyID = err == nil, keyID
	if err != nil {
		report.Note = err.Error()
	}
	return report
}

func (f *kmsCheckFlags) print(c *cobra.Command, report kmsReport) error {
	if f.output == "json" {
		return printJSON(c.OutOrStdout(), report)
	}
	if err := printKMSReport(c.ErrOrStderr(), report); err != nil || report.Encryption == nil {
		return err
	}
	if _, err := io.WriteString(c.OutOrStdout(), encryptionNote); err != nil {
		return err
	}
	encoder := yaml.NewEncoder(c.OutOrStdout())
	encoder.SetIndent(2)
	if err := encoder.Encode(report.Encryption); err != nil {
		return err
	}
	return encoder.Close()
}

func printKMSReport(w io.Writer, report kmsReport) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "KEY\tSTATE\tRESULT\tVERSION\tTIME\tSERVICE")
	for _, k := range report.Keys {
		took, version := "", k.Version
		if k.Seconds > 0 {
			took = time.Duration(k.Seconds * float64(time.Second)).Round(100 * time.Microsecond).String()
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\n", k.Name, k.State, k.Result, version, took, k.Service)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for _, k := range report.Keys {
		switch {
		case k.Problem != "":
			fmt.Fprintf(w, "%s: %s\n", k.Name, k.Problem)
		case k.Result == "answers":
			fmt.Fprintf(w, "%s: may not encrypt, so that it decrypts was not tried\n", k.Name)
		}
	}
	if report.Plugin.Running {
		fmt.Fprintf(w, "plugin at %s: healthy\n", report.Plugin.Socket)
	} else {
		fmt.Fprintf(w, "no healthy plugin at %s: %s\n", report.Plugin.Socket, report.Plugin.Note)
	}
	return nil
}

// encryptionNote goes before the printed EncryptionConfiguration: applied to a
// cluster that has another one, it would make unreadable what that encrypts.
const encryptionNote = `# For a new cluster. On a running one, do not replace its EncryptionConfiguration:
# keep the providers that are there, first put kms below them on every API server,
# then above them, and rewrite everything before one is removed. Without one yet,
# that is identity first and kms below it, then the order here. See docs/kms.md,
# "Let the API server use it".
`

// encryptionConfiguration is what the API server's
// --encryption-provider-config reads:
// https://kubernetes.io/docs/reference/config-api/apiserver-config.v1/
type encryptionConfiguration struct {
	APIVersion string               `json:"apiVersion" yaml:"apiVersion"`
	Kind       string               `json:"kind" yaml:"kind"`
	Resources  []encryptedResources `json:"resources" yaml:"resources"`
}

type encryptedResources struct {
	Resources []string             `json:"resources" yaml:"resources,flow"`
	Providers []encryptionProvider `json:"providers" yaml:"providers"`
}

type encryptionProvider struct {
	KMS      *kmsProvider `json:"kms,omitempty" yaml:"kms,omitempty"`
	Identity *struct{}    `json:"identity,omitempty" yaml:"identity,omitempty,flow"`
}

type kmsProvider struct {
	APIVersion string `json:"apiVersion" yaml:"apiVersion"`
	Name       string `json:"name" yaml:"name"`
	Endpoint   string `json:"endpoint" yaml:"endpoint"`
	Timeout    string `json:"timeout" yaml:"timeout"`
}

// encryption encrypts what is written from now on, and reads what is not
// encrypted yet.
func (f *kmsCheckFlags) encryption() *encryptionConfiguration {
	endpoint := "unix://" + f.socket
	if strings.HasPrefix(f.socket, "@") {
		endpoint = "unix:///" + f.socket
	}
	return &encryptionConfiguration{
		APIVersion: "apiserver.config.k8s.io/v1", Kind: "EncryptionConfiguration",
		Resources: []encryptedResources{{
			Resources: f.resources,
			Providers: []encryptionProvider{
				{KMS: &kmsProvider{APIVersion: "v2", Name: f.name, Endpoint: endpoint, Timeout: "3s"}},
				{Identity: &struct{}{}},
			},
		}},
	}
}
