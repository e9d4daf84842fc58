package aws

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/lanyardhq/lanyard/provider/aws/awstest"
	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/secret"
	"github.com/lanyardhq/lanyard/provider/store"
)

// reach leads all connections to the server, except those to hosts in down.
func reach(platform *Platform, server *awstest.Server, down *string) {
	address := strings.TrimPrefix(server.URL, "http://")
	platform.pool.transport.DialContext = func(ctx context.Context, network, to string) (net.Conn, error) {
		if *down != "" && strings.Contains(to, *down) {
			return nil, errors.New("no route to host")
		}
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}
}

func podOf(t *testing.T, server *awstest.Server, account string) identity.Identity {
	t.Helper()
	namespace, name, _ := strings.Cut(account, "/")
	issuer := server.NewIssuer(t)
	as := identity.Identity{Namespace: namespace, ServiceAccount: name, Tokens: map[string]identity.Token{}}
	for _, audience := range []string{stsAudience, agentAudience} {
		as.Tokens[audience] = identity.Token{JWT: secret.NewString(issuer.Token(t, account, audience, time.Now().Add(time.Hour)))}
	}
	return as
}

func nothing(context.Context, Target) error { return nil }

func TestTheSTSOfTheNextRegionGrantsWhenTheFirstIsDown(t *testing.T) {
	server, platform, down := awstest.New(t), New(Options{}), "eu-west-1"
	t.Cleanup(platform.Close)
	reach(platform, server, &down)
	settings := DefaultSettings()
	settings.Region, settings.FailoverRegions, settings.Retries = "eu-west-1", []string{"eu-central-1"}, 0
	settings.Auth.Role = server.PutRole("web", awstest.Role{Accounts: []string{"prod/web"}})
	settings.Auth.STSEndpoint = "http://sts.{region}.example.com"
	var asked []string
	err := platform.Open("test", settings).Do(t.Context(), podOf(t, server, "prod/web"), "Test", func(_ context.Context, target Target) error {
		asked = append(asked, target.Region)
		return nil
	})
	if err != nil || len(asked) != 1 {
		t.Errorf("asked %v, %v", asked, err)
	}
	down = "sts"
	platform.pool.close() // connections that are open already
	err = platform.Open("test", settings).Do(t.Context(), podOf(t, server, "prod/api"), "Test", nothing)
	if !errors.Is(err, store.ErrUnavailable) || strings.Count(err.Error(), "no route to host") != 1 {
		t.Errorf("with both down: %v", err)
	}
}

func TestTheAgentIsAskedAtTheAddressThatIsPreferred(t *testing.T) {
	for addresses, test := range map[string]struct {
		down  string
		grant bool
	}{
		"auto":                {"", true},
		"auto without IPv4":   {"169.254.170.23", true},
		"auto without either": {":80", false},
		"ipv4":                {"fd00", true},
		"ipv4 without it":     {"169.254.170.23", false},
		"ipv6":                {"169.254.170.23", true},
		"ipv6 without it":     {"fd00", false},
	} {
		t.Run(addresses, func(t *testing.T) {
			server, platform := awstest.New(t), New(Options{})
			t.Cleanup(platform.Close)
			reach(platform, server, &test.down)
			server.Associate("prod/web", server.PutRole("web", awstest.Role{}))
			settings := DefaultSettings()
			settings.Region, settings.Retries = "eu-west-1", 0
			settings.Auth.Method = methodPodIdentity
			settings.Auth.AddressType, _, _ = strings.Cut(addresses, " ")
			err := platform.Open("test", settings).Do(t.Context(), podOf(t, server, "prod/web"), "Test", nothing)
			if granted := err == nil; granted != test.grant || err != nil && !errors.Is(err, store.ErrUnavailable) {
				t.Errorf("error %v, want credentials: %v", err, test.grant)
			}
		})
	}
}

func TestCredentialsAreRenewedBeforeTheyEnd(t *testing.T) {
	now := time.Now()
	server, platform, down := awstest.New(t), New(Options{Now: func() time.Time { return now }}), ""
	t.Cleanup(platform.Close)
	reach(platform, server, &down)
	settings := DefaultSettings()
	settings.Region = "eu-west-1"
	settings.Auth.Role = server.PutRole("web", awstest.Role{Accounts: []string{"prod/web"}})
	settings.Auth.STSEndpoint = "http://sts.example.com"
	access, as := platform.Open("test", settings), podOf(t, server, "prod/web")
	exchanges := func(want int) {
		t.Helper()
		if err := access.Do(t.Context(), as, "Test", nothing); err != nil {
			t.Fatal(err)
		}
		deadline := time.Now().Add(5 * time.Second) // a renewal is made beside the call
		for server.Calls("sts:AssumeRoleWithWebIdentity") < want && time.Now().Before(deadline) {
			time.Sleep(5 * time.Millisecond)
		}
		if got := server.Calls("sts:AssumeRoleWithWebIdentity"); got != want {
			t.Errorf("%d exchanges, want %d", got, want)
		}
	}
	exchanges(1)
	now = now.Add(40 * time.Minute)
	exchanges(1)
	now = now.Add(9 * time.Minute)
	exchanges(2)
}
