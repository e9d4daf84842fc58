package awssecrets

import (
	"regexp"
	"strings"

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

// naming is how references name secrets.
var naming = aws.Naming{Noun: "secret", ARN: secretARN, Label: "stage", Options: aws.PathOptions(), Example: "db-replica", Check: check}

// batched reports whether the secret can be read with others: only current versions
// can, and what is below a path is read by itself.
func batched(q aws.PathQuery) bool {
	return !q.Path && q.First.Version == "" && q.First.Label == "" && q.Failover.Version == "" && q.Failover.Label == ""
}

// parse returns what ref asks for. The error wraps fault.ErrInvalid and names
// every wrong field. regions are those of the settings.
func parse(ref store.Reference, regions aws.Regions) (aws.PathQuery, error) {
	var problems remote.Problems
	q := naming.ParsePath(ref.Key, ref.Version, ref.Options, regions, &problems)
	return q, problems.Err()
}

func check(w aws.Wanted, key, version, stage string, problems *remote.Problems) {
	switch {
	case w.Name == "":
		problems.Add(key, "is missing; it is the secret's name or ARN")
	case len(w.Name) > maxID:
		problems.Add(key, "is %d bytes long; the maximum is %d", len(w.Name), maxID)
	case strings.HasPrefix(w.Name, "arn:") && !secretARN.MatchString(w.Name):
		problems.Add(key, "is not the ARN of a secret, such as arn:aws:secretsmanager:eu-west-1:111122223333:secret:db-a1b2c3")
	case !strings.HasPrefix(w.Name, "arn:") && !secretName.MatchString(w.Name):
		problems.Add(key, "must be a secret's ARN, or its name: letters, digits and /_+=.@-, and ! in those that another service manages")
	}
	if w.Version != "" && !versionID.MatchString(w.Version) {
		problems.Add(version, "must be the ID of a version, such as a1b2c3d4-5678-90ab-cdef-111122223333; a label such as AWSPREVIOUS goes into options.stage")
	}
	if len(w.Label) > maxStage || strings.ContainsFunc(w.Label, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		problems.Add(stage, "must be a label of a version, such as AWSPREVIOUS, of at most %d bytes", maxStage)
	}
}
