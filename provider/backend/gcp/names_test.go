package gcp

import (
	"strings"
	"testing"

	"github.com/lanyardhq/lanyard/provider/backend/remote"
)

func TestTheAudienceOfAPodsTokenFollowsFromThatOfTheExchange(t *testing.T) {
	for audience, want := range map[string]string{
		"identitynamespace:shop.svc.id.goog:https://container.googleapis.com/v1/projects/shop/locations/l/clusters/c": "shop.svc.id.goog",
		"identitynamespace:hub.svc.id.goog:https://gkehub.googleapis.com/projects/hub/locations/global/memberships/m": "hub.svc.id.goog",
		"//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/x":                        "https://iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/x",
		"identitynamespace:shop.svc.id.goog": "", "identitynamespace::x": "", "shop.svc.id.goog": "", "": "",
		"//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p": "",
	} {
		if got := tokenAudience(audience); got != want {
			t.Errorf("tokenAudience(%q) = %q, want %q", audience, got, want)
		}
	}
}

func TestNamesOfServiceAccounts(t *testing.T) {
	for text, want := range map[string]bool{
		"web@shop.iam.gserviceaccount.com": true, "123456789012-compute@developer.gserviceaccount.com": true,
		"web@shop.example.com.iam.gserviceaccount.com": true, "108173482734982374982": true,
		"": false, "web": false, "1234": false, "web@": false, "@shop": false, "-web@shop": false, "Web@shop": false,
		"web@shop/x": false, "web@.x": false, "../x": false, "a@b@c": false, "web@shop?x": false, "web@shop%2f": false,
	} {
		if got := isAccount(text); got != want {
			t.Errorf("isAccount(%q) = %v", text, got)
		}
	}
}

func TestOnlyKnowsRangesAndSingleCharacters(t *testing.T) {
	for text, want := range map[string]bool{"a-b_9": true, "": false, "A": false, "abcdef": false, "é": false, "a b": false} {
		if got := Only(text, "a-z0-9_-", 5); got != want {
			t.Errorf("Only(%q) = %v", text, got)
		}
	}
}

func TestClassesChooseAmongGooglesOwnHosts(t *testing.T) {
	for endpoint, allowed := range map[string]struct{ byClass, byOperator bool }{
		"https://secretmanager.googleapis.com":                {true, true},
		"https://secretmanager.{location}.rep.googleapis.com": {true, true},
		"https://secretmanager-psc.p.googleapis.com:443/":     {true, true},
		"https://googleapis.com.example.com":                  {false, true},
		"https://evilgoogleapis.com":                          {false, true},
		"https://sm.example.com":                              {false, true},
		"http://secretmanager.googleapis.com":                 {false, true},
		"https://u:p@secretmanager.googleapis.com":            {false, false},
		"https://secretmanager.googleapis.com/v1":             {false, false},
		"https://secretmanager.googleapis.com?x":              {false, false},
		"secretmanager.googleapis.com":                        {false, false},
	} {
		for byOperator, want := range map[bool]bool{false: allowed.byClass, true: allowed.byOperator} {
			var problems remote.Problems
			checked := endpoint
			CheckEndpoint("endpoint", &checked, byOperator, &problems)
			if got := len(problems) == 0; got != want || got && strings.HasSuffix(checked, "/") {
				t.Errorf("%s (by the operator: %v): %v, %s", endpoint, byOperator, problems.Err(), checked)
			}
		}
	}
}
