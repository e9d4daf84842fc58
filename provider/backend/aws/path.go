package aws

import (
	"encoding/json"
	"strings"
	"unicode/utf8"

	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/provider/backend/remote"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/secret"
)

// The bounds of what lies below a path: the pages that are looked through, and what is
// taken of them. The driver takes no larger volume.
const (
	MaxPathPages = 100
	maxPathNames = 1000
	maxPathBytes = 4 << 20
)

// PathOptions are the options of a reference that is a path.
func PathOptions() []string { return []string{"path", "recursive"} }

// PathQuery is a Query that may mean everything below a path.
type PathQuery struct {
	Query

	// Path says that the names are paths, and that all right below them is wanted.
	Path bool
	// Recursive says that what is further below is wanted too.
	Recursive bool
}

// ParsePath is Parse for a service whose names have slashes. The Naming's Options must
// have the PathOptions.
func (n *Naming) ParsePath(key, version string, options map[string]any, regions Regions, problems *remote.Problems) PathQuery {
	q := PathQuery{Query: n.Parse(key, version, options, regions, problems)}
	q.Path, q.Recursive = truth(options, "path", problems), truth(options, "recursive", problems)
	labelled := func(w Wanted) bool { return w.Version != "" || w.Label != "" }
	switch {
	case !q.Path && q.Recursive:
		problems.Add("options.recursive", "needs options.path: true")
	case !q.Path:
	case strings.HasPrefix(q.First.Name, "arn:"):
		problems.Add("key", "an ARN names one %s; give the path, such as %s, when options.path is true", n.Noun, n.Example)
	case strings.HasPrefix(q.Failover.Name, "arn:"):
		problems.Add("options.failover.key", "an ARN names one %s; give the path there, such as %s", n.Noun, n.Example)
	case labelled(q.First) || labelled(q.Failover):
		problems.Add("options.path", "reads the current versions alone; leave `version` and `options.%s` out", n.Label)
	}
	return q
}

func truth(options map[string]any, option string, problems *remote.Problems) bool {
	value, given := options[option]
	is, ok := value.(bool)
	if given && !ok {
		problems.Add("options."+option, "must be true or false")
	}
	return is
}

// Prefix is what the names below the path begin with in the target's region.
func (q PathQuery) Prefix(target Target) string {
	return strings.TrimSuffix(q.In(target).Name, "/") + "/"
}

// Below are the values below a path, by their names relative to it.
type Below struct {
	prefix    string
	recursive bool
	values    map[string]string
	bytes     int
}

// Below returns an empty Below for the target's region.
func (q PathQuery) Below(target Target) *Below {
	return &Below{prefix: q.Prefix(target), recursive: q.Recursive, values: map[string]string{}}
}

// Wants says whether a name is one of those that are meant.
func (b *Below) Wants(name string) bool {
	relative, below := strings.CutPrefix(name, b.prefix)
	if b.prefix == "/" && !strings.Contains(name, "/") {
		below = true // at the root there are names without a slash too
	}
	return below && relative != "" && (b.recursive || !strings.Contains(relative, "/"))
}

// Add takes in the value of a name that Wants is true of.
func (b *Below) Add(name string, value secret.Bytes) error {
	if !utf8.Valid(value.Reveal()) {
		return fault.Failf(fault.ErrInvalid, "%s holds bytes that are no text, which cannot be read with others; name it by itself", message.Excerpt(name))
	}
	b.values[strings.TrimPrefix(name, b.prefix)] = value.RevealString()
	b.bytes += value.Len()
	switch {
	case len(b.values) > maxPathNames:
		return fault.Failf(fault.ErrInvalid, "there are over %d names below the path; name a longer path", maxPathNames)
	case b.bytes > maxPathBytes:
		return fault.Failf(fault.ErrInvalid, "the values below the path have over %d bytes in total, which no volume can hold; name a longer path", maxPathBytes)
	}
	return nil
}

// JSON returns the values as the fields of a JSON object. noun is what there is none of
// if it is empty, which is not found.
func (b *Below) JSON(noun string) (secret.Bytes, error) {
	switch {
	case len(b.values) > 0:
	case b.recursive:
		return secret.Bytes{}, fault.Failf(fault.ErrNotFound, "there are no %ss below the path; check it, the account and the region", noun)
	default:
		return secret.Bytes{}, fault.Failf(fault.ErrNotFound, "there are no %ss right below the path; check it, the account and the region, and whether they lie further below", noun)
	}
	object, err := json.Marshal(b.values)
	if err != nil {
		return secret.Bytes{}, fault.Failf(fault.ErrInvalid, "the values cannot be written as JSON")
	}
	return secret.New(object), nil
}

// TooManyPages is the error after MaxPathPages.
func (*Below) TooManyPages() error {
	return fault.Failf(fault.ErrInvalid, "there are over %d pages below the path; name a longer path", MaxPathPages)
}
