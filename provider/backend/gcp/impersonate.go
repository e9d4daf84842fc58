package gcp

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/secret"
)

// impersonate gets an access token of a service account, over the delegates.
// https://cloud.google.com/iam/docs/reference/credentials/rest/v1/projects.serviceAccounts/generateAccessToken
func (s *Login) impersonate(ctx context.Context, id identity.Identity, own secret.Bytes, account string, delegates []string) (secret.Bytes, time.Time, error) {
	body := struct {
		Delegates []string `json:"delegates,omitempty"`
		Scope     []string `json:"scope"`
		Lifetime  string   `json:"lifetime"`
	}{Scope: []string{Scope}, Lifetime: "3600s"}
	for _, delegate := range delegates {
		body.Delegates = append(body.Delegates, accountName(delegate))
	}
	text, err := json.Marshal(body)
	if err != nil {
		return secret.Bytes{}, time.Time{}, fault.Failf(fault.ErrInvalid, "auth.delegates: cannot be written as JSON")
	}
	first := account
	if len(delegates) > 0 {
		first = delegates[0]
	}
	endpoint := s.Auth.IAMEndpoint
	var granted struct {
		AccessToken string    `json:"accessToken"`
		ExpireTime  time.Time `json:"expireTime"`
	}
	err = s.call(ctx, callOf{
		what: fmt.Sprintf("acting as service account %s at %s", account, Host(endpoint)),
		refused: fmt.Sprintf("grant the pod's identity (%s in its workload identity pool) roles/iam.workloadIdentityUser on service account %s, and check that it exists%s",
			subject(id), first, chain(delegates)),
		kind: fault.ErrDenied, over: s.Link.way.IAM, endpoint: endpoint, sent: []secret.Bytes{own},
	}, func(ctx context.Context, client *http.Client) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint+"/v1/"+accountName(url.PathEscape(account))+":generateAccessToken", bytes.NewReader(text))
		if err != nil {
			return err
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Authorization", "Bearer "+own.RevealString())
		return sendJSON(client, req, &granted)
	})
	switch {
	case err != nil:
		return secret.Bytes{}, time.Time{}, err
	case granted.AccessToken == "" || granted.ExpireTime.IsZero():
		return secret.Bytes{}, time.Time{}, fault.Failf(fault.ErrUnavailable, "acting as service account %s: %s answered without a token", account, Host(endpoint))
	}
	return secret.NewString(granted.AccessToken), granted.ExpireTime, nil
}

func accountName(account string) string { return "projects/-/serviceAccounts/" + account }

func chain(delegates []string) string {
	if len(delegates) == 0 {
		return ""
	}
	return "; each of auth.delegates needs roles/iam.serviceAccountTokenCreator on the next, and the last on auth.serviceAccount"
}

// errNoAnswer means that an answer is not what the page of the API says.
var errNoAnswer = errors.New("the answer is not one of this API")
