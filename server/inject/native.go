package inject

import (
	"maps"
	"slices"
	"strings"

	core "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/lanyardhq/lanyard/server/exec"
	"github.com/lanyardhq/lanyard/server/exec/reference"
)

// The annotations of Lanyard's own dialect.
const (
	// Inject opts a pod in: files or env.
	Inject = prefix + "inject"

	classKey         = prefix + "class"
	modeKey          = prefix + "mode"
	containersKey    = prefix + "containers"
	audiencesKey     = prefix + "audiences"
	pathKey          = prefix + "path"
	envKey           = prefix + "env"
	envAllKey        = prefix + "env-all"
	watchKey         = prefix + "watch"
	envFileKey       = prefix + "env-file"
	wrapProbesKey    = prefix + "wrap-probes"
	agentKey         = prefix + "agent"
	agentClassKey    = prefix + "agent-class"
	agentConfigKey   = prefix + "agent-config"
	notifySignalKey  = prefix + "notify-signal"
	notifyProcessKey = prefix + "notify-process"
	notifyURLKey     = prefix + "notify-url"
	revokeKey        = prefix + "revoke"
)

// Annotation is an annotation of Lanyard's own dialect, for the pages.
type Annotation struct{ Name, Values, Meaning string }

// Annotations are those that a pod may have.
var Annotations = []Annotation{
	{Inject, "`files`, `env`", "opts the pod in: the class's files, or values in variables"},
	{classKey, "a name", "the SecretProviderClass, of the pod's namespace"},
	{modeKey, "`volume`, `agent`", "`volume` (default): the node's provider fills a volume of the CSI driver. `agent`: an agent in the pod reads the values, and no driver is needed"},
	{containersKey, "names, with commas", "the containers, and init containers, that get the secrets; without it all containers and no init container"},
	{pathKey, "a path", "where the files are in each container; default `/secrets`"},
	{envKey, "`NAME=OBJECT`, with commas or lines", "`env`: the variables, and the object that each has the value of"},
	{envAllKey, "a prefix, or `true`", "`env`: every object gets a variable, whose name begins with the prefix"},
	{watchKey, "`restart`, or a signal", "`env`: what a changed value does to the command"},
	{envFileKey, "`true`", "`env` with an agent: the kubelet sets the variables from a file that an init container writes, so that no command is needed. Kubernetes 1.35, or 1.34 with the feature EnvFiles; see [what it protects from](exec.md#what-it-protects-from)"},
	{wrapProbesKey, "`true`", "`env`: probes and lifecycle hooks that run commands get the variables too"},
	{audiencesKey, "names, with commas", "`agent`: the audiences of the pod's tokens that the stores want; the webhook has a default"},
	{agentKey, "`follow`, `once`", "`agent`: a sidecar keeps the files as their stores have them (default), or an init container writes them once"},
	{agentClassKey, "a SecretProviderClass", "`agent`: the class as YAML, in place of its name, so that the pod's service account need not read it"},
	{notifySignalKey, "a signal", "`agent`: what a process of the pod is sent when a file changed"},
	{notifyProcessKey, "a name", "`agent`: that process"},
	{notifyURLKey, "a URL of loopback", "`agent`: what is called with POST when a file changed"},
	{revokeKey, "`true`", "`agent`: leases are revoked at the end of the pod"},
}

// elsewhere are beginnings of annotations that belong to other parts of Lanyard, and those
// that the webhook itself sets.
var elsewhere = []string{prefix + "restart", prefix + "sync", prefix + "versions", prefix + "refresh", Injected, agentConfigKey, vaultConfigKey, vaultTemplatesKey, referencesConfigKey}

const (
	modeFiles, modeEnv = "files", "env"
	secretsVolume      = "lanyard-secrets"
	agentName          = "lanyard-agent"
	defaultPath        = "/secrets"
	anotherPath        = "choose another path with " + pathKey
)

// agentNames are the containers with agents of one for each pod.
var agentNames = []string{agentName, vaultAgentName, vaultAgentInitName}

func wantsNative(b *builder) bool {
	text, ok := b.annotation(Inject)
	switch {
	case !ok, text == "", text == "false", text == "none":
		return false
	case text == modeFiles, text == modeEnv:
		return true
	}
	b.problem("%s: must be %s or %s, not %s", Inject, modeFiles, modeEnv, shown(text))
	return false
}

// request is what a pod says in Lanyard's own annotations.
type request struct {
	env        bool
	envFile    bool
	agent      bool
	class      string
	path       string
	containers []string
	execArgs   []string
	probes     bool
}

func injectNative(b *builder) {
	r := b.readNative()
	if len(b.problems) > 0 {
		return
	}
	volume := agentName + "-secrets"
	if r.agent {
		b.nativeAgent(r, volume)
	} else {
		volume = b.classVolume(r.class)
	}
	for _, name := range r.containers {
		if r.envFile {
			b.fromFile(name, volume)
			continue
		}
		at := r.path
		if mounted := b.mounted(name, volume); mounted != "" {
			at = mounted
		} else {
			b.mount(name, core.VolumeMount{Name: volume, MountPath: at, ReadOnly: true}, anotherPath)
		}
		if r.env {
			b.wrap(name, append([]string{"--volume=" + at}, r.execArgs...), r.probes, "leave it out with "+containersKey+", or have the kubelet set its variables with "+envFileKey)
			b.nativeEnv = append(b.nativeEnv, name)
			b.warnOfExpansion(name, nil)
		}
	}
}

// envFileName is the file with the values of variables, in the volume of the agent.
const envFileName = "values"

// fromFile has the kubelet set the container's variables from the agent's file.
// https://kubernetes.io/docs/tasks/inject-data-application/define-environment-variable-via-file/
func (b *builder) fromFile(container, volume string) {
	c := b.container(container)
	text, _ := b.annotation(envKey)
	for _, pair := range list(text) {
		name, object, _ := strings.Cut(pair, "=")
		no := false
		v := core.EnvVar{Name: name, ValueFrom: &core.EnvVarSource{FileKeyRef: &core.FileKeySelector{VolumeName: volume, Path: envFileName, Key: exec.VariableOf(object), Optional: &no}}}
		switch at := slices.IndexFunc(c.Env, func(other core.EnvVar) bool { return other.Name == name }); {
		case at < 0:
			c.Env = append(c.Env, v)
		case c.Env[at].ValueFrom == nil || c.Env[at].ValueFrom.FileKeyRef == nil || !b.again:
			b.problem("container %s: has a variable %s already; remove it", container, name)
		}
	}
}

// classVolume is the name of the pod's volume with the files of a class: one that it has
// already, or one that is added.
func (b *builder) classVolume(class string) string {
	yes := true
	v := core.Volume{Name: secretsVolume, VolumeSource: core.VolumeSource{CSI: &core.CSIVolumeSource{
		Driver: "secrets-store.csi.k8s.io", ReadOnly: &yes, VolumeAttributes: map[string]string{"secretProviderClass": class},
	}}}
	for _, other := range b.pod.Spec.Volumes {
		if other.CSI != nil && other.CSI.Driver == v.CSI.Driver && other.CSI.NodePublishSecretRef == nil && maps.Equal(other.CSI.VolumeAttributes, v.CSI.VolumeAttributes) {
			return other.Name
		}
	}
	b.volume(v)
	return v.Name
}

// mounted is where a container has a volume; empty if it has not.
func (b *builder) mounted(container, volume string) string {
	for _, m := range b.container(container).VolumeMounts {
		if m.Name == volume && m.SubPath == "" && m.SubPathExpr == "" {
			return m.MountPath
		}
	}
	return ""
}

// nativeAgent puts the agent into the pod.
func (b *builder) nativeAgent(r request, volume string) {
	a := agent{name: agentName, stays: true, waits: true, first: true, target: r.path, texts: map[string]string{}}
	if r.envFile {
		a.stays, a.target = false, ""
		a.args = append(a.args, "--env-file="+r.path+"/"+envFileName)
	}
	user := b.userOf(b.container(r.containers[0]))
	a.user = &user
	if text, _ := b.annotation(agentKey); text == "once" {
		a.stays = false
	}
	if r.class != "" {
		a.args = append(a.args, "--class="+r.class)
	}
	if text, ok := b.annotation(agentClassKey); ok {
		b.given(agentClassKey, Given{Config: b.AgentConfig, Class: text, ClassName: r.class})
		a.args = append(a.args, "--class-file="+textsDir+"/class.yaml")
		a.texts["class.yaml"] = agentClassKey
	} else {
		a.account = true
	}
	if b.AgentConfig != "" {
		a.args = append(a.args, "--config="+textsDir+"/config.yaml")
		a.texts["config.yaml"] = agentConfigKey
		b.annotations[agentConfigKey] = b.AgentConfig
	}
	for _, flag := range []struct{ flag, key string }{{"--notify-signal", notifySignalKey}, {"--notify-process", notifyProcessKey}, {"--notify-url", notifyURLKey}} {
		if text, ok := b.annotation(flag.key); ok {
			a.args = append(a.args, flag.flag+"="+text)
		}
	}
	if b.yes(revokeKey) {
		a.args = append(a.args, "--revoke")
	}
	audiences := b.Audiences
	if text, ok := b.annotation(audiencesKey); ok {
		audiences = list(text)
	}
	for _, audience := range audiences {
		a.tokens = append(a.tokens, token{audience, audience})
	}
	b.addAgent(a, volume, core.VolumeMount{Name: volume, MountPath: r.path})
}

// readNative reads the annotations, all of them whatever is wrong with one.
func (b *builder) readNative() request {
	var r request
	text, _ := b.annotation(Inject)
	r.env = text == modeEnv
	mode, _ := b.annotation(modeKey)
	switch mode {
	case "", "volume":
	case "agent":
		r.agent = true
	default:
		b.problem("%s: must be volume or agent, not %s", modeKey, shown(mode))
	}
	b.checkKnown()
	b.checkOnlyFor(r)
	r.class, _ = b.annotation(classKey)
	_, given := b.annotation(agentClassKey)
	switch {
	case r.class == "" && !(r.agent && given):
		b.problem("%s: is missing; name the SecretProviderClass that the pod gets", classKey)
	case r.class != "" && len(validation.IsDNS1123Subdomain(r.class)) > 0:
		b.problem("%s: %s is no name of a SecretProviderClass", classKey, shown(r.class))
	}
	r.path = defaultPath
	if text, ok := b.annotation(pathKey); ok {
		r.path = strings.TrimSuffix(text, "/")
		if !isPath(r.path) {
			b.problem("%s: must be an absolute path such as %s, without colons, not %s", pathKey, defaultPath, shown(text))
		} else if r.path == execDir || strings.HasPrefix(text, execDir+"/") {
			b.problem("%s: %s is where lanyard-exec is; %s", pathKey, shown(text), "choose another path")
		}
	}
	r.containers = b.chosen(containersKey, b.problem)
	r.probes = b.yes(wrapProbesKey)
	r.execArgs = b.execArgs()
	if r.envFile = b.yes(envFileKey); r.envFile {
		b.checkEnvFile(r)
	}
	b.checkAgent(r)
	return r
}

// execArgs are the arguments of lanyard-exec.
func (b *builder) execArgs() []string {
	var args []string
	text, _ := b.annotation(envKey)
	seen := map[string]bool{}
	for _, pair := range list(text) {
		name, object, ok := strings.Cut(pair, "=")
		switch {
		case !ok || object == "" || !isVariable(name):
			b.problem("%s: %s must be NAME=OBJECT, with the name of a variable", envKey, shown(pair))
		case seen[name]:
			b.problem("%s: %s is given twice; remove one", envKey, name)
		default:
			args = append(args, "--env="+pair)
		}
		seen[name] = true
	}
	if text, ok := b.annotation(envAllKey); ok && text != "false" {
		args = append(args, "--all")
		if text != "true" && text != "" {
			args = append(args, "--prefix="+text)
			if !isVariable(text) {
				b.problem("%s: must be true or the beginning of names of variables, not %s", envAllKey, shown(text))
			}
		}
	}
	if text, ok := b.annotation(watchKey); ok {
		args = append(args, "--watch")
		if text != "restart" {
			args = append(args, "--on-change="+text)
			if !slices.Contains([]string{"HUP", "INT", "TERM", "USR1", "USR2", "QUIT"}, text) {
				b.problem("%s: must be restart or one of HUP, INT, QUIT, TERM, USR1, USR2, not %s", watchKey, shown(text))
			}
		}
	}
	return args
}

// chosen are the names of the containers that an annotation names, or without it of all
// containers. report tells of names that no container has.
func (b *builder) chosen(key string, report reporter) []string {
	text, ok := b.annotation(key)
	var names []string
	if !ok {
		for _, c := range b.all() {
			if !b.isInit(c) {
				names = append(names, c.Name)
			}
		}
		return names
	}
	var have []string
	for _, c := range b.all() {
		have = append(have, c.Name)
	}
	for _, name := range list(text) {
		switch {
		case !slices.Contains(have, name):
			report("%s: the pod has no container %s; it has %s", key, shown(name), strings.Join(have, ", "))
		case !slices.Contains(names, name):
			names = append(names, name)
		}
	}
	if len(names) == 0 && len(list(text)) == 0 {
		report("%s: names no container; remove it or name one of %s", key, strings.Join(have, ", "))
	}
	return names
}

// warnOfExpansion tells of arguments in which the kubelet puts the text of a variable
// before lanyard-exec gives it a value.
func (b *builder) warnOfExpansion(name string, syntaxes []string) {
	c := b.container(name)
	var variables []string
	if slices.Contains(b.nativeEnv, name) {
		text, _ := b.annotation(envKey)
		for _, pair := range list(text) {
			variable, _, _ := strings.Cut(pair, "=")
			variables = append(variables, variable)
		}
	}
	for _, variable := range c.Env {
		if parsed, err := reference.Parse(variable.Name, variable.Value, syntaxes); err == nil && len(parsed.References()) > 0 {
			variables = append(variables, variable.Name)
		}
	}
	for _, variable := range variables {
		replaced := func(arg string) bool {
			return strings.Contains(strings.ReplaceAll(arg, "$$", ""), "$("+variable+")")
		}
		if slices.ContainsFunc(slices.Concat(c.Command, c.Args), replaced) {
			b.warn("container %s: $(%s) in command or args is replaced before the variable has its secret; have the program or a shell read the variable", name, variable)
		}
	}
}
