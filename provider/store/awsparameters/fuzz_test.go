package awsparameters

import (
	"strings"
	"testing"

	"github.com/lanyardhq/lanyard/provider/backend/aws"
	"github.com/lanyardhq/lanyard/provider/store"
)

func FuzzParse(f *testing.F) {
	f.Add("/prod/db", "", "", "", "eu-west-1", false)
	f.Add("arn:aws:ssm:eu-west-1:111122223333:parameter/prod/db", "3", "", "", "", false)
	f.Add("db", "", "blue", "db-replica", "eu-west-1", false)
	f.Add("/prod", "", "", "", "", true)
	f.Fuzz(func(t *testing.T, key, version, label, failover, region string, path bool) {
		ref := store.Reference{Key: key, Version: version, Options: map[string]any{}}
		if label != "" {
			ref.Options["label"] = label
		}
		if failover != "" {
			ref.Options["failover"] = map[string]any{"key": failover}
		}
		if path {
			ref.Options["path"] = true
		}
		q, err := parse(ref, aws.Regions{First: region})
		if err != nil {
			return
		}
		// A selector is what follows the only colon of a name.
		if name := q.First.Name; !strings.HasPrefix(name, "arn:") && strings.Count(spelled(q.First), ":") > 1 {
			t.Errorf("%q is asked for", spelled(q.First))
		}
		if _, err := parse(store.Reference{Key: q.In(aws.Target{Region: "eu-central-1", Failover: true}).Name}, aws.Regions{}); err != nil {
			t.Errorf("in another region %q is asked for: %v", q.In(aws.Target{Region: "eu-central-1", Failover: true}).Name, err)
		}
	})
}
