package inject

import (
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	core "k8s.io/api/core/v1"

	"github.com/lanyardhq/lanyard/server/agent/consultemplate"
)

const (
	vaultPrefix        = "vault.hashicorp.com/"
	vaultAgentName     = "vault-agent"
	vaultAgentInitName = "vault-agent-init"
	vaultVolume        = "vault-agent-secrets"
	vaultPath          = "/vault/secrets"
	vaultTLSDir        = "/vault/tls"
	vaultInject        = "agent-inject"
	vaultStatus        = "agent-inject-status"
	injectedStatus     = "injected"
	vaultConfigKey     = prefix + "vault-agent-config"
	vaultTemplatesKey  = prefix + "vault-agent-templates"
)

// vault is an annotation of vault-k8s.
func (b *builder) vault(name string) string { return b.pod.Annotations[vaultPrefix+name] }

// vaultYes says whether an annotation of vault-k8s is true. An empty one is false, as there:
// https://github.com/hashicorp/go-secure-stdlib/blob/main/parseutil/parseutil.go (ParseBool)
func (b *builder) vaultYes(name string) bool { return b.vault(name) != "" && b.yes(vaultPrefix+name) }

// wantsVaultAgent decides as vault-k8s does:
// https://github.com/hashicorp/vault-k8s/blob/e37a88132191ee9eb895b04cb12f8b0106f386c6/agent-inject/agent/agent.go (ShouldInject)
func wantsVaultAgent(b *builder) bool {
	if _, ok := b.annotation(vaultPrefix + vaultInject); !ok {
		return false
	}
	// Either webhook leaves alone what the other has injected.
	return (b.vault(vaultStatus) != injectedStatus || b.injectedAs(VaultAgent)) && b.yes(vaultPrefix+vaultInject)
}

func injectVaultAgent(b *builder) {
	b.answer(vaultAgentTable)
	once := b.vaultYes("agent-pre-populate-only")
	populate := b.vault("agent-pre-populate") == "" || b.vaultYes("agent-pre-populate")
	if once && !populate {
		b.problem("%sagent-pre-populate-only: with %sagent-pre-populate: false nothing writes the files; remove one", vaultPrefix, vaultPrefix)
	}
	target := vaultPath
	if text := b.vault("secret-volume-path"); text != "" {
		if target = strings.TrimSuffix(text, "/"); !isPath(target) {
			b.problem("%ssecret-volume-path: must be an absolute path such as %s, not %s", vaultPrefix, vaultPath, shown(text))
		}
	}
	a := agent{
		name: vaultAgentName, stays: !once, waits: populate, first: b.vaultYes("agent-init-first"), target: target,
		args:  []string{"--config=" + textsDir + "/config.yaml", "--templates=" + textsDir + "/templates.yaml"},
		texts: map[string]string{"config.yaml": vaultConfigKey, "templates.yaml": vaultTemplatesKey},
	}
	if once {
		a.name = vaultAgentInitName
	}
	containers := b.vaultContainers()
	b.annotations[vaultTemplatesKey] = yamlText(b.vaultTemplates(target))
	b.annotations[vaultPrefix+vaultStatus] = injectedStatus
	toVault, mounts := b.vaultConnection()
	login, tokenMount := b.loginToken(vaultPrefix+"agent-service-account-token-volume-name", b.vault("agent-service-account-token-volume-name"))
	a.tokens = login
	if tokenMount != nil {
		mounts = append(mounts, *tokenMount)
		a.args = append(a.args, "--token="+audienceOfVault+"="+path.Join(tokenMount.MountPath, tokenMount.SubPath))
		mounts[len(mounts)-1].SubPath = ""
	}
	b.annotations[vaultConfigKey] = yamlText(configOf(map[string]connection{"vault": toVault}))
	b.given(vaultPrefix+"*", Given{Config: b.annotations[vaultConfigKey]})
	if b.vaultYes("agent-revoke-on-shutdown") {
		a.args = append(a.args, "--revoke")
	}
	b.vaultUser(&a)
	a.args = append(a.args, b.vaultNotifications()...)
	wanted := b.vaultResources()
	mounts = append(mounts, b.copiedMounts()...)
	procs := b.vault("go-max-procs")
	a.more = func(c *core.Container) {
		c.Resources = wanted
		if procs != "" {
			c.Env = append(c.Env, core.EnvVar{Name: "GOMAXPROCS", Value: procs})
		}
		for _, m := range mounts {
			if !slices.ContainsFunc(c.VolumeMounts, func(other core.VolumeMount) bool { return other.MountPath == m.MountPath }) {
				c.VolumeMounts = append(c.VolumeMounts, m)
			}
		}
	}
	if b.vault("agent-share-process-namespace") != "" {
		share := b.vaultYes("agent-share-process-namespace")
		if own := b.pod.Spec.ShareProcessNamespace; share && own != nil && !*own {
			b.problem("%sagent-share-process-namespace: the pod's spec says shareProcessNamespace: false; remove one", vaultPrefix)
		}
		b.pod.Spec.ShareProcessNamespace = &share
	}
	mount := core.VolumeMount{Name: vaultVolume, MountPath: target}
	b.addAgent(a, vaultVolume, mount)
	mount.ReadOnly = true
	for _, name := range containers {
		b.mount(name, mount, "choose another with "+vaultPrefix+"secret-volume-path")
	}
}

// vaultContainers are the containers that get the files, and all init containers. A name
// that no container has is passed over, as there.
func (b *builder) vaultContainers() []string {
	chosen := b.chosen(vaultPrefix+"agent-inject-containers", b.warn)
	for _, c := range b.all() {
		if b.isInit(c) && !slices.Contains(chosen, c.Name) {
			chosen = append(chosen, c.Name)
		}
	}
	return chosen
}

// template is one of the agent's templates.
type template struct {
	Path     string `yaml:"path"`
	Mode     string `yaml:"mode,omitempty"`
	Template string `yaml:"template"`
}

// vaultTemplates are the files that the pod asks for, below target, sorted by name. The default templates
// are those of https://developer.hashicorp.com/vault/docs/platform/k8s/injector#default-template.
func (b *builder) vaultTemplates(target string) []template {
	kind := strings.ToLower(b.vault("agent-inject-default-template"))
	if kind != "" && kind != "map" && kind != "json" {
		b.problem("%sagent-inject-default-template: must be map or json, not %s", vaultPrefix, shown(kind))
	}
	names := map[string]bool{}
	for name, text := range b.pod.Annotations {
		for _, begin := range []string{"agent-inject-secret-", "agent-inject-template-"} {
			if raw, ok := strings.CutPrefix(name, vaultPrefix+begin); ok && raw != "" && strings.TrimSpace(text) != "" && !strings.HasPrefix(raw, "file-") {
				names[raw] = true
			}
		}
	}
	var all []template
	taken := map[string]string{}
	for _, raw := range sortedKeys(names) {
		t := template{Path: raw, Template: b.vault("agent-inject-template-" + raw)}
		keep := "preserve-secret-case"
		if _, ok := b.annotation(vaultPrefix + keep + "-" + raw); ok {
			keep += "-" + raw
		}
		if !b.vaultYes(keep) {
			t.Path = strings.ToLower(raw)
		}
		if file := b.vault("agent-inject-file-" + raw); file != "" {
			t.Path = strings.TrimPrefix(file, "/")
		}
		if t.Path != path.Clean(t.Path) || strings.HasPrefix(t.Path, "..") {
			b.problem("%sagent-inject-file-%s: must be a path within the volume, not %s", vaultPrefix, shown(raw), shown(t.Path))
		}
		if other, ok := taken[t.Path]; ok {
			b.problem("%sagent-inject-secret-%s: is written to the file %s, as %s is; give it another with %sagent-inject-file-%s", vaultPrefix, shown(raw), shown(t.Path), shown(other), vaultPrefix, shown(raw))
		}
		taken[t.Path] = raw
		if mode := b.vault("agent-inject-perms-" + raw); mode != "" {
			number, err := strconv.ParseUint(mode, 8, 32)
			if err != nil || number > 0o777 {
				b.problem("%sagent-inject-perms-%s: must be a mode such as 0440, not %s", vaultPrefix, shown(raw), shown(mode))
			}
			t.Mode = "0" + strconv.FormatUint(number, 8)
		}
		if secret := b.vault("agent-inject-secret-" + raw); t.Template == "" && secret != "" {
			t.Template = defaultTemplate(secret, kind == "json")
		} else if parsed, err := consultemplate.Parse(t.Template); err != nil {
			b.problem("%sagent-inject-template-%s: %v", vaultPrefix, shown(raw), err)
		} else {
			b.vaultFurtherFiles(raw, parsed.Files(), target, taken)
		}
		all = append(all, t)
	}
	if len(all) == 0 && b.vault("agent-configmap") == "" {
		b.problem("%sagent-inject: the pod names no secret; write one as %sagent-inject-secret-NAME", vaultPrefix, vaultPrefix)
	}
	return all
}

// vaultFurtherFiles looks at the files that the template called raw writes beside its own.
// taken are those that others write.
func (b *builder) vaultFurtherFiles(raw string, files []string, target string, taken map[string]string) {
	for _, file := range files {
		below, ok := strings.CutPrefix(file, target+"/")
		if !ok {
			b.problem("%sagent-inject-template-%s: writeToFile: %s does not lie below %s, where all files of the agent are", vaultPrefix, shown(raw), shown(file), shown(target))
			continue
		}
		if other, again := taken[below]; again {
			b.problem("%sagent-inject-template-%s: writeToFile: the file %s is that of %s; give it another name, or write both in one template", vaultPrefix, shown(raw), shown(below), shown(other))
			continue
		}
		taken[below] = raw
	}
}

func defaultTemplate(secret string, json bool) string {
	with := "{{ with secret " + strconv.Quote(secret) + " }}"
	if json {
		return with + "{{ .Data | toJSON }}\n{{ end }}"
	}
	return with + "{{ range $k, $v := .Data }}{{ $k }}: {{ $v }}\n{{ end }}{{ end }}"
}

// vaultConnection is how the agent reaches Vault, and what it needs mounted for that.
func (b *builder) vaultConnection() (connection, []core.VolumeMount) {
	c := b.defaultConnection()
	c.override(&c.Address, b.vault("service"))
	c.override(&c.Namespace, b.vault("namespace"))
	c.override(&c.Auth.Role, b.vault("auth-config-role"))
	c.override(&c.Auth.Role, b.vault("role"))
	c.override(&c.Auth.Method, b.vault("auth-type"))
	c.override(&c.Auth.Mount, strings.Trim(strings.TrimPrefix(strings.Trim(b.vault("auth-path"), "/"), "auth/"), "/"))
	c.TLS.ServerName = b.vault("tls-server-name")
	c.TLS.InsecureSkipVerify = b.vaultYes("tls-skip-verify")
	var mounts []core.VolumeMount
	secret := b.authority(b.vault("tls-secret"))
	if secret != "" {
		mounts = append(mounts, b.secretVolume("vault-agent-tls", secret))
		if b.vault("tls-secret") == "" {
			c.TLS.CACertFile = vaultTLSDir + "/ca.crt"
		}
	}
	c.override(&c.TLS.CACertFile, b.vault("ca-cert"))
	c.override(&c.TLS.CACertDir, b.vault("ca-key"))
	c.override(&c.TLS.ClientCertFile, b.vault("client-cert"))
	c.override(&c.TLS.ClientKeyFile, b.vault("client-key"))
	if c.TLS.InsecureSkipVerify {
		c.TLS.CACertFile, c.TLS.CACertDir = "", ""
	}
	if text := b.vault("client-max-retries"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			b.problem("%sclient-max-retries: must be a number, not %s", vaultPrefix, shown(text))
		}
		n = min(max(n, 0), 5)
		c.Retries = &n
	}
	c.Timeout = b.duration(vaultPrefix+"client-timeout", b.vault("client-timeout"), maxTimeout, b.problem)
	c.refresh = b.duration(vaultPrefix+"template-static-secret-render-interval", b.vault("template-static-secret-render-interval"), maxRefresh, b.problem)
	c.proxy = b.vault("proxy-address")
	b.checkConnection(c, vaultPrefix+"service", vaultPrefix+"role", vaultPrefix+"auth-type")
	return c, mounts
}

// authority is the Secret that the pod names, or the operator's.
func (b *builder) authority(named string) string {
	if named != "" {
		return named
	}
	return b.Vault.CACertSecret
}

// secretVolume adds a Secret and returns its mount in an agent.
func (b *builder) secretVolume(name, secret string) core.VolumeMount {
	mode := int32(0o444)
	b.volume(core.Volume{Name: name, VolumeSource: core.VolumeSource{Secret: &core.SecretVolumeSource{SecretName: secret, DefaultMode: &mode}}})
	return core.VolumeMount{Name: name, MountPath: vaultTLSDir, ReadOnly: true}
}

// vaultUser decides on the user as vault-k8s does, but that it is the user of the first
// container where the pod says nothing: what is written has to be read.
func (b *builder) vaultUser(a *agent) {
	if b.vault("agent-set-security-context") != "" && !b.vaultYes("agent-set-security-context") {
		return
	}
	user := b.userOf(&b.pod.Spec.Containers[0])
	if text := b.vault("agent-run-as-user"); text != "" && !b.vaultYes("agent-run-as-same-user") {
		user = b.id(vaultPrefix+"agent-run-as-user", text)
	}
	a.user = &user
	if text := b.vault("agent-run-as-group"); text != "" {
		group := b.id(vaultPrefix+"agent-run-as-group", text)
		a.group = &group
	}
}

// vaultResources are the resources that the annotations ask for, over the operator's.
func (b *builder) vaultResources() core.ResourceRequirements {
	r := *b.Resources.DeepCopy()
	for _, q := range []struct {
		name  string
		limit bool
		of    core.ResourceName
	}{
		{"agent-limits-cpu", true, core.ResourceCPU}, {"agent-limits-mem", true, core.ResourceMemory}, {"agent-limits-ephemeral", true, core.ResourceEphemeralStorage},
		{"agent-requests-cpu", false, core.ResourceCPU}, {"agent-requests-mem", false, core.ResourceMemory}, {"agent-requests-ephemeral", false, core.ResourceEphemeralStorage},
	} {
		text, ok := b.annotation(vaultPrefix + q.name)
		if ok {
			b.quantity(&r, q.limit, q.of, vaultPrefix+q.name, text, b.problem)
		}
	}
	return fitted(r)
}

// copiedMounts are the mounts of a container that the agent has too, without tokens.
func (b *builder) copiedMounts() []core.VolumeMount {
	const key = vaultPrefix + "agent-copy-volume-mounts"
	name := b.vault("agent-copy-volume-mounts")
	if name == "" {
		return nil
	}
	var mounts []core.VolumeMount
	for _, c := range b.all() {
		if c.Name != name {
			continue
		}
		for _, m := range c.VolumeMounts {
			if !strings.Contains(strings.ToLower(m.MountPath), "serviceaccount") && m.Name != vaultVolume {
				mounts = append(mounts, m)
			}
		}
		return mounts
	}
	b.problem("%s: the pod has no container %s", key, shown(name))
	return nil
}

// Commands that only tell a process or a URL of a change. A shell would find the process
// by its name; the agent does that itself.
var (
	killed = regexp.MustCompile(`^(?:sh -c )?["']?(?:/bin/)?kill (?:-s )?-?(?:SIG)?(HUP|INT|TERM|USR1|USR2|QUIT|1) (?:\$\((?:pidof|pgrep)(?: -x| -o)? ([A-Za-z0-9_.-]+)\)|` + "`(?:pidof|pgrep)(?: -x| -o)? ([A-Za-z0-9_.-]+)`" + `)["']?$`)
	pkill  = regexp.MustCompile(`^(?:sh -c )?["']?(?:pkill|killall) (?:--signal |-s )?-?(?:SIG)?(HUP|INT|TERM|USR1|USR2|QUIT|1)(?: -x)? ([A-Za-z0-9_.-]+)["']?$`)
	called = regexp.MustCompile(`^(?:sh -c )?["']?(?:curl|wget) (?:(?:-s|-f|-S|-sS|-sf|-fsS|-q|-k|-X POST|-XPOST|--request POST|--post-data=|-O ?-|-O /dev/null|-qO-|-o /dev/null) )*["']?(http://[^ "']+)["']?$`)
)

// vaultNotifications are the flags for the commands of the pod's secrets.
func (b *builder) vaultNotifications() []string {
	const begin = vaultPrefix + "agent-inject-command-"
	seen := map[string]string{}
	var flags []string
	for _, key := range sortedKeys(b.pod.Annotations) {
		command := strings.TrimSpace(b.pod.Annotations[key])
		if !strings.HasPrefix(key, begin) || command == "" {
			continue
		}
		var kind string
		var add []string
		if m := killed.FindStringSubmatch(command); m != nil {
			kind, add = "signal", signalFlags(m[1], m[2]+m[3])
		} else if m := pkill.FindStringSubmatch(command); m != nil {
			kind, add = "signal", signalFlags(m[1], m[2])
		} else if m := called.FindStringSubmatch(command); m != nil && isLoopback(m[1]) {
			kind, add = "url", []string{"--notify-url=" + m[1]}
		} else {
			b.problem("%s: the agent's image has no shell to run this command; signal a process, as in kill -HUP $(pidof NAME), or call a URL of loopback", shown(key))
			continue
		}
		if kind == "signal" && b.vault("agent-share-process-namespace") == "" && (b.pod.Spec.ShareProcessNamespace == nil || !*b.pod.Spec.ShareProcessNamespace) {
			b.problem("%s: the agent sees no process of another container; set shareProcessNamespace: true in the pod's spec", shown(key))
		}
		text := strings.Join(add, " ")
		if before, ok := seen[kind]; ok && before != text {
			b.problem("%s: the agent announces changes in one way for all files of the pod; write the same command for each", shown(key))
			continue
		} else if ok {
			continue
		}
		seen[kind] = text
		flags = append(flags, add...)
	}
	return flags
}

func signalFlags(signal, process string) []string {
	if signal == "1" {
		signal = "HUP"
	}
	return []string{"--notify-signal=" + signal, "--notify-process=" + process}
}
