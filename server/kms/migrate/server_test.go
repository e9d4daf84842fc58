package migrate

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"k8s.io/client-go/rest"
)

// discovered is an API server that answers these paths, and else 404.
func discovered(t *testing.T, answers map[string]string) *Server {
	t.Helper()
	served := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer, ok := answers[r.URL.Path]
		switch {
		case !ok:
			http.NotFound(w, r)
		case strings.Contains(answer, `"Status"`):
			w.WriteHeader(http.StatusForbidden)
		}
		fmt.Fprint(w, answer)
	}))
	t.Cleanup(served.Close)
	server, err := NewServer(&rest.Config{Host: served.URL})
	if err != nil {
		t.Fatal(err)
	}
	return server
}

func discovery() map[string]string {
	const rewritten = `"verbs": ["list", "patch"]`
	return map[string]string{
		"/api":          `{"versions": ["v1"]}`,
		"/api/v1":       `{"groupVersion": "v1", "resources": [{"name": "secrets", ` + rewritten + `}]}`,
		"/apis":         `{"groups": [{"name": "apps", "versions": [{"groupVersion": "apps/v2", "version": "v2"}, {"groupVersion": "apps/v1", "version": "v1"}], "preferredVersion": {"groupVersion": "apps/v1", "version": "v1"}}]}`,
		"/apis/apps/v1": `{"groupVersion": "apps/v1", "resources": [{"name": "deployments", ` + rewritten + `}]}`,
		"/apis/apps/v2": `{"groupVersion": "apps/v2", "resources": [{"name": "deployments", ` + rewritten + `}, {"name": "novelties", ` + rewritten + `}]}`,
	}
}

func TestResourcesAreTakenInTheVersionThatTheServerPrefers(t *testing.T) {
	found, err := Resolve(t.Context(), discovered(t, discovery()), []string{"*.*"})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, one := range found {
		got = append(got, one.GroupVersionResource.String())
	}
	want := "[apps/v1, Resource=deployments apps/v2, Resource=novelties /v1, Resource=secrets]"
	if fmt.Sprint(got) != want {
		t.Errorf("%v, want %s", got, want)
	}
}

func TestAGroupThatIsAwayAndAServerThatRefusesAreTold(t *testing.T) {
	answers := discovery()
	delete(answers, "/apis/apps/v2")
	_, err := Resolve(t.Context(), discovered(t, answers), []string{"secrets"})
	if err == nil || !strings.Contains(err.Error(), "not all groups of the API server answer: GET /apis/apps/v2: 404") {
		t.Errorf("a version that does not answer: %v", err)
	}
	answers["/apis"] = `{"kind": "Status", "message": "forbidden: User \"planner\" cannot get path"}`
	_, err = Resolve(t.Context(), discovered(t, answers), []string{"secrets"})
	if err == nil || !strings.Contains(err.Error(), "does not list its resources: GET /apis: 403 Forbidden: forbidden: User") {
		t.Errorf("a server that refuses: %v", err)
	}
	if _, err := Resolve(t.Context(), discovered(t, nil), []string{"secrets"}); err == nil {
		t.Error("a server that is none tells resources")
	}
}
