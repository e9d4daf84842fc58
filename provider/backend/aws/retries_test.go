package aws

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/lanyardhq/lanyard/provider/backend/aws/awstest"
	"github.com/lanyardhq/lanyard/provider/backend/backendtest"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/identity"
)

// failing makes one call over connections in memory that fails as unavailable.
func failing(t *testing.T, server *awstest.Server, as identity.Identity, role string, retries int) {
	t.Helper()
	platform := New(Options{})
	t.Cleanup(platform.Close)
	platform.DialWith(backendtest.InMemory(t, server, nil))
	settings := DefaultSettings()
	settings.Region, settings.Endpoint, settings.Auth.STSEndpoint = "eu-west-1", "http://aws.test", "http://aws.test"
	settings.Auth.Role, settings.Retries = role, retries
	access := opened(t, platform, settings)
	err := access.Call(t.Context(), as, "GetSecretValue db", func(ctx context.Context, target Target) error {
		client := secretsmanager.New(secretsmanager.Options{
			Region: target.Region, BaseEndpoint: access.Endpoint(target.Region), HTTPClient: access.HTTP(), Retryer: awssdk.NopRetryer{}, Credentials: target.Credentials,
		})
		_, err := client.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: awssdk.String("db")})
		return err
	})
	if !errors.Is(err, fault.ErrUnavailable) {
		t.Errorf("error %v, want unavailable", err)
	}
}

func TestRetriesAreCounted(t *testing.T) {
	for action, answer := range map[string]*awstest.Error{
		"secretsmanager:GetSecretValue": awstest.Fail(http.StatusInternalServerError, "InternalServiceError", "later"),
		"sts:AssumeRoleWithWebIdentity": awstest.Fail(http.StatusServiceUnavailable, "ServiceUnavailable", "later"),
	} {
		t.Run(action, func(t *testing.T) {
			server := awstest.New(t)
			as, role := podOf(t, server, "prod/web"), server.PutRole("web", awstest.Role{Accounts: []string{"prod/web"}})
			server.Add(awstest.Fault{Action: action, Fail: answer})
			backendtest.CheckRetries(t, func(t *testing.T, retries int) int {
				server.ResetCalls()
				failing(t, server, as, role, retries)
				return server.Calls(action)
			})
		})
	}
}

// A pause that the answer asks for is kept; one beyond the longest pause leaves no
// retry.
func TestRetryAfterIsHonoured(t *testing.T) {
	const action = "secretsmanager:GetSecretValue"
	for name, test := range map[string]struct {
		after time.Duration
		calls int
		least time.Duration
	}{
		"kept":     {4 * time.Second, 3, 8 * time.Second},
		"too long": {time.Minute, 1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			server := awstest.New(t)
			as, role := podOf(t, server, "prod/web"), server.PutRole("web", awstest.Role{Accounts: []string{"prod/web"}})
			later := awstest.Fail(http.StatusServiceUnavailable, "ServiceUnavailable", "later")
			later.RetryAfter = test.after
			server.Add(awstest.Fault{Action: action, Fail: later})
			now := time.Now()
			synctest.Test(t, func(t *testing.T) {
				time.Sleep(time.Until(now))
				start := time.Now()
				failing(t, server, as, role, 2)
				if took := time.Since(start); took < test.least || took > test.least+time.Second {
					t.Errorf("it took %v, want %v", took, test.least)
				}
				if calls := server.Calls(action); calls != test.calls {
					t.Errorf("%d calls, want %d", calls, test.calls)
				}
			})
		})
	}
}
