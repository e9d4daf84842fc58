package inject

import (
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	core "k8s.io/api/core/v1"
)

// bankBegun begins a reference within a text.
var bankBegun = regexp.MustCompile(`\$\{(>>)?(vault|bao):`)

// bank is an annotation of bank-vaults without its prefix, by its newer or older name. Of both
// the newer counts, as there.
func (b *builder) bank(names ...string) (text, key string) {
	for _, p := range slices.Backward(bankVaultsTable.Prefixes) {
		for _, name := range names {
			if text, ok := b.pod.Annotations[p+name]; ok {
				return text, p + name
			}
		}
	}
	return "", bankVaultsTable.Prefixes[0] + names[0]
}

// annotatedForBank says whether the pod has an annotation of bank-vaults.
func (b *builder) annotatedForBank() bool {
	for name := range b.pod.Annotations {
		if slices.ContainsFunc(bankVaultsTable.Prefixes, func(p string) bool { return strings.HasPrefix(name, p) }) {
			return true
		}
	}
	return false
}

// skipped says whether the pod opts out of bank-vaults.
func (b *builder) skipped() bool {
	return slices.ContainsFunc(bankVaultsTable.Prefixes, func(p string) bool { return b.pod.Annotations[p+"mutate"] == "skip" })
}

func wantsBankVaults(b *builder) bool {
	if b.skipped() {
		return false
	}
	wants := b.annotatedForBank() && len(b.indirect()) > 0
	for _, c := range b.all() {
		wants = b.holds(c, bankSyntaxes) || wants
		for _, v := range c.Env {
			if begun := bankBegun.FindString(v.Value); begun != "" && !refers(v.Value, bankSyntaxes) {
				b.warn("container %s: %s has %s in it and no } after it; it stays as it is", c.Name, v.Name, begun)
			}
		}
	}
	switch {
	case !wants:
		return false
	case b.changedBy(bankVolumes):
		b.warn("the webhook of bank-vaults has changed the pod already, so its references stay with it")
		return false
	}
	return true
}

// indirect are the containers with variables from ConfigMaps and Secrets, which may be
// references.
func (b *builder) indirect() []*core.Container {
	var found []*core.Container
	for _, c := range b.all() {
		from := slices.ContainsFunc(c.Env, func(v core.EnvVar) bool {
			return v.ValueFrom != nil && (v.ValueFrom.ConfigMapKeyRef != nil || v.ValueFrom.SecretKeyRef != nil)
		})
		if from || len(c.EnvFrom) > 0 {
			found = append(found, c)
		}
	}
	return found
}

func injectBankVaults(b *builder) {
	b.answer(bankVaultsTable)
	if text, key := b.bank("provider"); text != "" && text != "vault" && text != "bao" {
		b.problem("%s: must be vault or bao, not %s", key, shown(text))
	}
	r := &b.references
	b.bankLogin(r)
	b.annotations[referencesConfigKey] = yamlText(configOf(r.connections))
	r.stays = b.bankYes(b.bank("secret-init-daemon", "vault-env-daemon"))
	r.probes = b.bankYes(b.bank("mutate-probes"))
	r.resources = b.bankResources()
	r.transit = b.bankTransit()
	indirect := b.indirect()
	for _, c := range b.all() {
		if b.holds(c, bankSyntaxes) || slices.Contains(indirect, c) {
			r.add(c.Name)
		}
	}
}

// bankYes says whether an annotation of bank-vaults is true. What is no boolean is false, as
// there: https://github.com/bank-vaults/secrets-webhook/blob/main/pkg/common/config.go
func (b *builder) bankYes(text, key string) bool {
	yes, err := strconv.ParseBool(text)
	if err != nil && text != "" {
		b.warn("%s: must be true or false; %s counts as false, as for bank-vaults", key, shown(text))
	}
	return yes
}

// bankTransit are the variables by which agents know the key of ciphertexts of Vault's
// transit engine, over those of the container.
func (b *builder) bankTransit() []core.EnvVar {
	var variables []core.EnvVar
	for _, v := range []struct{ name, annotation string }{{"VAULT_TRANSIT_KEY_ID", "transit-key-id"}, {"VAULT_TRANSIT_PATH", "transit-path"}} {
		if text, _ := b.bank(v.annotation, "vault-"+v.annotation, "bao-"+v.annotation); text != "" {
			variables = append(variables, core.EnvVar{Name: v.name, Value: text})
		}
	}
	return variables
}

// roleField is a field of a role that is a template.
// https://github.com/bank-vaults/secrets-webhook/blob/main/pkg/provider/vault/config.go (ParseConfig)
var roleField = regexp.MustCompile(`\{\{-?\s*\.(authmethod|name|namespace|path|serviceaccount)\s*-?\}\}`)

// bankRole is the role with its fields filled in.
func (b *builder) bankRole(c connection, key string) string {
	serviceAccount, _ := b.bank("vault-serviceaccount", "bao-serviceaccount")
	fields := map[string]string{"authmethod": c.Auth.Method, "name": b.pod.Name, "namespace": b.namespace, "path": c.Auth.Mount, "serviceaccount": serviceAccount}
	role := roleField.ReplaceAllStringFunc(c.Auth.Role, func(found string) string {
		return fields[roleField.FindStringSubmatch(found)[1]]
	})
	if strings.Contains(role, "{{") {
		b.problem("%s: of a template only {{ .authmethod }}, {{ .name }}, {{ .namespace }}, {{ .path }} and {{ .serviceaccount }} are understood; write the role itself", key)
	}
	return role
}

// bankProducts are the stores of references, each with the beginning of its annotations. Those
// of the other hold for a product that has none.
var bankProducts = []struct{ store, own, other string }{{"vault", "vault-", "bao-"}, {"openbao", "bao-", "vault-"}}

// bankConnection is how the agents of the pod reach Vault or OpenBao, and the Secret with the
// authority.
// https://github.com/bank-vaults/secrets-webhook/blob/main/pkg/provider/vault/config.go (ParseConfig)
func (b *builder) bankConnection(own, other string) (c connection, secret string) {
	c = b.defaultConnection()
	c.Auth.Method = "jwt"
	if !slices.ContainsFunc(slices.Collect(maps.Values(connectionVariables)), func(name string) bool { text, _ := b.bank(own + name); return text != "" }) {
		own = other
	}
	get := func(name string) (text, key string) {
		if text, key := b.bank(own + name); text != "" {
			return text, key
		}
		return "", bankVaultsTable.Prefixes[0] + bankProducts[0].own + name
	}
	override := func(setting *string, name string) (key string) {
		text, key := get(name)
		c.override(setting, text)
		return key
	}
	addressKey := override(&c.Address, "addr")
	override(&c.Namespace, "namespace")
	methodKey := override(&c.Auth.Method, "auth-method")
	override(&c.Auth.Mount, "path")
	if c.Auth.Role = b.pod.Spec.ServiceAccountName; c.Auth.Role == "" {
		c.Auth.Role = "default"
	}
	roleKey := override(&c.Auth.Role, "role")
	c.Auth.Role = b.bankRole(c, roleKey)
	c.TLS.InsecureSkipVerify = b.bankYes(get("skip-verify"))
	text, key := get("client-timeout")
	c.Timeout = b.duration(key, text, maxTimeout, b.warn)
	b.checkConnection(c, addressKey, roleKey, methodKey)
	text, _ = get("tls-secret")
	if secret = b.authority(text); secret != "" && !c.TLS.InsecureSkipVerify {
		c.TLS.CACertFile = vaultTLSDir + "/ca.crt"
	}
	return c, secret
}

// bankLogin is how the agents of the pod reach their stores, and as whom they run.
func (b *builder) bankLogin(r *references) {
	r.connections = map[string]connection{}
	var secrets []string
	for _, product := range bankProducts {
		c, secret := b.bankConnection(product.own, product.other)
		r.connections[product.store] = c
		if secret != "" && !slices.Contains(secrets, secret) {
			secrets = append(secrets, secret)
		}
	}
	switch len(secrets) {
	case 0:
	case 1:
		r.mounts = append(r.mounts, b.secretVolume(referencesVolume+"-tls", secrets[0]))
	default:
		b.problem("%svault-tls-secret and bao-tls-secret: the agents read one Secret; put both authorities into its ca.crt", bankVaultsTable.Prefixes[0])
	}
	volume, key := b.bank("service-account-token-volume-name", "vault-service-account-token-volume-name", "bao-service-account-token-volume-name")
	var mount *core.VolumeMount
	r.tokens, mount = b.loginToken(key, volume)
	if mount != nil {
		r.args = append(r.args, "--token="+audienceOfVault+"="+mount.MountPath+"/"+mount.SubPath)
		mount.SubPath = ""
		r.mounts = append(r.mounts, *mount)
	}
	for _, audience := range b.Audiences {
		if audience != audienceOfVault {
			r.tokens = append(r.tokens, token{audience, audience})
		}
	}
	for _, id := range []struct {
		name string
		to   **int64
	}{{"run-as-user", &r.user}, {"run-as-group", &r.group}} {
		// 0, and what is no number, change nothing, as there; see config.go of bankYes.
		text, key := b.bank(id.name)
		switch number, err := strconv.ParseInt(text, 10, 64); {
		case text == "", err == nil && number == 0:
		case err != nil:
			b.warn("%s: must be a number; %s has no effect, as for bank-vaults", key, shown(text))
		default:
			number = b.id(key, text)
			*id.to = &number
		}
	}
}

// bankResources are the resources that the annotations ask for, over the operator's.
func (b *builder) bankResources() core.ResourceRequirements {
	r := *b.Resources.DeepCopy()
	for _, q := range []struct {
		names []string
		limit bool
		of    core.ResourceName
	}{
		{[]string{"vault-agent-cpu", "vault-agent-cpu-limit", "bao-agent-cpu", "bao-agent-cpu-limit"}, true, core.ResourceCPU},
		{[]string{"vault-agent-cpu-request", "bao-agent-cpu-request"}, false, core.ResourceCPU},
		{[]string{"vault-agent-memory", "vault-agent-memory-limit", "bao-agent-memory", "bao-agent-memory-limit"}, true, core.ResourceMemory},
		{[]string{"vault-agent-memory-request", "bao-agent-memory-request"}, false, core.ResourceMemory},
	} {
		if text, key := b.bank(q.names...); text != "" {
			b.quantity(&r, q.limit, q.of, key, text, b.warn)
		}
	}
	return fitted(r)
}
