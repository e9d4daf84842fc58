package conforms

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/lanyardhq/lanyard/integration/conformance"
	"github.com/lanyardhq/lanyard/integration/issuer"
	"github.com/lanyardhq/lanyard/provider/backend/gcp/gcptest"
)

// newGCP has Google Secret Manager, where each service account reads the
// secrets of a project of its own. Names that no secret can have are kept under
// others.
func newGCP(t *testing.T) store {
	t.Helper()
	const pool = "shop.svc.id.goog"
	audience := gcptest.GKE("shop", "europe-west3", "one")
	tokens, err := issuer.New()
	if err != nil {
		t.Fatal(err)
	}
	server := gcptest.New(t)
	server.Trust(issuer.Name, tokens.PublicKey())
	server.PutProvider(audience, gcptest.Provider{Pool: pool, Issuer: issuer.Name, TokenAudience: pool})
	for _, account := range accounts {
		server.Grant("projects/"+account.Name+"-project", gcptest.Workload(pool, account.Namespace, account.Name))
	}
	var names secretNames
	resource := func(owner conformance.Account, name string) string {
		return "projects/" + owner.Name + "-project/secrets/" + names.of(name)
	}
	repair := func() {}
	return store{
		config: fmt.Sprintf("  gcp: {type: google-secret-manager, retries: 0, endpoint: '%s', auth: {audience: '%s', stsEndpoint: '%s'}}\n",
			server.Endpoint, audience, server.Identity),
		put: func(_ context.Context, owner conformance.Account, name string, value []byte) error {
			server.Put(resource(owner, name), value)
			return nil
		},
		remove: func(_ context.Context, owner conformance.Account, name string) error {
			server.Delete(resource(owner, name))
			return nil
		},
		object: func(owner conformance.Account, object conformance.Object) (map[string]any, error) {
			return map[string]any{"store": "gcp", "key": resource(owner, object.Name)}, nil
		},
		tokens: tokensWith(tokens, pool),
		reads:  func() int { return server.Calls("AccessSecretVersion") },
		fail: func(context.Context) error {
			repair = server.Add(gcptest.Fault{Method: "AccessSecretVersion", Code: codes.Unavailable})
			return nil
		},
		recover: func(context.Context) error { repair(); return nil },
	}
}

// gcpClass is a class as users of Google's provider write it.
func gcpClass(s store, owner conformance.Account, objects []conformance.Object) (map[string]string, error) {
	type entry struct {
		Resource string `json:"resourceName"`
		Path     string `json:"path"`
		Mode     uint32 `json:"mode,omitempty"`
	}
	all := make([]entry, len(objects))
	for i, object := range objects {
		native, err := s.object(owner, object)
		if err != nil {
			return nil, err
		}
		all[i] = entry{fmt.Sprint(native["key"], "/versions/latest"), object.Path, uint32(object.Mode)}
	}
	text, err := json.Marshal(all)
	return map[string]string{"secrets": string(text)}, err
}

// secretNames gives each name of the suite one that a secret can have.
type secretNames struct {
	mu    sync.Mutex
	known map[string]string
}

func (s *secretNames) of(name string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known == nil {
		s.known = map[string]string{}
	}
	if s.known[name] == "" {
		plain := strings.Map(func(r rune) rune {
			if r < 0x80 && (r == '-' || r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z') {
				return r
			}
			return '_'
		}, name)
		s.known[name] = fmt.Sprintf("%d-%.200s", len(s.known), plain)
	}
	return s.known[name]
}

// tokensWith are tokensFor an audience of the store's own.
func tokensWith(from *issuer.Issuer, audience string) func(context.Context, conformance.Pod) (map[string]conformance.Token, error) {
	return func(_ context.Context, pod conformance.Pod) (map[string]conformance.Token, error) {
		expires := time.Now().Add(time.Hour).Truncate(time.Second)
		text, err := from.Token(issuer.Claims{
			Audience: audience, Namespace: pod.Namespace, ServiceAccount: pod.Account.Name,
			UID: "uid-of-" + pod.Account.String(), Pod: pod.Name, PodUID: pod.UID, Expires: expires,
		})
		return map[string]conformance.Token{audience: {Token: text, Expires: expires}}, err
	}
}
