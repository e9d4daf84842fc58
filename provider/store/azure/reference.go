package azure

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/internal/strict"
	"github.com/lanyardhq/lanyard/provider/backend/remote"
	"github.com/lanyardhq/lanyard/provider/store"
)

// The collections of a vault.
const (
	kindSecrets      = "secrets"
	kindKeys         = "keys"
	kindCertificates = "certificates"
)

// The parts of a certificate.
const (
	partLeaf  = "leaf"
	partChain = "chain"
	partKey   = "key"
	partAll   = "all"
	partPair  = "pair"
)

const (
	formatPEM = "pem"
	formatPFX = "pfx"
)

// maxHistory is the most versions that one object may hold. Each is a call.
const maxHistory = 50

// query is a reference as it is read.
type query struct {
	kind      string
	name      string
	version   string // empty for the current one
	part      string // of a certificate
	format    string
	history   int       // how many versions; zero for one value alone
	hsm       bool      // in a Managed HSM
	notAfter  time.Time // the version is the newest made until then; zero if any
	onlyLists bool      // the versions are listed, and none is read
	// separate makes a JSON object of a secret: "all" is the secret itself, "crt" and "key"
	// are the parts of one that is a certificate's.
	separate bool
	// pattern says that name is the pattern of the names of several secrets, and tags what
	// those must have.
	pattern bool
	tags    map[string]string
}

var (
	// https://learn.microsoft.com/azure/key-vault/general/about-keys-secrets-certificates#vault-name-and-object-name
	objectName    = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[0-9a-zA-Z-]{1,127}$`) })
	namePattern   = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[0-9a-zA-Z*-]{1,127}$`) })
	objectVersion = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[0-9a-zA-Z]{1,64}$`) })
)

// parseReference returns what ref asks for. The error wraps fault.ErrInvalid
// and names every wrong field.
func parseReference(ref store.Reference, hsm bool) (*query, error) {
	var problems remote.Problems
	kind, name, _ := strings.Cut(ref.Key, "/")
	q := &query{kind: kind, name: name, version: ref.Version, hsm: hsm, pattern: kind == kindSecrets && strings.Contains(name, "*")}
	kinds := []string{kindSecrets, kindKeys, kindCertificates}
	switch {
	case ref.Key == "":
		problems.Add("key", "is missing; it is the collection and the name, such as secrets/db-password")
	case !slices.Contains(kinds, kind) && strings.Contains(ref.Key, "/"):
		problems.Add("key", "%s", strict.Unknown("collection", message.Excerpt(kind), kinds))
	case !slices.Contains(kinds, kind):
		problems.Add("key", "must begin with secrets/, keys/ or certificates/, such as secrets/%s", message.Excerpt(ref.Key))
	case q.pattern && namePattern().MatchString(name):
	case !objectName().MatchString(name):
		problems.Add("key", "names the %s wrongly: an object's name in the vault has at most 127 letters, digits and dashes, and its version goes into `version`", strings.TrimSuffix(kind, "s"))
	case hsm && kind != kindKeys:
		problems.Add("key", "a Managed HSM has keys alone: keys/<name>")
	}
	if ref.Version != "" && !objectVersion().MatchString(ref.Version) {
		problems.Add("version", "must be the version's ID, such as 4387e9f3d6e14c459867679a90fd0f79, or left out for the current one")
	}
	q.setOptions(ref.Options, &problems)
	return q, problems.Err()
}

func (q *query) setOptions(options map[string]any, problems *remote.Problems) {
	known := []string{"part", "format", "history", "notAfter", "separate", "tags"}
	for _, name := range slices.Sorted(maps.Keys(options)) {
		switch name {
		case "part":
			q.part = oneOf("options.part", options[name], []string{partLeaf, partChain, partKey, partAll, partPair}, problems)
		case "format":
			q.format = oneOf("options.format", options[name], []string{formatPEM, formatPFX}, problems)
		case "history":
			count, ok := options[name].(int)
			if !ok || count < 1 || count > maxHistory {
				problems.Add("options.history", "must be a whole number from 1 to %d", maxHistory)
			}
			q.history = count
		case "notAfter":
			text, _ := options[name].(string)
			at, err := time.Parse(time.RFC3339, text)
			if err != nil || at.IsZero() {
				problems.Add("options.notAfter", "must be a time such as 2026-11-27T06:00:00Z, with its zone (RFC 3339)")
			}
			q.notAfter = at
		case "separate":
			truth, ok := options[name].(bool)
			if !ok || q.kind != kindSecrets {
				problems.Add("options.separate", "must be true or false, and is for secrets/ alone")
			}
			q.separate = truth
		case "tags":
			q.setTags(options[name], problems)
		default:
			problems.Add("options."+message.Excerpt(name), "%s", strict.Unknown("option", message.Excerpt(name), known))
		}
	}
	if q.pattern && (q.version != "" || q.lists() || q.separate) {
		problems.Add("key", "is a pattern of several secrets, which goes without `version`, `options.history`, `options.notAfter` and `options.separate`")
	}
	if q.version != "" && !q.notAfter.IsZero() {
		problems.Add("options.notAfter", "chooses the version by its time, and `version` names one; leave one of the two out")
	}
	switch {
	case q.kind == kindCertificates && q.part == "":
		q.part = partLeaf
	case q.kind != kindCertificates && q.part != "":
		problems.Add("options.part", "is for certificates/ alone")
	}
	switch {
	case q.format == formatPFX && q.kind == kindSecrets:
		problems.Add("options.format", "pfx is what a secret of a certificate holds as it is; leave `options.format` out")
	case q.format != "" && q.kind == kindKeys:
		problems.Add("options.format", "is not for keys/, which are always PEM")
	case q.format == formatPFX && q.part != partAll:
		problems.Add("options.format", "pfx holds the key and all certificates, so it goes with part: all")
	case q.history > 0 && q.part == partPair:
		problems.Add("options.history", "goes with one file for each version; use part: all")
	}
}

// setTags notes the tags that the secrets of a pattern must have.
func (q *query) setTags(given any, problems *remote.Problems) {
	tags, ok := given.(map[string]any)
	if !ok || !q.pattern {
		problems.Add("options.tags", "must be a map of names and texts, and chooses among the secrets of a pattern, such as secrets/db-*")
		return
	}
	q.tags = map[string]string{}
	for name, value := range tags {
		text, ok := value.(string)
		if !ok {
			problems.Add("options.tags", "must be a map of names and texts")
			return
		}
		q.tags[name] = text
	}
}

func oneOf(field string, value any, known []string, problems *remote.Problems) string {
	text, ok := value.(string)
	if !ok || !slices.Contains(known, text) {
		problems.Add(field, "must be one of %s", strings.Join(known, ", "))
	}
	return text
}

// lists says whether the versions have to be listed.
func (q *query) lists() bool { return q.history > 0 || !q.notAfter.IsZero() }

// String is what errors call it.
func (q *query) String() string {
	if q.version != "" {
		return q.kind + "/" + q.name + "/" + q.version
	}
	return q.kind + "/" + q.name
}

// noun is one of the collection's things.
func (q *query) Noun() string { return strings.TrimSuffix(q.kind, "s") }

func (q *query) OrVersion() string {
	if q.version == "" {
		return ""
	}
	return " and the version"
}

// Permission is what an access policy must grant, and Role the least of the
// built-in roles that does.
// https://learn.microsoft.com/azure/key-vault/general/rbac-guide#azure-built-in-roles-for-key-vault-data-plane-operations
// https://learn.microsoft.com/azure/key-vault/managed-hsm/built-in-roles
func (q *query) Permission() string {
	switch {
	case q.onlyLists:
		return q.kind + " list"
	case q.lists() || q.pattern:
		return q.kind + " get and list"
	}
	return q.kind + " get"
}

func (q *query) Role() string {
	switch {
	case q.hsm:
		return "Managed HSM Crypto Auditor"
	// A list needs the role on the whole vault.
	case q.kind == kindSecrets:
		return "Key Vault Secrets User"
	}
	return "Key Vault Reader" // keys are read, not used
}
