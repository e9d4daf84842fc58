package aws

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/smithy-go"

	"github.com/lanyardhq/lanyard/provider/backend/remote"
	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/secret"
)

func TestARegionThatWasUnavailableIsAskedLastForAWhile(t *testing.T) {
	var h health
	now := time.Unix(1_700_000_000, 0)
	regions := []string{"a", "b", "c"}
	want := func(order ...int) {
		t.Helper()
		if got := h.order(regions, now); !slices.Equal(got, order) {
			t.Errorf("order %v, want %v", got, order)
		}
	}
	want(0, 1, 2)
	h.failed("a", "why", now)
	want(1, 2, 0)
	h.failed("b", "why", now)
	want(2, 0, 1)
	if why, resting := h.resting("a", now); !resting || why != "why" || !h.doubtful("a") {
		t.Errorf("a: %q, resting %v", why, resting)
	}
	now = now.Add(maxRest)
	want(0, 1, 2)
	if !h.doubtful("a") {
		t.Error("a is trusted before it has answered")
	}
	h.answered("a")
	if h.doubtful("a") {
		t.Error("a is suspect though it answered")
	}
}

func TestNamesOfRegions(t *testing.T) {
	for name, want := range map[string]bool{
		"eu-west-1": true, "us-gov-east-1": true, "us-iso-west-1": true, "cn-north-1": true, "ap-southeast-12": true, "eusc-de-east-1": true, "mx-central-1": true,
		"": false, "eu-west": false, "EU-WEST-1": false, "eu-west-1.evil.example.com": false, "eu-west-1/": false, "eu west 1": false, "eu-west-1\n": false,
		"aa" + strings.Repeat("-aaaaaaaaaaaa", 3) + "-1": false,
	} {
		if got := isRegion(name); got != want {
			t.Errorf("isRegion(%q) = %v, want %v", name, got, want)
		}
	}
}

func TestEndpointsNameTheRegionThatIsAsked(t *testing.T) {
	for text, want := range map[string]string{
		"https://vpce.secretsmanager.{region}.vpce.amazonaws.com": "https://vpce.secretsmanager.eu-west-1.vpce.amazonaws.com",
		"http://127.0.0.1:4566/":                                  "http://127.0.0.1:4566",
	} {
		if got := endpointIn(text, "eu-west-1"); got == nil || *got != want {
			t.Errorf("endpointIn(%q) = %v", text, got)
		}
	}
	if endpointIn("", "eu-west-1") != nil {
		t.Error("AWS's own endpoint is named")
	}
	for _, wrong := range []string{"vpce.example.com", "ftp://host", "https://", "https://user:planted@host", "https://host/path", "https://host?x", "https://host#x", "https://%zz"} {
		var problems remote.Problems
		checkEndpoint("endpoint", wrong, &problems)
		if len(problems) != 1 || strings.Contains(problems[0].Text, "planted") {
			t.Errorf("checkEndpoint(%q): %v", wrong, problems)
		}
	}
}

func TestNamesOfSessionsAreWhatSTSTakes(t *testing.T) {
	for _, test := range []struct{ namespace, account, want string }{
		{"prod", "web", "lanyard.prod.web"},
		{"prod", "web:x/y z", "lanyard.prod.web_x_y_z"},
		{strings.Repeat("n", 63), "web", "lanyard." + strings.Repeat("n", 56)},
	} {
		auth := DefaultSettings().Auth
		if got, failed := auth.session(identity.Identity{Namespace: test.namespace, ServiceAccount: test.account}); failed != nil || got.name != test.want {
			t.Errorf("the session is called %q, want %q", got.name, test.want)
		}
	}
}

func TestATargetShowsNoCredentialsWhenPrinted(t *testing.T) {
	target := Target{Region: "eu-west-1", Credentials: credentials.StaticCredentialsProvider{Value: awssdk.Credentials{SecretAccessKey: "planted-7d1c3"}}}
	if printed := fmt.Sprintf("%v %+v %#v %s", target, &target, target, target); strings.Contains(printed, "planted") {
		t.Errorf("printed as %s", printed)
	}
}

func TestTheTokenThatWasSentIsNeverQuoted(t *testing.T) {
	err := Explain(&apiError{"InvalidIdentityToken", "the token planted-7d1c3 is bad"}, secret.NewString("planted-7d1c3"))
	if strings.Contains(err.Error(), "planted") || !strings.Contains(err.Error(), "is bad") {
		t.Errorf("error %v", err)
	}
}

// apiError is an error of a service, as the SDK returns it.
type apiError struct{ code, message string }

func (e *apiError) Error() string        { return e.code }
func (e *apiError) ErrorCode() string    { return e.code }
func (e *apiError) ErrorMessage() string { return e.message }

func (e *apiError) ErrorFault() smithy.ErrorFault { return smithy.FaultClient }
