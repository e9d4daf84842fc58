package awssecrets_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/lanyardhq/lanyard/provider/backend/aws"
	"github.com/lanyardhq/lanyard/provider/backend/aws/awstest"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/secret"
	"github.com/lanyardhq/lanyard/provider/store"
	"github.com/lanyardhq/lanyard/provider/store/awssecrets"
)

func secretOf(text string) secret.Bytes { return secret.NewString(text) }

func twoRegions(fields, _ map[string]any) {
	fields["failoverRegions"] = []any{frankfurt}
	fields["retries"] = 1
}

func TestTheSecondRegionIsCalledOnlyWhenTheFirstFails(t *testing.T) {
	f := newFixture(t)
	s, web := f.open(t, twoRegions), f.pod(t, "prod/web")
	f.PutSecret(ireland, "db", "from Ireland")
	f.PutSecret(frankfurt, "db", "from Frankfurt")
	if got := mustRead(t, s, web, store.Reference{Key: "db"}).Data.RevealString(); got != "from Ireland" {
		t.Errorf("= %q", got)
	}
	if got := f.CallsIn(frankfurt, "secretsmanager:GetSecretValue"); got != 0 {
		t.Errorf("the second region was called %d times while the first answered", got)
	}
}

func TestARegionThatIsDownIsReplacedAndTakenBack(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]awstest.Fault{
		"unreachable": {Region: ireland, Drop: true},
		"failing":     {Region: ireland, Fail: awstest.Fail(503, "ServiceUnavailable", "")},
		"throttled":   {Region: ireland, Fail: awstest.Throttled()},
		"silent":      {Region: ireland, Delay: time.Second, Drop: true},
	} {
		t.Run(name, func(t *testing.T) {
			now := time.Now()
			f := newFixture(t)
			platform := aws.New(aws.Options{Now: func() time.Time { return now }})
			t.Cleanup(platform.Close)
			f.typ = awssecrets.NewType(platform)
			s, web := f.open(t, func(fields, auth map[string]any) {
				twoRegions(fields, auth)
				fields["timeout"] = "200ms"
			}), f.pod(t, "prod/web")
			f.PutSecret(ireland, "db", "from Ireland")
			f.PutSecret(frankfurt, "db", "from Frankfurt")
			repair := f.Add(fault)
			want := func(from string) {
				t.Helper()
				if got := mustRead(t, s, web, store.Reference{Key: "db"}).Data.RevealString(); got != "from "+from {
					t.Errorf("= %q, want it from %s", got, from)
				}
			}
			want("Frankfurt")
			f.ResetCalls()
			want("Frankfurt")
			if got := f.CallsIn(ireland, "secretsmanager:GetSecretValue"); got != 0 {
				t.Errorf("the region that is down was asked %d times again at once", got)
			}
			repair()
			now = now.Add(time.Minute)
			want("Ireland")
		})
	}
}

func TestWhatAFailoverRegionDoesNotHaveSaysNothingOfTheFirst(t *testing.T) {
	f := newFixture(t)
	s, web := f.open(t, twoRegions), f.pod(t, "prod/web")
	f.PutSecret(ireland, "db", "from Ireland")
	f.Add(awstest.Fault{Region: ireland, Drop: true})
	for range 2 {
		_, err := s.Read(t.Context(), web, store.Reference{Key: "db"})
		wantFailure(t, err, fault.ErrUnavailable, "db", ireland, "in eu-central-1", "can't find")
		for _, result := range s.ReadBatch(t.Context(), web, []store.Reference{{Key: "db"}, {Key: "other"}}) {
			wantFailure(t, result.Err, fault.ErrUnavailable, ireland)
		}
	}
}

func TestWhatTheFirstRegionRefusesIsNotAskedElsewhere(t *testing.T) {
	f := newFixture(t)
	s, web := f.open(t, twoRegions), f.pod(t, "prod/web")
	f.PutSecret(frankfurt, "db", "from Frankfurt")
	_, err := s.Read(t.Context(), web, store.Reference{Key: "db"})
	wantFailure(t, err, fault.ErrNotFound, "in eu-west-1")
	if got := f.CallsIn(frankfurt, "secretsmanager:GetSecretValue"); got != 0 {
		t.Errorf("the second region was called %d times", got)
	}
}

func TestAFailoverSecretIsLookedAtBeforeTheOutage(t *testing.T) {
	f := newFixture(t)
	web := f.pod(t, "prod/web")
	f.PutSecret(ireland, "db", "from Ireland")
	f.PutSecret(frankfurt, "db", "from Frankfurt")
	ref := func(failover string) store.Reference {
		return store.Reference{Key: "db", Options: map[string]any{"failover": map[string]any{"key": failover}}}
	}
	checking := func(when string) store.FailoverChecker {
		return f.open(t, func(fields, auth map[string]any) {
			twoRegions(fields, auth)
			fields["failoverCheck"] = when
		}).(store.FailoverChecker) //nolint:forcetypeassert // the test is of that
	}
	daily := checking("daily")
	if alone := f.open(t, nil).(store.FailoverChecker); !daily.ChecksFailover(ref("gone")) || alone.ChecksFailover(store.Reference{Key: "db"}) { //nolint:forcetypeassert // the test is of that
		t.Error("it is not looked at exactly where there are failover regions")
	}
	if err := daily.CheckFailover(t.Context(), web, store.Reference{Key: "db"}); err != nil {
		t.Error(err)
	}
	wantFailure(t, daily.CheckFailover(t.Context(), web, ref("gone")), fault.ErrNotFound, "GetSecretValue db in eu-central-1: gone: ", "can't find")
	mustRead(t, daily, web, ref("gone"))
	wantFailure(t, daily.Check(ref("arn:aws:secretsmanager:us-east-1:111122223333:secret:x-AbCdEf")), fault.ErrInvalid, "options.failover.key", "us-east-1", frankfurt)
	for _, when := range []string{"never", "always"} {
		if checking(when).ChecksFailover(ref("gone")) {
			t.Errorf("%s: the failover region is looked at daily", when)
		}
	}
	mustRead(t, checking("never"), web, ref("gone"))
	always := checking("always")
	mustRead(t, always, web, store.Reference{Key: "db"})
	_, err := always.Read(t.Context(), web, ref("gone"))
	wantFailure(t, err, fault.ErrNotFound, "eu-central-1: gone: ")
	repair := f.Add(awstest.Fault{Region: frankfurt, Drop: true})
	mustRead(t, always, web, ref("gone")) // it may be there
	wantFailure(t, daily.CheckFailover(t.Context(), web, ref("gone")), fault.ErrUnavailable, "eu-central-1")
	repair()
	f.Add(awstest.Fault{Region: ireland, Drop: true})
	_, err = daily.Read(t.Context(), web, ref("gone"))
	wantFailure(t, err, fault.ErrUnavailable, "in eu-central-1: gone: ")
}

func TestAnSTSThatNobodyReachesIsToldOnce(t *testing.T) {
	f := newFixture(t)
	s, web := f.open(t, func(fields, auth map[string]any) {
		twoRegions(fields, auth)
		auth["stsEndpoint"] = strings.Replace(f.URL, "127.0.0.1", "{region}.localhost.invalid", 1)
	}), f.pod(t, "prod/web")
	f.PutSecret(ireland, "db", "v")
	_, err := s.Read(t.Context(), web, store.Reference{Key: "db"})
	wantFailure(t, err, fault.ErrUnavailable, "GetSecretValue db: AssumeRoleWithWebIdentity", frankfurt)
	if err != nil && strings.Count(err.Error(), "AssumeRoleWithWebIdentity") != 1 {
		t.Errorf("the exchange is told several times: %v", err)
	}
}

func TestASecretMayHaveAnotherNameInFailoverRegions(t *testing.T) {
	f := newFixture(t)
	s, web := f.open(t, twoRegions), f.pod(t, "prod/web")
	_, arn := f.PutSecret(ireland, "db", "from Ireland")
	f.PutSecret(frankfurt, "db", "the replica")
	older, _ := f.PutSecret(frankfurt, "db-other", "another")
	f.PutSecret(frankfurt, "db-other", "newer")
	f.Add(awstest.Fault{Region: ireland, Drop: true})
	for name, test := range map[string]struct {
		ref  store.Reference
		want string
	}{
		"the same name":      {store.Reference{Key: "db"}, "the replica"},
		"the replica's ARN":  {store.Reference{Key: arn}, "the replica"},
		"another name":       {store.Reference{Key: "db", Options: map[string]any{"failover": map[string]any{"key": "db-other"}}}, "newer"},
		"another's version":  {store.Reference{Key: "db", Options: map[string]any{"failover": map[string]any{"key": "db-other", "version": older}}}, "another"},
		"another's previous": {store.Reference{Key: "db", Options: map[string]any{"failover": map[string]any{"key": "db-other", "stage": "AWSPREVIOUS"}}}, "another"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := mustRead(t, s, web, test.ref).Data.RevealString(); got != test.want {
				t.Errorf("= %q, want %q", got, test.want)
			}
			if s.BatchSize(web, test.ref) == 1 {
				return
			}
			for _, result := range s.ReadBatch(t.Context(), web, []store.Reference{test.ref, {Key: "db-other"}}[:2]) {
				if result.Err != nil {
					t.Error(result.Err)
				}
			}
		})
	}
}

// node answers for the cluster.
type node struct {
	role, region string
	err          error
	asked        int
}

func (n *node) Annotation(_ context.Context, namespace, account, name string) (string, error) {
	n.asked++
	if namespace != "prod" || account != "web" || name != "eks.amazonaws.com/role-arn" {
		return "", nil
	}
	return n.role, n.err
}

func (n *node) NodeLabel(_ context.Context, name string) (string, error) {
	n.asked++
	if name != "topology.kubernetes.io/region" {
		return "", nil
	}
	return n.region, n.err
}

func TestRoleAndRegionMayBeTheClustersToSay(t *testing.T) {
	f := newFixture(t)
	f.PutSecret(frankfurt, "db", "v")
	open := func(cluster aws.Cluster) store.Store {
		platform := aws.New(aws.Options{Cluster: cluster})
		t.Cleanup(platform.Close)
		f.typ = awssecrets.NewType(platform)
		return f.open(t, func(fields, auth map[string]any) {
			delete(fields, "region")
			delete(auth, "role")
		})
	}
	web := f.pod(t, "prod/web")
	says := &node{role: f.role, region: frankfurt}
	s := open(says)
	for range 10 {
		mustRead(t, s, web, store.Reference{Key: "db"})
	}
	if says.asked != 2 {
		t.Errorf("the cluster was asked %d times, want once for each", says.asked)
	}
	says.region = ireland
	platform := aws.New(aws.Options{Cluster: says})
	t.Cleanup(platform.Close)
	f.typ = awssecrets.NewType(platform)
	_, err := f.open(t, func(fields, _ map[string]any) {
		delete(fields, "region")
		fields["failoverRegions"] = []any{ireland}
	}).Read(t.Context(), web, store.Reference{Key: "db"})
	wantFailure(t, err, fault.ErrInvalid, "failoverRegions names eu-west-1 alone, which is the node's own region")
	for name, test := range map[string]struct {
		cluster aws.Cluster
		kind    error
		texts   []string
	}{
		"may not be asked":    {nil, fault.ErrInvalid, []string{"give region"}},
		"no region":           {&node{role: f.role}, fault.ErrInvalid, []string{"topology.kubernetes.io/region", "give region"}},
		"no role":             {&node{region: frankfurt}, fault.ErrInvalid, []string{"service account web in namespace prod", "eks.amazonaws.com/role-arn", "auth.role"}},
		"a role that is none": {&node{region: frankfurt, role: "web"}, fault.ErrInvalid, []string{"must be the ARN of a role"}},
		"no answer":           {&node{err: context.DeadlineExceeded}, fault.ErrUnavailable, nil},
		"the account is gone": {&node{err: fault.Fail(fault.ErrNotFound, errors.New("serviceaccounts \"web\" not found"))}, fault.ErrUnauthenticated, []string{"not found"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := open(test.cluster).Read(t.Context(), web, store.Reference{Key: "db"})
			wantFailure(t, err, test.kind, test.texts...)
		})
	}
}

func TestPodIdentityAndChainsOfRoles(t *testing.T) {
	f := newFixture(t)
	hub := f.PutRole("hub", awstest.Role{})
	middle := f.PutRole("middle", awstest.Role{Roles: []string{hub, f.role}})
	last := f.PutRole("last", awstest.Role{Roles: []string{middle}, Reads: []string{"db"}})
	f.PutRole("web", awstest.Role{Accounts: []string{"prod/web"}})
	f.PutSecret(ireland, "db", "v")
	f.Associate("prod/web", hub)
	web := f.pod(t, "prod/web")
	web.Tokens["pods.eks.amazonaws.com"] = web.Tokens["sts.amazonaws.com"]
	agent := func(_, auth map[string]any) {
		delete(auth, "role")
		auth["method"], auth["agentEndpoint"] = "podIdentity", f.URL
	}

	t.Run("the agent does not take another's audience", func(t *testing.T) {
		_, err := f.open(t, agent).Read(t.Context(), web, store.Reference{Key: "db"})
		wantFailure(t, err, fault.ErrUnauthenticated, "EKS Pod Identity", "pods.eks.amazonaws.com")
	})
	web.Tokens["pods.eks.amazonaws.com"] = tokenFor(t, f, "prod/web", "pods.eks.amazonaws.com")
	t.Run("the associated role alone", func(t *testing.T) {
		_, err := f.open(t, agent).Read(t.Context(), web, store.Reference{Key: "db"})
		wantFailure(t, err, fault.ErrDenied, "assumed-role/hub/")
	})
	t.Run("with a chain", func(t *testing.T) {
		s := f.open(t, func(fields, auth map[string]any) {
			agent(fields, auth)
			auth["chain"] = []any{middle, last}
		})
		mustRead(t, s, web, store.Reference{Key: "db"})
	})
	t.Run("IRSA with a chain", func(t *testing.T) {
		s := f.open(t, func(_, auth map[string]any) { auth["chain"] = []any{middle, last} })
		mustRead(t, s, web, store.Reference{Key: "db"})
	})
	t.Run("a chain that is broken", func(t *testing.T) {
		s := f.open(t, func(_, auth map[string]any) { auth["chain"] = []any{last} })
		_, err := s.Read(t.Context(), web, store.Reference{Key: "db"})
		wantFailure(t, err, fault.ErrDenied, "AssumeRole of "+last, "auth.chain")
	})
	t.Run("roles that ask for an external ID", func(t *testing.T) {
		guarded := f.PutRole("guarded", awstest.Role{Roles: []string{f.role}, ExternalID: "shop:42", Reads: []string{"db"}})
		with := func(id string) store.Store {
			return f.open(t, func(_, auth map[string]any) {
				auth["chain"] = []any{guarded}
				if id != "" {
					auth["externalID"] = id
				}
			})
		}
		mustRead(t, with("shop:42"), web, store.Reference{Key: "db"})
		for _, id := range []string{"", "shop:43"} { // though others have credentials of the role
			_, err := with(id).Read(t.Context(), web, store.Reference{Key: "db"})
			wantFailure(t, err, fault.ErrDenied, "AssumeRole of "+guarded, "auth.externalID")
		}
	})
	t.Run("no association", func(t *testing.T) {
		api := f.pod(t, "prod/api")
		api.Tokens["pods.eks.amazonaws.com"] = tokenFor(t, f, "prod/api", "pods.eks.amazonaws.com")
		_, err := f.open(t, agent).Read(t.Context(), api, store.Reference{Key: "db"})
		wantFailure(t, err, fault.ErrDenied, "associate a role")
	})
	t.Run("no agent", func(t *testing.T) {
		s := f.open(t, func(fields, auth map[string]any) {
			agent(fields, auth)
			auth["agentEndpoint"] = "http://127.0.0.1:1"
			fields["retries"] = 0
		})
		_, err := s.Read(t.Context(), web, store.Reference{Key: "db"})
		wantFailure(t, err, fault.ErrUnavailable, "eks-pod-identity-agent")
		if strings.Contains(err.Error(), "eyJ") {
			t.Errorf("error %q shows a token", err)
		}
	})
}
