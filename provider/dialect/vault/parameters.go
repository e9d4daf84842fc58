package vault

import (
	"maps"
	"strconv"
	"strings"

	"github.com/lanyardhq/lanyard/provider/spec"
)

// The parameters of a class, as the prefix of the product begins most of them.
const (
	parameterRole            = "RoleName"
	parameterAddress         = "Address"
	parameterNamespace       = "Namespace"
	parameterMount           = "AuthMountPath"
	parameterKubernetesMount = "KubernetesMountPath" // the older name of the same
	parameterSkipVerify      = "SkipTLSVerify"
	parameterCACert          = "CACertPath"
	parameterCADirectory     = "CADirectory"
	parameterServerName      = "TLSServerName"
	parameterClientCert      = "TLSClientCertPath"
	parameterClientKey       = "TLSClientKeyPath"

	parameterAudience = "audience"
	parameterObjects  = "objects"

	// roleName stands without a prefix, unless it is an older one.
	roleName = "roleName"
)

// prefixed are the parameters that begin with a prefix.
var prefixed = []string{
	parameterRole, parameterAddress, parameterNamespace, parameterMount, parameterKubernetesMount, parameterSkipVerify,
	parameterCACert, parameterCADirectory, parameterServerName, parameterClientCert, parameterClientKey,
}

// Product is a server that classes read from, as its provider's parameters call it.
type Product struct {
	// Name is the provider's name in a SecretProviderClass, and of the store that its
	// classes read from.
	Name string
	// Title is what messages call the server.
	Title string
	// Prefixes begin the parameters, the one to use first: a parameter with an earlier
	// one goes before the same with a later one.
	Prefixes []string
	// OldRoles says that roleName may have a prefix too.
	OldRoles bool
	// Audience is that of the pod's token where neither class nor operator says; empty
	// for that of the store type.
	Audience string
}

// spellings are the names that a class may give a parameter, in the order in which they
// count.
func (p *Product) spellings(parameter string) []string {
	var names []string
	if parameter == parameterRole {
		names = append(names, roleName)
		if !p.OldRoles {
			return names
		}
	}
	for _, prefix := range p.Prefixes {
		names = append(names, prefix+parameter)
	}
	return names
}

// Known are the parameters in their newest names.
func (p *Product) Known() []string {
	known := []string{parameterObjects, parameterAudience}
	for _, parameter := range prefixed {
		known = append(known, p.spellings(parameter)[0])
	}
	return known
}

// read finds the parameters by any of their names, and tells of those that have no
// effect beside a newer name, and of those that nobody knows.
func (p *parser) read(given map[string]string) {
	p.parameters, p.names = map[string]string{}, map[string]string{}
	rest := maps.Clone(given)
	for _, parameter := range []string{parameterAudience, parameterObjects} {
		if value, ok := given[parameter]; ok {
			p.parameters[parameter] = value
		}
	}
	for _, parameter := range prefixed {
		names := p.product.spellings(parameter)
		p.names[parameter] = names[0]
		for i, name := range names {
			value, ok := given[name]
			if i > 0 {
				delete(rest, name)
			}
			switch {
			case !ok || value == "" && parameter != parameterSkipVerify:
			case p.has(parameter):
				p.NoEffect(name, "has no effect beside "+p.names[parameter])
			default:
				p.parameters[parameter], p.names[parameter] = value, name
			}
		}
	}
	p.Unknown(rest, p.product.Known())
}

func (p *parser) has(parameter string) bool {
	_, given := p.parameters[parameter]
	return given
}

// words maps the engine's fields and the store's settings to names in the class.
func (p *parser) words() spec.Words {
	mount := p.names[parameterMount]
	if !p.has(parameterMount) && p.has(parameterKubernetesMount) {
		mount = p.names[parameterKubernetesMount]
	}
	store := "stores." + p.product.Name + "."
	return spec.Words{
		store + "address":                p.names[parameterAddress],
		store + "namespace":              p.names[parameterNamespace],
		store + "auth.mount":             mount,
		store + "auth.role":              p.names[parameterRole],
		store + "auth.audience":          parameterAudience,
		store + "tls.insecureSkipVerify": p.names[parameterSkipVerify],
		store + "tls.caCertFile":         p.names[parameterCACert],
		store + "tls.caCertDir":          p.names[parameterCADirectory],
		store + "tls.serverName":         p.names[parameterServerName],
		store + "tls.clientCertFile":     p.names[parameterClientCert],
		store + "tls.clientKeyFile":      p.names[parameterClientKey],

		"objects[].path":           fieldName,
		"objects[].key":            fieldPath,
		"objects[].version":        fieldPath,
		"objects[].options.query":  fieldPath,
		"objects[].options.method": fieldMethod,
		"objects[].options.body":   fieldArgs,
		"objects[].options.whole":  fieldKey,
		"objects[].property":       fieldKey,
		"objects[].mode":           fieldPermission,
		"objects[].encoding":       fieldEncoding,
	}
}

// store returns the class's settings of its store: only those, so that the operator's
// settings apply otherwise. Empty parameters count as absent.
func (p *parser) store() map[string]any {
	settings, auth := map[string]any{}, map[string]any{}
	set := func(of map[string]any, setting, value string) {
		if value != "" {
			of[setting] = value
		}
	}
	if address := strings.TrimRight(p.parameters[parameterAddress], "/"); address != "" {
		// A class with an address defines its own store.
		settings["type"], settings["address"] = storeType, address
	}
	set(settings, "namespace", cleaned(p.parameters[parameterNamespace]))
	set(auth, "role", p.parameters[parameterRole])
	set(auth, "audience", p.parameters[parameterAudience])
	set(auth, "mount", p.mount())
	if len(auth) > 0 {
		settings["auth"] = auth
	}
	if tls := p.tls(); len(tls) > 0 {
		settings["tls"] = tls
	}
	return settings
}

// cleaned returns a path without needless slashes, which the original's client or the
// server takes out.
func cleaned(path string) string {
	return strings.Join(strings.FieldsFunc(path, func(r rune) bool { return r == '/' }), "/")
}

// mount returns the auth mount by either name.
func (p *parser) mount() string {
	mount, older := p.parameters[parameterMount], p.parameters[parameterKubernetesMount]
	if mount != "" && older != "" {
		p.Wrong(p.names[parameterKubernetesMount], "is the older name of %s, which is given too; remove this one", p.names[parameterMount])
	}
	if mount == "" {
		mount = older
	}
	return cleaned(mount)
}

// tls returns the connection's settings, without those that have no effect next to
// others, as in the original.
func (p *parser) tls() map[string]any {
	tls := map[string]any{}
	files := []struct{ parameter, setting string }{
		{parameterCACert, "caCertFile"},
		{parameterCADirectory, "caCertDir"},
		{parameterServerName, "serverName"},
		{parameterClientCert, "clientCertFile"},
		{parameterClientKey, "clientKeyFile"},
	}
	for _, t := range files {
		if value := p.parameters[t.parameter]; value != "" {
			tls[t.setting] = value
		}
	}
	if text, ok := p.parameters[parameterSkipVerify]; ok {
		switch skip, err := strconv.ParseBool(text); {
		case err != nil:
			p.Wrong(p.names[parameterSkipVerify], `must be "true" or "false"`)
		case skip:
			tls["insecureSkipVerify"] = true
		}
	}
	drop := func(setting, parameter, because string) {
		if _, given := tls[setting]; given {
			delete(tls, setting)
			p.NoEffect(p.names[parameter], because)
		}
	}
	if strings.HasPrefix(strings.ToLower(p.parameters[parameterAddress]), "http://") {
		because := "has no effect with a " + p.names[parameterAddress] + " of http://"
		drop("insecureSkipVerify", parameterSkipVerify, because)
		for _, t := range files {
			drop(t.setting, t.parameter, because)
		}
	}
	if _, skip := tls["insecureSkipVerify"]; skip {
		because := "has no effect beside " + p.names[parameterSkipVerify]
		drop("caCertFile", parameterCACert, because)
		drop("caCertDir", parameterCADirectory, because)
	}
	if _, given := tls["caCertFile"]; given {
		drop("caCertDir", parameterCADirectory, "has no effect beside "+p.names[parameterCACert])
	}
	return tls
}
