package inject

import (
	"errors"
	"slices"
	"strings"

	core "k8s.io/api/core/v1"

	"github.com/lanyardhq/lanyard/server/exec/reference"
)

const (
	referencesPrefix    = "lanyard-references-"
	referencesVolume    = "lanyard-references"
	referencesDir       = "/lanyard-references"
	akvPath             = "/azure-keyvault"
	referencesConfigKey = prefix + "references-config"
)

// bankSyntaxes and akvSyntaxes are those of the references of the dialects: bank-vaults
// starts a container's command by secret-init.
// https://github.com/bank-vaults/secret-init#readme
var (
	bankSyntaxes = []string{reference.BankVaults, reference.SecretInit}
	akvSyntaxes  = []string{reference.AKV2K8s}
)

// The volumes by which the originals know a pod that they have changed.
// https://github.com/bank-vaults/secrets-webhook/blob/main/pkg/provider/vault/pod.go (isPodAlreadyMutated)
// https://github.com/SparebankenVest/azure-key-vault-to-kubernetes/blob/master/cmd/azure-keyvault-secrets-webhook/pod.go
var (
	bankVolumes = []string{"secret-init", "vault-env"}
	akvVolumes  = []string{"azure-keyvault-env"}
)

// changedBy says whether the webhook of the original has the pod already, whose command it
// starts by its own program.
func (b *builder) changedBy(volumes []string) bool {
	return slices.ContainsFunc(b.pod.Spec.Volumes, func(v core.Volume) bool { return slices.Contains(volumes, v.Name) })
}

// refers says whether the text of a variable is or has a reference of the syntaxes, one with
// a mistake included.
func refers(text string, syntaxes []string) bool {
	parsed, err := reference.Parse("", text, syntaxes)
	return err != nil || slices.ContainsFunc(parsed.References(), func(r reference.Reference) bool { return r.Product != reference.Lanyard })
}

// holds says whether a variable of the container has a text that is or has a reference.
func (b *builder) holds(c *core.Container, syntaxes []string) bool {
	return slices.ContainsFunc(c.Env, func(v core.EnvVar) bool { return refers(v.Value, syntaxes) })
}

// referencesFlag has lanyard-exec, or an agent, take texts of these syntaxes alone for
// references.
func referencesFlag(syntaxes []string) string { return "--references=" + strings.Join(syntaxes, ",") }

// connectionVariables are those, behind VAULT_ or BAO_, by which bank-vaults tells its program
// where Vault is, whatever a container has under these names, with the annotations that say it.
var connectionVariables = map[string]string{
	"ADDR": "addr", "ROLE": "role", "PATH": "path", "AUTH_METHOD": "auth-method", "NAMESPACE": "namespace",
	"SKIP_VERIFY": "skip-verify", "CACERT": "tls-secret", "CLIENT_TIMEOUT": "client-timeout",
}

// connectionVariable is the store whose connection a variable would say, and the annotation
// that says it, without what it begins with.
func connectionVariable(name string) (store, own, annotation string) {
	for _, product := range bankProducts {
		begin := strings.ToUpper(strings.TrimSuffix(product.own, "-")) + "_"
		if rest, ok := strings.CutPrefix(name, begin); ok && connectionVariables[rest] != "" {
			return product.store, product.own, connectionVariables[rest]
		}
	}
	return "", "", ""
}

// references are containers whose variables hold references to a store.
type references struct {
	containers []string
	// stays has agents keep the leases for as long as the pod lives.
	stays       bool
	probes      bool
	args        []string
	tokens      []token
	mounts      []core.VolumeMount
	user, group *int64
	resources   core.ResourceRequirements
	transit     []core.EnvVar
	connections map[string]connection        // by store
	classes     map[string]map[string]string // of the agents, by container
}

func (r *references) add(container string) {
	if !slices.Contains(r.containers, container) {
		r.containers = append(r.containers, container)
	}
}

// addReferences gives each container an agent of its own, which has the same variables and
// writes the values of the references in them, and wraps the container's command. So it
// need not be known here what is in ConfigMaps and Secrets.
func (b *builder) addReferences() {
	r := b.references
	r.classes = map[string]map[string]string{}
	if text, ok := b.annotation(containersKey); ok && len(r.containers) > 0 {
		wanted := b.chosen(containersKey, b.problem)
		r.containers = slices.DeleteFunc(r.containers, func(name string) bool {
			c := b.container(name)
			left := !slices.Contains(wanted, name)
			if left && b.holds(c, bankSyntaxes) {
				b.problem("container %s: has references and is not among %s: %s; add it, or remove them", name, containersKey, shown(text))
			}
			return left
		})
	}
	for _, name := range r.containers {
		c := b.container(name)
		if slices.Contains(b.nativeEnv, name) {
			b.problem("container %s: has references, and variables by %s: env; write the references as objects of the class", name, Inject)
			continue
		}
		a := agent{
			name: named(referencesPrefix, name), volumes: referencesVolume, stays: r.stays, waits: true, first: true, target: referencesDir,
			args: slices.Concat([]string{referencesFlag(bankSyntaxes), "--config=" + textsDir + "/config.yaml"}, r.args), tokens: r.tokens, texts: map[string]string{"config.yaml": referencesConfigKey}, user: r.user, group: r.group,
		}
		if a.user == nil {
			user := b.userOf(c)
			a.user = &user
		}
		env, from := b.agentEnv(c), slices.Clone(c.EnvFrom)
		b.checkReferences(name, env, r.classes)
		a.more = func(agent *core.Container) {
			agent.Env, agent.EnvFrom, agent.Resources = env, from, *r.resources.DeepCopy()
			agent.VolumeMounts = append(agent.VolumeMounts, r.mounts...)
		}
		mount := core.VolumeMount{Name: referencesVolume, MountPath: referencesDir, SubPath: name}
		b.addAgent(a, referencesVolume, mount)
		mount.ReadOnly = true
		b.mount(name, mount, "the values of references need it; mount that volume elsewhere")
		b.wrap(name, []string{"--volume=" + referencesDir, referencesFlag(bankSyntaxes)}, r.probes, "leave it out with "+containersKey)
		b.warnOfExpansion(name, bankSyntaxes)
	}
	if len(r.containers) > 0 {
		b.given(bankVaultsTable.Prefixes[0]+"*", Given{Config: b.annotations[referencesConfigKey], References: r.classes})
	}
}

// agentEnv are the variables of a container as its agent has them: where Vault is, the
// configuration says, as the webhook of the original does.
func (b *builder) agentEnv(c *core.Container) []core.EnvVar {
	overridden := func(v core.EnvVar) bool {
		return slices.ContainsFunc(b.references.transit, func(other core.EnvVar) bool { return other.Name == v.Name })
	}
	var env []core.EnvVar
	for _, v := range c.Env {
		switch store, own, annotation := connectionVariable(v.Name); {
		case store != "" && (v.ValueFrom != nil || !b.references.connections[store].says(annotation, v.Value)):
			b.warn("container %s: %s says nothing about its references: where their store is, %s%s%s says, or the operator", c.Name, v.Name, bankVaultsTable.Prefixes[0], own, annotation)
		case store == "" && !overridden(v):
			env = append(env, v)
		}
	}
	return append(env, b.references.transit...)
}

// checkReferences refuses what the agent of the container would refuse of these variables, and
// adds the class that it makes of them.
func (b *builder) checkReferences(container string, env []core.EnvVar, classes map[string]map[string]string) {
	var environ []string
	values := map[string]string{}
	for _, v := range slices.Backward(env) { // of a name that is there twice the kubelet takes the last
		if _, twice := values[v.Name]; !twice && v.ValueFrom == nil {
			environ = append(environ, v.Name+"="+v.Value)
		}
		if _, twice := values[v.Name]; !twice {
			values[v.Name] = v.Value
		}
	}
	found, wrong := reference.Find(environ, bankSyntaxes)
	parameters, err := reference.Class(found, reference.Options{Variable: func(name string) string { return values[name] }})
	if err = errors.Join(wrong, err); err != nil {
		for line := range strings.Lines(err.Error()) {
			b.problem("container %s: %s", container, shown(strings.TrimSpace(line)))
		}
		return
	}
	if len(found) > 0 {
		classes[container] = parameters
	}
}
