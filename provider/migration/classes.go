package migration

import (
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/lanyardhq/lanyard/internal/message"
)

// unknownVault stands in for an address that nobody says. The domain is one that never
// resolves: https://www.rfc-editor.org/rfc/rfc6761#section-6.4
const unknownVault = "https://set-by-hand.invalid:8200"

// vaultAddress takes Vault's address. That of the Agent beside the provider says nothing of
// it; planner.vault looks for another.
func (t *translation) vaultAddress() bool {
	u, err := url.Parse(t.value)
	if err == nil && u.Scheme == "unix" {
		return true
	}
	return err == nil && u.Host != "" && u.User == nil && (u.Scheme == "https" || u.Scheme == "http") && t.set(t.value)
}

// override lists values of classes that are not the operator's, so that they hold.
func (p *planner) override(store, setting string, operators any, values []string) {
	var others []string
	for _, value := range values {
		if value != operators {
			others = append(others, value)
		}
	}
	if len(others) > 0 {
		p.values.set(others, "", "What classes give for this now. Whatever is listed, every class may give.", "config", "stores", store, "override", setting)
	}
}

// review has somebody look at values that classes and pods give, and that decide what a
// pod's token or the node's identity is good for: the authors of classes and pods are not
// the operator.
func (p *planner) review(classes []Class, parameter, operators, place, why string) {
	note := func(object, value string) {
		if value = strings.TrimSpace(value); value != "" && value != operators {
			p.hand(message.Printable(object), "%s %s was put into %s: %s", parameter, message.Printable(value), place, why)
		}
	}
	for _, c := range classes {
		note(c.String(), c.Parameters[parameter])
		for _, u := range p.usersOf(c) {
			for _, v := range u.volumes {
				if v.className() == c.Name {
					note(u.String(), v.Attributes[parameter])
				}
			}
		}
	}
}

// mostUsed is the one of values that most classes give for a parameter.
func (p *planner) mostUsed(classes []Class, parameter string, values []string) (most string) {
	given := map[string]int{}
	for _, c := range classes {
		given[strings.TrimSpace(c.Parameters[parameter])]++
	}
	for _, value := range values {
		if most == "" || given[value] > given[most] {
			most = value
		}
	}
	return most
}

// scalar is the text of the value at a place; empty if there is none.
func (v *values) scalar(place ...string) string {
	if node := v.at(place); node != nil {
		return node.Value
	}
	return ""
}

// vault sees to what classes of the dialect vault say of their server.
func (p *planner) vault(classes []Class) {
	p.store("vault", "The store that classes with provider: vault read from.")
	at := func(setting ...string) []string { return append([]string{"config", "stores", "vault"}, setting...) }
	addresses := slices.DeleteFunc(p.parameter(classes, "vaultAddress"), holdsPassword)
	if !p.values.has(at("address")...) {
		switch {
		case len(addresses) > 0:
			address := p.mostUsed(classes, "vaultAddress", addresses)
			p.values.set(address, "classes", "was: vaultAddress of classes", at("address")...)
			p.hand("", "config.stores.vault.address: %s is what most classes say; see that it is yours", message.Printable(address))
		default:
			p.values.set(unknownVault, "", "SET BY HAND: Vault's own address, which neither the provider nor a class says.", at("address")...)
			p.hand("", "config.stores.vault.address: write Vault's own address; the Agent's, which the provider called, has it in its ConfigMap (the vault stanza of config.hcl)")
		}
	}
	p.values.set("kubernetes", "", "Pods log in with their own tokens, as before.", at("auth", "method")...)
	p.override("vault", "address", p.values.scalar(at("address")...), addresses)
	p.review(classes, "vaultAddress", p.values.scalar(at("address")...), "config.stores.vault.override.address", "pods' tokens are sent there, so keep only addresses that are yours")
	mounts := slices.Concat(p.parameter(classes, "vaultAuthMountPath"), p.parameter(classes, "vaultKubernetesMountPath"))
	// A class may name the mount only where it is listed, the default one too.
	p.override("vault", "auth.mount", p.values.scalar(at("auth", "mount")...), mounts)
	if p.values.has(at("namespace")...) {
		p.override("vault", "namespace", p.values.scalar(at("namespace")...), p.parameter(classes, "vaultNamespace"))
	}
	p.override("vault", "tls.serverName", p.values.scalar(at("tls", "serverName")...), p.parameter(classes, "vaultTLSServerName"))
	var ignored, files []string
	for _, one := range [][2]string{
		{"vaultCACertPath", "tls.caCertFile"}, {"vaultCADirectory", "tls.caCertDir"},
		{"vaultTLSClientCertPath", "tls.clientCertFile"}, {"vaultTLSClientKeyPath", "tls.clientKeyFile"},
	} {
		if given := p.parameter(classes, one[0]); len(given) > 0 {
			ignored, files = append(ignored, one[1]), append(files, one[0])
		}
	}
	if len(ignored) > 0 {
		p.values.set(ignored, "", "Classes name files of the other provider's container for these. They have no effect; the store's own tls counts.", at("ignore")...)
		if !p.values.has(at("tls")...) {
			p.hand("", "config.stores.vault.tls: classes name files of the other provider's container (%s); give the same certificates here, unless Vault's authority is a public one", strings.Join(files, ", "))
		}
	}
	if slices.ContainsFunc(p.parameter(classes, "vaultSkipTLSVerify"), isTrue) {
		p.hand("", "classes say vaultSkipTLSVerify, which lets whoever answers have the pods' tokens: give Vault's authority in config.stores.vault.tls and take the parameter out, or set tls.insecureSkipVerify there")
	}
	if len(classes) > 0 {
		audiences := p.parameter(classes, "audience")
		if slices.ContainsFunc(classes, func(c Class) bool { return c.Parameters["audience"] == "" }) {
			audiences = append(audiences, "vault")
		}
		p.tokens = append(p.tokens, audiences...)
		p.Afterwards = append(p.Afterwards, "Vault's roles: a login brings a token with the audience vault, or the class's; a role whose bound audience is another one refuses it")
	}
}

func isTrue(value string) bool {
	is, err := strconv.ParseBool(value)
	return err == nil && is
}

// region takes the region of the environment, which there counted for classes without one.
func (t *translation) region() bool {
	if t.name == "AWS_DEFAULT_REGION" && t.given["AWS_REGION"] != "" {
		return true
	}
	t.set(t.value)
	regions := t.parameter(t.classesOf(t.from.original), "region")
	for _, store := range slices.Sorted(maps.Keys(storeTypes["aws"])) {
		t.override(store, "region", t.value, regions)
	}
	return true
}

// aws sees to roles, regions and tokens.
func (p *planner) aws(classes []Class) {
	p.values.set(true, "", "was: the right of the AWS provider to read service accounts (eks.amazonaws.com/role-arn) and nodes (topology.kubernetes.io/region)", "config", "policy", "readObjects")
	if len(classes) == 0 {
		return
	}
	identity := slices.ContainsFunc(p.parameter(classes, "usePodIdentity"), isTrue)
	if identity {
		p.tokens = append(p.tokens, "pods.eks.amazonaws.com")
	}
	if !identity || slices.ContainsFunc(classes, func(c Class) bool { return !isTrue(c.Parameters["usePodIdentity"]) }) {
		p.tokens = append(p.tokens, "sts.amazonaws.com")
	}
	p.Afterwards = append(p.Afterwards, "IAM: grant secretsmanager:BatchGetSecretValue to the pods' roles, so that twenty secrets are one call; secretsmanager:DescribeSecret is not needed any more")
	for n := range p.providers {
		f := &p.providers[n]
		if flags, _ := readFlags(f.container); f.original.Provider == "aws" && !isTrue(flags["driver-writes-secrets"]) {
			p.differs(f.object(), "wrote files itself (driver-writes-secrets is off): the driver writes them now, and each is a link to a file that is changed together with the others of its volume; programs that follow no links, or mount single files by subPath, have to be looked at")
			break
		}
	}
}

// azureClouds are the names of clouds that a store takes.
var azureClouds = []string{"AzurePublicCloud", "AzureUSGovernmentCloud", "AzureChinaCloud"}

func (t *translation) azureCloud() bool {
	for _, cloud := range azureClouds {
		if strings.EqualFold(cloud, t.value) {
			return t.set(cloud)
		}
	}
	return false
}

// azure sees to the node's identities, and to tokens.
func (p *planner) azure(classes []Class) {
	var node []Class
	for _, c := range classes {
		if slices.ContainsFunc(p.parameter([]Class{c}, "useVMManagedIdentity"), isTrue) {
			node = append(node, c)
		}
	}
	if len(node) > 0 {
		p.azureNode(node)
	}
	if slices.ContainsFunc(classes, func(c Class) bool { return c.Parameters["clientID"] != "" }) {
		p.tokens = append(p.tokens, "api://AzureADTokenExchange")
	}
	for n := range p.providers {
		f := &p.providers[n]
		flags, _ := readFlags(f.container)
		if f.original.Provider != "azure" || f.windows || !isTrue(flags["write-cert-and-key-in-separate-files"]) {
			continue
		}
		for _, c := range classes {
			if strings.Contains(c.Parameters["objects"], "secret") {
				p.differs(message.Printable(c.String()), "of a secret that belongs to a certificate, NAME.crt and NAME.key beside its file are not made; pods that read those need a native class (migrate-from-azure.md)")
			}
		}
		break
	}
}

// azureNode names the store that reads with the node's identity, for the pods that do now.
func (p *planner) azureNode(classes []Class) {
	at := func(setting ...string) []string {
		return append([]string{"config", "stores", "azure-node"}, setting...)
	}
	p.store("azure-node", "The store of classes with useVMManagedIdentity. It reads as the node.")
	accounts := p.accounts(classes)
	comment := "was: every pod of the cluster. These are the service accounts whose pods mount such classes now."
	if len(accounts) == 0 {
		// A list must not be empty, and no pod has this account.
		accounts, comment = []string{"set-by-hand/none"}, "SET BY HAND: NAMESPACE/SERVICE-ACCOUNT of the pods that may read as the node."
		p.hand("", "config.stores.azure-node.allow: name the service accounts whose pods may read as the node; no pod was found that mounts such a class")
	}
	p.values.set(accounts, "", comment, at("allow")...)
	p.values.set("managedIdentity", "", "was: useVMManagedIdentity of classes", at("auth", "method")...)
	identities := p.parameter(classes, "userAssignedIdentityID")
	if len(identities) > 0 {
		p.values.set(identities[0], "classes", "was: userAssignedIdentityID of classes", at("auth", "identityID")...)
		p.override("azure-node", "auth.identityID", identities[0], identities)
		p.review(classes, "userAssignedIdentityID", identities[0], "config.stores.azure-node.override.auth.identityID", "keep it only if all pods of the store may read as this identity of the node")
	}
	for n := range p.providers {
		if f := &p.providers[n]; f.original.Provider == "azure" && !f.windows && f.daemonSet.Spec.Template.Spec.HostNetwork {
			p.values.set(true, "", "was: hostNetwork of "+f.object()+", from where the metadata service gives the node's identity", "hostNetwork")
			p.values.set(false, "", "No policy holds for pods on the host's network.", "networkPolicy", "enabled")
			break
		}
	}
}

func (t *translation) keyCredential() bool {
	is, err := strconv.ParseBool(t.value)
	return err == nil && (!is || t.set("key.json"))
}

// audience writes the audience of a GKE cluster out, of which the environment says the
// parts.
func (p *planner) audience(f *found, given map[string]string) {
	project, location, name := given["PROJECT"], given["CLUSTER_LOCATION"], given["CLUSTER_NAME"]
	if f.original.Provider != "gcp" || project == "" && location == "" && name == "" {
		return
	}
	t := translation{planner: p, from: f, setting: &Setting{To: "config.stores.gcp.auth.audience"}, name: "PROJECT, CLUSTER_LOCATION and CLUSTER_NAME"}
	if project == "" || location == "" || name == "" {
		p.hand(f.object(), "%s: not all of them have a value that can be read here; set config.stores.gcp.auth.audience, or leave it out on GKE", t.name)
		return
	}
	endpoint := given["GKE_WORKLOAD_IDENTITY_ENDPOINT"]
	if endpoint == "" {
		endpoint = "https://container.googleapis.com/v1"
	}
	t.set("identitynamespace:" + project + ".svc.id.goog:" + endpoint + "/projects/" + project + "/locations/" + location + "/clusters/" + name)
	p.tokens = append(p.tokens, project+".svc.id.goog")
}

// gcp sees to annotations and to the provider's own identity.
func (p *planner) gcp(classes []Class) {
	p.values.set(true, "", "was: the right of Google's provider to read service accounts (iam.gke.io/gcp-service-account)", "config", "policy", "readObjects")
	var own []Class
	for _, c := range classes {
		if slices.Contains(p.parameter([]Class{c}, "auth"), "provider-adc") {
			own = append(own, c)
		}
	}
	if len(own) > 0 {
		at := func(setting ...string) []string {
			return append([]string{"config", "stores", "gcp-provider-adc"}, setting...)
		}
		p.store("gcp-provider-adc", "The store of classes with auth: provider-adc. It reads as the provider itself.")
		accounts := p.accounts(own)
		comment := "was: every pod of the cluster. These are the service accounts whose pods mount such classes now."
		if len(accounts) == 0 {
			accounts, comment = []string{"set-by-hand/none"}, "SET BY HAND: NAMESPACE/SERVICE-ACCOUNT of the pods that may read as the provider."
			p.hand("", "config.stores.gcp-provider-adc.allow: name the service accounts whose pods may read as the provider; no pod was found that mounts such a class")
		}
		p.values.set(accounts, "", comment, at("allow")...)
		p.values.set("metadata", "", "was: auth: provider-adc of classes, the identity of the provider's pods. A key file is method: keyFile.", at("auth", "method")...)
		p.hand("", "config.stores.gcp-provider-adc: Lanyard's own service account needs the grants that the other provider's had")
	}
	if len(classes) > 0 && !p.values.has("config", "stores", "gcp", "auth", "audience") {
		if !slices.ContainsFunc(p.Driver.TokenRequests, func(audience string) bool {
			return strings.HasSuffix(audience, ".svc.id.goog") || strings.Contains(audience, "iam.googleapis.com")
		}) {
			p.tokens = append(p.tokens, "PROJECT.svc.id.goog")
		}
	}
	for _, u := range p.users {
		for _, v := range u.volumes {
			c := slices.IndexFunc(classes, func(c Class) bool { return c.Namespace == u.namespace && c.Name == v.className() })
			if c >= 0 && v.NodePublishSecretRef != nil && !p.values.has("config", "stores", "gcp", "auth", "keyCredential") {
				p.hand(message.Printable(u.String()), "brings a Secret (nodePublishSecretRef), whose key.json the other provider passed over: take it out of the volume, or set config.stores.gcp.auth.keyCredential: key.json")
			}
		}
	}
}
