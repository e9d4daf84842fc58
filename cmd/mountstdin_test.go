package cmd

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lanyardhq/lanyard/provider/backend/aws/awstest"
)

func runWithInput(input string, args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	code = Execute(args, strings.NewReader(input), &out, &errs)
	return code, out.String(), errs.String()
}

func TestMountTakesTheClassFromStandardInput(t *testing.T) {
	_, _, config := mountFixture(t)
	several := mountClass + "---\n" + strings.Replace(mountClass, "name: web", "name: api", 1)
	list := "apiVersion: v1\nkind: List\nitems:\n- " + strings.ReplaceAll(strings.TrimSpace(mountClass), "\n", "\n  ") + "\n"
	for name, test := range map[string]struct {
		input string
		args  []string
		code  int
		want  string
	}{
		"one":             {mountClass, nil, exitOK, "licence  0400  11"},
		"one of several":  {several, []string{"--class", "api"}, exitOK, "licence  0400  11"},
		"of a list":       {list, nil, exitOK, "licence  0400  11"},
		"several":         {several, nil, exitUsage, "standard input holds several classes; choose one with --class: web, api"},
		"nothing":         {"", nil, exitUsage, "standard input holds no SecretProviderClass"},
		"something else":  {"apiVersion: v1\nkind: Secret\nstringData: {a: planted}\n", nil, exitUsage, "standard input holds no SecretProviderClass"},
		"no YAML":         {"a: [planted", nil, exitUsage, "<stdin>: line 1: is not valid YAML"},
		"one that is not": {mountClass, []string{"--class", "db"}, exitUsage, "standard input holds no SecretProviderClass named db"},
	} {
		t.Run(name, func(t *testing.T) {
			code, stdout, stderr := runWithInput(test.input, append([]string{"mount", "-", "--config", config}, test.args...)...)
			if code != test.code || !strings.Contains(stdout+stderr, test.want) || strings.Contains(stdout+stderr, "planted") {
				t.Errorf("exit code %d:\n%s%s", code, stdout, stderr)
			}
		})
	}
}

// Where no file can be written, the pod's tokens come with the class, as kubectl create token
// prints them.
func TestMountTakesTokensBesideTheClass(t *testing.T) {
	server := awstest.New(t)
	issuer := server.NewIssuer(t)
	role := server.PutRole("web", awstest.Role{Accounts: []string{"prod/web"}, Reads: []string{"prod/*"}})
	server.PutSecret("eu-west-1", "prod/db", "planted")
	config := filepath.Join(t.TempDir(), "lanyard.yaml")
	text := fmt.Sprintf("stores:\n  secretsmanager: {type: aws-secrets-manager, endpoint: '%s', retries: 0, auth: {role: '%s', stsEndpoint: '%s'}}\n", server.URL, role, server.URL)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	class := classText("lanyard", "objects", "- {path: db, store: secretsmanager, key: prod/db}\n", "stores", "secretsmanager: {region: eu-west-1}\n")
	token := func(kind, account, audience string) string {
		return fmt.Sprintf("---\napiVersion: authentication.k8s.io/v1\nkind: %s\nmetadata: {creationTimestamp: null, name: web, namespace: prod}\nspec: {audiences: [%s], boundObjectRef: null, expirationSeconds: 3600}\nstatus: {expirationTimestamp: '2026-01-01T00:00:00Z', token: %s}\n",
			kind, audience, issuer.Token(t, account, audience, time.Now().Add(time.Hour)))
	}
	other := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(other, []byte(issuer.Token(t, "prod/other", "sts.amazonaws.com", time.Now().Add(time.Hour))), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		input string
		args  []string
		code  int
		want  string
	}{
		"beside the class": {class + token("TokenRequest", "prod/web", "sts.amazonaws.com"), nil, exitOK, "db    0644  7"},
		"before the class": {token("TokenRequest", "prod/web", "sts.amazonaws.com") + "---\n" + class, nil, exitOK, "db    0644  7"},
		"another audience": {class + token("TokenRequest", "prod/web", "vault"), nil, exitFailed, `no usable service account token for audience "sts.amazonaws.com"`},
		"another kind":     {class + token("TokenReview", "prod/web", "sts.amazonaws.com"), nil, exitFailed, `no usable service account token for audience "sts.amazonaws.com"`},
		"another account":  {class + token("TokenRequest", "prod/other", "sts.amazonaws.com"), nil, exitFailed, "AssumeRoleWithWebIdentity"},
		"a file wins":      {class + token("TokenRequest", "prod/web", "sts.amazonaws.com"), []string{"--token", "sts.amazonaws.com=" + other}, exitFailed, "AssumeRoleWithWebIdentity"},
	} {
		t.Run(name, func(t *testing.T) {
			code, stdout, stderr := runWithInput(test.input, append([]string{"mount", "-", "--config", config}, test.args...)...)
			if code != test.code || !strings.Contains(stdout+stderr, test.want) || strings.Contains(stdout+stderr, "planted") || strings.Contains(stdout+stderr, "eyJ") {
				t.Errorf("exit code %d:\n%s%s", code, stdout, stderr)
			}
		})
	}
}
