package aws_test

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lanyardhq/lanyard/provider/backend/aws"
	"github.com/lanyardhq/lanyard/provider/backend/aws/awstest"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/secret"
	"github.com/lanyardhq/lanyard/provider/store"
	"github.com/lanyardhq/lanyard/provider/store/awskms"
	"github.com/lanyardhq/lanyard/provider/store/awsparameters"
	"github.com/lanyardhq/lanyard/provider/store/awssecrets"
)

// Where AWS has an endpoint of the kind that is asked for, STS and each service
// are called there, over TLS.
// https://docs.aws.amazon.com/general/latest/gr/rande.html
func TestCallsGoToTheEndpointsOfTheKindThatIsAskedFor(t *testing.T) {
	ciphertext := "AQICAHhR0nzuPZYMAmZm0wAAAGowaAYJKoZIhvcNAQcG"
	for name, test := range map[string]struct {
		fips, dualStack bool
		sts             string
		services        []string
	}{
		"AWS's usual": {false, false, "sts.us-east-1.amazonaws.com", []string{
			"secretsmanager.us-east-1.amazonaws.com", "ssm.us-east-1.amazonaws.com", "kms.us-east-1.amazonaws.com",
		}},
		"FIPS": {true, false, "sts-fips.us-east-1.amazonaws.com", []string{
			"secretsmanager-fips.us-east-1.amazonaws.com", "ssm-fips.us-east-1.amazonaws.com", "kms-fips.us-east-1.amazonaws.com",
		}},
		// The usual endpoint of Secrets Manager is one.
		"dual stack": {false, true, "sts.us-east-1.api.aws", []string{
			"secretsmanager.us-east-1.amazonaws.com", "ssm.us-east-1.api.aws", "kms.us-east-1.api.aws",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			var services []string
			for of, newType := range map[string]func(*aws.Platform) store.Type{
				ciphertext: func(p *aws.Platform) store.Type { return awskms.NewType(p) },
				"db":       func(p *aws.Platform) store.Type { return awssecrets.NewType(p) },
				"/db":      func(p *aws.Platform) store.Type { return awsparameters.NewType(p) },
			} {
				own := map[string]any{"region": "us-east-1", "retries": 0}
				if test.fips {
					own["fips"] = true
				}
				if test.dualStack {
					own["dualStack"] = true
				}
				if got := dialled(t, newType, own, of); !slices.Equal(got, []string{test.sts}) {
					t.Errorf("a login calls %v, want %s", got, test.sts)
				}
				services = append(services, dialled(t, newType, own, of, "sts")...)
			}
			slices.Sort(services)
			slices.Sort(test.services)
			if !slices.Equal(services, test.services) {
				t.Errorf("the services are called at %v, want %v", services, test.services)
			}
		})
	}
}

// dialled are the hosts that a read calls in vain. With answering given, STS is
// the tests' own.
func dialled(t *testing.T, newType func(*aws.Platform) store.Type, fields map[string]any, key string, answering ...string) []string {
	t.Helper()
	server, platform := awstest.New(t), aws.New(aws.Options{})
	t.Cleanup(platform.Close)
	var hosts []string
	own := strings.TrimPrefix(server.URL, "http://")
	platform.DialWith(func(ctx context.Context, network, address string) (net.Conn, error) {
		if address == own {
			return (&net.Dialer{}).DialContext(ctx, network, address)
		}
		host, port, _ := strings.Cut(address, ":")
		if port != "443" {
			t.Errorf("%s is called without TLS", address)
		}
		hosts = append(hosts, host)
		return nil, errors.New("no route to host")
	})
	auth := map[string]any{"role": server.PutRole("web", awstest.Role{Accounts: []string{"prod/web"}, Reads: []string{"*"}})}
	if len(answering) > 0 {
		auth["stsEndpoint"] = server.URL
	}
	settings := map[string]any{"auth": auth}
	for field, value := range fields {
		settings[field] = value
	}
	opened, err := newType(platform).Open(store.Settings{Fields: settings, ByOperator: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(opened.Close)
	token := server.NewIssuer(t).Token(t, "prod/web", "sts.amazonaws.com", time.Now().Add(time.Hour))
	who := identity.Identity{Namespace: "prod", ServiceAccount: "web", Tokens: map[string]identity.Token{"sts.amazonaws.com": {JWT: secret.NewString(token)}}}
	if _, err := opened.Read(t.Context(), who, store.Reference{Key: key}); !errors.Is(err, fault.ErrUnavailable) {
		t.Errorf("Read: %v", err)
	}
	return hosts
}
