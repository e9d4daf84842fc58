package inject

import (
	"slices"
	"strconv"
	"strings"
)

// What becomes of an annotation or variable of another webhook.
const (
	// Honoured: it does here what it does there.
	Honoured = "honoured"
	// NoEffect: it changes nothing here, and whoever makes the pod is told so.
	NoEffect = "no effect"
	// Refused: a pod with it is not admitted.
	Refused = "refused"
)

// Answer is what becomes of an annotation of another webhook. The pages about the way from
// there list all of them.
type Answer struct {
	// Name is the annotation without its prefix. One that ends in a hyphen stands for all
	// that begin so.
	Name string
	// Is is Honoured, NoEffect or Refused.
	Is string
	// Unless is a value that is harmless though the annotation is refused.
	Unless string
	// Text says how, or what to do instead.
	Text string
}

// harmless says whether a value of an annotation that is refused asks for nothing.
func (a Answer) harmless(value string) bool {
	yes, err := strconv.ParseBool(value)
	return value == a.Unless || a.Unless == "false" && err == nil && !yes
}

// Table is what a dialect answers to each annotation.
type Table struct {
	Dialect string
	// Prefixes are those of the annotations, the usual one first; none for variables.
	Prefixes []string
	Answers  []Answer
}

// of is the answer for an annotation without its prefix: the most exact one.
func (t Table) of(name string) (Answer, bool) {
	var found Answer
	for _, a := range t.Answers {
		if a.Name == name {
			return a, true
		}
		if strings.HasSuffix(a.Name, "-") && strings.HasPrefix(name, a.Name) && len(name) > len(a.Name) && len(a.Name) > len(found.Name) {
			found = a
		}
	}
	return found, found.Name != ""
}

// answer tells of the pod's annotations what is refused and what has no effect.
func (b *builder) answer(t Table) {
	for _, full := range sortedKeys(b.pod.Annotations) {
		at := slices.IndexFunc(t.Prefixes, func(p string) bool { return strings.HasPrefix(full, p) })
		if at < 0 {
			continue
		}
		a, known := t.of(full[len(t.Prefixes[at]):])
		value := strings.TrimSpace(b.pod.Annotations[full])
		switch {
		case !known: // see lintTable
		case a.Is == Refused && value != "" && !a.harmless(value):
			b.problem("%s: %s", shown(full), a.Text)
		case a.Is == NoEffect:
			b.warn("%s: has no effect: %s", shown(full), a.Text)
		}
	}
}

// Tables are the answers of all dialects of other webhooks.
var Tables = []Table{vaultAgentTable, bankVaultsTable, akvTable}

// vaultAgentTable answers the annotations of vault-k8s 1.7, as they are in
// https://github.com/hashicorp/vault-k8s/blob/c51bed497f11da471cec4c2eb06315b4cdc39884/agent-inject/agent/annotations.go
var vaultAgentTable = Table{VaultAgent, []string{"vault.hashicorp.com/"}, []Answer{
	{"agent-inject", Honoured, "", "`true` opts the pod in"},
	{"agent-inject-status", Honoured, "", "`injected` leaves the pod as it is; either webhook writes it to the pods that it has changed"},
	{"agent-inject-secret-", Honoured, "", "the path of a secret in Vault, whose file is named after what follows"},
	{"agent-inject-file-", Honoured, "", "the file, below the volume's path"},
	{"agent-inject-perms-", Honoured, "", "the file's mode"},
	{"agent-inject-template-", Honoured, "", "the file's template"},
	{"agent-inject-template-file-", Refused, "", "the agent has no file of the pod's to read templates from; write the template itself as vault.hashicorp.com/agent-inject-template-NAME"},
	{"agent-inject-default-template", Honoured, "", "`map` or `json`"},
	{"agent-inject-containers", Honoured, "", "the containers that get the files; a warning names those that there are not"},
	{"agent-inject-command-", Honoured, "", "a command that signals a process, or calls a URL of loopback, becomes a notification of the agent, sent when a file changed. The agent's image has no shell, so that any other command is refused"},
	{"agent-inject-token", Refused, "false", "the agent hands out no token of Vault; write a template of the secret that the application needs"},
	{"agent-image", NoEffect, "", "the agent is Lanyard's own"},
	{"agent-request-namespace", NoEffect, "", "the namespace is the pod's"},
	{"agent-init-first", Honoured, "", "`true` puts the agent before the pod's init containers, else it stands after them"},
	{"agent-pre-populate", Honoured, "", "`false` lets the containers start before the files are there"},
	{"agent-pre-populate-only", Honoured, "", "`true` has an init container write the files once"},
	{"agent-configmap", Refused, "", "a configuration of Vault Agent is not understood; write the secrets as vault.hashicorp.com/agent-inject-secret-NAME and the connection as annotations"},
	{"agent-extra-secret", NoEffect, "", "only a configuration of Vault Agent would read it"},
	{"agent-limits-cpu", Honoured, "", "the agent's limit"},
	{"agent-limits-mem", Honoured, "", "the agent's limit"},
	{"agent-limits-ephemeral", Honoured, "", "the agent's limit"},
	{"agent-requests-cpu", Honoured, "", "the agent's request"},
	{"agent-requests-mem", Honoured, "", "the agent's request"},
	{"agent-requests-ephemeral", Honoured, "", "the agent's request"},
	{"agent-revoke-on-shutdown", Honoured, "", "`true` revokes leases at the end of the pod"},
	{"agent-revoke-grace", NoEffect, "", "the agent has what is left of the pod's grace period"},
	{"agent-run-as-user", Honoured, "", "the agent's user"},
	{"agent-run-as-group", Honoured, "", "the agent's group"},
	{"agent-run-as-same-user", Honoured, "", "the agent has the user of the first container"},
	{"agent-set-security-context", Honoured, "", "`false` leaves user and group to the platform; all else of the security context stays"},
	{"agent-share-process-namespace", Honoured, "", "sets shareProcessNamespace of the pod"},
	{"agent-service-account-token-volume-name", Honoured, "", "a projected volume of the pod, whose token logs in"},
	{"agent-copy-volume-mounts", Honoured, "", "the container whose volumes the agent has too"},
	{"agent-json-patch", Refused, "", "the agent's container is another; use the annotations for its user and resources"},
	{"agent-init-json-patch", Refused, "", "the agent's container is another; use the annotations for its user and resources"},
	{"agent-auto-auth-exit-on-err", NoEffect, "", "a pod that starts waits for its files, and its agent tries again"},
	{"agent-cache-enable", Refused, "false", "the agent serves no API of Vault; have the application read the files"},
	{"agent-cache-use-auto-auth-token", NoEffect, "", "there is no API of Vault to serve"},
	{"agent-cache-listener-port", NoEffect, "", "there is no API of Vault to serve"},
	{"agent-cache-exit-on-err", NoEffect, "", "the agent keeps nothing on disk"},
	{"agent-enable-quit", NoEffect, "", "a native sidecar ends with the pod's containers, also in a Job"},
	{"agent-disable-idle-connections", NoEffect, "", "connections are closed when they are idle"},
	{"agent-disable-keep-alives", NoEffect, "", "connections are closed when they are idle"},
	{"agent-metrics-listener-port", NoEffect, "", "an injected agent serves no metrics"},
	{"agent-telemetry-", NoEffect, "", "an injected agent serves no metrics"},
	{"error-on-missing-key-", NoEffect, "", "a key that is missing is always an error"},
	{"service", Honoured, "", "the address of Vault"},
	{"namespace", Honoured, "", "the namespace of Vault"},
	{"proxy-address", Honoured, "", "the HTTP proxy"},
	{"role", Honoured, "", "the role of the login"},
	{"auth-type", Honoured, "", "`kubernetes` or `jwt`; others are refused"},
	{"auth-path", Honoured, "", "where the auth method is enabled"},
	{"auth-config-role", Honoured, "", "as `role`"},
	{"auth-config-", Refused, "", "only the role of the login can be set; write vault.hashicorp.com/role"},
	{"auth-min-backoff", NoEffect, "", "the pauses between tries are the agent's own"},
	{"auth-max-backoff", NoEffect, "", "the pauses between tries are the agent's own"},
	{"tls-secret", Honoured, "", "a Secret of the pod's namespace, in the agent at /vault/tls"},
	{"tls-server-name", Honoured, "", "the name that Vault's certificate must have"},
	{"tls-skip-verify", Honoured, "", "`true` accepts any certificate"},
	{"ca-cert", Honoured, "", "the file with the authority"},
	{"ca-key", Honoured, "", "the directory with authorities, which Vault Agent calls ca_path"},
	{"client-cert", Honoured, "", "the file of the client's certificate"},
	{"client-key", Honoured, "", "the file of its key"},
	{"client-max-retries", Honoured, "", "0 to 5; more are taken for 5"},
	{"client-timeout", Honoured, "", "the time of a try, from 1s to 1m"},
	{"go-max-procs", Honoured, "", "GOMAXPROCS of the agent"},
	{"log-level", NoEffect, "", "the agent logs what fails and what changes"},
	{"log-format", NoEffect, "", "the agent logs lines of text"},
	{"secret-volume-path", Honoured, "", "where the files are; `/vault/secrets` without it"},
	{"secret-volume-path-", Refused, "", "all files of the agent are below one path; write vault.hashicorp.com/secret-volume-path and the rest of the path as vault.hashicorp.com/agent-inject-file-NAME"},
	{"preserve-secret-case", Honoured, "", "names of files keep their capitals"},
	{"preserve-secret-case-", Honoured, "", "the name of this file keeps its capitals"},
	{"template-config-exit-on-retry-failure", NoEffect, "", "an agent whose store is down keeps the files that it has, and tries again"},
	{"template-static-secret-render-interval", Honoured, "", "how often values are read again"},
	{"template-max-connections-per-host", NoEffect, "", "reads of one pod share connections"},
}}

// bankVaultsTable answers the annotations of bank-vaults, the older names and the newer
// ones, whose names for OpenBao begin with bao- in place of vault-.
// https://github.com/bank-vaults/secrets-webhook/blob/main/pkg/common/common.go
var bankVaultsTable = Table{BankVaults, []string{"vault.security.banzaicloud.io/", "secrets-webhook.security.bank-vaults.io/"}, withBao([]Answer{
	{"mutate", Honoured, "", "`skip` leaves the pod as it is"},
	{"mutate-probes", Honoured, "", "`true` gives the variables to probes that run commands"},
	{"mutate-configmap", NoEffect, "", "only pods are changed; the references that a ConfigMap holds are resolved in the pod"},
	{"provider", Honoured, "", "`vault` or `bao`; others are refused"},
	{"psp-allow-privilege-escalation", NoEffect, "", "containers that are added never may"},
	{"run-as-non-root", NoEffect, "", "containers that are added never run as root"},
	{"run-as-user", Honoured, "", "the user of containers that are added; `0` leaves it, as there"},
	{"run-as-group", Honoured, "", "the group of containers that are added; `0` leaves it, as there"},
	{"readonly-root-fs", NoEffect, "", "containers that are added always have one"},
	{"registry-skip-verify", NoEffect, "", "no registry is asked: a container has to say its command"},
	{"secret-init-daemon", Honoured, "", "`true` has an agent stay in the pod, which renews leases"},
	{"vault-env-daemon", Honoured, "", "as `secret-init-daemon`"},
	{"secret-init-delay", NoEffect, "", "the agent tries again until the store answers"},
	{"vault-env-delay", NoEffect, "", "the agent tries again until the store answers"},
	{"secret-init-json-log", NoEffect, "", "errors are written to standard error"},
	{"enable-json-log", NoEffect, "", "errors are written to standard error"},
	{"secret-init-image", NoEffect, "", "the program is Lanyard's own"},
	{"secret-init-image-pull-policy", NoEffect, "", "the program is Lanyard's own"},
	{"vault-env-image", NoEffect, "", "the program is Lanyard's own"},
	{"vault-env-image-pull-policy", NoEffect, "", "the program is Lanyard's own"},
	{"log-level", NoEffect, "", "errors are written to standard error"},
	{"vault-log-level", NoEffect, "", "errors are written to standard error"},
	{"vault-addr", Honoured, "", "the address of Vault"},
	{"vault-role", Honoured, "", "the role of the login; the pod's service account without it. Fields such as `{{ .namespace }}` are filled in"},
	{"vault-path", Honoured, "", "where the auth method is enabled"},
	{"vault-auth-method", Honoured, "", "`kubernetes` or `jwt`; others are refused"},
	{"vault-namespace", Honoured, "", "the namespace of Vault"},
	{"vault-skip-verify", Honoured, "", "`true` accepts any certificate"},
	{"vault-tls-secret", Honoured, "", "a Secret of the pod's namespace with the authority as ca.crt"},
	{"vault-client-timeout", Honoured, "", "the time of a try, from 1s to 1m"},
	{"vault-serviceaccount", NoEffect, "", "values are read as the pod's own service account"},
	{"service-account-token-volume-name", Honoured, "", "a projected volume of the pod, whose token logs in"},
	{"vault-service-account-token-volume-name", Honoured, "", "as `service-account-token-volume-name`"},
	{"vault-ignore-missing-secrets", Refused, "false", "a container does not start without its secrets; remove the references that lead nowhere"},
	{"vault-passthrough", NoEffect, "", "the command gets every variable that the container has"},
	{"vault-env-passthrough", NoEffect, "", "the command gets every variable that the container has"},
	{"vault-from-path", Refused, "", "a variable for each key of a secret needs names; write each as NAME with the value vault:PATH#KEY"},
	{"vault-env-from-path", Refused, "", "a variable for each key of a secret needs names; write each as NAME with the value vault:PATH#KEY"},
	{"token-auth-mount", Refused, "", "a token of Vault in a volume is not used; log in with vault.security.banzaicloud.io/vault-role"},
	{"vault-token-auth-mount", Refused, "", "a token of Vault in a volume is not used; log in with vault.security.banzaicloud.io/vault-role"},
	{"transit-key-id", Honoured, "", "the key of the transit engine that references `vault:v1:…` are decrypted with"},
	{"transit-path", Honoured, "", "where the transit engine is enabled; `transit` without it"},
	{"transit-batch-size", NoEffect, "", "ciphertexts are decrypted one by one"},
	{"vault-transit-key-id", Honoured, "", "as `transit-key-id`"},
	{"vault-transit-path", Honoured, "", "as `transit-path`"},
	{"vault-transit-batch-size", NoEffect, "", "ciphertexts are decrypted one by one"},
	{"vault-image", NoEffect, "", "the agent is Lanyard's own"},
	{"vault-image-pull-policy", NoEffect, "", "the agent is Lanyard's own"},
	{"vault-agent", NoEffect, "", "the agent logs in itself"},
	{"vault-agent-configmap", Refused, "", "a configuration of Vault Agent is not understood; write a class and lanyard.dev/inject: files"},
	{"vault-agent-once", NoEffect, "", "it belongs to vault-agent-configmap"},
	{"vault-agent-share-process-namespace", NoEffect, "", "it belongs to vault-agent-configmap"},
	{"vault-agent-cpu", Honoured, "", "the agent's limit"},
	{"vault-agent-cpu-limit", Honoured, "", "the agent's limit"},
	{"vault-agent-cpu-request", Honoured, "", "the agent's request"},
	{"vault-agent-memory", Honoured, "", "the agent's limit"},
	{"vault-agent-memory-limit", Honoured, "", "the agent's limit"},
	{"vault-agent-memory-request", Honoured, "", "the agent's request"},
	{"vault-agent-env-variables", NoEffect, "", "the agent has no variables of its own"},
	{"vault-configfile-path", NoEffect, "", "it belongs to vault-agent-configmap and vault-ct-configmap"},
	{"vault-ct-configmap", Refused, "", "a configuration of consul-template is not understood; write a class and lanyard.dev/inject: files"},
	{"vault-ct-image", NoEffect, "", "it belongs to vault-ct-configmap"},
	{"vault-ct-once", NoEffect, "", "it belongs to vault-ct-configmap"},
	{"vault-ct-pull-policy", NoEffect, "", "it belongs to vault-ct-configmap"},
	{"vault-ct-share-process-namespace", NoEffect, "", "it belongs to vault-ct-configmap"},
	{"vault-ct-cpu", NoEffect, "", "it belongs to vault-ct-configmap"},
	{"vault-ct-memory", NoEffect, "", "it belongs to vault-ct-configmap"},
	{"vault-ct-secrets-mount-path", NoEffect, "", "it belongs to vault-ct-configmap"},
	{"vault-ct-inject-in-initcontainers", NoEffect, "", "it belongs to vault-ct-configmap"},
	{"aws-region", Refused, "", "the region is that of the reference; write the whole ARN"},
	{"aws-load-from-secret", Refused, "false", "credentials in Secrets are not used; give the pod's service account a role"},
	{"credentials-namespace", Refused, "", "credentials in Secrets are not used; give the pod's service account a role"},
	{"credentials-secret-name", Refused, "", "credentials in Secrets are not used; give the pod's service account a role"},
	{"aws-tls-secret-arn", Refused, "", "the authority cannot come from AWS; the system's is trusted"},
})}

// withBao adds to annotations for Vault those of the same meaning for OpenBao.
func withBao(answers []Answer) []Answer {
	all := answers
	for _, a := range answers {
		if rest, ok := strings.CutPrefix(a.Name, "vault-"); ok && !strings.HasPrefix(rest, "env-") {
			a.Name = "bao-" + rest
			all = append(all, a)
		}
	}
	return all
}

// akvTable answers the variables by which akv2k8s is told of a container.
// https://akv2k8s.io/installation/ and
// https://github.com/SparebankenVest/azure-key-vault-to-kubernetes/blob/master/cmd/azure-keyvault-env/main.go
var akvTable = Table{AKV, nil, []Answer{
	{"ENV_INJECTOR_DISABLE_AUTH_SERVICE", NoEffect, "", "values are read as the pod's own service account"},
	{"ENV_INJECTOR_CUSTOM_AUTH", NoEffect, "", "values are read as the pod's own service account"},
	{"ENV_INJECTOR_LOG_LEVEL", NoEffect, "", "errors are written to standard error"},
	{"ENV_INJECTOR_LOG_FORMAT", NoEffect, "", "errors are written to standard error"},
	{"ENV_INJECTOR_RETRIES", NoEffect, "", "the agent tries again until the store answers"},
	{"ENV_INJECTOR_WAIT_BEFORE_RETRY", NoEffect, "", "the agent tries again until the store answers"},
	{"ENV_INJECTOR_SKIP_ARGS_VALIDATION", NoEffect, "", "the command stands in the pod and is not changed after it was admitted"},
	{"ENV_INJECTOR_DELAY_BEFORE_START", NoEffect, "", "the agent tries again until the store answers"},
	{"ENV_INJECTOR_DISABLE_ENV_INJECTION", NoEffect, "", "only containers with references are changed"},
}}
