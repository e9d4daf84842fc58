package reference

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/lanyardhq/lanyard/internal/message"
)

// Dialect is that of the parameters of Class.
const Dialect = "lanyard"

// Options say what Class may use besides the references.
type Options struct {
	// Variable is the text of an environment variable, empty if it is not set: the originals
	// take addresses and roles from some.
	Variable func(name string) string
	// ReadFile reads a file that such a variable names; nil refuses the variable.
	ReadFile func(path string) ([]byte, error)
}

// Class returns the parameters of a class of the native dialect with the value of each
// reference in the file that its File names. Its stores are called vault, openbao,
// secretsmanager, ssmparameter, gcp and azure, as those of the dialects are; the operator's
// configuration may define each, and judges what the class adds. The error has everything
// that cannot be had, each by the name of its variable or reference.
func Class(references []Reference, options Options) (map[string]string, error) {
	c := classMaker{Options: options, stores: map[string]map[string]any{}, known: map[string]bool{}}
	for _, r := range references {
		c.add(r)
	}
	if len(c.problems) > 0 {
		return nil, errors.Join(c.problems...)
	}
	objects, err := compact(c.objects)
	if err != nil {
		return nil, err
	}
	stores, err := compact(c.stores)
	if err != nil {
		return nil, err
	}
	parameters := map[string]string{"objects": objects}
	if len(c.stores) > 0 {
		parameters["stores"] = stores
	}
	return parameters, nil
}

// classMaker makes a class.
type classMaker struct {
	Options
	stores   map[string]map[string]any
	objects  []map[string]any
	known    map[string]bool // the stores and secrets that were added
	problems []error
}

func (c *classMaker) wrong(format string, args ...any) {
	c.problems = append(c.problems, fmt.Errorf(format, args...))
}

// once says whether this is the first time.
func (c *classMaker) once(what string) bool {
	before := c.known[what]
	c.known[what] = true
	return !before
}

func (c *classMaker) variable(name string) string {
	if c.Variable == nil {
		return ""
	}
	return c.Variable(name)
}

// maxID is the longest name of an object.
const maxID = 253

// add adds the object of a reference. Messages call it by the reference, and by a part of
// its hash where that is not all of its text.
func (c *classMaker) add(r Reference) {
	if !c.once(r.Text) {
		return
	}
	o := map[string]any{"path": r.File(), "store": string(r.Product)}
	name := r.String()
	if name != r.Text {
		name += "#…" + r.File()[len("ref-"):][:8]
	}
	if len(name) <= maxID {
		o["name"] = name
	}
	switch r.Product {
	case Vault, OpenBao:
		c.vault(r, o)
		return
	case SecretsManager, ParameterStore:
		o["key"], o["store"] = r.Name, c.amazon(r)
	case GoogleSecretManager:
		o["key"] = r.Name
		c.stores[string(r.Product)] = map[string]any{"type": "google-secret-manager"}
	case AzureKeyVault:
		o["key"] = "secrets/" + r.Name
		c.azure()
	case AzureKeyVaultSecret:
		c.wrong("%s: the AzureKeyVaultSecret %s is an object of akv2k8s in the cluster, which is not read; mount a class with an object %s, and give --volume or --class-file", message.Printable(r.Text), r.Name, r.object())
		return
	default:
		c.wrong("%s is an object of a class; give --volume or --class-file", r)
		return
	}
	if r.Version != "" {
		o["version"] = r.Version
	}
	c.objects = append(c.objects, o)
}

// object is the file of a class that stands for a reference of akv2k8s: the query is a key
// of the secret, and expand makes a file of each below the object's path.
func (r Reference) object() string {
	if r.Key == "" {
		return r.Name
	}
	return r.Name + "/" + r.Key
}

// Object is the file of a class that has the value of the reference, if it has none under
// File: for references to objects, and for those of akv2k8s, whose AzureKeyVaultSecrets an
// object of the same name can stand for. ok is false for others.
func (r Reference) Object() (path string, ok bool) {
	switch r.Product {
	case Lanyard:
		return r.Name, true
	case AzureKeyVaultSecret:
		return r.object(), true
	}
	return "", false
}

// Without leaves out the references that an object of a class stands for. has says whether
// the class makes a file.
func Without(references []Reference, has func(object string) bool) []Reference {
	return slices.DeleteFunc(slices.Clone(references), func(r Reference) bool {
		object, named := r.Object()
		return named && has(object)
	})
}

// amazon adds the store of a reference to AWS and returns its name. The region is the
// ARN's; those beside the first have stores of their own.
func (c *classMaker) amazon(r Reference) string {
	for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_SHARED_CREDENTIALS_FILE"} {
		if c.variable(name) != "" && c.once(name) {
			c.wrong("%s: has no counterpart: Lanyard reads as the pod, with a role of its service account; remove it", name)
		}
	}
	region := strings.SplitN(r.Name, ":", 5)[3]
	home := cmp.Or(c.variable("AWS_REGION"), c.variable("AWS_DEFAULT_REGION"), region)
	store := string(r.Product)
	if region != home {
		store += "-" + region
	}
	settings := map[string]any{"type": map[Product]string{SecretsManager: "aws-secrets-manager", ParameterStore: "aws-parameter-store"}[r.Product], "region": region}
	switch {
	case c.variable("AWS_ROLE_ARN") != "":
		settings["auth"] = map[string]any{"role": c.variable("AWS_ROLE_ARN")}
	case c.variable("AWS_CONTAINER_CREDENTIALS_FULL_URI") != "":
		settings["auth"] = map[string]any{"method": "podIdentity"}
	}
	c.stores[store] = settings
	return store
}

// clouds are those of Azure, by the domain of vaults.
var clouds = map[string]string{"vault.azure.net": "public", "vault.usgovcloudapi.net": "usGovernment", "vault.azure.cn": "china"}

// azure adds the store of Key Vault.
func (c *classMaker) azure() {
	if !c.once("store azure") {
		return
	}
	for _, name := range []string{"AZURE_CLIENT_SECRET", "AZURE_CLIENT_CERTIFICATE_PATH", "AZURE_USERNAME", "AZURE_PASSWORD"} {
		if c.variable(name) != "" {
			c.wrong("%s: has no counterpart: Lanyard reads as the pod, by workload identity; remove it", name)
		}
	}
	settings := map[string]any{"type": "azure-key-vault"}
	if text := strings.TrimRight(c.variable("AZURE_KEY_VAULT_URL"), "/"); text != "" {
		settings["address"] = text
		if address, err := url.Parse(text); err == nil && address.Scheme == "https" && address.Port() == "" && address.Path == "" {
			name, domain, _ := strings.Cut(address.Hostname(), ".")
			if cloud := clouds[domain]; cloud != "" {
				delete(settings, "address")
				settings["vault"] = name
				if cloud != "public" {
					settings["cloud"] = cloud
				}
			}
		}
	}
	set(settings, "tenantID", c.variable("AZURE_TENANT_ID"))
	if client := c.variable("AZURE_CLIENT_ID"); client != "" {
		settings["auth"] = map[string]any{"clientID": client}
	}
	c.stores[string(AzureKeyVault)] = settings
}

func set(of map[string]any, field, value string) {
	if value != "" {
		of[field] = value
	}
}

// trimmed is a path without needless slashes.
func trimmed(path string) string {
	return strings.Join(strings.FieldsFunc(path, func(r rune) bool { return r == '/' }), "/")
}
