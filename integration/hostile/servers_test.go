package hostile

import (
	"bytes"
	"compress/gzip"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/lanyardhq/lanyard/integration/issuer"
	"github.com/lanyardhq/lanyard/provider/backend/aws/awstest"
	"github.com/lanyardhq/lanyard/provider/backend/azure/azuretest"
)

// evil is what an attacker runs: a server that speaks Vault's protocol until it is
// asked for a secret, whose path says what it answers, and doubles of Azure and AWS
// with content that no cloud has.
type evil struct {
	port  int
	azure *azuretest.Server
	aws   *awstest.Server
	ended chan struct{}
}

const (
	client    = "client-of-mallory"
	awsRegion = "eu-west-1"
)

func newEvil(t *testing.T, l *lab) *evil {
	t.Helper()
	e := &evil{azure: azuretest.New(t), aws: awstest.New(t), ended: make(chan struct{})}
	// All of 127.0.0.0/8 leads here, so that there are as many addresses as wanted.
	listener, err := net.Listen("tcp4", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	e.port = listener.Addr().(*net.TCPAddr).Port
	server := &httptest.Server{Listener: listener, Config: &http.Server{Handler: http.HandlerFunc(e.serve)}}
	server.Start()
	t.Cleanup(func() {
		close(e.ended)
		server.CloseClientConnections()
		server.Close()
	})
	for i := range namespaces {
		subject := fmt.Sprintf("system:serviceaccount:%s:mallory", namespace(i))
		e.azure.Federate(client, azuretest.Federation{Issuer: issuer.Name, Subject: subject, Audience: "api://AzureADTokenExchange"})
	}
	e.azure.Trust(issuer.Name, l.issuer.PublicKey())
	e.aws.Trust(issuer.Name, l.issuer.PublicKey())
	e.aws.PutRole("mallory", awstest.Role{Accounts: []string{namespace(0) + "/mallory"}, Reads: []string{"*"}})
	return e
}

// at is the address of the nth of the attacker's servers.
func (e *evil) at(n int) string {
	return fmt.Sprintf("http://127.0.%d.%d:%d", 1+n/250, 1+n%250, e.port)
}

func (e *evil) serve(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimPrefix(r.URL.Path, "/v1/")
	kind, rest, _ := strings.Cut(path, "/")
	number, _, _ := strings.Cut(rest, "/")
	n, _ := strconv.Atoi(number)
	switch kind {
	case "auth":
		answer(w, map[string]any{"auth": map[string]any{"client_token": "t", "lease_duration": 3600, "renewable": true, "policies": []string{"default"}}})
	case "sys", "hang": // renewals of leases are below sys/
		e.hang(r)
	case "size":
		answer(w, map[string]any{"data": map[string]any{"value": strings.Repeat("x", n)}})
	case "lease":
		answer(w, map[string]any{"lease_id": "db/creds/x/" + path, "lease_duration": 60, "renewable": true, "data": map[string]any{"value": strings.Repeat("x", n)}})
	case "status":
		w.WriteHeader(n)
	case "drip":
		e.drip(w, r, 50*time.Millisecond, []byte("x"))
	case "endless":
		e.drip(w, r, 0, bytes.Repeat([]byte("x"), 64<<10))
	case "headers":
		for i := range 1000 {
			w.Header().Set(fmt.Sprint("X-", i), strings.Repeat("x", 1000))
		}
		answer(w, map[string]any{"data": map[string]any{"value": "x"}})
	case "gzip":
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = w.Write(bomb)
	case "deep":
		_, _ = fmt.Fprint(w, `{"data":{"value":`, strings.Repeat("[", 1<<20), strings.Repeat("]", 1<<20), `}}`)
	case "keys":
		fields := make(map[string]any, n)
		for i := range n {
			fields[fmt.Sprint("k", i)] = i
		}
		answer(w, map[string]any{"data": fields})
	case "redirect":
		http.Redirect(w, r, r.URL.Path+"x", http.StatusTemporaryRedirect)
	case "echo":
		http.Error(w, `{"errors":["`+strings.Repeat("\x1b[31m all your secrets \r\n", 4000)+`"]}`, http.StatusForbidden)
	default:
		w.WriteHeader(http.StatusOK)
	}
}

// hang answers nothing for as long as the client waits.
func (e *evil) hang(r *http.Request) {
	select {
	case <-r.Context().Done():
	case <-e.ended:
	}
}

// drip writes what never ends.
func (e *evil) drip(w http.ResponseWriter, r *http.Request, pause time.Duration, piece []byte) {
	flush := http.NewResponseController(w)
	_, _ = w.Write([]byte(`{"data":{"value":"`))
	for {
		if _, err := w.Write(piece); err != nil || flush.Flush() != nil {
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-e.ended:
			return
		case <-time.After(pause):
		}
	}
}

func answer(w http.ResponseWriter, body any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(body) //nolint:errchkjson // the client may go
}

// bomb is 100 MB of JSON in 100 KB.
var bomb = func() []byte {
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	_, _ = fmt.Fprintf(w, `{"data":{"value":"%s"}}`, bytes.Repeat([]byte("x"), 100<<20))
	_ = w.Close()
	return packed.Bytes()
}()

// vaultClass is a class with a store of the attacker's and its objects, each of which
// the server's path describes.
func (e *evil) vaultClass(address string, keys ...string) map[string]string {
	var objects strings.Builder
	for i, key := range keys {
		fmt.Fprintf(&objects, "- {path: o%d, store: evil, key: %s, property: value}\n", i, key)
	}
	return map[string]string{
		"stores":  fmt.Sprintf("evil: {type: vault, address: '%s', auth: {method: jwt, role: x}}", address),
		"objects": objects.String(),
	}
}

// azureClass is a class with a Key Vault of the attacker's.
func (e *evil) azureClass(vault string, objects string) map[string]string {
	authority := strings.ReplaceAll(e.azure.CACert, "\n", "\n      ")
	return map[string]string{
		"stores": fmt.Sprintf(`evil:
  type: azure-key-vault
  vault: %s
  tenantID: %s
  endpoint: '%s'
  authorityHost: '%s'
  auth: {clientID: %s}
  tls:
    caCert: |
      %s
`, vault, azuretest.Tenant, e.azure.Endpoint, e.azure.Authority, client, authority),
		"objects": objects,
	}
}

// awsClass is a class with a Parameter Store of the attacker's.
func (e *evil) awsClass(keys ...string) map[string]string {
	var objects strings.Builder
	for i, key := range keys {
		fmt.Fprintf(&objects, "- {path: o%d, store: evil, key: %s}\n", i, key)
	}
	return map[string]string{
		"stores": fmt.Sprintf("evil: {type: aws-parameter-store, region: %s, endpoint: '%s', auth: {method: webIdentity, role: '%s', stsEndpoint: '%s'}}",
			awsRegion, e.aws.URL, awstest.RoleARN("mallory"), e.aws.URL),
		"objects": objects.String(),
	}
}

// costlyPFX is a PKCS #12 file whose MAC wants 2^63-1 rounds (RFC 7292, appendix A).
func costlyPFX(t *testing.T) string {
	t.Helper()
	chain := azuretest.NewChain(t, 0, "mallory")
	raw, err := base64.StdEncoding.DecodeString(chain.PFX(t, ""))
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Version  int
		AuthSafe asn1.RawValue
		Mac      struct {
			Digest     asn1.RawValue
			Salt       []byte
			Iterations int64 `asn1:"optional,default:1"`
		}
	}
	if _, err := asn1.Unmarshal(raw, &file); err != nil {
		t.Fatal(err)
	}
	file.Mac.Iterations = math.MaxInt64
	if raw, err = asn1.Marshal(file); err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(raw)
}
