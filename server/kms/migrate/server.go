package migrate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"time"

	v1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
)

const (
	// maxServerAnswer bounds one answer: the metrics of a large API server are
	// some megabytes.
	maxServerAnswer = 64 << 20
	// serverTimeout is for one call where the configuration names none.
	serverTimeout = 32 * time.Second
)

// Server reads the resources and the metrics of an API server.
//
// It is no client-go discovery client, which brings the types of every API of
// Kubernetes and so half as much again to the program's size.
type Server struct {
	client *http.Client
	base   *url.URL
}

// NewServer returns the server of a configuration. It makes no call.
func NewServer(config *rest.Config) (*Server, error) {
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, err
	}
	if client.Timeout == 0 {
		client.Timeout = serverTimeout
	}
	base, _, err := rest.DefaultServerUrlFor(config)
	return &Server{client: client, base: base}, err
}

// Metrics are what the server answers to GET /metrics.
func (s *Server) Metrics(ctx context.Context) ([]byte, error) { return s.get(ctx, "metrics") }

func (s *Server) get(ctx context.Context, path ...string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.base.JoinPath(path...).String(), http.NoBody)
	if err != nil {
		return nil, err
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close() //nolint:errcheck // it has been read as far as it matters
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxServerAnswer+1))
	switch {
	case err != nil:
		return nil, err
	case len(body) > maxServerAnswer:
		return nil, fmt.Errorf("GET %s: the answer is larger than %d MiB", req.URL.Path, maxServerAnswer>>20)
	case resp.StatusCode == http.StatusOK:
		return body, nil
	}
	var said v1.Status
	if json.Unmarshal(body, &said) != nil || said.Message == "" {
		return nil, fmt.Errorf("GET %s: %s", req.URL.Path, resp.Status)
	}
	return nil, fmt.Errorf("GET %s: %s: %s", req.URL.Path, resp.Status, said.Message)
}

func (s *Server) read(ctx context.Context, into any, path ...string) error {
	body, err := s.get(ctx, path...)
	if err == nil {
		err = json.Unmarshal(body, into)
	}
	return err
}

// resources are what the server serves, each in the version of its group that
// the server prefers, or in the first other one that has it. away are the
// versions that do not answer, such as those of an aggregated API; err means
// that nothing is known.
// https://kubernetes.io/docs/concepts/overview/kubernetes-api/#discovery-api
func (s *Server) resources(ctx context.Context) (lists []v1.APIResourceList, away []error, err error) {
	var core v1.APIVersions
	var groups v1.APIGroupList
	if err := errors.Join(s.read(ctx, &core, "api"), s.read(ctx, &groups, "apis")); err != nil {
		return nil, nil, err
	}
	var versions [][]string // of one group each, the preferred one first
	for _, version := range core.Versions {
		versions = append(versions, []string{"api", version})
	}
	for _, group := range groups.Groups {
		for _, version := range append([]v1.GroupVersionForDiscovery{group.PreferredVersion}, group.Versions...) {
			if path := []string{"apis", group.Name, version.Version}; version.Version != "" && !slices.ContainsFunc(versions, func(other []string) bool { return slices.Equal(other, path) }) {
				versions = append(versions, path)
			}
		}
	}
	known := map[string]bool{}
	for _, path := range versions {
		var list v1.APIResourceList
		if err := s.read(ctx, &list, path...); err != nil {
			away = append(away, err)
			continue
		}
		group := path[1 : len(path)-1]
		list.APIResources = slices.DeleteFunc(list.APIResources, func(one v1.APIResource) bool {
			name := fmt.Sprint(group, one.Name)
			was := known[name]
			known[name] = true
			return was
		})
		lists = append(lists, list)
	}
	return lists, away, nil
}
