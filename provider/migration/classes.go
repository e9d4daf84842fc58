package migration

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/provider/spec"
)

// said is what a class says, as its dialect understands it: the class by itself, or with
// what the volume of a workload says.
type said struct {
	object string
	class  Class
	*spec.Class
}

// said returns what the classes of an original say. What a dialect does not understand is
// not there; the check of the classes tells of it.
func (p *planner) said(o *Original) (all []said) {
	add := func(object string, c Class, parameters map[string]string) {
		dialect := p.dialects[c.Provider]
		if dialect == nil {
			dialect = p.dialects[o.Provider]
		}
		if dialect == nil {
			return
		}
		if class, _ := dialect(parameters); class != nil { //nolint:errcheck // see above
			all = append(all, said{object, c, class})
		}
	}
	for _, c := range p.classesOf(o) {
		object := message.Printable(c.String())
		add(object, c, c.Parameters)
		for _, pod := range p.podsOf(c) {
			add(pod.Object, c, pod.Parameters)
		}
	}
	return all
}

// of is what the class says of a setting of a store, as text; empty if it says nothing.
func (s said) of(store, setting string) string {
	var value any = s.Stores[store]
	for name := range strings.SplitSeq(setting, ".") {
		settings, _ := value.(map[string]any)
		value = settings[name]
	}
	if value == nil {
		return ""
	}
	return fmt.Sprint(value)
}

// reads says whether an object of the class is read from a store.
func (s said) reads(store string) bool {
	return s.Stores[store] != nil || slices.ContainsFunc(s.Objects, func(o spec.Object) bool { return o.Store == store })
}

// valuesOf returns what classes say of a setting, the most frequent first, each once and
// without URLs that hold a password.
func valuesOf(classes []said, store, setting string) []string {
	given := map[string]int{}
	for _, s := range classes {
		if value := s.of(store, setting); value != "" && !holdsPassword(value) {
			given[value]++
		}
	}
	values := slices.Sorted(maps.Keys(given))
	slices.SortStableFunc(values, func(a, b string) int { return given[b] - given[a] })
	return values
}

// override lists what classes say of a setting and the operator does not, so that it holds.
func (p *planner) override(classes []said, store, setting string) {
	operators := p.values.scalar(at(store, strings.Split(setting, ".")...)...)
	others := slices.DeleteFunc(valuesOf(classes, store, setting), func(value string) bool { return value == operators })
	if len(others) > 0 {
		slices.Sort(others)
		p.values.set(others, "", "What classes give for this now. Whatever is listed, every class may give.", at(store, "override", setting)...)
	}
}

// review has somebody look at what override lists, where it decides what a pod's token or
// the node's identity is good for: the authors of classes and pods are not the operator.
func (p *planner) review(classes []said, store, setting, why string) {
	operators := p.values.scalar(at(store, strings.Split(setting, ".")...)...)
	reported := map[string]bool{}
	for _, s := range classes {
		value := s.of(store, setting)
		if value == "" || value == operators || holdsPassword(value) || reported[s.class.String()+value] {
			continue
		}
		reported[s.class.String()+value] = true
		p.hand(s.object, "gives %s, which was put into config.stores.%s.override.%s: %s", message.Printable(value), store, setting, why)
	}
}

// at is the place of a setting of a store in the values.
func at(store string, setting ...string) []string {
	return append([]string{"config", "stores", store}, setting...)
}

// scalar is the text of the value at a place; empty if there is none.
func (v *values) scalar(place ...string) string {
	if node := v.at(place); node != nil {
		return node.Value
	}
	return ""
}

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

// vaultProduct is a product with Vault's API: the name of its dialect, store and audience,
// what people call it, and what its parameters begin with.
type vaultProduct struct{ name, title, prefix string }

var vaults = map[string]vaultProduct{"vault": {"vault", "Vault", "vault"}, "openbao": {"openbao", "OpenBao", "bao"}}

// vault sees to what classes of the product's dialect say of their server.
func (p *planner) vault(product vaultProduct, classes []said) {
	store := product.name
	p.store(store, "The store that classes with provider: "+store+" read from.")
	if addresses := valuesOf(classes, store, "address"); !p.values.has(at(store, "address")...) {
		if len(addresses) > 0 {
			p.values.set(addresses[0], "classes", "was: "+product.prefix+"Address of classes", at(store, "address")...)
			p.hand("", "config.stores.%s.address: %s is what most classes say; see that it is yours", store, message.Printable(addresses[0]))
		} else {
			p.values.set(unknownVault, "", "SET BY HAND: "+product.title+"'s own address, which neither the provider nor a class says.", at(store, "address")...)
			p.hand("", "config.stores.%s.address: write %s's own address; the Agent's, which the provider called, has it in its ConfigMap (the vault stanza of config.hcl)", store, product.title)
		}
	}
	p.values.set("kubernetes", "", "Pods log in with their own tokens, as before.", at(store, "auth", "method")...)
	if store != "vault" { // whose audience is that of the type
		p.values.set(store, "", "The audience of classes that name none.", at(store, "auth", "audience")...)
		p.override(classes, store, "auth.audience")
	}
	p.override(classes, store, "address")
	p.review(classes, store, "address", "pods' tokens are sent there, so keep only addresses that are yours")
	// A class may name the mount only where it is listed, the default one too; the
	// namespace, unless the operator names one.
	p.override(classes, store, "auth.mount")
	if p.values.has(at(store, "namespace")...) {
		p.override(classes, store, "namespace")
	}
	p.override(classes, store, "tls.serverName")
	var ignored []string
	for _, setting := range []string{"tls.caCertFile", "tls.caCertDir", "tls.clientCertFile", "tls.clientKeyFile"} {
		if len(valuesOf(classes, store, setting)) > 0 {
			ignored = append(ignored, setting)
		}
	}
	if len(ignored) > 0 {
		p.values.set(ignored, "", "Classes name files of the other provider's container for these. They have no effect; the store's own tls counts.", at(store, "ignore")...)
		if !p.values.has(at(store, "tls")...) {
			p.hand("", "config.stores.%s.tls: classes name files of the other provider's container (%s); give the same certificates here, unless %s's authority is a public one", store, strings.Join(ignored, ", "), product.title)
		}
	}
	if slices.Contains(valuesOf(classes, store, "tls.insecureSkipVerify"), "true") {
		p.hand("", "classes say %sSkipTLSVerify, which lets whoever answers have the pods' tokens: give %s's authority in config.stores.%s.tls and take the parameter out, or set tls.insecureSkipVerify there", product.prefix, product.title, store)
	}
	for _, s := range classes {
		audience := s.of(store, "auth.audience")
		if audience == "" {
			audience = product.name
		}
		p.tokens = append(p.tokens, audience)
	}
	if len(classes) > 0 {
		p.Afterwards = append(p.Afterwards, product.title+"'s roles: a login brings a token with the audience "+product.name+", or the class's; a role whose bound audience is another one refuses it")
	}
}

// region takes the region of the environment, which there counted for classes without one.
func (t *translation) region() bool {
	if t.name == "AWS_DEFAULT_REGION" && t.given["AWS_REGION"] != "" {
		return true
	}
	t.set(t.value)
	classes := t.said(t.from.original)
	for _, store := range slices.Sorted(maps.Keys(storeTypes["aws"])) {
		t.override(classes, store, "region")
	}
	return true
}

// aws sees to roles, regions and tokens.
func (p *planner) aws(classes []said) {
	p.values.set(true, "", "was: the right of the AWS provider to read service accounts (eks.amazonaws.com/role-arn) and nodes (topology.kubernetes.io/region)", "config", "policy", "readObjects")
	if len(classes) == 0 {
		return
	}
	for _, s := range classes {
		audience := "sts.amazonaws.com"
		for store := range storeTypes["aws"] {
			if s.of(store, "auth.method") == "podIdentity" {
				audience = "pods.eks.amazonaws.com"
			}
		}
		p.tokens = append(p.tokens, audience)
	}
	p.Afterwards = append(p.Afterwards, "IAM: grant secretsmanager:BatchGetSecretValue to the pods' roles, so that twenty secrets are one call; secretsmanager:DescribeSecret is not needed any more")
	for _, f := range p.providers {
		if flags := readFlags(f.container); f.original.Provider == "aws" && !isTrue(flags["driver-writes-secrets"]) {
			p.differs(f.object(), "wrote files itself (driver-writes-secrets is off): the driver writes them now, and each is a link to a file that is changed together with the others of its volume; programs that follow no links, or mount single files by subPath, have to be looked at")
			break
		}
	}
}

func isTrue(value string) bool {
	is, err := strconv.ParseBool(value)
	return err == nil && is
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
func (p *planner) azure(classes []said) {
	p.asNode(classes, "azure-node", "useVMManagedIdentity", "the node")
	if node := reading(classes, "azure-node"); len(node) > 0 {
		p.values.set("managedIdentity", "", "was: useVMManagedIdentity of classes", at("azure-node", "auth", "method")...)
		if identities := valuesOf(node, "azure-node", "auth.identityID"); len(identities) > 0 {
			p.values.set(identities[0], "classes", "was: userAssignedIdentityID of classes", at("azure-node", "auth", "identityID")...)
			p.override(node, "azure-node", "auth.identityID")
			p.review(node, "azure-node", "auth.identityID", "keep it only if all pods of the store may read as this identity of the node")
		}
		p.hostNetwork()
	}
	var audiences []string
	for _, s := range classes {
		switch {
		case s.of("azure", "auth.identityBinding") == "true":
			audiences = append(audiences, "api://AKSIdentityBinding")
		case s.of("azure", "auth.clientID") != "":
			audiences = append(audiences, "api://AzureADTokenExchange")
		}
	}
	slices.Sort(audiences)
	p.tokens = append(p.tokens, slices.Compact(audiences)...)
}

// hostNetwork keeps a provider on the host's network that asks the metadata service for the
// node's identity from there.
func (p *planner) hostNetwork() {
	for _, f := range p.providers {
		if f.original.Provider == "azure" && !f.windows && f.daemonSet.Spec.Template.Spec.HostNetwork {
			p.values.set(true, "", "was: hostNetwork of "+f.object()+", from where the metadata service gives the node's identity", "hostNetwork")
			p.values.set(false, "", "No policy holds for pods on the host's network.", "networkPolicy", "enabled")
			return
		}
	}
}

// reading are the classes that read from a store.
func reading(classes []said, store string) []said {
	return slices.DeleteFunc(slices.Clone(classes), func(s said) bool { return !s.reads(store) })
}

// asNode names a store that reads with what the node or the provider may, for the pods that
// do so now.
func (p *planner) asNode(classes []said, store, word, who string) {
	read := reading(classes, store)
	if len(read) == 0 {
		return
	}
	p.store(store, "The store of classes with "+word+". It reads as "+who+".")
	var accounts []string
	for _, s := range read {
		for _, u := range p.usersOf(s.class) {
			accounts = append(accounts, u.account())
		}
	}
	slices.Sort(accounts)
	accounts = slices.Compact(accounts)
	comment := "was: every pod of the cluster. These are the service accounts whose pods mount such classes now."
	if len(accounts) == 0 {
		// A list must not be empty, and no pod has this account.
		accounts, comment = []string{"set-by-hand/none"}, "SET BY HAND: NAMESPACE/SERVICE-ACCOUNT of the pods that may read as "+who+"."
		p.hand("", "config.stores.%s.allow: name the service accounts whose pods may read as %s; no pod was found that mounts such a class", store, who)
	}
	p.values.set(accounts, "", comment, at(store, "allow")...)
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

// gcp sees to annotations, to the provider's own identity and to keys that pods bring.
func (p *planner) gcp(classes []said) {
	const own = "gcp-provider-adc"
	p.values.set(true, "", "was: the right of Google's provider to read service accounts (iam.gke.io/gcp-service-account)", "config", "policy", "readObjects")
	p.asNode(classes, own, "auth: provider-adc", "the provider itself")
	if len(reading(classes, own)) > 0 {
		p.values.set("metadata", "", "was: auth: provider-adc of classes, the identity of the provider's pods. A key file is method: keyFile.", at(own, "auth", "method")...)
		p.hand("", "config.stores.gcp-provider-adc: Lanyard's own service account needs the grants that the other provider's had")
	}
	if len(reading(classes, "gcp")) > 0 && !p.values.has(at("gcp", "auth", "audience")...) {
		// Which project it is the node tells, not what was read.
		if !slices.ContainsFunc(p.Driver.TokenRequests, func(audience string) bool {
			return strings.HasSuffix(audience, ".svc.id.goog") || strings.Contains(audience, "iam.googleapis.com")
		}) {
			p.tokens = append(p.tokens, "PROJECT.svc.id.goog")
		}
	}
	if p.values.has(at("gcp", "auth", "keyCredential")...) {
		return
	}
	for _, u := range p.users {
		if slices.ContainsFunc(u.volumes, func(v csiVolume) bool {
			return v.NodePublishSecretRef != nil && slices.ContainsFunc(classes, func(s said) bool { return s.class.Namespace == u.namespace && s.class.Name == v.className() })
		}) {
			p.hand(message.Printable(u.String()), "brings a Secret (nodePublishSecretRef), whose key.json the other provider passed over: take it out of the volume, or set config.stores.gcp.auth.keyCredential: key.json")
		}
	}
}
