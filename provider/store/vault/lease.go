package vault

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"time"

	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/provider/backend/vault"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/secret"
	"github.com/lanyardhq/lanyard/provider/store"
)

// leaseOf returns how long the value of a response is valid; nil if it does not end.
// start is the time of the request.
func (s *vaultStore) leaseOf(q *query, a *vault.Answer, used *vault.Session, as identity.Identity, start time.Time) (*store.Lease, error) {
	end, isCertificate := time.Time{}, false
	if q.writes() {
		// A GET makes nothing for this pod, and reading again changes nothing, though
		// the value may be a certificate that expires.
		end, isCertificate = certificateEnd(a.Data)
	}
	if a.LeaseID == "" {
		if !isCertificate {
			return nil, nil
		}
		return &store.Lease{Duration: end.Sub(start), Expires: end}, nil
	}
	if used.Limited() {
		// Each read could use up the token, which ends the lease with it.
		s.connection.Retire(as, used)
		if !used.Take() {
			return nil, fault.Failf(fault.ErrInvalid, "%s %s: the value ended with the token that read it, because tokens of %s may be used only once (token_num_uses); set it to 0, or to 3 at least",
				q.verb(), message.Excerpt(q.key), s.connection.Who())
		}
	}
	leased := &leased{store: s, session: used, key: q.key, id: a.LeaseID, requested: time.Duration(a.LeaseDuration)}
	if isCertificate {
		leased.certificateEnd = end
	}
	return leased.lease(time.Duration(a.LeaseDuration), a.Renewable, start), nil
}

// leased is a value with a lease of Vault.
type leased struct {
	store   *vaultStore
	session *vault.Session
	key     string
	id      string
	// requested is the lease's first duration, requested at every renewal.
	requested time.Duration
	// certificateEnd is when the value itself expires; zero if never.
	certificateEnd time.Time
}

// lease returns how long the value is valid, given a lease of that duration from
// start: until the lease, the token that created it (Vault then revokes the lease) or
// the certificate ends.
// https://developer.hashicorp.com/vault/docs/concepts/tokens#token-time-to-live-periodic-tokens-and-explicit-max-ttls
func (l *leased) lease(duration time.Duration, renewable bool, start time.Time) *store.Lease {
	end := start.Add(duration)
	for _, other := range []time.Time{l.session.Ends(), l.certificateEnd} {
		if !other.IsZero() && other.Before(end) {
			end = other
		}
	}
	l.session.Holds(end)
	lease := &store.Lease{Duration: max(end.Sub(start), 0), Expires: end}
	if renewable && !l.session.Limited() {
		lease.Renew = l.renew
	}
	return lease
}

// renew renews the lease, and before that its token if due. A token that is not
// renewable any more is no error: the lease's new end shows it.
// https://developer.hashicorp.com/vault/api-docs/system/leases#renew-lease
func (l *leased) renew(ctx context.Context) (*store.Lease, error) {
	if err := l.store.connection.Renew(ctx, l.session); err != nil && ctx.Err() != nil {
		return nil, fmt.Errorf("renewing the token of %s: %w", message.Excerpt(l.key), ctx.Err())
	}
	body, err := json.Marshal(map[string]any{"lease_id": l.id, "increment": int64(math.Ceil(l.requested.Seconds()))})
	if err != nil {
		return nil, fault.Failf(fault.ErrInvalid, "the renewal cannot be written as JSON")
	}
	start := l.store.connection.Now()
	id := secret.NewString(l.id)
	resp, err := l.store.connection.CallWith(ctx, l.session, vault.Request{
		Method: http.MethodPost, Path: "sys/leases/renew", Body: body, Secrets: []secret.Bytes{id}, Repeatable: true,
	})
	if err != nil {
		return nil, err
	}
	switch {
	case resp.Status == http.StatusForbidden:
		return nil, fault.Failf(fault.ErrDenied, "the lease of %s cannot be renewed: its login token was revoked, or the policies of %s lack update on sys/leases/renew%s",
			message.Excerpt(l.key), l.store.connection.Who(), resp.SaidOfDenial())
	case !resp.OK():
		return nil, fault.Failf(fault.ErrInvalid, "the lease of %s cannot be renewed (%d)%s", message.Excerpt(l.key), resp.Status, resp.Said())
	case resp.Answer == nil || resp.Answer.LeaseID == "":
		return nil, fault.Failf(fault.ErrUnavailable, "the renewal of the lease of %s was answered without the lease", message.Excerpt(l.key))
	}
	return l.lease(time.Duration(resp.Answer.LeaseDuration), resp.Answer.Renewable, start), nil
}
