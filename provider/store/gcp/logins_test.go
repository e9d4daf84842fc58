package gcp_test

import (
	"testing"

	"github.com/lanyardhq/lanyard/provider/backend/backendtest"
	"github.com/lanyardhq/lanyard/provider/backend/gcp/gcptest"
	"github.com/lanyardhq/lanyard/provider/store"
	"github.com/lanyardhq/lanyard/provider/store/gcp"
)

// None is taken for a token, whoever grants it. Which identity a token is of, nobody but
// Google can tell: it is opaque.
func TestAnAnswerThatIsNotWholeIsNoLogin(t *testing.T) {
	const account = "reader@shop.iam.gserviceaccount.com"
	for who, test := range map[string]struct {
		at     string
		change func(auth map[string]any)
	}{
		"the token service":   {"/v1/token", func(map[string]any) {}},
		"generateAccessToken": {":generateAccessToken", func(auth map[string]any) { auth["serviceAccount"] = account }},
		"the metadata server": {"/default/token", func(auth map[string]any) { delete(auth, "audience"); auth["method"] = "metadata" }},
	} {
		t.Run(who, func(t *testing.T) {
			c := newCloud(t)
			c.Put(db, []byte("one"))
			c.PutAccount(account, gcptest.Workload(pool, "prod", "web"))
			c.SetNode(account, "shop", "europe-west3", "one")
			c.Grant(project, gcptest.Account(account))
			c.LoginsAt = test.at
			answer := backendtest.Answer{Values: []string{"access_token", "accessToken", "expires_in", "expireTime"}, Free: []string{"token_type", "issued_token_type"}}
			answer.Logins(t, &c.Logins, nil, func(t *testing.T) (bool, error) {
				s := c.open(t, gcp.Options{}, func(fields, auth map[string]any) { test.change(auth); fields["retries"] = 0 })
				before := c.Calls(access)
				_, err := read(t, s, c.web, store.Reference{Key: db})
				return c.Calls(access) > before, err
			})
		})
	}
}
