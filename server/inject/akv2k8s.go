package inject

import (
	"slices"
	"strings"

	core "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
)

// akvWord is what makes akv2k8s look at a variable.
const akvWord = "@azurekeyvault"

func wantsAKV(b *builder) bool {
	wants := false
	for _, c := range b.all() {
		wants = b.holds(c, akvSyntaxes) || wants
		for _, v := range c.Env {
			if strings.Contains(v.Value, akvWord) && !refers(v.Value, akvSyntaxes) {
				b.warn("container %s: %s has %s in it and is no reference, which is NAME%s or NAME%s?QUERY alone; it stays as it is", c.Name, v.Name, akvWord, akvWord, akvWord)
			}
		}
	}
	if wants && b.changedBy(akvVolumes) {
		b.warn("the webhook of akv2k8s has changed the pod already, so its references stay with it")
		return false
	}
	return wants
}

// injectAKV gives containers the values from a class that has an object for each
// AzureKeyVaultSecret, of the same name: the pod names it, or the operator has one name for
// the classes of all namespaces. lanyard-exec finds the objects by the references.
func injectAKV(b *builder) {
	class, ok := b.annotation(classKey)
	if !ok {
		class = b.AKVClass
	}
	if class == "" {
		b.problem("%s: is missing; name the SecretProviderClass that has an object for each AzureKeyVaultSecret of the pod", classKey)
	} else if len(validation.IsDNS1123Subdomain(class)) > 0 {
		b.problem("%s: %s is no name of a SecretProviderClass", classKey, shown(class))
	}
	volume := ""
	for _, c := range b.all() {
		if !b.holds(c, akvSyntaxes) || slices.Contains(b.nativeEnv, c.Name) {
			continue
		}
		for _, v := range c.Env {
			if a, ok := akvTable.of(v.Name); ok {
				b.warn("container %s: %s has no effect: %s", c.Name, v.Name, a.Text)
			}
		}
		if slices.Contains(b.references.containers, c.Name) {
			b.problem("container %s: has references of akv2k8s and of bank-vaults; write the references to Vault as objects of a class", c.Name)
			continue
		}
		if volume == "" {
			volume = b.classVolume(class)
		}
		b.akv = append(b.akv, c.Name)
	}
	// Names, because a container that is added moves the others.
	for _, name := range b.akv {
		at := b.mounted(name, volume)
		if at == "" {
			at = akvPath
			b.mount(name, core.VolumeMount{Name: volume, MountPath: at, ReadOnly: true}, "the values of references need it; mount that volume elsewhere")
		}
		b.wrap(name, []string{"--volume=" + at, referencesFlag(akvSyntaxes)}, false, "remove its references")
		b.warnOfExpansion(name, akvSyntaxes)
	}
}
