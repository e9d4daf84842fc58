package aws

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lanyardhq/lanyard/provider/backend/aws/awstest"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/secret"
)

// reach leads all connections to the server, except those to hosts in down.
func reach(platform *Platform, server *awstest.Server, down *string) {
	address := strings.TrimPrefix(server.URL, "http://")
	platform.DialWith(func(ctx context.Context, network, to string) (net.Conn, error) {
		if *down != "" && strings.Contains(to, *down) {
			return nil, errors.New("no route to host")
		}
		return (&net.Dialer{}).DialContext(ctx, network, address)
	})
}

func opened(t *testing.T, platform *Platform, settings Settings) *Access {
	t.Helper()
	access, err := platform.Connect("test", settings)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(access.Close)
	return access
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

// twoRegions are two regions with an STS each, of which those whose names have
// down in them, if it is not empty, are out of reach, and the settings of a store
// that fails over.
func twoRegions(t *testing.T, down *string) (*awstest.Server, *Platform, Settings) {
	t.Helper()
	server, platform := awstest.New(t), New(Options{})
	t.Cleanup(platform.Close)
	reach(platform, server, down)
	settings := DefaultSettings()
	settings.Region, settings.FailoverRegions, settings.Retries = "eu-west-1", []string{"eu-central-1"}, 0
	settings.Auth.Role = server.PutRole("web", awstest.Role{Accounts: []string{"prod/web"}})
	settings.Auth.STSEndpoint = "http://sts.{region}.example.com"
	return server, platform, settings
}

func TestTheSTSOfTheNextRegionGrantsWhenTheFirstIsDown(t *testing.T) {
	down := "eu-west-1"
	server, platform, settings := twoRegions(t, &down)
	var asked []string
	first := opened(t, platform, settings)
	err := first.Call(t.Context(), podOf(t, server, "prod/web"), "Test", func(_ context.Context, target Target) error {
		asked = append(asked, target.Region)
		return nil
	})
	if err != nil || len(asked) != 1 {
		t.Errorf("asked %v, %v", asked, err)
	}
	down = "sts"
	first.Close() // connections that are open already
	err = opened(t, platform, settings).Call(t.Context(), podOf(t, server, "prod/api"), "Test", nothing)
	if !errors.Is(err, fault.ErrUnavailable) || strings.Count(err.Error(), "no route to host") != 1 {
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
			err := opened(t, platform, settings).Call(t.Context(), podOf(t, server, "prod/web"), "Test", nothing)
			if granted := err == nil; granted != test.grant || err != nil && !errors.Is(err, fault.ErrUnavailable) {
				t.Errorf("error %v, want credentials: %v", err, test.grant)
			}
		})
	}
}

// What the agent answers is text, of EKS Auth or of its own.
func TestTheAgentsTextSaysWhatTheFailureIs(t *testing.T) {
	for name, test := range map[string]struct {
		fail  *awstest.Error
		kind  error
		texts []string
	}{
		"the agent failing":       {awstest.Fail(503, "", "Too Many Requests. Slow down"), fault.ErrUnavailable, []string{"status 503: Too Many Requests. Slow down"}},
		"EKS Auth failing":        {awstest.Fail(500, "InternalServerException", "try later"), fault.ErrUnavailable, []string{"InternalServerException: try later"}},
		"EKS Auth away":           {awstest.Fail(500, "", "operation error EKS Auth: dial tcp: i/o timeout"), fault.ErrUnavailable, []string{"i/o timeout", "eks-pod-identity-agent"}},
		"keys out of reach":       {awstest.Fail(400, "", "JWT signature validation failed: cryptographic validation failed: key refresh failed: EOF"), fault.ErrUnavailable, []string{"key refresh failed"}},
		"a token that has ended":  {awstest.Fail(400, "ExpiredTokenException", "it is over"), fault.ErrUnauthenticated, []string{"it is over", "requiresRepublish"}},
		"a token of another kind": {awstest.Fail(400, "", "Service account token cannot be parsed: token is malformed"), fault.ErrUnauthenticated, []string{"token is malformed"}},
		"no association":          {awstest.Fail(404, "ResourceNotFoundException", "none"), fault.ErrDenied, []string{"associate a role"}},
		"a wrong address":         {awstest.Fail(403, "", "Access Denied. Called agent through invalid address"), fault.ErrInvalid, []string{"invalid address"}},
		"a request that is wrong": {awstest.Fail(400, "InvalidRequestException", "no"), fault.ErrInvalid, []string{"InvalidRequestException"}},
	} {
		t.Run(name, func(t *testing.T) {
			server, platform := awstest.New(t), New(Options{})
			t.Cleanup(platform.Close)
			server.Add(awstest.Fault{Action: "agent:GetCredentials", Fail: test.fail})
			settings := DefaultSettings()
			settings.Region, settings.Retries = "eu-west-1", 1
			settings.Auth.Method, settings.Auth.AgentEndpoint = methodPodIdentity, server.URL
			err := opened(t, platform, settings).Call(t.Context(), podOf(t, server, "prod/web"), "Test", nothing)
			if !errors.Is(err, test.kind) {
				t.Fatalf("error %v, want %v", err, test.kind)
			}
			for _, text := range append(test.texts, "EKS Pod Identity: ") {
				if !strings.Contains(err.Error(), text) {
					t.Errorf("%q is not in %v", text, err)
				}
			}
			want := 1
			if errors.Is(test.kind, fault.ErrUnavailable) {
				want = 2
			}
			if got := server.Calls("agent:GetCredentials"); got != want {
				t.Errorf("%d calls, want %d", got, want)
			}
		})
	}
}

// What is throttled with status 429 is tried again beyond the retries, while there is time.
func TestAThrottledAgentIsAskedAgain(t *testing.T) {
	for name, fail := range map[string]*awstest.Error{
		"by EKS Auth with another 400": awstest.Throttled(),
		"by EKS Auth":                  awstest.Fail(429, "ThrottlingException", "Rate exceeded"),
		"by the agent":                 awstest.Fail(429, "", "Too Many Requests. Slow down"),
	} {
		t.Run(name, func(t *testing.T) {
			server, platform := awstest.New(t), New(Options{})
			t.Cleanup(platform.Close)
			server.Add(awstest.Fault{Action: "agent:GetCredentials", Fail: fail, Times: 3})
			settings := DefaultSettings()
			settings.Region, settings.Retries = "eu-west-1", 1
			settings.Auth.Method, settings.Auth.AgentEndpoint = methodPodIdentity, server.URL
			err := opened(t, platform, settings).Call(t.Context(), podOf(t, server, "prod/web"), "Test", nothing)
			if errors.Is(err, fault.ErrUnavailable) {
				t.Error(err)
			}
			if got := server.Calls("agent:GetCredentials"); got != 4 {
				t.Errorf("%d calls, want 4", got)
			}
		})
	}
}

// pressed is a context that says that there is little time, always.
type pressed struct{ context.Context }

func (pressed) Deadline() (time.Time, bool) { return time.Now().Add(200 * time.Millisecond), true }

// The first region takes connections' packets and never answers. It costs one try,
// and the share that it would have of a call is not what the credentials have.
func TestASilentFirstRegionDoesNotKeepTheCredentialsAway(t *testing.T) {
	server, platform := awstest.New(t), New(Options{})
	t.Cleanup(platform.Close)
	over := make(chan struct{})
	t.Cleanup(func() { close(over) })
	platform.DialWith(func(ctx context.Context, network, to string) (net.Conn, error) {
		if strings.Contains(to, "eu-west-1") {
			select {
			case <-ctx.Done():
			case <-over:
			}
			return nil, errors.New("nobody answered")
		}
		return (&net.Dialer{}).DialContext(ctx, network, strings.TrimPrefix(server.URL, "http://"))
	})
	settings := DefaultSettings()
	settings.Region, settings.FailoverRegions, settings.Timeout = "eu-west-1", []string{"eu-central-1"}, time.Second
	settings.Auth.Role = server.PutRole("web", awstest.Role{Accounts: []string{"prod/web"}})
	settings.Auth.STSEndpoint = "http://sts.{region}.example.com"
	if err := opened(t, platform, settings).Call(pressed{t.Context()}, podOf(t, server, "prod/web"), "Test", nothing); err != nil {
		t.Error(err)
	}
	if calls := server.Calls("sts:AssumeRoleWithWebIdentity"); calls != 1 {
		t.Errorf("%d exchanges, want one", calls)
	}
}

// STS judges no token while it cannot fetch the issuer's keys, though it answers
// with the code of those that it refuses.
func TestCredentialsStayWhileSTSCannotFetchTheKeys(t *testing.T) {
	var passed atomic.Int64
	begin := time.Now()
	server, platform, down := awstest.New(t), New(Options{Now: func() time.Time { return begin.Add(time.Duration(passed.Load())) }}), ""
	t.Cleanup(platform.Close)
	reach(platform, server, &down)
	settings := DefaultSettings()
	settings.Region, settings.Retries = "eu-west-1", 0
	settings.Auth.Role = server.PutRole("web", awstest.Role{Accounts: []string{"prod/web"}})
	settings.Auth.STSEndpoint = "http://sts.example.com"
	access := opened(t, platform, settings)
	if err := access.Call(t.Context(), podOf(t, server, "prod/web"), "Test", nothing); err != nil {
		t.Fatal(err)
	}
	server.Add(awstest.Fault{Action: "sts:AssumeRoleWithWebIdentity", Fail: awstest.Fail(400, "InvalidIdentityToken",
		"Couldn't retrieve verification key from your identity provider,  please reference AssumeRoleWithWebIdentity documentation for requirements")})
	// A renewal is due, and another some time after it has failed.
	passed.Store(int64(50 * time.Minute))
	for server.Calls("sts:AssumeRoleWithWebIdentity") < 3 {
		if err := access.Call(t.Context(), podOf(t, server, "prod/web"), "Test", nothing); err != nil {
			t.Fatal(err)
		}
		passed.Add(int64(200 * time.Millisecond))
		time.Sleep(time.Millisecond)
	}
	err := access.Call(t.Context(), podOf(t, server, "prod/api"), "Test", nothing)
	if !errors.Is(err, fault.ErrUnavailable) || !strings.Contains(err.Error(), "verification key") || !strings.Contains(err.Error(), "openid-configuration") {
		t.Errorf("without credentials: %v", err)
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
	access, as := opened(t, platform, settings), podOf(t, server, "prod/web")
	exchanges := func(want int) {
		t.Helper()
		if err := access.Call(t.Context(), as, "Test", nothing); err != nil {
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

// counting leads all connections to the server, except those to hosts in down,
// and counts the connections to them.
func counting(platform *Platform, server *awstest.Server, down string, dials *atomic.Int64) {
	platform.DialWith(func(ctx context.Context, network, to string) (net.Conn, error) {
		if strings.Contains(to, down) {
			dials.Add(1)
			return nil, errors.New("no route to host")
		}
		return (&net.Dialer{}).DialContext(ctx, network, strings.TrimPrefix(server.URL, "http://"))
	})
}

// The next region grants in the first round, so that the first is never found
// unavailable by the last.
func TestAnSTSThatWasUnavailableIsAskedLastForAWhile(t *testing.T) {
	var passed, dials atomic.Int64
	begin := time.Now()
	server, platform := awstest.New(t), New(Options{Now: func() time.Time { return begin.Add(time.Duration(passed.Load())) }})
	t.Cleanup(platform.Close)
	counting(platform, server, "eu-west-1", &dials)
	settings := DefaultSettings()
	settings.Region, settings.FailoverRegions, settings.Retries = "eu-west-1", []string{"eu-central-1"}, 2
	settings.Auth.Role = server.PutRole("web", awstest.Role{Accounts: []string{"prod/web", "prod/api", "prod/cron"}})
	settings.Auth.STSEndpoint = "http://sts.{region}.example.com"
	access := opened(t, platform, settings)
	for _, exchange := range []struct {
		account string
		dials   int64
	}{{"prod/web", 1}, {"prod/api", 1}, {"prod/cron", 2}} {
		if exchange.account == "prod/cron" {
			passed.Store(int64(maxRest))
		}
		var asked []string
		err := access.Call(t.Context(), podOf(t, server, exchange.account), "Test", func(_ context.Context, target Target) error {
			asked = append(asked, target.Region)
			return nil
		})
		if err != nil || len(asked) != 1 || asked[0] != "eu-west-1" {
			t.Errorf("%s: asked %v, %v; want the first region, whose service is well", exchange.account, asked, err)
		}
		if got := dials.Load(); got != exchange.dials {
			t.Errorf("%s: the silent STS was asked %d times, want %d", exchange.account, got, exchange.dials)
		}
	}
}

// Whether the first region was asked or still rests, its failure is told, and first.
func TestAFailureTellsOfTheRegionsInTheirOrder(t *testing.T) {
	server, platform, settings := twoRegions(t, new(string))
	access := opened(t, platform, settings)
	for _, first := range []string{"in eu-west-1: it is down; ", "in eu-west-1: found unavailable a moment ago (it is down); "} {
		err := access.Call(t.Context(), podOf(t, server, "prod/web"), "Test", func(_ context.Context, target Target) error {
			if target.Region == "eu-west-1" {
				return &CallError{Kind: fault.ErrUnavailable, Text: "it is down"}
			}
			return &CallError{Kind: fault.ErrNotFound, Text: "no such secret"}
		})
		if want := "Test " + first + "in eu-central-1: no such secret"; err == nil || err.Error() != want {
			t.Errorf("%v\nwant %s", err, want)
		}
	}
}

// An issuer that STS cannot reach is not reached from elsewhere either.
func TestAnSTSThatCannotFetchTheKeysStaysTheFirst(t *testing.T) {
	server, platform, settings := twoRegions(t, new(string))
	server.Add(awstest.Fault{Action: "sts:AssumeRoleWithWebIdentity", Fail: awstest.Fail(400, "InvalidIdentityToken", keysUnreached)})
	access := opened(t, platform, settings)
	if err := access.Call(t.Context(), podOf(t, server, "prod/web"), "Test", nothing); !errors.Is(err, fault.ErrUnavailable) {
		t.Fatal(err)
	}
	for _, region := range []string{"eu-west-1", "eu-central-1"} {
		if why, resting := access.sts.resting(region, time.Now()); resting {
			t.Errorf("%s rests: %s", region, why)
		}
	}
}
