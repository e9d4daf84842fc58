package azure

import (
	"strings"
	"testing"
)

func FuzzChallenge(f *testing.F) {
	for _, header := range []string{
		`Bearer authorization="https://login.microsoftonline.com/72f988bf-0000-4000-8000-2d7cd011db47", resource="https://vault.azure.net"`,
		`Bearer authorization="https://login.windows.net/tenant", scope="https://vault.azure.net/.default" resource="https://managedhsm.azure.net"`,
		`Bearer authorization_uri="https://login.microsoftonline.com/t/oauth2/authorize", resource="https://vault.azure.cn"`,
		`Bearer authorization="https://login", resource="https://vault.azure.net"`,
		`Bearer authorization=, resource`, `Bearer`, `Basic realm="x"`, "",
	} {
		f.Add(header)
	}
	f.Fuzz(func(t *testing.T, header string) {
		c, err := parseChallenge(header)
		if err != nil {
			if c != (challenge{}) {
				t.Errorf("an error and %+v", c)
			}
			return
		}
		if !tenant().MatchString(c.tenant) || !strings.HasPrefix(c.resource, "https://") || strings.ContainsAny(c.resource[len("https://"):], "/?#@ ") {
			t.Errorf("%q is read as %+v", header, c)
		}
	})
}
