package awssecrets

import (
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/internal/strict"
	"github.com/lanyardhq/lanyard/provider/backend/aws"
	"github.com/lanyardhq/lanyard/provider/backend/remote"
	"github.com/lanyardhq/lanyard/provider/store"
)

// The longest ID of a secret and label of a version.
// https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetSecretValue.html
const (
	maxID    = 2048
	maxStage = 256
)

var (
	// secretName is what names of secrets are made of. Those that another service
	// manages have its name and a ! in front: rds!db-….
	// https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_CreateSecret.html
	// https://docs.aws.amazon.com/secretsmanager/latest/userguide/service-linked-secrets.html
	secretName = regexp.MustCompile(`^[A-Za-z0-9/_+=.@!-]+$`)
	secretARN  = regexp.MustCompile(`^arn:aws[a-z-]*:secretsmanager:([a-z0-9-]+):[0-9]{12}:secret:[A-Za-z0-9/_+=.@!-]+$`)
	versionID  = regexp.MustCompile(`^[A-Za-z0-9_-]{32,64}$`)
)

// wanted names one version of a secret in one region.
type wanted struct{ id, version, stage string }

// query is a reference as it is asked for.
type query struct {
	first    wanted
	failover wanted // in all regions but the first
}

// in is what to ask for in the target's region. A replica has the ARN of its
// primary but for the region.
// https://docs.aws.amazon.com/secretsmanager/latest/userguide/replicate-secrets.html
func (q query) in(target aws.Target) wanted {
	w := q.first
	if target.Failover {
		w = q.failover
		if match := secretARN.FindStringSubmatchIndex(w.id); match != nil && q.failover == q.first {
			w.id = w.id[:match[2]] + target.Region + w.id[match[3]:]
		}
	}
	return w
}

// batched says whether the secret can be read with others: only current
// versions can.
func (q query) batched() bool {
	return q.first.version == "" && q.first.stage == "" && q.failover.version == "" && q.failover.stage == ""
}

// parse returns what ref asks for. The error wraps fault.ErrInvalid and names
// every wrong field. region is that of the settings, if they name one.
func parse(ref store.Reference, region string) (query, error) {
	var problems remote.Problems
	q := query{first: wanted{id: ref.Key, version: ref.Version}}
	known := []string{"stage", "failover"}
	for _, name := range slices.Sorted(maps.Keys(ref.Options)) {
		switch name {
		case "stage":
			q.first.stage = text(ref.Options[name], "options.stage", &problems)
		case "failover":
		default:
			problems.Add("options."+message.Excerpt(name), "%s", strict.Unknown("option", message.Excerpt(name), known))
		}
	}
	q.first.check("key", "version", "options.stage", &problems)
	if match := secretARN.FindStringSubmatch(ref.Key); match != nil && region != "" && match[1] != region {
		problems.Add("key", "is a secret of region %s, and the store's region is %s; name one region in both", match[1], region)
	}
	q.failover = q.first
	if given, ok := ref.Options["failover"]; ok {
		q.failover = parseFailover(given, &problems)
	}
	return q, problems.Err()
}

// parseFailover is the secret that failover regions have in place of the first.
func parseFailover(given any, problems *remote.Problems) (w wanted) {
	const field = "options.failover"
	fields, ok := given.(map[string]any)
	if !ok {
		problems.Add(field, "must be fields, such as {key: db-replica}")
		return w
	}
	known := []string{"key", "version", "stage"}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		switch at := field + "." + message.Excerpt(name); name {
		case "key":
			w.id = text(fields[name], at, problems)
		case "version":
			w.version = text(fields[name], at, problems)
		case "stage":
			w.stage = text(fields[name], at, problems)
		default:
			problems.Add(at, "%s", strict.Unknown("field", message.Excerpt(name), known))
		}
	}
	w.check(field+".key", field+".version", field+".stage", problems)
	return w
}

func text(value any, field string, problems *remote.Problems) string {
	given, ok := value.(string)
	if !ok || given == "" {
		problems.Add(field, "must be text")
	}
	return given
}

func (w wanted) check(key, version, stage string, problems *remote.Problems) {
	switch {
	case w.id == "":
		problems.Add(key, "is missing; it is the secret's name or ARN")
	case len(w.id) > maxID:
		problems.Add(key, "is %d bytes long; the most is %d", len(w.id), maxID)
	case strings.HasPrefix(w.id, "arn:") && !secretARN.MatchString(w.id):
		problems.Add(key, "is not the ARN of a secret, such as arn:aws:secretsmanager:eu-west-1:111122223333:secret:db-a1b2c3")
	case !strings.HasPrefix(w.id, "arn:") && !secretName.MatchString(w.id):
		problems.Add(key, "must be a secret's ARN, or its name: letters, digits and /_+=.@-, and ! in those that another service manages")
	}
	if w.version != "" && !versionID.MatchString(w.version) {
		problems.Add(version, "must be the ID of a version, such as a1b2c3d4-5678-90ab-cdef-111122223333; a label such as AWSPREVIOUS goes into options.stage")
	}
	if len(w.stage) > maxStage || strings.ContainsFunc(w.stage, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		problems.Add(stage, "must be a label of a version, such as AWSPREVIOUS, of at most %d bytes", maxStage)
	}
}
