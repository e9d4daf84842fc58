package kube

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"golang.org/x/time/rate"

	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/secret"
)

const (
	// reviewKept is how long the API server's answer about a token holds, unansweredKept how
	// long it holds that there was none, and maxReviews how many are kept.
	reviewKept     = 10 * time.Second
	unansweredKept = time.Second
	maxReviews     = 256
	// reviewsEvery and reviewsAtOnce bound how often the API server is asked about tokens
	// that others send, whoever they are; strangerEvery and strangerAtOnce how often about
	// those that one address sends. Tokens that were allowed before have a pace of their own.
	reviewsEvery   = 200 * time.Millisecond
	reviewsAtOnce  = 10
	strangerEvery  = time.Second
	strangerAtOnce = 5
	maxStrangers   = 256
	// maxToken is above what any issuer makes, in bytes.
	maxToken = 16 << 10
)

// Reviews have the API server say whether the holder of a token may get a path of this
// program's own. They fail closed and are safe for concurrent use.
// https://kubernetes.io/docs/reference/kubernetes-api/authentication-resources/token-review-v1/
// https://kubernetes.io/docs/reference/kubernetes-api/authorization-resources/subject-access-review-v1/
type Reviews struct {
	tokens         *Tokens
	audience, path string
	pace, again    *rate.Limiter // for strangers, and for tokens that were allowed before

	mu        sync.Mutex
	known     *simplelru.LRU[[sha256.Size]byte, *review]
	strangers *simplelru.LRU[string, *rate.Limiter] // by address
}

// review is an answer, or the question on its way.
type review struct {
	done  chan struct{} // closed when the fields below are set
	until time.Time
	err   error
}

// settled says that the answer is there.
func (r *review) settled() bool {
	select {
	case <-r.done:
		return true
	default:
		return false
	}
}

// Reviews returns Reviews of tokens for an audience, whose holders must have the right to
// get the path as a nonResourceURL. They share the connection to the API server and end
// with t.
func (t *Tokens) Reviews(audience, path string) *Reviews {
	known, err := simplelru.NewLRU[[sha256.Size]byte, *review](maxReviews, nil)
	strangers, alsoErr := simplelru.NewLRU[string, *rate.Limiter](maxStrangers, nil)
	if err := errors.Join(err, alsoErr); err != nil {
		panic(err) // the sizes are constants above zero, which is all that is asked
	}
	pace := func() *rate.Limiter { return rate.NewLimiter(rate.Every(reviewsEvery), reviewsAtOnce) }
	return &Reviews{tokens: t, audience: audience, path: path, pace: pace(), again: pace(), known: known, strangers: strangers}
}

// Allowed is nil if the API server knows the token's holder and lets it get the path. from
// is the address that sends it. A token that does not say that it is for the audience costs
// the API server nothing. The error wraps a kind of package fault: ErrUnauthenticated, ErrDenied, ErrPrecondition where
// this program may not ask, else ErrUnavailable.
func (r *Reviews) Allowed(ctx context.Context, from string, token secret.Bytes) error {
	if size := token.Len(); size == 0 || size > maxToken {
		return fault.Fail(fault.ErrUnauthenticated, errors.New("the request has no token"))
	}
	if !identity.HasAudience(token.Reveal(), r.audience) {
		return r.unknown()
	}
	one, start, err := r.find(from, sha256.Sum256(token.Reveal()))
	if err != nil {
		return err
	}
	if start {
		r.tokens.calls.Go(func() {
			reviewCtx, cancel := context.WithTimeout(r.tokens.ctx, requestTimeout)
			defer cancel()
			one.err = r.review(reviewCtx, token)
			one.until = r.tokens.now().Add(reviewKept)
			if errors.Is(one.err, fault.ErrUnavailable) {
				one.until = r.tokens.now().Add(unansweredKept)
			}
			close(one.done)
		})
	}
	select {
	case <-one.done:
		return one.err
	case <-ctx.Done():
		return fault.Fail(fault.ErrUnavailable, ctx.Err())
	}
}

// unknown is why a token that the API server does not know is refused.
func (r *Reviews) unknown() error {
	return fault.Failf(fault.ErrUnauthenticated, "the API server does not accept the token for the audience %s", r.audience)
}

// find is the review of a token from an address, and whether the caller has to start it.
func (r *Reviews) find(from string, of [sha256.Size]byte) (one *review, start bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.tokens.now()
	before, known := r.known.Get(of)
	if known && (!before.settled() || now.Before(before.until)) {
		return before, false, nil
	}
	allowed := r.again.AllowN
	if !known || before.err != nil {
		allowed = func(now time.Time, n int) bool { return r.stranger(from).AllowN(now, n) && r.pace.AllowN(now, n) }
	}
	if !allowed(now, 1) {
		return nil, false, fault.Failf(fault.ErrUnavailable, "the API server is asked about at most %d tokens in a second; try again", time.Second/reviewsEvery)
	}
	one = &review{done: make(chan struct{})}
	r.known.Add(of, one)
	return one, true, nil
}

// stranger is the pace of an address. The caller holds mu.
func (r *Reviews) stranger(from string) *rate.Limiter {
	pace, ok := r.strangers.Get(from)
	if !ok {
		pace = rate.NewLimiter(rate.Every(strangerEvery), strangerAtOnce)
		r.strangers.Add(from, pace)
	}
	return pace
}

// tokenReview and accessReview are the fields of the API server's objects that count here.
type tokenReview struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Spec       struct {
		Token     string   `json:"token"`
		Audiences []string `json:"audiences"`
	} `json:"spec"`
	Status struct {
		Authenticated bool     `json:"authenticated"`
		Audiences     []string `json:"audiences"`
		User          struct {
			Username string              `json:"username"`
			UID      string              `json:"uid"`
			Groups   []string            `json:"groups"`
			Extra    map[string][]string `json:"extra"`
		} `json:"user"`
	} `json:"status,omitzero"`
}

type accessReview struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Spec       struct {
		User      string              `json:"user"`
		UID       string              `json:"uid,omitempty"`
		Groups    []string            `json:"groups,omitempty"`
		Extra     map[string][]string `json:"extra,omitempty"`
		Attribute struct {
			Path string `json:"path"`
			Verb string `json:"verb"`
		} `json:"nonResourceAttributes"`
	} `json:"spec"`
	Status struct {
		Allowed bool `json:"allowed"`
		Denied  bool `json:"denied"`
	} `json:"status,omitzero"`
}

// review asks the API server who the holder of the token is, and whether it may.
func (r *Reviews) review(ctx context.Context, token secret.Bytes) error {
	who := tokenReview{APIVersion: "authentication.k8s.io/v1", Kind: "TokenReview"}
	who.Spec.Token, who.Spec.Audiences = string(token.Reveal()), []string{r.audience}
	if err := r.post(ctx, "tokenreviews", &who, "apis", "authentication.k8s.io", "v1"); err != nil {
		return err
	}
	user := &who.Status.User
	// An authenticator that knows no audiences returns none.
	if !who.Status.Authenticated || user.Username == "" || !slices.Contains(who.Status.Audiences, r.audience) {
		return r.unknown()
	}
	may := accessReview{APIVersion: "authorization.k8s.io/v1", Kind: "SubjectAccessReview"}
	may.Spec.User, may.Spec.UID, may.Spec.Groups, may.Spec.Extra = user.Username, user.UID, user.Groups, user.Extra
	may.Spec.Attribute.Path, may.Spec.Attribute.Verb = r.path, "get"
	if err := r.post(ctx, "subjectaccessreviews", &may, "apis", "authorization.k8s.io", "v1"); err != nil {
		return err
	}
	if !may.Status.Allowed || may.Status.Denied {
		return fault.Failf(fault.ErrDenied, "%q has no right to get the nonResourceURL %s", user.Username, r.path)
	}
	return nil
}

// post creates a review and reads the answer into it. The answers have no token; what the
// API server says of a failure might repeat the request's, and is left out.
func (r *Reviews) post(ctx context.Context, resource string, review any, path ...string) error {
	server, err := r.tokens.apiServer()
	if err != nil {
		return fault.Fail(fault.ErrPrecondition, err)
	}
	body, err := json.Marshal(review)
	if err != nil {
		return fault.Failf(fault.ErrUnavailable, "%s cannot be written as JSON", resource)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, server.base.JoinPath(append(path, resource)...).String(), bytes.NewReader(body))
	if err != nil {
		return fault.Failf(fault.ErrUnavailable, "%s cannot be asked for", resource)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	resp, err := server.client.Do(req)
	if err != nil {
		return fault.Failf(fault.ErrUnavailable, "the API server does not answer %s: %w", resource, cause(err))
	}
	defer resp.Body.Close() //nolint:errcheck // it has been read as far as it matters
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	switch {
	case err != nil:
		return fault.Failf(fault.ErrUnavailable, "the API server's answer to %s breaks off: %w", resource, cause(err))
	case resp.StatusCode == http.StatusForbidden:
		return fault.Failf(fault.ErrPrecondition, "this program may not have the API server check tokens: it lacks create on %s (status.enabled of the chart grants it)", resource)
	case resp.StatusCode != http.StatusCreated && resp.StatusCode != http.StatusOK:
		return fault.Failf(fault.ErrUnavailable, "the API server answers %s with status %d", resource, resp.StatusCode)
	}
	if json.Unmarshal(answer, review) != nil {
		return fault.Failf(fault.ErrUnavailable, "the API server's answer to %s cannot be read", resource)
	}
	return nil
}
