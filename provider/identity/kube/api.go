package kube

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4/jwt"
	authentication "k8s.io/api/authentication/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/secret"
)

// maxAnswer is the maximum response size in bytes; a token has about 1 KiB.
const maxAnswer = 256 << 10

// api calls the one resource of the API server that is needed here.
// https://kubernetes.io/docs/reference/kubernetes-api/authentication-resources/token-request-v1/
type api struct {
	client *http.Client
	base   *url.URL
	own    func() string // the token that the provider itself has for the API server
}

func newAPI(connect func() (*rest.Config, error)) (*api, error) {
	config, err := connect()
	if err != nil {
		return nil, fmt.Errorf("the API server cannot be asked: %w", err)
	}
	config = rest.CopyConfig(config)
	config.UserAgent = "lanyard"
	// client-go would follow the environment.
	config.Proxy = func(*http.Request) (*url.URL, error) { return nil, nil } //nolint:nilnil // no proxy
	client, err := rest.HTTPClientFor(config)
	base, _, baseErr := rest.DefaultServerUrlFor(config)
	if err := cmp.Or(err, baseErr); err != nil {
		return nil, fmt.Errorf("the API server cannot be asked: %w", err)
	}
	// A redirect must not send the provider's own token elsewhere.
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	own := func() string {
		if data, err := os.ReadFile(config.BearerTokenFile); err == nil {
			return string(data)
		}
		return config.BearerToken
	}
	return &api{client: client, base: base, own: own}, nil
}

// isOwn reports whether the API server itself accepts the audience: it is the issuer
// or an audience of the provider's own token.
func (a *api) isOwn(audience string) bool {
	own := a.claims()
	return own.Issuer != "" && audience == own.Issuer || slices.Contains(own.Audiences, audience)
}

// claims is what the provider's own token says; nothing if it is no service
// account's, which is another way to log in.
// https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/#bound-service-account-tokens
func (a *api) claims() ownClaims { return claimsOf(a.own()) }

func claimsOf(token string) (own ownClaims) {
	_, rest, _ := strings.Cut(token, ".")
	payload, _, _ := strings.Cut(rest, ".")
	raw, err := base64.RawURLEncoding.DecodeString(payload)
	if err == nil {
		_ = json.Unmarshal(raw, &own) //nolint:errcheck // what can be read counts
	}
	return own
}

type ownClaims struct {
	Issuer     string       `json:"iss"`
	Audiences  jwt.Audience `json:"aud"`
	Kubernetes struct {
		Namespace string `json:"namespace"`
		Node      struct {
			Name string `json:"name"`
		} `json:"node"`
	} `json:"kubernetes.io"`
}

func (a *api) close() { a.client.CloseIdleConnections() }

// ownAudience is the error for an audience that the API server accepts itself: with such a
// token a store could act there.
func ownAudience(audience string) error {
	return fmt.Errorf("%w for audience %q: it is the API server's own audience; give the store an audience of its own (see troubleshooting: api-server-audience)", identity.ErrNoToken, audience)
}

// token requests a token of the identity's service account, bound to the identity's
// pod if it has one.
func (a *api) token(ctx context.Context, id identity.Identity, audience string, now func() time.Time) (identity.Token, error) {
	if a.isOwn(audience) {
		return identity.Token{}, ownAudience(audience)
	}
	seconds := int64(lifetime / time.Second)
	request := authentication.TokenRequest{
		TypeMeta: meta.TypeMeta{APIVersion: "authentication.k8s.io/v1", Kind: "TokenRequest"},
		Spec:     authentication.TokenRequestSpec{Audiences: []string{audience}, ExpirationSeconds: &seconds},
	}
	if id.Pod != "" {
		request.Spec.BoundObjectRef = &authentication.BoundObjectReference{APIVersion: "v1", Kind: "Pod", Name: id.Pod, UID: types.UID(id.PodUID)}
	}
	body, err := json.Marshal(request)
	if err != nil {
		return identity.Token{}, errors.New("a token request cannot be written as JSON")
	}
	target := a.base.JoinPath("api", "v1", "namespaces", id.Namespace, "serviceaccounts", id.ServiceAccount, "token")
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target.String(), bytes.NewReader(body))
	if err != nil {
		return identity.Token{}, errors.New("a token request cannot be made for this service account's name")
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	sent := now()
	resp, err := a.client.Do(req)
	if err != nil {
		return identity.Token{}, fmt.Errorf("the API server does not answer a token request for %s: %w", id, cause(err))
	}
	defer resp.Body.Close() //nolint:errcheck // it has been read as far as it matters
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return identity.Token{}, fmt.Errorf("the API server's answer to a token request for %s breaks off: %w", id, cause(err))
	}
	if resp.StatusCode != http.StatusCreated && resp.StatusCode != http.StatusOK {
		return identity.Token{}, refusal(resp.StatusCode, answer, id, audience)
	}
	var issued authentication.TokenRequest
	if json.Unmarshal(answer, &issued) != nil || issued.Status.Token == "" {
		return identity.Token{}, fmt.Errorf("the API server answers a token request for %s without a token", id)
	}
	// A person's credentials may not have told who the API server is.
	if claimsOf(issued.Status.Token).Issuer == audience {
		return identity.Token{}, ownAudience(audience)
	}
	// The lifetime, not the end, so that a wrong clock of the node does not matter.
	// The API server may have changed the lifetime.
	expires := issued.Status.ExpirationTimestamp.Time
	if issued.Spec.ExpirationSeconds != nil {
		expires = sent.Add(time.Duration(*issued.Spec.ExpirationSeconds) * time.Second)
	}
	return identity.Token{JWT: secret.NewString(issued.Status.Token), Expires: expires}, nil
}

// refusal explains a failed status. Errors that only a change in the cluster can fix
// wrap identity.ErrNoToken.
func refusal(status int, answer []byte, id identity.Identity, audience string) error {
	no := fmt.Errorf("%w for audience %q", identity.ErrNoToken, audience)
	switch {
	case status == http.StatusForbidden && id.Pod == "":
		return fmt.Errorf("%w: Lanyard may not request tokens for service account %s in namespace %s; grant it create on serviceaccounts/token there, and list the audience where an admission policy does%s",
			no, id.ServiceAccount, id.Namespace, statusMessage(answer))
	case status == http.StatusNotFound && id.Pod == "":
		return fmt.Errorf("%w: there is no service account %s in namespace %s%s", no, id.ServiceAccount, id.Namespace, statusMessage(answer))
	case status == http.StatusForbidden:
		return fmt.Errorf("%w: the provider may not request tokens for service account %s in namespace %s; grant it create on serviceaccounts/token there, or turn policy.tokenRequest off%s",
			no, id.ServiceAccount, id.Namespace, statusMessage(answer))
	case status == http.StatusNotFound, status == http.StatusConflict, status == http.StatusBadRequest:
		return fmt.Errorf("%w: no pod %s with UID %s runs as service account %s in namespace %s; it may be gone, or be the sync-controller's%s (see troubleshooting: token-pod-missing)",
			no, id.Pod, id.PodUID, id.ServiceAccount, id.Namespace, statusMessage(answer))
	case status == http.StatusUnprocessableEntity:
		return fmt.Errorf("%w: the API server refuses the token request for %s%s", no, id, statusMessage(answer))
	case status == http.StatusUnauthorized:
		return fmt.Errorf("the API server does not accept the provider's own service account token%s", statusMessage(answer))
	}
	return fmt.Errorf("the API server answers a token request for %s with status %d%s", id, status, statusMessage(answer))
}

// statusMessage returns the message of a failed answer. It never holds a token:
// the API server issues one only with success.
func statusMessage(answer []byte) string {
	var status meta.Status
	if json.Unmarshal(answer, &status) != nil || status.Kind != "Status" || status.Message == "" {
		return ""
	}
	return fmt.Sprintf(" (it says %.300q)", status.Message)
}

// cause returns the reason of a failed request without its address. The request's own
// timeout must not look like the end of the caller's context.
func cause(err error) error {
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("there was no answer within %v", requestTimeout)
	case errors.Is(err, context.Canceled):
		return errors.New("the provider is stopping")
	}
	var at *url.Error
	if errors.As(err, &at) {
		return at.Err
	}
	return err
}
