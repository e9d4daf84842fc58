package azure

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

// discoveryLife is for how long Entra ID's word on its own addresses is
// believed. They are as good as fixed, and its metadata is public and the same
// for all who ask.
const discoveryLife = 24 * time.Hour

// discovery makes the calls of the official client of Entra ID, which asks for
// the tenant's OpenID Connect metadata before each of its logins since each
// login has a client of its own, and answers that from memory. It is safe for
// concurrent use.
// https://learn.microsoft.com/entra/identity-platform/v2-protocols-oidc#fetch-the-openid-configuration-document
type discovery struct {
	transport policy.Transporter
	now       func() time.Time

	mu   sync.Mutex
	kept map[string]metadata // by URL
}

// metadata is what a tenant's answer was.
type metadata struct {
	body    []byte
	expires time.Time
}

// maxTenants bounds the tenants whose metadata is kept.
const maxTenants = 64

// discoveryPath ends the URL at Entra ID and AD FS.
const discoveryPath = "/.well-known/openid-configuration"

// Do implements policy.Transporter.
func (d *discovery) Do(req *http.Request) (*http.Response, error) {
	if req.Method != http.MethodGet || !strings.HasSuffix(req.URL.Path, discoveryPath) {
		return d.transport.Do(req)
	}
	if body := d.find(req.URL.String()); body != nil {
		return &http.Response{
			Status: "200 OK", StatusCode: http.StatusOK, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: req,
			Header: http.Header{"Content-Type": {"application/json"}}, ContentLength: int64(len(body)), Body: io.NopCloser(bytes.NewReader(body)),
		}, nil
	}
	resp, err := d.transport.Do(req)
	if err != nil || resp.StatusCode != http.StatusOK {
		return resp, err
	}
	resp.Body = &keptBody{body: resp.Body, keep: func(body []byte) { d.put(req.URL.String(), body) }}
	return resp, nil
}

func (d *discovery) find(url string) []byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	if found := d.kept[url]; d.now().Before(found.expires) {
		return found.body
	}
	return nil
}

// put keeps the metadata of a tenant.
func (d *discovery) put(url string, body []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.kept == nil || len(d.kept) >= maxTenants {
		d.kept = map[string]metadata{} // they are asked for again
	}
	d.kept[url] = metadata{body, d.now().Add(discoveryLife)}
}

// forget makes the next logins ask again.
func (d *discovery) forget() {
	d.mu.Lock()
	defer d.mu.Unlock()
	clear(d.kept)
}

// keptBody hands on what is read of a body when its end is reached.
type keptBody struct {
	body io.ReadCloser
	read bytes.Buffer
	keep func([]byte)
}

func (k *keptBody) Read(into []byte) (int, error) {
	n, err := k.body.Read(into)
	k.read.Write(into[:n])
	if err == io.EOF {
		k.keep(k.read.Bytes())
	}
	return n, err
}

func (k *keptBody) Close() error { return k.body.Close() }
