// Package reference finds references to secrets in the texts of environment variables, in
// the syntaxes of Lanyard, bank-vaults, secret-init and akv2k8s, and says what is read for
// them: a file of a volume, or an object of a class that stands in memory.
//
// A text is a reference exactly where the original takes it for one; everything else stays
// as it is. The package makes no call, reads no file and imports the standard library
// alone besides small tools, since a binary with it is copied into pods.
//
// Start with Find for an environment, or Parse for one variable; Class is what a mount
// reads for references. The facts about the originals are from their source:
// https://github.com/bank-vaults/internal/blob/main/pkg/injector/vault/injector.go,
// https://github.com/bank-vaults/secret-init/tree/main/pkg/provider and
// https://github.com/SparebankenVest/azure-key-vault-to-kubernetes/blob/master/cmd/azure-keyvault-env/environment.go.
package reference

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strings"

	"github.com/lanyardhq/lanyard/internal/message"
)

// The syntaxes that can be chosen, by the programs that they are from. That of Lanyard is
// always understood.
const (
	BankVaults = "bank-vaults" // vault:, >>vault: and ${vault:...}
	SecretInit = "secret-init" // these, bao: in the same forms, arn:aws:..., gcp:secretmanager: and azure:keyvault:
	AKV2K8s    = "akv2k8s"     // NAME@azurekeyvault
)

// Syntaxes are all that can be chosen.
func Syntaxes() []string { return []string{BankVaults, SecretInit, AKV2K8s} }

// Product is what a reference is read from.
type Product string

// The products of references.
const (
	Lanyard             Product = "lanyard" // an object of a class
	Vault               Product = "vault"
	OpenBao             Product = "openbao"
	SecretsManager      Product = "secretsmanager"
	ParameterStore      Product = "ssmparameter"
	GoogleSecretManager Product = "gcp"
	AzureKeyVault       Product = "azure"
	// AzureKeyVaultSecret is an object of akv2k8s in the cluster.
	AzureKeyVaultSecret Product = "azurekeyvaultsecret"
)

// Reference is one reference.
type Reference struct {
	// Text is the reference as it is written, without the ${ and } of one within a text.
	Text string
	// Variable is the first variable that has it, for messages.
	Variable string
	Product  Product
	// Name is what the product calls the secret: an object's path, a path of Vault's API,
	// an ARN, a resource name, or the name of the secret.
	Name string
	// Key is the key of the secret of Vault, or a template in its place; the query of an
	// AzureKeyVaultSecret.
	Key string
	// Version is one version of the secret; empty for the current one.
	Version string
	// Body is what is sent for a reference with >>, an object of JSON; empty for others.
	Body string
	// Ciphertext says that the text is one of Vault's transit engine.
	Ciphertext bool
}

// File is the name of the file that has the value of the reference in a volume, unless it
// is one to an object, which has its own: it says nothing of the reference but whether two
// are the same.
func (r Reference) File() string {
	sum := sha256.Sum256([]byte(r.Text))
	return "ref-" + hex.EncodeToString(sum[:16])
}

// String is the reference for a message: one to an object is the object. What is sent to Vault may be secret, and a
// ciphertext says nothing.
func (r Reference) String() string {
	switch {
	case r.Product == Lanyard:
		return message.Printable(r.Name)
	case r.Ciphertext:
		return "vault:v…"
	case r.Body != "":
		return message.Printable(">>" + prefixes[r.Product] + r.Name + "#" + r.Key)
	}
	return message.Printable(r.Text)
}

// prefixes begin the references of products with the syntax of bank-vaults.
var prefixes = map[Product]string{Vault: "vault:", OpenBao: "bao:"}

// Value is what a variable gets of what was read: of a secret of AWS that is a JSON object
// of one key, that key's value as JSON text.
// https://github.com/bank-vaults/secret-init/blob/main/pkg/provider/aws/aws.go
func (r Reference) Value(read []byte) []byte {
	if r.Product != SecretsManager {
		return read
	}
	var object map[string]any
	if json.Unmarshal(read, &object) != nil || len(object) != 1 {
		return read
	}
	for _, only := range object {
		if text, err := json.Marshal(only); err == nil {
			return text
		}
	}
	return read
}

// Text is the text of a variable: references and what stands between them.
type Text struct {
	// between has one text more than there are references.
	between    []string
	references []Reference
}

// References are those of the text, in its order.
func (t Text) References() []Reference { return t.references }

// Resolve is the text with the values in the place of the references. What a value says is
// no reference. A text that becomes longer than limit is left, and false returned.
func (t Text) Resolve(limit int, value func(Reference) string) (string, bool) {
	var b strings.Builder
	for i, between := range t.between {
		next := ""
		if i < len(t.references) {
			next = value(t.references[i])
		}
		if b.Len()+len(between)+len(next) > limit {
			return "", false
		}
		b.WriteString(between)
		b.WriteString(next)
	}
	return b.String(), true
}
