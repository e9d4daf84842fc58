package azure_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	platform "github.com/lanyardhq/lanyard/provider/backend/azure"
	"github.com/lanyardhq/lanyard/provider/backend/azure/azuretest"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/key"
	"github.com/lanyardhq/lanyard/provider/key/azure"
	"github.com/lanyardhq/lanyard/provider/secret"
)

// accessToken is one of the machine's identity.
func (f *fixture) accessToken(t *testing.T, resource string) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, f.azure.Metadata+"/metadata/identity/oauth2/token?api-version=2018-02-01&resource="+url.QueryEscape(resource), nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Metadata", "true")
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	var granted struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.NewDecoder(answer.Body).Decode(&granted); err != nil || granted.AccessToken == "" {
		t.Fatalf("the metadata service gives no token: %v", err)
	}
	return granted.AccessToken
}

// someone is who runs a command; nobody if the token is empty.
type someone struct {
	token func(policy.TokenRequestOptions) string
}

func (s someone) GetToken(_ context.Context, options policy.TokenRequestOptions) (azcore.AccessToken, error) {
	token := s.token(options)
	if token == "" {
		return azcore.AccessToken{}, errors.New("planted-cause")
	}
	return azcore.AccessToken{Token: token, ExpiresOn: time.Now().Add(time.Hour)}, nil
}

func TestAKeyOfACommandIsUsedAsThePerson(t *testing.T) {
	f := newFixture(t)
	bare := func(token func(policy.TokenRequestOptions) string) key.Key {
		opened, err := azure.NewType(azure.Options{Person: &platform.Person{Credential: someone{token}}}).OpenElsewhere(f.settings(map[string]any{"auth": nil}))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(opened.Close)
		return opened
	}
	opened := bare(func(options policy.TokenRequestOptions) string {
		if options.TenantID != azuretest.Tenant || len(options.Scopes) != 1 {
			t.Errorf("asked for tenant %s and %v", options.TenantID, options.Scopes)
		}
		return f.accessToken(t, strings.TrimSuffix(options.Scopes[0], "/.default"))
	})
	made := encrypt(t, opened)
	if plain, err := opened.Decrypt(t.Context(), node, made, scope); err != nil || plain.Len() == 0 {
		t.Errorf("Decrypt: %v", err)
	}
	if _, err := opened.Decrypt(t.Context(), f.pod(t, "prod/web"), made, scope); !errors.Is(err, fault.ErrDenied) {
		t.Errorf("a pod acts as the person: %v", err)
	}
	_, err := bare(func(policy.TokenRequestOptions) string { return "" }).Encrypt(t.Context(), node, secret.NewString("v"), scope)
	if !errors.Is(err, fault.ErrUnauthenticated) || !strings.Contains(err.Error(), "az login: planted-cause") {
		t.Errorf("error %v", err)
	}
}

// A file in a repository must not lead a person's token elsewhere.
func TestAPersonsTokenGoesToAzureAlone(t *testing.T) {
	for field, given := range map[string]any{
		"endpoint": "elsewhere.example.com:443", "resource": "https://vault.azure.net", "authorityHost": "https://elsewhere.example.com",
		"dnsSuffix": "elsewhere.example.com", "tls": map[string]any{"caCert": "x"}, "environmentFile": "/tmp/environment",
		"auth": map[string]any{"clientID": "x"},
	} {
		opened, err := azure.NewType(azure.Options{Person: &platform.Person{}}).Open(key.Settings{Fields: map[string]any{"vault": "kms-kv", "key": "kms", field: given}, ByOperator: true})
		if err == nil {
			opened.Close()
		}
		if !errors.Is(err, fault.ErrInvalid) || !strings.Contains(err.Error(), field+": has no place") {
			t.Errorf("%s: error %v", field, err)
		}
	}
}
