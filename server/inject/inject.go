// Package inject changes pods that ask for it, so that their containers get secrets: as
// files, from a volume of the Secrets Store CSI driver or from an agent in the pod, or as
// environment variables. It sees no value and asks nobody: what a pod becomes follows from
// the pod and from what the operator says.
//
// A pod asks in one of several dialects: the annotations of Lanyard itself, those of other
// webhooks, whose pods run unchanged, and references to secrets in variables. Start with
// Pod; package webhook serves it to the API server.
package inject

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	core "k8s.io/api/core/v1"

	"github.com/lanyardhq/lanyard/internal/message"
)

// Options are what the operator says.
type Options struct {
	// Image has lanyard and lanyard-exec, and PullPolicy says when nodes pull it; empty
	// leaves that to Kubernetes.
	Image      string
	PullPolicy core.PullPolicy
	// ImageVolumes says that nodes mount images as volumes. Elsewhere an init container
	// copies lanyard-exec into the pod.
	ImageVolumes bool
	// Audiences are those of the tokens that agents get, where the pod names none.
	Audiences []string
	// Resources are those of agents.
	Resources core.ResourceRequirements
	// AgentConfig is the text of the configuration file of agents in pods that ask in
	// Lanyard's own annotations; empty for none.
	AgentConfig string
	// Dialects are the dialects that are understood beside Lanyard's own: VaultAgent,
	// BankVaults and AKV.
	Dialects []string
	// Vault is what pods of VaultAgent and BankVaults get where they do not say otherwise.
	Vault Vault
	// AKVClass is the class of each namespace that has the objects of references of akv2k8s,
	// where a pod names none.
	AKVClass string
	// Exempt are namespaces whose pods are never changed.
	Exempt []string
	// Agent says what an agent would refuse of what it is given; nil asks nobody.
	Agent func(Given) []string
}

// Given is what an agent in a pod is given as texts.
type Given struct {
	// Config is the text of its configuration file; empty for none.
	Config string
	// Class is the text of its class, or of several, of which ClassName names one; empty if
	// the agent reads none from a text.
	Class, ClassName string
	// References are the parameters of the classes that agents make of references, by the
	// containers whose they are.
	References map[string]map[string]string
}

// Vault is a connection to Vault.
type Vault struct {
	// Address is the URL of the server.
	Address string
	// Namespace is that of Vault Enterprise.
	Namespace string
	// AuthPath is where the auth method is enabled, without "auth/".
	AuthPath string
	// Audience is that of the pod's token; empty is the API server's own, which the
	// Kubernetes auth method of Vault expects unless its role says otherwise.
	Audience string
	// CACertSecret is the Secret in the pod's namespace with the authority, in the field
	// ca.crt; empty trusts the system's.
	CACertSecret string
}

// The dialects beside Lanyard's own.
const (
	// VaultAgent is the dialect of https://github.com/hashicorp/vault-k8s.
	VaultAgent = "vault-agent"
	// BankVaults is the dialect of https://github.com/bank-vaults/secrets-webhook.
	BankVaults = "bank-vaults"
	// AKV is the dialect of https://github.com/SparebankenVest/azure-key-vault-to-kubernetes.
	AKV = "akv2k8s"
)

// Dialects are the names that Options.Dialects takes.
func Dialects() []string { return []string{VaultAgent, BankVaults, AKV} }

// Annotations that the webhook itself sets.
const (
	// Injected marks a pod that was changed, and names the dialects that asked for it.
	Injected = prefix + "injected"
	// mirror marks what shows a static pod in the API, which nothing can be changed of.
	// https://kubernetes.io/docs/reference/labels-annotations-taints/#kubernetes-io-config-mirror
	mirror = core.MirrorPodAnnotationKey

	prefix = "lanyard.dev/"
)

// RefusalError is why a pod is not admitted: all of it, each with what to do.
type RefusalError []string

// Error is all of it in one line.
func (r RefusalError) Error() string { return strings.Join(r, "; ") }

// Result is what becomes of a pod.
type Result struct {
	// Pod is the pod as it is to be; the one that was given if nothing changes.
	Pod *core.Pod
	// Wants says whether the pod asks for secrets, and Changed whether it was changed.
	Wants, Changed bool
	// Warnings are for who makes the pod: what was asked for and has no effect.
	Warnings []string
}

// Pod returns the pod with what it asks for, or a RefusalError and only the warnings. The pod that is given stays as
// it is. A pod that was changed already is only completed: of a pod that Pod returned, it
// returns the same.
func Pod(pod *core.Pod, namespace string, o Options) (Result, error) {
	// The API server refuses a pod without containers by itself.
	if slices.Contains(o.Exempt, namespace) || len(pod.Spec.Containers) == 0 {
		return Result{Pod: pod}, nil
	}
	if n := annotationBytes(pod); n > maxAnnotations {
		return Result{}, RefusalError{fmt.Sprintf("metadata.annotations: have %d bytes; Kubernetes takes %d", n, maxAnnotations)}
	}
	_, injected := pod.Annotations[Injected]
	b := &builder{pod: pod.DeepCopy(), namespace: namespace, Options: o, again: injected, added: map[string]bool{}, annotations: map[string]string{}}
	var requested []string
	for _, d := range dialects {
		if (d.name == native || slices.Contains(o.Dialects, d.name)) && d.wants(b) {
			requested = append(requested, d.name)
		}
	}
	b.lint(requested)
	if len(requested) == 0 {
		b.conclude()
		if len(b.problems) > 0 {
			return Result{Warnings: b.warnings}, RefusalError(b.problems)
		}
		return Result{Pod: pod, Warnings: b.warnings}, nil
	}
	if _, static := pod.Annotations[mirror]; static {
		return Result{Pod: pod, Wants: true, Warnings: []string{"a static pod cannot be changed; give its secrets to the node, or run it as a DaemonSet"}}, nil
	}
	if pod.Spec.OS != nil && pod.Spec.OS.Name == core.Windows {
		return Result{}, RefusalError{"spec.os.name: pods of Windows cannot run Lanyard; remove " + prefix + "inject, or mount the class with the CSI driver"}
	}
	for _, d := range dialects {
		if slices.Contains(requested, d.name) {
			d.inject(b)
		}
	}
	b.addReferences()
	b.conclude()
	if len(b.problems) > 0 {
		return Result{Warnings: b.warnings}, RefusalError(b.problems)
	}
	b.annotations[Injected] = strings.Join(requested, ",")
	if b.pod.Annotations == nil {
		b.pod.Annotations = map[string]string{}
	}
	maps.Copy(b.pod.Annotations, b.annotations)
	return Result{Pod: b.pod, Wants: true, Changed: true, Warnings: b.warnings}, nil
}

// maxAnnotations are the bytes of annotations that API servers take, which count them after
// webhooks have seen them.
// https://github.com/kubernetes/kubernetes/blob/v1.37.2/staging/src/k8s.io/apimachinery/pkg/api/validation/objectmeta.go
const maxAnnotations = 256 << 10

func annotationBytes(pod *core.Pod) (n int) {
	for name, text := range pod.Annotations {
		n += len(name) + len(text)
	}
	return n
}

// native is the name of Lanyard's own dialect.
const native = "lanyard"

// dialects are all dialects in the order in which they change a pod. asks says whether the
// pod asks in the dialect, and inject does what it asks for.
var dialects = []struct {
	name   string
	wants  func(*builder) bool
	inject func(*builder)
}{
	{native, wantsNative, injectNative},
	{VaultAgent, wantsVaultAgent, injectVaultAgent},
	{BankVaults, wantsBankVaults, injectBankVaults},
	{AKV, wantsAKV, injectAKV},
}

// annotation is the pod's.
func (b *builder) annotation(name string) (string, bool) {
	text, ok := b.pod.Annotations[name]
	return text, ok
}

// injectedAs says whether the webhook has changed the pod for a dialect before.
func (b *builder) injectedAs(dialect string) bool {
	return slices.Contains(strings.Split(b.pod.Annotations[Injected], ","), dialect)
}

// reporter notes what is wrong with a pod: problem or warn.
type reporter func(format string, args ...any)

// problem notes why the pod is refused.
func (b *builder) problem(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if !slices.Contains(b.problems, text) {
		b.problems = append(b.problems, text)
	}
}

// warn notes what has no effect.
func (b *builder) warn(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if !slices.Contains(b.warnings, text) {
		b.warnings = append(b.warnings, text)
	}
}

// shown is a text of the pod's author as it may stand in an error.
func shown(text string) string {
	if strings.TrimSpace(text) == "" {
		return `""`
	}
	return message.Excerpt(text)
}
