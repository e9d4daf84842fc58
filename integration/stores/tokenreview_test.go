package stores

import (
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/lanyardhq/lanyard/provider/identity"
)

// tokenReviewer is an API server that answers TokenReview alone, by what the
// tokens say.
// https://kubernetes.io/docs/reference/kubernetes-api/authentication-resources/token-review-v1/
type tokenReviewer struct {
	address string
	caPEM   string

	mu   sync.Mutex
	seen []review
	bad  map[string]bool
}

// review is one review that was asked for.
type review struct{ token, by string }

func newTokenReviewer(t *testing.T) *tokenReviewer {
	t.Helper()
	r := &tokenReviewer{bad: map[string]bool{}}
	server := httptest.NewTLSServer(http.HandlerFunc(r.serve))
	t.Cleanup(server.Close)
	r.address = server.URL
	r.caPEM = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
	return r
}

func (r *tokenReviewer) reviews() []review {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]review(nil), r.seen...)
}

// revoked makes the API server refuse the pod's token, as it does once the pod
// is gone.
func (r *tokenReviewer) revoked(pod identity.Identity) identity.Identity {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.bad[pod.Tokens["vault"].JWT.RevealString()] = true
	return pod
}

func (r *tokenReviewer) serve(w http.ResponseWriter, req *http.Request) {
	var body struct {
		Spec struct {
			Token     string   `json:"token"`
			Audiences []string `json:"audiences"`
		} `json:"spec"`
	}
	if req.Method != http.MethodPost || req.URL.Path != "/apis/authentication.k8s.io/v1/tokenreviews" || json.NewDecoder(req.Body).Decode(&body) != nil {
		http.NotFound(w, req)
		return
	}
	r.mu.Lock()
	r.seen = append(r.seen, review{token: body.Spec.Token, by: req.Header.Get("Authorization")})
	bad := r.bad[body.Spec.Token]
	r.mu.Unlock()

	status := map[string]any{"authenticated": false, "error": "invalid bearer token"}
	if account, uid, audience, ok := parseToken(body.Spec.Token); ok && !bad && (len(body.Spec.Audiences) == 0 || body.Spec.Audiences[0] == audience) {
		status = map[string]any{"authenticated": true, "audiences": []string{audience}, "user": map[string]any{
			"username": account, "uid": uid,
			"groups": []string{"system:serviceaccounts", "system:authenticated"},
		}}
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusCreated)
	answer, err := json.Marshal(map[string]any{"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "status": status})
	if err != nil {
		panic(err) // fails the request and with it the test
	}
	_, _ = w.Write(answer)
}

func parseToken(token string) (account, uid, audience string, ok bool) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return "", "", "", false
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return "", "", "", false
	}
	var claims struct {
		Subject    string   `json:"sub"`
		Audience   []string `json:"aud"`
		Kubernetes struct {
			ServiceAccount struct {
				UID string `json:"uid"`
			} `json:"serviceaccount"`
		} `json:"kubernetes.io"`
	}
	if json.Unmarshal(payload, &claims) != nil || len(claims.Audience) == 0 {
		return "", "", "", false
	}
	return claims.Subject, claims.Kubernetes.ServiceAccount.UID, claims.Audience[0], true
}
