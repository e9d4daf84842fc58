package aws

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/lanyardhq/lanyard/provider/backend/aws/awstest"
	"github.com/lanyardhq/lanyard/provider/backend/backendtest"
)

// None is taken for credentials, whoever grants them.
func TestAnAnswerThatIsNotWholeIsNoLogin(t *testing.T) {
	const arn = "arn:aws:sts::111122223333:assumed-role/web/lanyard.prod.web"
	answer := func(id, secret, token, expires, user string) string {
		return `<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleWithWebIdentityResult><Credentials>` +
			id + secret + token + expires + `</Credentials>` + user + `</AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>`
	}
	const (
		id      = "<AccessKeyId>ASIA</AccessKeyId>"
		secret  = "<SecretAccessKey>s</SecretAccessKey>"
		token   = "<SessionToken>t</SessionToken>"
		expires = "<Expiration>2100-01-01T00:00:00Z</Expiration>"
		user    = "<AssumedRoleUser><Arn>" + arn + "</Arn></AssumedRoleUser>"
	)
	of := func(role, account string) string {
		return "<AssumedRoleUser><Arn>arn:aws:sts::" + account + ":assumed-role/" + role + "</Arn></AssumedRoleUser>"
	}
	sts := map[string]string{
		"no key ID": answer("", secret, token, expires, user), "an empty key ID": answer("<AccessKeyId/>", secret, token, expires, user),
		"no secret": answer(id, "", token, expires, user), "an empty secret": answer(id, "<SecretAccessKey/>", token, expires, user),
		"no token": answer(id, secret, "", expires, user), "an empty token": answer(id, secret, "<SessionToken/>", expires, user),
		"no end": answer(id, secret, token, "", user), "an end that is none": answer(id, secret, token, "<Expiration>x</Expiration>", user),
		"no role": answer(id, secret, token, expires, ""), "another role": answer(id, secret, token, expires, of("other/lanyard.prod.web", "111122223333")),
		"another account":     answer(id, secret, token, expires, of("web/lanyard.prod.web", "999999999999")),
		"another session":     answer(id, secret, token, expires, of("web/lanyard.prod.other", "111122223333")),
		"an ARN that is none": answer(id, secret, token, expires, "<AssumedRoleUser><Arn>x</Arn></AssumedRoleUser>"), "half": answer(id, secret, token, expires, user)[:200],
		"no XML": "x", "other XML": "<html/>", "no result": `<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"/>`,
	}
	opaque := backendtest.Answer{Values: []string{"AccessKeyId", "SecretAccessKey", "Token"}, Free: []string{"AccountId", "Type", "LastUpdated"}}
	for who, test := range map[string]struct {
		more   map[string]string
		method string
		node   *Node
	}{
		"STS": {sts, methodWebIdentity, nil}, "the agent of EKS Pod Identity": {nil, methodPodIdentity, nil},
		"STS, for the node": {sts, "", &Node{Method: methodWebIdentityFile}}, "the metadata service": {nil, "", &Node{Method: methodInstanceRole}},
	} {
		t.Run(who, func(t *testing.T) {
			server, down := awstest.New(t), ""
			role := server.PutRole("web", awstest.Role{Accounts: []string{"prod/web"}})
			server.Associate("prod/web", role)
			server.SetInstanceRole(role)
			pod := podOf(t, server, "prod/web")
			file := filepath.Join(t.TempDir(), "token")
			if err := os.WriteFile(file, []byte(pod.Tokens[stsAudience].JWT.RevealString()), 0o600); err != nil {
				t.Fatal(err)
			}
			opaque.Logins(t, &server.Logins, test.more, func(t *testing.T) (used bool, err error) {
				platform := New(Options{})
				defer platform.Close()
				reach(platform, server, &down)
				settings := DefaultSettings()
				settings.Region, settings.Retries = "eu-west-1", 0
				if test.method != "" {
					settings.Auth.Method = test.method
				}
				if test.method != methodPodIdentity {
					settings.Auth.Role, settings.Auth.STSEndpoint = role, server.URL
				}
				access, err := platform.Connect("test", settings)
				if test.node != nil {
					node := *test.node
					if node.Method == methodWebIdentityFile {
						node.TokenFile, node.Role, node.STSEndpoint = file, role, server.URL
					} else {
						node.MetadataEndpoint = server.URL
					}
					access, err = platform.ConnectAsNode("test", settings, node)
				}
				if err != nil {
					t.Fatal(err)
				}
				defer access.Close()
				err = access.Call(t.Context(), pod, "Test", func(_ context.Context, target Target) error {
					granted, err := target.Credentials.Retrieve(t.Context())
					used = err == nil && granted.HasKeys() && time.Until(granted.Expires) > 0
					return err
				})
				return used, err
			})
		})
	}
}
