package azure

import "strings"

// cloud is a national cloud of Azure.
// https://learn.microsoft.com/azure/key-vault/general/about-keys-secrets-certificates#dns-suffixes-for-object-identifiers
// https://learn.microsoft.com/entra/identity-platform/authentication-national-cloud#microsoft-entra-authentication-endpoints
type cloud struct {
	name      string // as in this store's settings
	long      string // as in Azure's own tools
	authority string
	vaults    string // the DNS suffix of vaults
	hsms      string // the DNS suffix of Managed HSMs; empty if there are none
}

func clouds() []cloud {
	return []cloud{
		{"public", "AzurePublicCloud", "https://login.microsoftonline.com", "vault.azure.net", "managedhsm.azure.net"},
		{"usGovernment", "AzureUSGovernmentCloud", "https://login.microsoftonline.us", "vault.usgovcloudapi.net", "managedhsm.usgovcloudapi.net"},
		{"china", "AzureChinaCloud", "https://login.chinacloudapi.cn", "vault.azure.cn", "managedhsm.azure.cn"},
	}
}

// ownDomains are the domains in which Azure's own servers are.
func ownDomains() []string {
	var domains []string
	for _, c := range clouds() {
		_, login, _ := strings.Cut(c.authority, "://login.")
		domains = append(domains, login, c.vaults, c.hsms)
	}
	return domains
}

// cloudNamed finds a cloud by either of its names, in whatever case.
func cloudNamed(name string) (cloud, bool) {
	for _, c := range clouds() {
		if strings.EqualFold(name, c.name) || strings.EqualFold(name, c.long) {
			return c, true
		}
	}
	return cloud{}, false
}
