package reference

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/lanyardhq/lanyard/internal/message"
)

// vault adds what is read from Vault or OpenBao for a reference.
func (c *classMaker) vault(r Reference, o map[string]any) {
	prefix := map[Product]string{Vault: "VAULT_", OpenBao: "BAO_"}[r.Product]
	if c.once("store " + string(r.Product)) {
		c.vaultStore(r.Product, prefix)
	}
	switch {
	case r.Ciphertext:
		key := c.variable("VAULT_TRANSIT_KEY_ID")
		if key == "" {
			c.wrong("%s: a ciphertext of Vault's transit engine needs the name of its key in VAULT_TRANSIT_KEY_ID", r.Variable)
			return
		}
		o["key"] = cmp.Or(trimmed(c.variable("VAULT_TRANSIT_PATH")), "transit") + "/decrypt/" + key
		o["options"] = map[string]any{"method": "PUT", "body": map[string]any{"ciphertext": r.Name}}
		o["property"], o["encoding"] = "plaintext", "base64"
		c.objects = append(c.objects, o)
		return
	case r.Body != "":
		// The original's Write is a PUT.
		options := map[string]any{"method": "PUT"}
		if body := json.RawMessage(r.Body); r.Body != "{}" {
			options["body"] = body
		}
		o["options"] = options
	}
	o["key"] = r.Name
	if r.Version != "" {
		o["version"] = r.Version
	}
	if !isTemplate(r.Key) {
		o["property"] = property(r.Key)
		c.objects = append(c.objects, o)
		return
	}
	template, err := translate(r.Key)
	if err != nil {
		c.wrong("%s: %w", r, err)
		return
	}
	// A template is of an object with all keys of the secret.
	secret := map[string]any{"name": r.File() + ".secret"}
	for _, field := range []string{"store", "key", "version", "options"} {
		if value, given := o[field]; given {
			secret[field] = value
			delete(o, field)
		}
	}
	o["template"] = fmt.Sprintf("{{ with fromJson (index . %q) }}%s{{ end }}", secret["name"], template)
	c.objects = append(c.objects, secret, o)
}

// property selects exactly this key, by the quoted names of JMESPath.
// https://jmespath.org/specification.html#identifiers
func property(key string) string {
	text, err := compact(key)
	if err != nil {
		return key // text always encodes
	}
	return text
}

// refused are the variables of Vault's client and of bank-vaults, without their prefix,
// that would change whom a value is read as, or by which way, with what to do instead.
// https://github.com/bank-vaults/secret-init/blob/main/pkg/provider/vault/config.go
// https://developer.hashicorp.com/vault/docs/commands#environment-variables
var refused = map[string]string{
	"TOKEN":                  "Lanyard logs in as the pod; remove it, or have the operator's configuration name a store with auth.method tokenFile",
	"TOKEN_FILE":             "Lanyard logs in as the pod; remove it, or have the operator's configuration name a store with auth.method tokenFile",
	"AGENT_ADDR":             "values are read without an agent; set the address of Vault itself",
	"CAPATH":                 "name one file in the variable of the CA certificate, or have the operator's configuration say tls.caCertDir",
	"CACERT_BYTES":           "name a file in the variable of the CA certificate",
	"CLIENT_CERT":            "a client certificate stands in the operator's configuration, as tls.clientCertFile",
	"CLIENT_KEY":             "a client certificate stands in the operator's configuration, as tls.clientKeyFile",
	"MFA":                    "there is no second factor of a pod",
	"WRAP_TTL":               "answers are not wrapped; remove it",
	"PROXY_ADDR":             "a proxy stands in the operator's configuration",
	"HTTP_PROXY":             "a proxy stands in the operator's configuration",
	"SRV_LOOKUP":             "set an address with its port",
	"IGNORE_MISSING_SECRETS": "all values are there or the command is not started; remove the variables whose secrets may be missing, or give a class with optional objects",
}

// vaultStore adds what the variables say of the store.
func (c *classMaker) vaultStore(product Product, prefix string) {
	for _, name := range slices.Sorted(maps.Keys(refused)) {
		text := c.variable(prefix + name)
		if no, err := strconv.ParseBool(text); text != "" && (err != nil || no) {
			c.wrong("%s%s: has no counterpart: %s", prefix, name, refused[name])
		}
	}
	if method := c.variable(prefix + "AUTH_METHOD"); method != "" && method != "jwt" && method != "kubernetes" {
		c.wrong("%sAUTH_METHOD: %s is not supported; Lanyard logs in with the pod's token, so it must be jwt", prefix, message.Printable(method))
	}
	settings, auth := map[string]any{}, map[string]any{}
	address := strings.TrimRight(c.variable(prefix+"ADDR"), "/")
	role := c.variable(prefix + "ROLE")
	if address != "" {
		settings["type"], settings["address"], auth["method"] = "vault", address, "kubernetes"
		// https://github.com/bank-vaults/vault-sdk/blob/main/vault/client.go
		role = cmp.Or(role, "default")
		if product == OpenBao {
			auth["audience"] = "openbao"
		}
		if tls := c.vaultTLS(prefix); len(tls) > 0 && !strings.HasPrefix(strings.ToLower(address), "http://") {
			settings["tls"] = tls
		}
	}
	set(settings, "namespace", trimmed(c.variable(prefix+"NAMESPACE")))
	set(auth, "role", role)
	set(auth, "mount", trimmed(c.variable(prefix+"PATH")))
	if len(auth) > 0 {
		settings["auth"] = auth
	}
	if len(settings) > 0 {
		c.stores[string(product)] = settings
	}
}

func (c *classMaker) vaultTLS(prefix string) map[string]any {
	tls := map[string]any{}
	set(tls, "serverName", c.variable(prefix+"TLS_SERVER_NAME"))
	if skip, err := strconv.ParseBool(c.variable(prefix + "SKIP_VERIFY")); err == nil && skip {
		tls["insecureSkipVerify"] = true
		return tls
	}
	path := c.variable(prefix + "CACERT")
	switch {
	case path == "":
	case c.ReadFile == nil:
		c.wrong("%sCACERT: files are not read here; have the operator's configuration say tls.caCert", prefix)
	default:
		if pem, err := c.ReadFile(path); err != nil {
			c.wrong("%sCACERT: %w", prefix, err)
		} else {
			tls["caCert"] = string(pem)
		}
	}
	return tls
}
