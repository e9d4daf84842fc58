package gcp

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/lanyardhq/lanyard/provider/backend/credential"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/secret"
)

// metadataPath is where a node's metadata server has what it knows.
// https://cloud.google.com/compute/docs/metadata/predefined-metadata-keys
const metadataPath = "/computeMetadata/v1/"

// metadataToken gets a token of the service account that the provider itself
// runs as.
// https://cloud.google.com/compute/docs/access/authenticate-workloads#applications
func (s *Login) metadataToken(ctx context.Context) (secret.Bytes, time.Time, error) {
	var granted struct {
		AccessToken string `json:"access_token"`
		ExpiresIn   int64  `json:"expires_in"`
	}
	start := s.Link.now()
	err := s.call(ctx, callOf{
		what:    "asking the metadata server at " + Host(s.Auth.MetadataEndpoint) + " for a token",
		refused: "give the provider's pod a service account that has one of Google's, or use auth.method workloadIdentity",
		kind:    fault.ErrUnauthenticated, over: s.Link.way.Node, endpoint: s.Auth.MetadataEndpoint, local: true,
	}, func(ctx context.Context, client *http.Client) error {
		req, err := s.metadataRequest(ctx, "instance/service-accounts/default/token?scopes="+url.QueryEscape(Scope))
		if err != nil {
			return err
		}
		err = sendJSON(client, req, &granted)
		if err == nil && (granted.AccessToken == "" || granted.ExpiresIn <= 0) {
			return errNoAnswer
		}
		return err
	})
	if err != nil {
		return secret.Bytes{}, time.Time{}, err
	}
	return secret.NewString(granted.AccessToken), start.Add(time.Duration(min(granted.ExpiresIn, 24*3600)) * time.Second), nil
}

func (s *Login) metadataRequest(ctx context.Context, path string) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.Auth.MetadataEndpoint+metadataPath+path, nil)
	if err == nil {
		req.Header.Set("Metadata-Flavor", "Google")
	}
	return req, err
}

// clusterFor is after about how long the metadata server is asked again which
// cluster the node is of, which does not change while the node lives.
const clusterFor = 24 * time.Hour

// audience returns the audience of the exchange: as configured, or that of the node's GKE
// cluster.
// https://cloud.google.com/kubernetes-engine/docs/concepts/workload-identity
func (s *Login) audience(ctx context.Context) (string, error) {
	if s.Auth.Audience != "" {
		return s.Auth.Audience, nil
	}
	return s.Link.facts.Get(ctx, credential.Key{Issuer: s.Auth.MetadataEndpoint}, clusterFor, func(ctx context.Context) (string, error) {
		var facts [3]string
		for i, path := range [...]string{"project/project-id", "instance/attributes/cluster-location", "instance/attributes/cluster-name"} {
			text, err := s.metadataText(ctx, path)
			if err != nil {
				return "", err
			}
			facts[i] = text
		}
		project, location, name := facts[0], facts[1], facts[2]
		return fmt.Sprintf("identitynamespace:%[1]s.svc.id.goog:https://container.googleapis.com/v1/projects/%[1]s/locations/%[2]s/clusters/%[3]s", project, location, name), nil
	})
}

// metadataText gets one word from the metadata server.
func (s *Login) metadataText(ctx context.Context, path string) (string, error) {
	const remedy = "set auth.audience to the workload identity pool and provider of this cluster"
	what := "finding out the workload identity pool: asking the metadata server at " + Host(s.Auth.MetadataEndpoint) + " for " + path
	var text string
	err := s.call(ctx, callOf{what: what, refused: "the node is of no GKE cluster, or its metadata server does not say", kind: fault.ErrUnauthenticated, over: s.Link.way.Node, endpoint: s.Auth.MetadataEndpoint, local: true}, func(ctx context.Context, client *http.Client) error {
		req, err := s.metadataRequest(ctx, path)
		if err != nil {
			return err
		}
		resp, err := client.Do(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close() //nolint:errcheck // it has been read as far as it matters
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			return err
		}
		text = strings.TrimSpace(string(body))
		// Other clouds have another server at the same address.
		if resp.StatusCode != http.StatusOK || resp.Header.Get("Metadata-Flavor") != "Google" || text == "" || len(text) > 100 || strings.ContainsFunc(text, notPlain) {
			return errNoAnswer
		}
		return nil
	})
	if err != nil {
		return "", fmt.Errorf("%w; %s", err, remedy)
	}
	return text, nil
}
