package awsparameters

import (
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/internal/strict"
	"github.com/lanyardhq/lanyard/provider/backend/aws"
	"github.com/lanyardhq/lanyard/provider/backend/remote"
	"github.com/lanyardhq/lanyard/provider/store"
)

// maxName is the longest name that GetParameters takes, maxLabel the longest
// label of a version.
// https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetParameters.html
const (
	maxName  = 2048
	maxLabel = 100
)

var (
	// parameterName is what names of parameters are made of.
	// https://docs.aws.amazon.com/systems-manager/latest/userguide/sysman-paramstore-su-create.html#sysman-parameter-name-constraints
	parameterName = regexp.MustCompile(`^[A-Za-z0-9/_.-]+$`)
	parameterARN  = regexp.MustCompile(`^arn:aws[a-z-]*:ssm:([a-z0-9-]+):[0-9]{12}:parameter/[A-Za-z0-9/_.-]+$`)
	// label is what labels of versions are made of; it begins with no digit.
	// https://docs.aws.amazon.com/systems-manager/latest/userguide/sysman-paramstore-labels.html
	label = regexp.MustCompile(`^[A-Za-z_.-][A-Za-z0-9_.-]*$`)
)

// wanted names one version of a parameter in one region.
type wanted struct{ name, version, label string }

// asked is how the API spells it: the name, and after a colon the version or
// label.
func (w wanted) asked() string { return w.name + w.selector() }

func (w wanted) selector() string {
	switch {
	case w.version != "":
		return ":" + w.version
	case w.label != "":
		return ":" + w.label
	}
	return ""
}

// query is a reference as it is asked for.
type query struct {
	first     wanted
	failover  wanted // in all regions but the first
	path      bool   // the name is a path, and all below it are wanted
	recursive bool
}

// in is what to ask for in the target's region. The ARN of a parameter names its
// region.
func (q query) in(target aws.Target) wanted {
	w := q.first
	if target.Failover {
		w = q.failover
		if match := parameterARN.FindStringSubmatchIndex(w.name); match != nil && q.failover == q.first {
			w.name = w.name[:match[2]] + target.Region + w.name[match[3]:]
		}
	}
	return w
}

// parse returns what ref asks for. The error wraps fault.ErrInvalid and names
// every wrong field. region is that of the settings, if they name one.
func parse(ref store.Reference, region string) (query, error) {
	var problems remote.Problems
	q := query{first: wanted{name: ref.Key, version: ref.Version}}
	known := []string{"label", "path", "recursive", "failover"}
	for _, name := range slices.Sorted(maps.Keys(ref.Options)) {
		switch value := ref.Options[name]; name {
		case "label":
			q.first.label = text(value, "options.label", &problems)
		case "path":
			q.path = truth(value, "options.path", &problems)
		case "recursive":
			q.recursive = truth(value, "options.recursive", &problems)
		case "failover":
		default:
			problems.Add("options."+message.Excerpt(name), "%s", strict.Unknown("option", message.Excerpt(name), known))
		}
	}
	q.first.check("key", "version", "options.label", &problems)
	if match := parameterARN.FindStringSubmatch(ref.Key); match != nil && region != "" && match[1] != region {
		problems.Add("key", "is a parameter of region %s, and the store's region is %s; name one region in both", match[1], region)
	}
	q.failover = q.first
	if given, ok := ref.Options["failover"]; ok {
		q.failover = parseFailover(given, &problems)
	}
	q.checkPath(&problems)
	return q, problems.Err()
}

func (q query) checkPath(problems *remote.Problems) {
	switch {
	case !q.path && q.recursive:
		problems.Add("options.recursive", "needs options.path: true")
	case !q.path:
	case !strings.HasPrefix(q.first.name, "/") || !strings.HasPrefix(q.failover.name, "/"):
		problems.Add("key", "must begin with a slash when options.path is true")
	case q.first.selector() != "" || q.failover.selector() != "":
		problems.Add("options.path", "reads the current versions alone; leave version and label out")
	}
}

// parseFailover is the parameter that failover regions have in place of the
// first.
func parseFailover(given any, problems *remote.Problems) (w wanted) {
	const field = "options.failover"
	fields, ok := given.(map[string]any)
	if !ok {
		problems.Add(field, "must be fields, such as {key: /prod/db-replica}")
		return w
	}
	known := []string{"key", "version", "label"}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		switch at := field + "." + message.Excerpt(name); name {
		case "key":
			w.name = text(fields[name], at, problems)
		case "version":
			w.version = text(fields[name], at, problems)
		case "label":
			w.label = text(fields[name], at, problems)
		default:
			problems.Add(at, "%s", strict.Unknown("field", message.Excerpt(name), known))
		}
	}
	w.check(field+".key", field+".version", field+".label", problems)
	return w
}

func text(value any, field string, problems *remote.Problems) string {
	given, ok := value.(string)
	if !ok || given == "" {
		problems.Add(field, "must be text")
	}
	return given
}

func truth(value any, field string, problems *remote.Problems) bool {
	given, ok := value.(bool)
	if !ok {
		problems.Add(field, "must be true or false")
	}
	return given
}

func (w wanted) check(key, version, labelField string, problems *remote.Problems) {
	switch {
	case w.name == "":
		problems.Add(key, "is missing; it is the parameter's name, such as /prod/db/password, or its ARN")
	case len(w.name) > maxName:
		problems.Add(key, "is %d bytes long; the most is %d", len(w.name), maxName)
	case strings.HasPrefix(w.name, "arn:") && !parameterARN.MatchString(w.name):
		problems.Add(key, "is not the ARN of a parameter, such as arn:aws:ssm:eu-west-1:111122223333:parameter/prod/db")
	case strings.Contains(w.name, ":") && !strings.HasPrefix(w.name, "arn:"):
		problems.Add(key, "must not hold a colon; a version goes into version, a label into options.label")
	case !strings.HasPrefix(w.name, "arn:") && !parameterName.MatchString(w.name):
		problems.Add(key, "must be a parameter's ARN, or its name: letters, digits and /_.-")
	}
	number, err := strconv.ParseInt(w.version, 10, 64)
	if w.version != "" && (err != nil || number < 1 || strconv.FormatInt(number, 10) != w.version) {
		problems.Add(version, "must be the number of a version, from 1; a label goes into options.label")
	}
	if w.label != "" && (len(w.label) > maxLabel || !label.MatchString(w.label)) {
		problems.Add(labelField, "must be a label: at most %d letters, digits, dots, dashes and underscores, the first of them no digit", maxLabel)
	}
	if w.version != "" && w.label != "" {
		problems.Add(version, "a parameter is read at a version or at a label; leave one of the two out")
	}
}
