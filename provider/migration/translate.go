package migration

import (
	"cmp"
	"maps"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/lanyardhq/lanyard/internal/message"
)

// translation is the translation of one setting of one DaemonSet.
type translation struct {
	*planner
	from    *found
	setting *Setting
	// name is the flag, with its dash, or the variable that says it.
	name, value string
	// given are all flags and variables of the container.
	given map[string]string
}

// translators turn the value of a setting into chart values, by the setting's answer. Each
// returns whether the value is one that it can translate.
var translators = map[string]func(*translation) bool{
	"set":  func(t *translation) bool { return t.set(t.value) },
	"bool": (*translation).boolean,
	"true": func(t *translation) bool { is, err := strconv.ParseBool(t.value); return err == nil && is },
	"number": func(t *translation) bool {
		n, err := strconv.Atoi(t.value)
		return err == nil && n >= 0 && t.set(min(n, 5))
	},
	"attempts": func(t *translation) bool {
		n, err := strconv.Atoi(t.value)
		return err == nil && n > 0 && t.set(min(n-1, 10))
	},
	"seconds":  (*translation).seconds,
	"duration": func(t *translation) bool { _, err := time.ParseDuration(t.value); return err == nil && t.set(t.value) },
	"file":     func(t *translation) bool { return t.file(false) },

	"directory":     func(t *translation) bool { return t.file(true) },
	"socket":        func(*translation) bool { return true }, // setSocketDirectory does it
	"verbosity":     (*translation).verbosity,
	"level":         (*translation).level,
	"logFormat":     (*translation).logFormat,
	"proxy":         (*translation).proxy,
	"region":        (*translation).region,
	"vaultAddress":  (*translation).vaultAddress,
	"azureCloud":    (*translation).azureCloud,
	"keyCredential": (*translation).keyCredential,
	"cluster":       func(*translation) bool { return true }, // audience does it for all of them
}

// storeTypes are the stores of each dialect, with their types.
var storeTypes = map[string]map[string]string{
	"vault": {"vault": "vault"},

	"openbao": {"openbao": "vault"},

	"aws":   {"secretsmanager": "aws-secrets-manager", "ssmparameter": "aws-parameter-store"},
	"azure": {"azure": "azure-key-vault", "azure-node": "azure-key-vault"},
	"gcp":   {"gcp": "google-secret-manager", "gcp-provider-adc": "google-secret-manager"},
}

// store names a store in the values.
func (p *planner) store(name, comment string) {
	if p.stores[name] {
		return
	}
	p.stores[name] = true
	for _, types := range storeTypes {
		if kind := types[name]; kind != "" {
			p.values.set(kind, "", comment, "config", "stores", name, "type")
		}
	}
}

// translate translates an original: first what its DaemonSets say, then what its classes
// need.
func (p *planner) translate(o *Original) {
	for _, f := range p.providers {
		if f.original == o && !f.windows {
			p.daemonSetSettings(f)
		}
	}
	classes := p.said(o)
	switch o.Provider {
	case "vault", "openbao":
		p.vault(vaults[o.Provider], classes)
	case "aws":
		p.aws(classes)
	case "azure":
		p.azure(classes)
	case "gcp":
		p.gcp(classes)
	}
}

// daemonSetSettings translates every flag and variable of a DaemonSet.
func (p *planner) daemonSetSettings(f *found) {
	flags := readFlags(f.container)
	given := map[string]string{}
	for name, value := range flags {
		given["-"+name] = value
	}
	hidden := map[string]bool{} // variables whose value is elsewhere
	for _, v := range f.container.Env {
		given[v.Name], hidden[v.Name] = v.Value, v.ValueFrom != nil
	}
	known := map[string]bool{}
	for n := range f.original.Settings {
		s := &f.original.Settings[n]
		names := []string{}
		for _, flag := range s.Flags {
			names = append(names, "-"+flag)
		}
		reported := false
		for _, name := range append(names, s.Environment...) {
			known[name] = true
			value, ok := given[name]
			if !ok || value == "" && !hidden[name] || value == s.Default && !hidden[name] && s.Answer != "logFormat" {
				continue
			}
			t := translation{planner: p, from: f, setting: s, name: name, value: value, given: given}
			t.answer(hidden[name], reported && (s.First || len(s.Flags) > 0 && len(s.Environment) > 0))
			reported = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		switch {
		case known[name]:
		case strings.HasPrefix(name, "-"):
			p.Settings = append(p.Settings, Translated{f.daemonSet.Metadata.String(), name, answerHand, "", "unknown"})
			p.hand(f.object(), "%s: is no flag of %s %s; look up what it does", message.Printable(name), f.original.Title, f.original.Version)
		default:
			p.Settings = append(p.Settings, Translated{f.daemonSet.Metadata.String(), name, answerNone, "", "not read by " + f.original.Title})
		}
	}
	if len(f.container.EnvFrom) > 0 {
		p.hand(f.object(), "takes variables from a ConfigMap or Secret (envFrom), which was not read: look up those that the migration page lists")
	}
	p.audience(f, given)
	// A tag without a dot, such as latest, is no version.
	if o, version := f.original.Version, f.version(); version != o && strings.Contains(version, ".") {
		p.differs(f.object(), "is version %s; its flags and variables were translated as those of %s", message.Printable(version), o)
	}
	for _, label := range slices.Sorted(maps.Keys(f.daemonSet.Spec.Template.Spec.NodeSelector)) {
		if value := f.daemonSet.Spec.Template.Spec.NodeSelector[label]; label != "kubernetes.io/os" {
			t := translation{planner: p, from: f, name: "nodeSelector"}
			t.put(value, "nodeSelector", label)
		}
	}
}

// answer notes what becomes of a setting. overruled says that another name of it has said it already.
func (t *translation) answer(hidden, overruled bool) {
	note := Translated{DaemonSet: t.from.daemonSet.Metadata.String(), Name: t.name, Answer: t.setting.Answer, To: t.setting.To, Here: t.setting.Here}
	switch {
	case t.setting.Answer == answerNone:
	case overruled:
		note.Answer, note.Here = answerNone, "another flag or variable for the same goes before it"
	case t.setting.Answer == answerLater:
		if t.value == "false" {
			note.Answer = answerNone
			break
		}
		t.notYet(t.from.object(), "%s: %s", t.name, t.plain())
	case t.setting.Answer == answerHand:
		t.hand(t.from.object(), "%s: %s", t.name, t.plain())
	case hidden:
		note.Answer = answerHand
		t.hand(t.from.object(), "%s: its value is in another object (valueFrom), which was not read; %s", t.name, t.plain())
	case translators[t.setting.Answer](t):
		note.Answer = "translated"
	default:
		note.Answer = answerHand
		t.hand(t.from.object(), "%s: its value cannot be translated; %s", t.name, t.plain())
	}
	t.Settings = append(t.Settings, note)
}

var link = regexp.MustCompile(`\[([^\]]*)\]\(([^)]*)\)`)

// plain is the answer without the marks of Markdown, for a terminal.
func (t *translation) plain() string {
	text := link.ReplaceAllStringFunc(t.setting.Here, func(found string) string {
		parts := link.FindStringSubmatch(found)
		page, _, _ := strings.Cut(parts[2], "#")
		return parts[1] + " (docs/" + cmp.Or(page, "migrate-from-"+t.from.original.Provider+".md") + ")"
	})
	return strings.ReplaceAll(text, "`", "")
}

// holdsPassword says that a value is a URL with a user in it, which must stand in no values.
func holdsPassword(value string) bool {
	u, err := url.Parse(value)
	return err == nil && u.User != nil
}

// origin is how comments call the setting.
func (t *translation) origin() string { return t.name + ", " + t.from.object() }

// put puts a value into the values; what stands there already stays and is told of.
func (t *translation) put(value any, place ...string) {
	if other := t.values.set(value, t.origin(), "was: "+t.origin(), place...); other != "" {
		t.hand(t.from.object(), "%s: another value is at %s already, of %s; decide which holds", t.name, strings.Join(place, "."), other)
	}
}

// set puts a value into the setting's place, for each store that it is for.
func (t *translation) set(value any) bool {
	for _, place := range t.places() {
		t.put(value, place...)
	}
	return true
}

// places are the places that the setting's To names. The stores in them get their types.
func (t *translation) places() [][]string {
	place := strings.Split(t.setting.To, ".")
	if len(place) < 3 || place[1] != "stores" {
		return [][]string{place}
	}
	stores := []string{place[2]}
	if stores[0] == "*" {
		stores = slices.Sorted(maps.Keys(storeTypes[t.from.original.Provider]))
	}
	var places [][]string
	for _, store := range stores {
		t.store(store, "The store that classes with provider: "+t.from.original.Provider+" read from.")
		places = append(places, slices.Concat(place[:2], []string{store}, place[3:]))
	}
	return places
}

func (t *translation) boolean() bool {
	is, err := strconv.ParseBool(t.value)
	return err == nil && (!is || t.set(true))
}

// seconds takes a duration, or a number of seconds as Vault's client does.
func (t *translation) seconds() bool {
	if n, err := strconv.Atoi(t.value); err == nil {
		t.value = strconv.Itoa(n) + "s"
	}
	d, err := time.ParseDuration(t.value)
	return err == nil && d >= time.Second && d <= time.Minute && t.set(t.value)
}

// file finds what a path of the container is on the node, and has the chart mount it at
// the place that it gives to files of Secrets and ConfigMaps.
func (t *translation) file(directory bool) bool {
	v, below := t.from.volume(t.value)
	if v == nil || !directory && below == "" {
		return false
	}
	switch {
	case v.ConfigMap != nil:
		t.configMaps[v.ConfigMap.Name] = "was: the volume " + message.Printable(v.Name) + " for " + t.origin() + "; copy the ConfigMap into Lanyard's namespace"
		return t.set(path.Join("/etc/lanyard/files", v.ConfigMap.Name, key(v.ConfigMap.Items, below)))
	case v.Secret != nil:
		t.secrets[v.Secret.SecretName] = "was: the volume " + message.Printable(v.Name) + " for " + t.origin() + "; copy the Secret into Lanyard's namespace"
		return t.set(path.Join("/etc/lanyard/secrets", v.Secret.SecretName, key(v.Secret.Items, below)))
	case v.HostPath != nil:
		on := path.Join(v.HostPath.Path, below)
		mounted := on
		if !directory {
			mounted = path.Dir(on)
		}
		t.directories[mounted] = "was: the volume " + message.Printable(v.Name) + " for " + t.origin()
		return t.set(on)
	}
	return false
}

// key is the key of a ConfigMap or Secret that is at a path of its volume.
func key(items []item, at string) string {
	for _, i := range items {
		if path.Clean(i.Path) == at {
			return i.Key
		}
	}
	return at
}

func (t *translation) verbosity() bool {
	n, err := strconv.Atoi(t.value)
	if err == nil && n >= 2 {
		t.put(2, "log", "verbosity")
	}
	return err == nil
}

func (t *translation) level() bool {
	if slices.Contains([]string{"debug", "trace", "true"}, strings.ToLower(t.value)) {
		t.put(2, "log", "verbosity")
	}
	return true
}

func (t *translation) logFormat() bool {
	is, err := strconv.ParseBool(t.value)
	if is {
		t.put("json", "log", "format")
	}
	return err == nil
}

// proxy takes the address of a proxy, without the user and password in it, which must
// stand in no values file.
func (t *translation) proxy() bool {
	if strings.EqualFold(t.name, "HTTP_PROXY") && cmp.Or(t.given["HTTPS_PROXY"], t.given["https_proxy"]) != "" {
		return true
	}
	u, err := url.Parse(t.value)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return false
	}
	if u.User != nil {
		t.hand(t.from.object(), "%s: holds a user and password; put them into a Secret as USER:PASSWORD, name it in secrets, and the file in config.proxy.credentialsFile", t.name)
	}
	return t.set(u.Scheme + "://" + u.Host)
}
