package gcp_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/oauth2"

	platform "github.com/lanyardhq/lanyard/provider/backend/gcp"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/key"
	"github.com/lanyardhq/lanyard/provider/key/gcp"
	"github.com/lanyardhq/lanyard/provider/secret"
)

// accessToken is one of the service account that the node runs as.
func (c *cloud) accessToken(t *testing.T) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, c.Identity+"/computeMetadata/v1/instance/service-accounts/default/token", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Metadata-Flavor", "Google")
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
		t.Fatalf("the metadata server gives no token: %v", err)
	}
	return granted.AccessToken
}

// noPerson is someone who is not logged in.
type noPerson struct{}

func (noPerson) Token() (*oauth2.Token, error) { return nil, errors.New("planted-cause") }

func TestAKeyOfACommandIsUsedAsThePerson(t *testing.T) {
	c := newCloud(t)
	bare := func(source oauth2.TokenSource) key.Key {
		settings := c.asPod(kmsName, nil)
		delete(settings.Fields, "auth")
		opened, err := gcp.NewType(gcp.Options{Person: &platform.Person{Source: source}}).OpenElsewhere(settings)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(opened.Close)
		return opened
	}
	opened := bare(oauth2.StaticTokenSource(&oauth2.Token{AccessToken: c.accessToken(t), Expiry: time.Now().Add(time.Hour)}))
	made, err := opened.Encrypt(t.Context(), node, secret.NewString("v"), scope)
	if err != nil {
		t.Fatal(err)
	}
	if plain, err := opened.Decrypt(t.Context(), node, made, scope); err != nil || plain.RevealString() != "v" {
		t.Errorf("Decrypt: %v", err)
	}
	if _, err := opened.Decrypt(t.Context(), c.pod(t, "prod", "web"), made, scope); !errors.Is(err, fault.ErrDenied) {
		t.Errorf("a pod acts as the person: %v", err)
	}
	_, err = bare(noPerson{}).Encrypt(t.Context(), identity.Identity{}, secret.NewString("v"), scope)
	if !errors.Is(err, fault.ErrUnauthenticated) || !strings.Contains(err.Error(), "gcloud auth application-default login: planted-cause") {
		t.Errorf("error %v", err)
	}
}

// A file in a repository must not lead a person's token elsewhere.
func TestAPersonsTokenGoesToGoogleAlone(t *testing.T) {
	for want, fields := range map[string]map[string]any{
		"endpoint: must be a host of googleapis.com": {"key": kmsName, "endpoint": "https://elsewhere.example.com"},
		"endpoint: must begin with https://":         {"key": kmsName, "endpoint": "http://cloudkms.googleapis.com"},
		"auth: has no place":                         {"key": kmsName, "auth": map[string]any{"method": "keyFile", "keyFile": "/etc/passwd"}},
		"tls: has no place":                          {"key": kmsName, "tls": map[string]any{"caCert": "x"}},
	} {
		opened, err := gcp.NewType(gcp.Options{Person: &platform.Person{Source: noPerson{}}}).Open(key.Settings{Fields: fields, ByOperator: true})
		if err == nil {
			opened.Close()
		}
		if !errors.Is(err, fault.ErrInvalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}
