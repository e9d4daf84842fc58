package aws

import (
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/internal/strict"
	"github.com/lanyardhq/lanyard/provider/backend/remote"
)

// Wanted names one version of a secret or parameter in one region.
type Wanted struct{ Name, Version, Label string }

// Query is a reference: First is what the first region is asked for, and Failover
// what all others are.
type Query struct {
	First, Failover Wanted

	arn *regexp.Regexp
}

// In is what to ask for in the target's region. If the reference has no failover of
// its own, an ARN is that of the replica there, which differs in the region alone.
// https://docs.aws.amazon.com/secretsmanager/latest/userguide/replicate-secrets.html
func (q Query) In(target Target) Wanted {
	if !target.Failover {
		return q.First
	}
	w := q.Failover
	if match := q.arn.FindStringSubmatchIndex(w.Name); match != nil && q.Failover == q.First {
		w.Name = w.Name[:match[2]] + target.Region + w.Name[match[3]:]
	}
	return w
}

// Failure is the error of a call for the query in the target's region, and names what was
// asked for there in place of what the reference names.
func (q Query) Failure(target Target, err error) error {
	if err == nil {
		return nil
	}
	failed := asFailure(err)
	if name := q.In(target).Name; name != q.First.Name {
		failed.Text = message.Excerpt(name) + ": " + failed.Text
	}
	return failed
}

// Regions are the regions of the settings. First is empty if they name none.
type Regions struct {
	First    string
	Failover []string
}

// Naming is how references name what a service stores.
type Naming struct {
	// Noun is what the service stores: "secret".
	Noun string
	// ARN matches the ARNs. Its first group is the region.
	ARN *regexp.Regexp
	// Label is the name of the option for the label of a version, and Options are
	// those that the store itself parses.
	Label   string
	Options []string
	// Example is a key in another region.
	Example string
	// Check notes what is wrong with a Wanted, whose parts stand in the fields key,
	// version and label.
	Check func(w Wanted, key, version, label string, problems *remote.Problems)
}

// Parse returns what a reference asks for, and notes every wrong field. regions are those
// of the settings.
func (n *Naming) Parse(key, version string, options map[string]any, regions Regions, problems *remote.Problems) Query {
	q := Query{First: Wanted{Name: key, Version: version}, arn: n.ARN}
	known := slices.Concat([]string{n.Label, "failover"}, n.Options)
	for _, name := range slices.Sorted(maps.Keys(options)) {
		if !slices.Contains(known, name) {
			problems.Add("options."+message.Excerpt(name), "%s", strict.Unknown("option", message.Excerpt(name), known))
		}
	}
	if label, ok := options[n.Label]; ok {
		q.First.Label = text(label, "options."+n.Label, problems)
	}
	n.Check(q.First, "key", "version", "options."+n.Label, problems)
	if match := n.ARN.FindStringSubmatch(key); match != nil && regions.First != "" && match[1] != regions.First {
		problems.Add("key", "is a %s of region %s, and the `region` here is %s; name one region in both", n.Noun, match[1], regions.First)
	}
	q.Failover = q.First
	if given, ok := options["failover"]; ok {
		q.Failover = n.parseFailover(given, problems)
		if match := n.ARN.FindStringSubmatch(q.Failover.Name); match != nil && len(regions.Failover) > 0 && !slices.Contains(regions.Failover, match[1]) {
			problems.Add("options.failover.key", "is a %s of region %s, and `failoverRegions` is %s; name one region in both", n.Noun, match[1], strings.Join(regions.Failover, ", "))
		}
	}
	return q
}

// parseFailover returns what failover regions are asked for in place of the first.
func (n *Naming) parseFailover(given any, problems *remote.Problems) (w Wanted) {
	const field = "options.failover"
	fields, ok := given.(map[string]any)
	if !ok {
		problems.Add(field, "must be fields, such as {key: %s}", n.Example)
		return w
	}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		switch at := field + "." + message.Excerpt(name); name {
		case "key":
			w.Name = text(fields[name], at, problems)
		case "version":
			w.Version = text(fields[name], at, problems)
		case n.Label:
			w.Label = text(fields[name], at, problems)
		default:
			problems.Add(at, "%s", strict.Unknown("field", message.Excerpt(name), []string{"key", "version", n.Label}))
		}
	}
	n.Check(w, field+".key", field+".version", field+"."+n.Label, problems)
	return w
}

func text(value any, field string, problems *remote.Problems) string {
	given, ok := value.(string)
	if !ok || given == "" {
		problems.Add(field, "must be text")
	}
	return given
}
