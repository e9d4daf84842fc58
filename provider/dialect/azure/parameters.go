package azure

import (
	"maps"
	"regexp"
	"strconv"
	"strings"

	"github.com/lanyardhq/lanyard/provider/dialect"
	"github.com/lanyardhq/lanyard/provider/spec"
)

// The parameters of a class.
const (
	parameterVault       = "keyvaultName"
	parameterTenant      = "tenantID"
	parameterOlderTenant = "tenantId" // the older name of the same
	parameterCloud       = "cloudName"
	parameterEnvironment = "cloudEnvFileName"
	parameterPodIdentity = "usePodIdentity"
	parameterNode        = "useVMManagedIdentity"
	parameterNodeID      = "userAssignedIdentityID"
	parameterClient      = "clientID"
	parameterTokenProxy  = "useAzureTokenProxy"
	parameterObjects     = "objects"
	// Classes for versions before 0.0.4 still have these.
	parameterGroup        = "resourceGroup"
	parameterSubscription = "subscriptionId"
)

func known() []string {
	return []string{
		parameterObjects, parameterVault, parameterTenant, parameterClient, parameterCloud, parameterEnvironment,
		parameterNode, parameterNodeID, parameterPodIdentity, parameterOlderTenant, parameterTokenProxy, parameterGroup, parameterSubscription,
	}
}

// trimmed returns parameters as the original reads them: trimmed, and without empty
// ones.
func trimmed(parameters map[string]string) map[string]string {
	values := map[string]string{}
	for name, value := range parameters {
		if value = strings.TrimSpace(value); value != "" {
			values[name] = value
		}
	}
	return values
}

// words maps the engine's fields to names in the class.
func words() spec.Words {
	return spec.Words{
		"objects[].path":             fieldAlias,
		"objects[].key":              fieldName,
		"objects[].version":          fieldVersion,
		"objects[].encoding":         fieldEncoding,
		"objects[].mode":             fieldPermission,
		"objects[].expand":           fieldHistory,
		"objects[].options.history":  fieldHistory,
		"objects[].options.notAfter": fieldNotAfter,
		"objects[].options.format":   fieldFormat,
		"objects[].options.tags":     fieldTags,
	}
}

// storeWords maps the settings of a store to names in the class. vault is the field that
// names its vault.
func (p *parser) storeWords(name, vault string) {
	store := "stores." + name
	tenant := parameterTenant
	if p.parameters[parameterTenant] == "" && p.parameters[parameterOlderTenant] != "" {
		tenant = parameterOlderTenant
	}
	maps.Copy(p.class.Words, spec.Words{
		store + ".vault":                vault,
		store + ".tenantID":             tenant,
		store + ".cloud":                parameterCloud,
		store + ".auth.clientID":        parameterClient,
		store + ".auth.identityBinding": parameterTokenProxy,
		store + ".auth.identityID":      parameterNodeID,
		store + ".auth.method":          parameterNode,
	})
}

// defaults returns the original's implied settings. Without the operator's store they
// are refused with a reason.
func defaults() map[string]map[string]any {
	return map[string]map[string]any{NodeStoreName: {"type": "azure-key-vault", "auth": map[string]any{"method": "managedIdentity"}}}
}

// store returns the class's store and its settings there: only those, so that the
// operator's settings apply otherwise.
func (p *parser) store() (name string, settings map[string]any) {
	name, settings = StoreName, map[string]any{}
	set := func(setting, parameter string) {
		if value := p.parameters[parameter]; value != "" {
			settings[setting] = value
		}
	}
	if p.parameters[parameterVault] == "" {
		p.Wrong(parameterVault, "missing; give the name of the vault")
	}
	set("vault", parameterVault)
	p.tenant(settings)
	p.cloud(settings)
	node, bound := p.identity()
	for _, old := range []string{parameterGroup, parameterSubscription} {
		if p.parameters[old] != "" {
			p.NoEffect(old, "has no effect since version 0.0.4 of the Azure Key Vault provider")
		}
	}
	auth := map[string]any{}
	if node {
		// Only the operator can define this store.
		name = NodeStoreName
		if id := p.parameters[parameterNodeID]; id != "" {
			auth["identityID"] = id
		}
		if p.parameters[parameterClient] != "" {
			p.NoEffect(parameterClient, "has no effect beside "+parameterNode)
		}
	} else {
		settings["type"] = "azure-key-vault" // which the class describes in full
		if p.parameters[parameterNodeID] != "" {
			p.NoEffect(parameterNodeID, "has no effect without "+parameterNode)
		}
		// Without a client the pod's own credentials name the identity.
		if id := p.parameters[parameterClient]; id != "" {
			auth["clientID"] = id
		}
		if bound {
			auth["identityBinding"] = true
		}
	}
	if len(auth) > 0 {
		settings["auth"] = auth
	}
	return name, settings
}

// maxVaults bounds the vaults of one class, each of which is a store with its own
// connection.
const maxVaults = 32

// vaultName is what the names of vaults are made of. The store checks the rest.
// https://learn.microsoft.com/azure/azure-resource-manager/management/resource-name-rules#microsoftkeyvault
var vaultName = regexp.MustCompile(`^[a-zA-Z0-9-]{1,24}$`)

// storeOf returns the store of an entry: the class's own one, or one for the vault that the
// entry names, in the same cloud and with the same identity.
func (p *parser) storeOf(store string, i int, e entry, wrong func(field, format string, args ...any)) string {
	vault := strings.ToLower(string(e.Vault)) // as names of hosts are, it is the same in any case
	name := store + "_" + vault
	switch {
	case vault == "" || vault == strings.ToLower(p.parameters[parameterVault]):
		return store
	case !vaultName.MatchString(vault):
		wrong(fieldVault, "must be the name of a vault alone: letters, digits and dashes, at most 24")
		return store
	case p.class.Stores[name] != nil:
		return name
	case len(p.class.Stores) > maxVaults:
		wrong(fieldVault, "a class may read from %d vaults besides its own; split the class, one volume each", maxVaults)
		return store
	}
	settings := maps.Clone(p.class.Stores[store])
	settings["vault"], settings["base"] = string(e.Vault), store
	p.class.Stores[name] = settings
	if implied := p.class.Defaults[store]; implied != nil {
		p.class.Defaults[name] = implied
	}
	p.storeWords(name, dialect.InEntry(parameterObjects, i, "", fieldVault, "").Field)
	return name
}

// identity reads which identity the class wants: the node's, one that its pods are bound
// to, or else what the pod itself has.
func (p *parser) identity() (node, bound bool) {
	pod := p.flag(parameterPodIdentity)
	node, bound = p.flag(parameterNode), p.flag(parameterTokenProxy)
	var chosen []string
	for _, mode := range []struct {
		parameter string
		on        bool
	}{{parameterPodIdentity, pod}, {parameterNode, node}, {parameterTokenProxy, bound}} {
		if mode.on {
			chosen = append(chosen, mode.parameter)
		}
	}
	switch {
	case len(chosen) > 1:
		p.Wrong(chosen[0], "only one identity can read; %s is true as well", strings.Join(chosen[1:], " and "))
	case pod:
		p.Wrong(parameterPodIdentity, "AAD Pod Identity has been retired; give %s to read as the pod by workload identity", parameterClient)
	}
	return node, bound
}

// tenant reads the tenant by either name.
func (p *parser) tenant(settings map[string]any) {
	tenant, older := p.parameters[parameterTenant], p.parameters[parameterOlderTenant]
	switch {
	case tenant != "" && older != "" && tenant != older:
		p.NoEffect(parameterOlderTenant, "has no effect beside "+parameterTenant)
	case tenant == "":
		tenant = older
	}
	// Without it the pod's service account names the tenant, or the vault does.
	if tenant != "" {
		settings["tenantID"] = tenant
	}
}

// cloud accepts the cloud names of Azure's SDK for Go in any case.
func (p *parser) cloud(settings map[string]any) {
	file := p.parameters[parameterEnvironment]
	switch strings.ToLower(p.parameters[parameterCloud]) {
	case "", "azurecloud", "azurepubliccloud":
		// The default: the operator's cloud applies where a class names none.
		if p.parameters[parameterCloud] != "" {
			settings["cloud"] = "public"
		}
	case "azureusgovernmentcloud", "azureusgovernment":
		settings["cloud"] = "usGovernment"
	case "azurechinacloud":
		settings["cloud"] = "china"
	case "azuregermancloud":
		p.Wrong(parameterCloud, "this cloud was closed in 2021")
	case "azurestackcloud":
		settings["cloud"] = "AzureStackCloud"
		if file != "" {
			p.NoEffect(parameterEnvironment, "has no effect: the file lies on the node, and the operator's configuration says which it is")
		}
		return
	default:
		p.Wrong(parameterCloud, "must be one of AzurePublicCloud, AzureUSGovernmentCloud, AzureChinaCloud and AzureStackCloud")
	}
	if file != "" {
		p.NoEffect(parameterEnvironment, "has no effect without "+parameterCloud+" AzureStackCloud")
	}
}

// flag parses a boolean parameter, false by default.
func (p *parser) flag(parameter string) bool {
	text := p.parameters[parameter]
	if text == "" {
		return false
	}
	value, err := strconv.ParseBool(text)
	if err != nil {
		p.Wrong(parameter, `must be "true" or "false"`)
	}
	return value
}
