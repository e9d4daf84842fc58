package gcp

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"cloud.google.com/go/secretmanager/apiv1/secretmanagerpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/lanyardhq/lanyard/provider/backend/backendtest"
	"github.com/lanyardhq/lanyard/provider/backend/gcp/gcptest"
	"github.com/lanyardhq/lanyard/provider/backend/remote"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/secret"
)

func TestRetriesAreCounted(t *testing.T) {
	const pool, name = "shop.svc.id.goog", "projects/1/secrets/db/versions/1"
	server := gcptest.New(t)
	issuer, audience := server.NewIssuer(t), gcptest.GKE("shop", "europe-west3", "one")
	server.PutProvider(audience, gcptest.Provider{Pool: pool, Issuer: gcptest.IssuerName, TokenAudience: pool})
	as := identity.Identity{Namespace: "prod", ServiceAccount: "web", Tokens: map[string]identity.Token{
		pool: {JWT: secret.NewString(issuer.Token(t, "prod/web", pool, time.Now().Add(time.Hour)))},
	}}
	for method, failing := range map[string]gcptest.Fault{
		"AccessSecretVersion": {Code: codes.Unavailable, Message: "later"},
		"token":               {Status: http.StatusServiceUnavailable},
		"generateAccessToken": {Status: http.StatusServiceUnavailable},
	} {
		t.Run(method, func(t *testing.T) {
			failing.Method = method
			t.Cleanup(server.Add(failing))
			backendtest.CheckRetries(t, func(t *testing.T, retries int) int {
				server.ResetCalls()
				transport, release, err := remote.NewTransports(remote.Options{Calls: remote.NewCalls(64), MaxAnswer: maxLoginBytes, Dial: server.InMemory(t)}).Acquire(remote.Route{})
				if err != nil {
					t.Fatal(err)
				}
				link := newLink("gcp", Way{}, nil, time.Now)
				link.transports[remote.Network{}], link.giveBack = transport, []func(){release}
				t.Cleanup(link.close)
				conn, err := link.Connect(server.Endpoint, remote.Network{}, MaxAnswerBytes)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(conn.Close)
				auth := DefaultAuth()
				auth.Audience, auth.STSEndpoint, auth.IAMEndpoint = audience, server.Identity, server.Identity
				if method == "generateAccessToken" {
					auth.ServiceAccount = "web@shop.iam.gserviceaccount.com"
				}
				login := NewLogin(LoginOptions{Options: Options{Tokens: identity.PodTokens{}}, Auth: auth, Link: link, Timeout: time.Second, Retries: retries})
				err = login.With(t.Context(), as, func(token secret.Bytes, _ string) (bool, error) {
					err := conn.Call(t.Context(), Request{Resource: name, Token: token, Timeout: time.Second, Retries: retries, Do: func(ctx context.Context) error {
						_, err := secretmanagerpb.NewSecretManagerServiceClient(conn).AccessSecretVersion(ctx, &secretmanagerpb.AccessSecretVersionRequest{Name: name})
						return err
					}, Explain: func(st *status.Status) error { return fault.Fail(fault.ErrUnavailable, st.Err()) }})
					return false, err
				})
				if !errors.Is(err, fault.ErrUnavailable) {
					t.Errorf("error %v, want unavailable", err)
				}
				return server.Calls(method)
			})
		})
	}
}
