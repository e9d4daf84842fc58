package vault

import (
	"strconv"
	"strings"

	"github.com/lanyardhq/lanyard/provider/spec"
)

// The parameters of a class.
const (
	parameterRole            = "roleName"
	parameterAddress         = "vaultAddress"
	parameterNamespace       = "vaultNamespace"
	parameterMount           = "vaultAuthMountPath"
	parameterKubernetesMount = "vaultKubernetesMountPath" // the older name of the same
	parameterAudience        = "audience"
	parameterSkipVerify      = "vaultSkipTLSVerify"
	parameterCACert          = "vaultCACertPath"
	parameterCADirectory     = "vaultCADirectory"
	parameterServerName      = "vaultTLSServerName"
	parameterClientCert      = "vaultTLSClientCertPath"
	parameterClientKey       = "vaultTLSClientKeyPath"
	parameterObjects         = "objects"
)

var known = []string{
	parameterObjects, parameterRole, parameterAddress, parameterNamespace,
	parameterMount, parameterKubernetesMount, parameterAudience,
	parameterSkipVerify, parameterCACert, parameterCADirectory,
	parameterServerName, parameterClientCert, parameterClientKey,
}

// words maps the engine's fields and the store's settings to names in the class.
func words(parameters map[string]string) spec.Words {
	mount := parameterMount
	if parameters[mount] == "" && parameters[parameterKubernetesMount] != "" {
		mount = parameterKubernetesMount
	}
	const store = "stores." + StoreName + "."
	return spec.Words{
		store + "address":                parameterAddress,
		store + "namespace":              parameterNamespace,
		store + "auth.mount":             mount,
		store + "auth.role":              parameterRole,
		store + "auth.audience":          parameterAudience,
		store + "tls.insecureSkipVerify": parameterSkipVerify,
		store + "tls.caCertFile":         parameterCACert,
		store + "tls.caCertDir":          parameterCADirectory,
		store + "tls.serverName":         parameterServerName,
		store + "tls.clientCertFile":     parameterClientCert,
		store + "tls.clientKeyFile":      parameterClientKey,

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
		settings["type"], settings["address"] = "vault", address
	}
	set(settings, "namespace", p.parameters[parameterNamespace])
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

// mount returns the auth mount by either name.
func (p *parser) mount() string {
	mount, older := p.parameters[parameterMount], p.parameters[parameterKubernetesMount]
	if mount != "" && older != "" {
		p.Wrong(parameterKubernetesMount, "is the older name of %s, which is given too; remove this one", parameterMount)
	}
	if mount == "" {
		mount = older
	}
	return strings.Trim(mount, "/")
}

// tls returns the connection's settings, without those that have no effect next to
// others, as in the original.
func (p *parser) tls() map[string]any {
	tls := map[string]any{}
	for _, t := range []struct{ parameter, setting string }{
		{parameterCACert, "caCertFile"},
		{parameterCADirectory, "caCertDir"},
		{parameterServerName, "serverName"},
		{parameterClientCert, "clientCertFile"},
		{parameterClientKey, "clientKeyFile"},
	} {
		if value := p.parameters[t.parameter]; value != "" {
			tls[t.setting] = value
		}
	}
	if text, ok := p.parameters[parameterSkipVerify]; ok {
		switch skip, err := strconv.ParseBool(text); {
		case err != nil:
			p.Wrong(parameterSkipVerify, `must be "true" or "false"`)
		case skip:
			tls["insecureSkipVerify"] = true
		}
	}
	drop := func(setting, parameter, because string) {
		if _, given := tls[setting]; given {
			delete(tls, setting)
			p.NoEffect(parameter, because)
		}
	}
	if strings.HasPrefix(strings.ToLower(p.parameters[parameterAddress]), "http://") {
		for _, t := range [][2]string{
			{"insecureSkipVerify", parameterSkipVerify},
			{"caCertFile", parameterCACert}, {"caCertDir", parameterCADirectory}, {"serverName", parameterServerName},
			{"clientCertFile", parameterClientCert}, {"clientKeyFile", parameterClientKey},
		} {
			drop(t[0], t[1], "has no effect with a "+parameterAddress+" of http://")
		}
	}
	if _, skip := tls["insecureSkipVerify"]; skip {
		drop("caCertFile", parameterCACert, "has no effect beside "+parameterSkipVerify)
		drop("caCertDir", parameterCADirectory, "has no effect beside "+parameterSkipVerify)
	}
	if _, given := tls["caCertFile"]; given {
		drop("caCertDir", parameterCADirectory, "has no effect beside "+parameterCACert)
	}
	return tls
}
