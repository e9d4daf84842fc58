package azure

import (
	"io"
	"net/http"
	"net/url"

	"github.com/lanyardhq/lanyard/provider/backend/remote"
)

// maxAnswerBytes bounds one answer. A secret has at most 25 kB; a page of 25
// versions with their tags stays far below.
// https://learn.microsoft.com/azure/key-vault/secrets/about-secrets
const maxAnswerBytes = 1 << 20

// route is the way to the vault. The settings' endpoint is dialled for it, if they
// name one.
func (s *Settings) route() remote.Route {
	route := remote.Route{TLS: s.TLS, Network: s.Network}
	if parsed, err := url.Parse(s.Address); err == nil && s.Endpoint != "" {
		route.Address, route.Endpoint = remote.HostPort(parsed), s.Endpoint
	}
	return route
}

// transporter notes why a call had no answer. It implements policy.Transporter.
type transporter struct{ client *http.Client }

// Do makes a call.
func (t transporter) Do(req *http.Request) (*http.Response, error) {
	resp, err := t.client.Do(req)
	lost, ok := req.Context().Value(lostKey{}).(*error)
	switch {
	case !ok:
	case err != nil:
		*lost = err
	default:
		resp.Body = &notedBody{resp.Body, lost}
	}
	return resp, err
}

// lostKey is the context's key for where the error of a call without an answer,
// or with one that breaks off, is put. The client of Entra ID keeps no more of it than its text.
type lostKey struct{}

// notedBody notes why it broke off.
type notedBody struct {
	io.ReadCloser
	lost *error
}

// Read implements io.Reader.
func (b *notedBody) Read(into []byte) (int, error) {
	n, err := b.ReadCloser.Read(into)
	if err != nil && err != io.EOF {
		*b.lost = err
	}
	return n, err
}
