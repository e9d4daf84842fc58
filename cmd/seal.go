package cmd

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/provider/audit"
	"github.com/lanyardhq/lanyard/provider/manifest"
	"github.com/lanyardhq/lanyard/provider/manifest/classfile"
	"github.com/lanyardhq/lanyard/provider/seal"
	"github.com/lanyardhq/lanyard/provider/secret"
	"github.com/lanyardhq/lanyard/provider/spec"
)

// sealFlags are the flags of seal.
type sealFlags struct {
	public, key, signWith                                string
	cluster, namespace, serviceAccount, name             string
	anyCluster, anyNamespace, anyServiceAccount, anyName bool
	notAfter                                             string
	file                                                 string
	trimNewline                                          bool
	allowEncrypted                                       bool
	from                                                 sealSource
	output, mergeInto, class, path                       string
	audit                                                string
}

func newSeal() *cobra.Command {
	var flags sealFlags
	c := &cobra.Command{
		Use:   "seal {--public FILE | --key FILE} --namespace NAME --service-account NAME --name OBJECT",
		Short: "Seal values so that they may be committed to Git",
		Long: `Encrypt values, each for one object of one service account in one namespace.

With --public it is encrypted to a cluster's public key: that needs no network
and no right to decrypt, and whoever has the public key can do it. With --key it
is encrypted with a data key of its own, which a key service wraps for this
scope; the key service then decides and logs who opens it. The file names the
key and holds nothing secret:

  kind: lanyard.seal-key.v1
  name: prod
  cluster: production
  service: {type: aws, key: "arn:aws:kms:eu-west-1:111122223333:alias/sealed"}

Your own credentials are used, as vault, aws, az or gcloud would find them.

The value is read from standard input or --file, byte for byte, and never from
an argument, which other users of the machine and the shell's history could see.
At a terminal it is asked for, without showing it, and ends with the line. A
value that ends in a newline, as "echo" makes it, is sealed with it and a note
says so; --trim-newline leaves one newline out.

By default all four parts of the scope are exact: moved to another cluster,
namespace, service account or object, the text does not open. The cluster is the
key's unless --cluster says otherwise.

The text is printed; --output entry prints it as an entry for a class's objects,
--output class a whole new class that --class names; --merge-into puts it into a
SecretProviderClass file, where it replaces the object's value or becomes a new
object, and leaves all else as it is; with - the class comes from standard input
and is printed. With --merge-into, the class's namespace
and the object's name need not be given.

--from-env, --from-json and --from-secret seal all values of a file, each as an
object of its own, in the file's order; --path is then the folder that they go
into. Either all are sealed or none, and what is wrong is told with its line.
The manual's page about sealed values says what such files may hold.`,
		Example: `  # from a password manager into a class file
  pass show prod/db | lanyard seal --public public.yaml --trim-newline \
    --service-account web --merge-into web.yaml --path db/password

  # a file, printed as an entry
  lanyard seal --public public.yaml -n prod --service-account web --name tls.key \
    --file tls.key --output entry

  # a whole .env file, or a native Secret, into a class
  lanyard seal --public public.yaml --service-account web --from-env .env --merge-into web.yaml
  kubectl get secret web -o yaml | lanyard seal --public public.yaml \
    --service-account web --from-secret - --output class --class web

  # with a key of a key service
  lanyard seal --key seal-key.yaml --service-account web --merge-into web.yaml \
    --path db/password < password

  # signed by a sealer, where the operator demands it
  lanyard seal --public public.yaml --sign-with sealer.yaml --service-account web \
    --merge-into web.yaml --path db/password < password

  # for 90 days, for every service account of the namespace
  lanyard seal --public public.yaml -n prod --any-service-account --name api-token \
    --not-after 90d < token`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				// The argument is not repeated: it may be the value.
				return usagef("the value is never an argument, where others can see it; give it on standard input or in --file, and change it if it was a real one")
			}
			return nil
		},
		RunE: func(c *cobra.Command, _ []string) error { return runSeal(c, flags) },
	}
	c.Flags().StringVar(&flags.public, "public", "", "the public key `FILE`, which lanyard keygen --public-out writes")
	c.Flags().StringVar(&flags.key, "key", "", "the `FILE` that names a key of a key service")
	c.Flags().StringVar(&flags.signWith, "sign-with", "", "sign with the private key of a sealer in this `FILE`, which lanyard keygen --sealer wrote")
	c.Flags().StringVar(&flags.cluster, "cluster", "", "seal for this cluster `NAME`; the key's if left out")
	c.Flags().StringVarP(&flags.namespace, "namespace", "n", "", "seal for this namespace `NAME`")
	c.Flags().StringVar(&flags.serviceAccount, "service-account", "", "seal for this service account `NAME`")
	c.Flags().StringVar(&flags.name, "name", "", "seal for this `OBJECT`: its name in the class, or its path if it has none; --path if left out")
	c.Flags().BoolVar(&flags.anyCluster, "any-cluster", false, "open in every cluster that has the key")
	c.Flags().BoolVar(&flags.anyNamespace, "any-namespace", false, "open in every namespace")
	c.Flags().BoolVar(&flags.anyServiceAccount, "any-service-account", false, "open for every service account")
	c.Flags().BoolVar(&flags.anyName, "any-name", false, "open as an object of any name")
	c.Flags().StringVar(&flags.notAfter, "not-after", "", "do not open after this `TIME`: 2026-12-31T00:00:00Z, or from now 12h or 90d")
	c.Flags().StringVar(&flags.file, "file", "", "read the value from this `FILE`")
	c.Flags().BoolVar(&flags.allowEncrypted, "allow-encrypted", false, "seal a value that is encrypted already, which the pod then gets as it stands")
	c.Flags().BoolVar(&flags.trimNewline, "trim-newline", false, "leave out one newline at the value's end")
	flags.from.add(c)
	addAudit(c, &flags.audit)
	addOutput(c, &flags.output, "; entry for values of a whole file", "text", "entry", "class")
	c.Flags().StringVar(&flags.mergeInto, "merge-into", "", "put the value into this SecretProviderClass `FILE`; - takes it from standard input and prints it")
	c.Flags().StringVar(&flags.class, "class", "", "the `NAME` of the class: that of --output class, or one of several in the file of --merge-into")
	c.Flags().StringVar(&flags.path, "path", "", "the `PATH` of the object's file, or the folder for the values of a whole file")
	c.AddCommand(newSealMove())
	return c
}

func runSeal(c *cobra.Command, flags sealFlags) error {
	if err := flags.check(c.Flags().Changed("output")); err != nil {
		return err
	}
	signed, err := signing(flags.signWith)
	if err != nil {
		return err
	}
	to, err := openSealKey(flags.public, flags.key, signed...)
	if err != nil {
		return usagef("%w", err)
	}
	defer to.close()
	trail, err := openPersonTrail(flags.audit)
	if err != nil {
		return err
	}
	defer trail.close()
	with := trail.seals(audit.Seal, flags.mergeInto, to.seal)
	if flags.cluster == "" && !flags.anyCluster {
		flags.cluster = to.cluster
	}
	return flags.seal(c, func(scope seal.Scope, value secret.Bytes) (string, error) {
		if what := encryptedAs(value); what != "" && !flags.allowEncrypted {
			return "", usagef("the value is %s, and the pod would get it as it stands; give the plain value, or --allow-encrypted if it is meant so", what)
		}
		return with(c.Context(), scope, value)
	})
}

// sealer seals a value for a scope.
type sealer func(seal.Scope, secret.Bytes) (string, error)

// check refuses flags that do not go together.
func (f *sealFlags) check(outputSaid bool) error {
	if f.from.used() && !outputSaid {
		f.output = "entry"
	}
	switch {
	case f.public == "" && f.key == "":
		return usagef("--public is missing; give the public key file that lanyard keygen --public-out wrote, or with --key a file that names a key of a key service")
	case f.public != "" && f.key != "":
		return usagef("--public and --key are two ways to seal; give one of them")
	case f.mergeInto != "" && outputSaid:
		return usagef("--merge-into writes a file and prints no text; leave out --output")
	case f.mergeInto == manifest.Stdin && (!f.from.used() && f.file == "" || f.from.stdin()):
		return usagef("--merge-into - takes the class from standard input; give the values in files")
	case f.class != "" && f.mergeInto == "" && f.output != "class":
		return usagef("--class is the class of --output class, or one in the file of --merge-into; both are missing")
	case f.output == "class" && f.class == "":
		return usagef("--class is missing; give the new class's name")
	}
	return f.from.check(f)
}

// seal seals the one value or the many that the flags name, and delivers them.
func (f *sealFlags) seal(c *cobra.Command, with sealer) error {
	var class *mergeTarget
	var err error
	if f.mergeInto != "" {
		if class, err = openClass(f, stdin(c)); err != nil {
			return err
		}
	}
	if f.from.used() {
		return f.sealMany(c, class, with)
	}
	if f.name == "" {
		f.name = f.path
	}
	scope, err := f.scope(time.Now())
	if err != nil {
		return err
	}
	value, err := readValue(c, *f)
	if err != nil {
		return err
	}
	text, err := with(scope, value)
	if err != nil {
		return sealingFailed(err)
	}
	if f.output == "text" && class == nil {
		_, err := fmt.Fprintln(c.OutOrStdout(), text)
		return err
	}
	entry := classfile.Entry{Path: f.path, Name: f.name, Sealed: text}
	if class == nil && entry.Path == "" {
		entry.Path = f.name
	}
	if class == nil && entry.Path == "" {
		return usagef("--path is missing; an entry has one")
	}
	return f.deliver(c, class, "of object "+f.name, entry)
}

// scope is what the flags say, with every problem at once.
func (f sealFlags) scope(now time.Time) (seal.Scope, error) {
	var problems []string
	name := func(flag, exact, anyFlag string, isAny bool) seal.Name {
		switch {
		case isAny && exact != "":
			problems = append(problems, fmt.Sprintf("%s and %s exclude each other", flag, anyFlag))
		case isAny:
			return seal.Any()
		case exact == "":
			problems = append(problems, fmt.Sprintf("%s is missing; give the name, or %s", flag, anyFlag))
		}
		return seal.Exact(exact)
	}
	named := f.name
	if f.anyName {
		named = "" // it only names the object in the class then
	}
	scope := seal.Scope{
		Cluster:        name("--cluster", f.cluster, "--any-cluster", f.anyCluster),
		Namespace:      name("--namespace", f.namespace, "--any-namespace", f.anyNamespace),
		ServiceAccount: name("--service-account", f.serviceAccount, "--any-service-account", f.anyServiceAccount),
		Object:         name("--name", named, "--any-name", f.anyName),
	}
	if f.notAfter != "" {
		var problem string
		if scope.NotAfter, problem = parseNotAfter(f.notAfter, now); problem != "" {
			problems = append(problems, "--not-after: "+problem)
		}
	}
	if len(problems) == 0 {
		if err := scope.Validate(); err != nil {
			problems = append(problems, err.Error())
		}
	}
	if len(problems) > 0 {
		return seal.Scope{}, usagef("%s", strings.Join(problems, "; "))
	}
	return scope, nil
}

// deliver prints the entries, alone or in a class of their own, or puts them into
// the class that there is. what names them for people.
func (f *sealFlags) deliver(c *cobra.Command, class *mergeTarget, what string, entries ...classfile.Entry) error {
	for _, entry := range entries {
		if wrong := spec.WrongPath(entry.Path); entry.Path != "" && wrong != "" {
			return usagef("--path: %s %s", message.Printable(entry.Path), wrong)
		}
	}
	if class != nil && f.mergeInto == manifest.Stdin {
		edited, err := class.Put(entries...)
		if err != nil {
			return usagef("--merge-into: %w", err)
		}
		if err := checkClassSize(c.ErrOrStderr(), edited); err != nil {
			return usagef("--merge-into: %w", err)
		}
		_, err = c.OutOrStdout().Write(class.in.Encode(edited))
		return err
	}
	if class != nil {
		if err := f.merge(c.Context(), c.ErrOrStderr(), class, entries); err != nil {
			return err
		}
		fmt.Fprintf(c.ErrOrStderr(), "%s holds the sealed value %s now\n", f.mergeInto, what)
		return nil
	}
	if f.output == "class" {
		data, err := classfile.New(f.class, f.namespace, entries...)
		if err != nil {
			return usagef("%w", err)
		}
		if err := checkClassSize(c.ErrOrStderr(), data); err != nil {
			return usagef("%w", err)
		}
		_, err = c.OutOrStdout().Write(data)
		return err
	}
	for _, entry := range entries {
		if _, err := fmt.Fprint(c.OutOrStdout(), entry.Lines()); err != nil {
			return err
		}
	}
	return nil
}

// readValue reads the value and says so if it ends in a newline that may be
// unwanted.
func readValue(c *cobra.Command, flags sealFlags) (secret.Bytes, error) {
	if file, ok := c.InOrStdin().(*os.File); ok && flags.file == "" && isTerminal(file) {
		return promptValue(c.Context(), file, c.ErrOrStderr())
	}
	data, err := readInput(c, flags.file, seal.MaxValue+2)
	if err != nil {
		return secret.Bytes{}, err
	}
	trimmed := strings.TrimSuffix(strings.TrimSuffix(string(data), "\n"), "\r")
	switch {
	case flags.trimNewline && len(data) > 0 && data[len(data)-1] == '\n':
		return secret.NewString(trimmed), nil
	case trimmed != string(data) && !strings.Contains(trimmed, "\n"):
		fmt.Fprintln(c.ErrOrStderr(), "note: the value ends in a newline, which is sealed with it; --trim-newline leaves it out")
	}
	return secret.New(data), nil
}

// parseNotAfter reads a time, or a duration from now in which d is a day. It
// returns what is wrong, or nothing.
func parseNotAfter(text string, now time.Time) (time.Time, string) {
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		duration, durationErr := time.ParseDuration(text)
		digits, inDays := strings.CutSuffix(text, "d")
		days, daysErr := strconv.ParseUint(digits, 10, 16)
		switch {
		case inDays && daysErr == nil:
			at = now.AddDate(0, 0, int(days))
		case durationErr == nil:
			at = now.Add(duration)
		default:
			return time.Time{}, "must be a time such as 2026-12-31T00:00:00Z, or a duration such as 12h or 90d"
		}
	}
	if !at.After(now) {
		return time.Time{}, "is not in the future"
	}
	return at.UTC(), ""
}
