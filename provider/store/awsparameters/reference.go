package awsparameters

import (
	"regexp"
	"strconv"
	"strings"

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

// naming is how references name parameters.
var naming = aws.Naming{Noun: "parameter", ARN: parameterARN, Label: "label", Options: aws.PathOptions(), Example: "/prod/db-replica", Check: check}

// spelled is how the API spells w: the name, and after a colon the version or
// label.
func spelled(w aws.Wanted) string { return w.Name + selector(w) }

func selector(w aws.Wanted) string {
	switch {
	case w.Version != "":
		return ":" + w.Version
	case w.Label != "":
		return ":" + w.Label
	}
	return ""
}

// parse returns what ref asks for. The error wraps fault.ErrInvalid and names
// every wrong field. regions are those of the settings.
func parse(ref store.Reference, regions aws.Regions) (aws.PathQuery, error) {
	var problems remote.Problems
	q := naming.ParsePath(ref.Key, ref.Version, ref.Options, regions, &problems)
	if q.Path && (!strings.HasPrefix(q.First.Name, "/") || !strings.HasPrefix(q.Failover.Name, "/")) && !strings.HasPrefix(q.First.Name, "arn:") {
		problems.Add("key", "must begin with a slash when options.path is true")
	}
	return q, problems.Err()
}

func check(w aws.Wanted, key, version, labelField string, problems *remote.Problems) {
	switch {
	case w.Name == "":
		problems.Add(key, "is missing; it is the parameter's name, such as /prod/db/password, or its ARN")
	case len(w.Name) > maxName:
		problems.Add(key, "is %d bytes long; the maximum is %d", len(w.Name), maxName)
	case strings.HasPrefix(w.Name, "arn:") && !parameterARN.MatchString(w.Name):
		problems.Add(key, "is not the ARN of a parameter, such as arn:aws:ssm:eu-west-1:111122223333:parameter/prod/db")
	case strings.Contains(w.Name, ":") && !strings.HasPrefix(w.Name, "arn:"):
		problems.Add(key, "must not hold a colon; a version goes into `version`, a label into `options.label`")
	case !strings.HasPrefix(w.Name, "arn:") && !parameterName.MatchString(w.Name):
		problems.Add(key, "must be a parameter's ARN, or its name: letters, digits and /_.-")
	}
	number, err := strconv.ParseInt(w.Version, 10, 64)
	if w.Version != "" && (err != nil || number < 1 || strconv.FormatInt(number, 10) != w.Version) {
		problems.Add(version, "must be the number of a version, from 1; a label goes into options.label")
	}
	if w.Label != "" && (len(w.Label) > maxLabel || !label.MatchString(w.Label)) {
		problems.Add(labelField, "must be a label: at most %d letters, digits, dots, dashes and underscores, the first of them no digit", maxLabel)
	}
	if w.Version != "" && w.Label != "" {
		problems.Add(version, "a parameter is read at a version or at a label; leave `version` or `options.label` out")
	}
}
