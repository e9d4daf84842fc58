package awssecrets_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/lanyardhq/lanyard/provider/backend/aws/awstest"
	"github.com/lanyardhq/lanyard/provider/backend/backendtest"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/identity/identitytest"
	"github.com/lanyardhq/lanyard/provider/store"
)

func TestASecretIsReadByNameAndByARNAndByPartOfIt(t *testing.T) {
	f := newFixture(t)
	s, web := f.open(t, nil), f.pod(t, "prod/web")
	version, arn := f.PutSecret(ireland, "prod/db", `{"user":"app"}`)
	for _, key := range []string{"prod/db", arn, strings.TrimSuffix(arn, "-AbCdEf")} {
		value := mustRead(t, s, web, store.Reference{Key: key})
		if got := value.Data.RevealString(); got != `{"user":"app"}` || value.Version != version {
			t.Errorf("%s = %q, version %q; want version %q", key, got, value.Version, version)
		}
	}
}

func TestVersionsAndStages(t *testing.T) {
	f := newFixture(t)
	s, web := f.open(t, nil), f.pod(t, "prod/web")
	one, _ := f.PutSecret(ireland, "db", "one")
	two, _ := f.PutSecret(ireland, "db", "two")
	f.PutSecret(ireland, "db", "three")
	f.Stage(ireland, "db", one, "blue")
	for name, test := range map[string]struct {
		ref  store.Reference
		want string
	}{
		"current":         {store.Reference{Key: "db"}, "three"},
		"by ID":           {store.Reference{Key: "db", Version: two}, "two"},
		"previous":        {store.Reference{Key: "db", Options: map[string]any{"stage": "AWSPREVIOUS"}}, "two"},
		"own label":       {store.Reference{Key: "db", Options: map[string]any{"stage": "blue"}}, "one"},
		"by ID and label": {store.Reference{Key: "db", Version: one, Options: map[string]any{"stage": "blue"}}, "one"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := mustRead(t, s, web, test.ref).Data.RevealString(); got != test.want {
				t.Errorf("= %q, want %q", got, test.want)
			}
		})
	}
	_, err := s.Read(t.Context(), web, store.Reference{Key: "db", Options: map[string]any{"stage": "green"}})
	wantFailure(t, err, fault.ErrNotFound, "db in eu-west-1", "staging label: green")
}

func TestABinarySecretAndOneOf64KiBComeAsTheyAre(t *testing.T) {
	f := newFixture(t)
	s, web := f.open(t, nil), f.pod(t, "prod/web")
	binary := bytes.Repeat([]byte{0, 0xff, '\n', 0x80}, 1<<14)
	f.PutBinarySecret(ireland, "blob", binary)
	large := strings.Repeat("\"\\\u00e9\n", 1<<14)[:1<<16]
	f.PutSecret(ireland, "large", large)
	if got := mustRead(t, s, web, store.Reference{Key: "blob"}).Data.Reveal(); !bytes.Equal(got, binary) {
		t.Errorf("a binary secret of %d bytes came as %d", len(binary), len(got))
	}
	if got := mustRead(t, s, web, store.Reference{Key: "large"}).Data.RevealString(); got != strings.ToValidUTF8(large, "\ufffd") {
		t.Errorf("a secret of %d bytes came as %d", len(large), len(got))
	}
}

func TestFailuresNameTheSecretTheRegionAndTheRemedy(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		prepare func(f *fixture)
		kind    error
		texts   []string
	}{
		"missing": {func(f *fixture) { f.DeleteSecret(ireland, "prod/db", true) }, fault.ErrNotFound,
			[]string{"GetSecretValue prod/db in eu-west-1", "can't find", "check the name, the account and the region"}},
		"marked for deletion": {func(f *fixture) { f.DeleteSecret(ireland, "prod/db", false) }, fault.ErrNotFound,
			[]string{"prod/db", "marked for deletion", "restore"}},
		"key disabled": {func(f *fixture) { f.DisableKey(ireland, "prod/db") }, fault.ErrDenied, []string{"prod/db", "kms:Decrypt"}},
		"denied": {func(f *fixture) { f.PutRole("web", awstest.Role{Accounts: []string{"prod/web"}}) }, fault.ErrDenied,
			[]string{"prod/db", "permission denied", "assumed-role/web/lanyard.prod.web", "secretsmanager:GetSecretValue"}},
		"the role does not trust the service account": {func(f *fixture) { f.PutRole("web", awstest.Role{Accounts: []string{"prod/other"}}) }, fault.ErrDenied,
			[]string{"prod/db", "AssumeRoleWithWebIdentity of arn:aws:iam::111122223333:role/web", "trust policy"}},
		"throttled for long": {func(f *fixture) {
			f.Add(awstest.Fault{Action: "secretsmanager:GetSecretValue", Fail: throttledForLong()})
		}, fault.ErrUnavailable, []string{"prod/db", "throttling", "Rate exceeded"}},
		"failing": {func(f *fixture) {
			f.Add(awstest.Fault{Action: "secretsmanager:GetSecretValue", Fail: awstest.Fail(500, "InternalServiceError", "An error occurred on the server side.")})
		}, fault.ErrUnavailable, []string{"prod/db", "InternalServiceError"}},
		"a gateway that fails": {func(f *fixture) {
			f.Add(awstest.Fault{Action: "secretsmanager:GetSecretValue", Fail: awstest.Fail(502, "", "")})
		}, fault.ErrUnavailable, []string{"prod/db"}},
		"answers that break off": {func(f *fixture) {
			f.Add(awstest.Fault{Action: "secretsmanager:GetSecretValue", Truncate: true})
		}, fault.ErrUnavailable, []string{"prod/db"}},
		"STS unreachable": {func(f *fixture) { f.Add(awstest.Fault{Action: "sts:AssumeRoleWithWebIdentity", Drop: true}) }, fault.ErrUnavailable,
			[]string{"prod/db", "AssumeRoleWithWebIdentity", "cannot be reached"}},
		"STS throttled": {func(f *fixture) {
			f.Add(awstest.Fault{Action: "sts:AssumeRoleWithWebIdentity", Fail: throttledForLong()})
		}, fault.ErrUnavailable, []string{"prod/db", "throttling"}},
		"invalid": {func(f *fixture) {
			f.Add(awstest.Fault{Action: "secretsmanager:GetSecretValue", Fail: awstest.Fail(400, "InvalidParameterException", "The parameter name or value is invalid.")})
		}, fault.ErrInvalid, []string{"prod/db", "InvalidParameterException"}},
		"an old signature": {func(f *fixture) { f.SetClock(func() time.Time { return time.Now().Add(-30 * time.Minute) }) }, fault.ErrUnauthenticated,
			[]string{"prod/db", "check the node's clock"}},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			s, web := f.open(t, func(fields, _ map[string]any) { fields["retries"] = 1 }), f.pod(t, "prod/web")
			f.PutSecret(ireland, "prod/db", "planted-value")
			test.prepare(f)
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			_, err := s.Read(ctx, web, store.Reference{Key: "prod/db"})
			wantFailure(t, err, test.kind, test.texts...)
			if err != nil && strings.Contains(err.Error(), "planted-value") {
				t.Errorf("error %q shows the value", err)
			}
		})
	}
}

// throttledForLong asks to wait for longer than there is time.
func throttledForLong() *awstest.Error {
	fail := awstest.Throttled()
	fail.RetryAfter = time.Hour
	return fail
}

func TestTokensThatSTSRefuses(t *testing.T) {
	f := newFixture(t)
	s := f.open(t, func(fields, _ map[string]any) { fields["retries"] = 1 })
	f.PutSecret(ireland, "db", "v")
	other := awstest.New(t).NewIssuer(t)
	stranger := identitytest.NewIssuer(t, "https://oidc.eks.example.com/id/OTHER", &identitytest.Issuers{})
	for name, test := range map[string]struct {
		token string
		kind  error
		texts []string
	}{
		"wrong audience":       {f.issuer.Token(t, "prod/web", "vault", time.Now().Add(time.Hour)), fault.ErrUnauthenticated, []string{"Incorrect token audience", "client IDs hold sts.amazonaws.com"}},
		"expired":              {f.issuer.Token(t, "prod/web", "sts.amazonaws.com", time.Now().Add(-time.Hour)), fault.ErrUnauthenticated, []string{"the pod's token has expired", "requiresRepublish"}},
		"of no known issuer":   {stranger.Token(t, "prod/web", "sts.amazonaws.com", time.Now().Add(time.Hour)), fault.ErrUnauthenticated, []string{"No OpenIDConnect provider found", "check that IAM has an OpenID Connect provider"}},
		"of no known key":      {other.Token(t, "prod/web", "sts.amazonaws.com", time.Now().Add(time.Hour)), fault.ErrUnavailable, []string{"Couldn't retrieve verification key", "openid-configuration"}},
		"not a token":          {"hunter2", fault.ErrUnauthenticated, []string{"not a valid JWT"}},
		"another's, untrusted": {f.issuer.Token(t, "prod/api", "sts.amazonaws.com", time.Now().Add(time.Hour)), fault.ErrDenied, []string{"trust policy"}},
	} {
		t.Run(name, func(t *testing.T) {
			web := f.pod(t, "prod/"+strings.ReplaceAll(name, " ", "-"))
			web.Tokens = map[string]identity.Token{"sts.amazonaws.com": {JWT: secretOf(test.token)}}
			_, err := s.Read(t.Context(), web, store.Reference{Key: "db"})
			wantFailure(t, err, test.kind, test.texts...)
			if err != nil && strings.Contains(err.Error(), test.token) {
				t.Error("the error shows the token")
			}
		})
	}
	t.Run("none", func(t *testing.T) {
		_, err := s.Read(t.Context(), identity.Identity{Namespace: "prod", ServiceAccount: "none"}, store.Reference{Key: "db"})
		wantFailure(t, err, identity.ErrNoToken, `add {audience: "sts.amazonaws.com"} to spec.tokenRequests`)
		wantFailure(t, err, fault.ErrUnauthenticated)
	})
}

func TestAThrottledCallIsMadeAgain(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	s, web := f.open(t, nil), f.pod(t, "prod/web")
	f.PutSecret(ireland, "db", "v")
	f.Add(awstest.Fault{Action: "secretsmanager:GetSecretValue", Fail: awstest.Throttled(), Times: 3})
	mustRead(t, s, web, store.Reference{Key: "db"})
	if got := f.Calls("secretsmanager:GetSecretValue"); got != 4 {
		t.Errorf("%d calls, want three throttled and one more", got)
	}
}

func TestRepetitionEndsInTimeToSayWhy(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	s, web := f.open(t, func(fields, _ map[string]any) { fields["retries"] = 10 }), f.pod(t, "prod/web")
	f.Add(awstest.Fault{Action: "secretsmanager:GetSecretValue", Fail: awstest.Throttled()})
	before := 0
	err := backendtest.UntilAnswered(t, time.Second, func(ctx context.Context) error {
		before = f.Calls("secretsmanager:GetSecretValue")
		_, err := s.Read(ctx, web, store.Reference{Key: "db"})
		return err
	})
	wantFailure(t, err, fault.ErrUnavailable, "throttling")
	if calls := f.Calls("secretsmanager:GetSecretValue") - before; calls > 10 {
		t.Errorf("%d calls though the pauses before so many are longer than the time", calls)
	}
}

func TestASlowServiceEndsWithTheCaller(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	s, web := f.open(t, nil), f.pod(t, "prod/web")
	f.PutSecret(ireland, "db", "v")
	mustRead(t, s, web, store.Reference{Key: "db"})
	f.Add(awstest.Fault{Delay: time.Hour})
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	// Whoever waited for the answer would have it.
	if _, err := s.Read(ctx, web, store.Reference{Key: "db"}); !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, fault.ErrUnavailable) {
		t.Errorf("error %v", err)
	}
}

func TestCredentialsThatAreRefusedAreReplacedOnce(t *testing.T) {
	f := newFixture(t)
	s, web := f.open(t, nil), f.pod(t, "prod/web")
	f.PutSecret(ireland, "db", "v")
	mustRead(t, s, web, store.Reference{Key: "db"})
	f.ExpireSessions()
	mustRead(t, s, web, store.Reference{Key: "db"})
	if got := f.Calls("sts:AssumeRoleWithWebIdentity"); got != 2 {
		t.Errorf("%d exchanges, want 2", got)
	}
	// What is refused again is believed.
	f.Add(awstest.Fault{Action: "secretsmanager:GetSecretValue", Fail: awstest.Fail(400, "UnrecognizedClientException", "The security token included in the request is invalid.")})
	for range 3 {
		_, err := s.Read(t.Context(), web, store.Reference{Key: "db"})
		wantFailure(t, err, fault.ErrUnauthenticated, "db in eu-west-1")
	}
	if got := f.Calls("sts:AssumeRoleWithWebIdentity"); got > 3 {
		t.Errorf("%d exchanges, want no more than 3", got)
	}
}

func TestOneExchangeServesAServiceAccountAndNobodyElse(t *testing.T) {
	f := newFixture(t)
	f.PutRole("web", awstest.Role{Accounts: []string{"prod/web", "prod/api"}, Reads: []string{"*"}})
	for i := range 10 {
		f.PutSecret(ireland, fmt.Sprint("s", i), "v")
	}
	one, other := f.open(t, nil), f.open(t, nil) // two classes
	for _, s := range []store.Store{one, other} {
		for i := range 10 {
			mustRead(t, s, f.pod(t, "prod/web"), store.Reference{Key: fmt.Sprint("s", i)})
		}
	}
	if got := f.Calls("sts:AssumeRoleWithWebIdentity"); got != 1 {
		t.Errorf("%d exchanges for one service account, want 1", got)
	}
	mustRead(t, one, f.pod(t, "prod/api"), store.Reference{Key: "s0"})
	if got := f.Calls("sts:AssumeRoleWithWebIdentity"); got != 2 {
		t.Errorf("%d exchanges for two service accounts, want 2", got)
	}
}
