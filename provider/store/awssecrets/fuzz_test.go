package awssecrets

import (
	"strings"
	"testing"

	"github.com/lanyardhq/lanyard/provider/backend/aws"
	"github.com/lanyardhq/lanyard/provider/store"
)

func FuzzParse(f *testing.F) {
	f.Add("prod/db", "", "", "", "eu-west-1")
	f.Add("prod/db/", "", "path", "prod/replica", "eu-west-1")
	f.Add("arn:aws:secretsmanager:eu-west-1:111122223333:secret:db-a1b2c3", "", "AWSPREVIOUS", "", "")
	f.Add("db", "a1b2c3d4-5678-90ab-cdef-111122223333", "", "db-replica", "eu-west-1")
	f.Fuzz(func(t *testing.T, key, version, stage, failover, region string) {
		ref := store.Reference{Key: key, Version: version, Options: map[string]any{}}
		if stage == "path" {
			ref.Options["path"], ref.Options["recursive"] = true, region == ""
		} else if stage != "" {
			ref.Options["stage"] = stage
		}
		if failover != "" {
			ref.Options["failover"] = map[string]any{"key": failover}
		}
		q, err := parse(ref, aws.Regions{First: region})
		if err != nil {
			return
		}
		if strings.ContainsAny(q.First.Name+q.Failover.Name, " \t\r\n\"\\?#") {
			t.Errorf("a key that no secret has is accepted: %q %q", key, failover)
		}
		// What is asked for elsewhere is still a secret's name or ARN.
		if _, err := parse(store.Reference{Key: q.In(aws.Target{Region: "eu-central-1", Failover: true}).Name}, aws.Regions{}); err != nil {
			t.Errorf("in another region %q is asked for: %v", q.In(aws.Target{Region: "eu-central-1", Failover: true}).Name, err)
		}
	})
}
