package kms

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"k8s.io/apiserver/pkg/storage/value"
	"k8s.io/apiserver/pkg/storage/value/encrypt/envelope/kmsv2"
	kmstypes "k8s.io/apiserver/pkg/storage/value/encrypt/envelope/kmsv2/v2"
	"k8s.io/kms/pkg/service"

	"github.com/lanyardhq/lanyard/integration/faultproxy"
)

// client is the API server's own client of a plugin.
func client(t *testing.T, p *plugin) service.Service {
	t.Helper()
	endpoint := "unix://" + p.Socket
	if strings.HasPrefix(p.Socket, "@") {
		endpoint = "unix:///" + p.Socket
	}
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	c, err := kmsv2.NewGRPCService(ctx, endpoint, t.Name(), 3*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// status waits until the plugin is well and returns its key ID.
func status(t *testing.T, c service.Service) string {
	t.Helper()
	var keyID string
	eventually(t, 20*time.Second, "a good status", func() error {
		got, err := c.Status(t.Context())
		if err != nil {
			return err
		}
		if got.Version != "v2" || got.Healthz != "ok" {
			return fmt.Errorf("%+v", got)
		}
		keyID = got.KeyID
		_, err = kmsv2.ValidateKeyID(keyID)
		return err
	})
	return keyID
}

// transformer is the API server's transformer with a new seed.
func transformer(t *testing.T, c service.Service, seed bool) (value.Transformer, *kmstypes.EncryptedObject) {
	t.Helper()
	inner, object, cacheKey, err := kmsv2.GenerateTransformer(t.Context(), "uid", c, seed)
	if err != nil {
		t.Fatal(err)
	}
	state := kmsv2.State{
		Transformer: inner, EncryptedObjectKeyID: object.KeyID, EncryptedObjectEncryptedDEKSource: object.EncryptedDEKSource,
		EncryptedObjectAnnotations: object.Annotations, EncryptedObjectEncryptedDEKSourceType: object.EncryptedDEKSourceType,
		UID: "uid", ExpirationTimestamp: time.Now().Add(time.Hour), CacheKey: cacheKey,
	}
	return kmsv2.NewEnvelopeTransformer(c, "lanyard", func() (kmsv2.State, error) { return state, nil }, "api"), object
}

var dataContext = value.DefaultContext("/registry/secrets/prod/db")

func TestUpstreamsClientIsContent(t *testing.T) {
	t.Parallel()
	for name, socket := range map[string]string{"file": "", "abstract": fmt.Sprintf("@lanyard-kms-%d", time.Now().UnixNano())} {
		t.Run(name, func(t *testing.T) {
			p := newPlugin(newVault(t), "one", "write")
			if socket != "" {
				p.Socket = socket
			}
			c := client(t, p.start())
			keyID := status(t, c)
			for _, seed := range []bool{true, false} {
				tr, object := transformer(t, c, seed)
				if object.KeyID != keyID {
					t.Errorf("encrypted with %s, status names %s", object.KeyID, keyID)
				}
				stored, err := tr.TransformToStorage(t.Context(), []byte("the value"), dataContext)
				if err != nil {
					t.Fatal(err)
				}
				for _, secret := range []string{"the value", p.Proxy.Address, p.v.Mount, "one", "test"} {
					if bytes.Contains(stored, []byte(secret)) {
						t.Errorf("etcd would hold %q", secret)
					}
				}
				// Another API server has the seed only by way of Decrypt.
				other, _ := transformer(t, c, seed)
				if got, stale, err := other.TransformFromStorage(t.Context(), stored, dataContext); err != nil || stale || string(got) != "the value" {
					t.Errorf("%q, stale %v, %v", got, stale, err)
				}
			}
		})
	}
}

func TestWhatWasChangedInEtcdIsRefused(t *testing.T) {
	t.Parallel()
	p := newPlugin(newVault(t), "one", "write", "two", "read").start()
	c := client(t, p)
	status(t, c)
	tr, _ := transformer(t, c, true)
	stored, err := tr.TransformToStorage(t.Context(), []byte("the value"), dataContext)
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*kmstypes.EncryptedObject){
		"the key ID":              func(o *kmstypes.EncryptedObject) { o.KeyID = "x" + o.KeyID[1:] },
		"a version as key ID":     func(o *kmstypes.EncryptedObject) { o.KeyID = "1" },
		"the encrypted seed":      func(o *kmstypes.EncryptedObject) { o.EncryptedDEKSource[40] ^= 1 },
		"the seed's beginning":    func(o *kmstypes.EncryptedObject) { o.EncryptedDEKSource = o.EncryptedDEKSource[:9] },
		"no annotations":          func(o *kmstypes.EncryptedObject) { o.Annotations = nil },
		"the version":             func(o *kmstypes.EncryptedObject) { o.Annotations["version.kms.lanyardhq.github.io"] = []byte("2") },
		"a format of the future":  func(o *kmstypes.EncryptedObject) { o.Annotations["format.kms.lanyardhq.github.io"] = []byte("2") },
		"garbage for a seed":      func(o *kmstypes.EncryptedObject) { o.EncryptedDEKSource = bytes.Repeat([]byte{0xff}, 1024) },
		"annotations beyond size": func(o *kmstypes.EncryptedObject) { o.Annotations["x.example.com"] = make([]byte, 33<<10) },
	} {
		t.Run(name, func(t *testing.T) {
			object := &kmstypes.EncryptedObject{}
			if err := proto.Unmarshal(stored, object); err != nil {
				t.Fatal(err)
			}
			change(object)
			changed, err := proto.Marshal(object)
			if err != nil {
				t.Fatal(err)
			}
			other, _ := transformer(t, c, true)
			if got, _, err := other.TransformFromStorage(t.Context(), changed, dataContext); err == nil || got != nil {
				t.Errorf("it is read as %q", got)
			}
		})
	}
}

func TestSeedsOfAnotherClusterAreRefused(t *testing.T) {
	t.Parallel()
	v := newVault(t)
	here, there := newPlugin(v, "one", "write").start(), newPlugin(v, "one", "write")
	there.Cluster = "other"
	there.ring("one", "write")
	there.start()
	ours, theirs := client(t, here), client(t, there)
	if status(t, ours) == status(t, theirs) {
		t.Error("two clusters have one key ID")
	}
	sealed, err := ours.Encrypt(t.Context(), "uid", []byte("0123456789abcdef0123456789abcdef"))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := theirs.Decrypt(t.Context(), "uid", &service.DecryptRequest{Ciphertext: sealed.Ciphertext, KeyID: sealed.KeyID, Annotations: sealed.Annotations}); err == nil {
		t.Errorf("another cluster reads %d bytes", len(got))
	}
}

func TestAnswersThatCannotBeTrustedAreErrors(t *testing.T) {
	t.Parallel()
	p := newPlugin(newVault(t), "one", "write").start()
	c := client(t, p)
	keyID := status(t, c)
	sealed, err := c.Encrypt(t.Context(), "uid", []byte("0123456789abcdef0123456789abcdef"))
	if err != nil {
		t.Fatal(err)
	}
	answer := func(data map[string]any) string {
		text, err := json.Marshal(map[string]any{"data": data})
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	for name, fault := range map[string]faultproxy.Fault{
		"half a body":       {HalfBody: true},
		"no body":           {EmptyBody: true},
		"an empty object":   {Status: http.StatusOK, Body: "{}"},
		"an empty answer":   {Status: http.StatusOK, Body: answer(map[string]any{"plaintext": "", "ciphertext": ""})},
		"another plaintext": {Status: http.StatusOK, Body: answer(map[string]any{"plaintext": "aHVudGVyMg==", "ciphertext": "vault:v1:aHVudGVyMg=="})},
		"too long a one":    {Status: http.StatusOK, Body: answer(map[string]any{"plaintext": strings.Repeat("QUFB", 4000), "ciphertext": "vault:v1:" + strings.Repeat("QUFB", 400)})},
		"a portal's page":   {Status: http.StatusOK, Body: "<html>log in first</html>"},
		"a refusal":         {Status: http.StatusForbidden, Body: `{"errors":["permission denied"]}`},
		"an outage":         {Status: http.StatusServiceUnavailable, Body: `{"errors":["Vault is sealed"]}`},
		"throttling":        {Status: http.StatusTooManyRequests, Body: `{"errors":["slow down"]}`},
		"a broken line":     {Hangup: true},
	} {
		// One at a time: the faults are the proxy's.
		remove := p.Proxy.Add(fault)
		if got, err := c.Decrypt(t.Context(), "uid", &service.DecryptRequest{Ciphertext: sealed.Ciphertext, KeyID: sealed.KeyID, Annotations: sealed.Annotations}); err == nil {
			t.Errorf("%s: decrypted to %d bytes", name, len(got))
		}
		if _, _, _, err := kmsv2.GenerateTransformer(t.Context(), "uid", c, true); err == nil && name != "another plaintext" {
			t.Errorf("%s: a seed is taken", name)
		}
		remove()
	}
	eventually(t, 20*time.Second, "the same key ID again", func() error {
		if got := status(t, c); got != keyID {
			return errors.New(got)
		}
		return nil
	})
}

func TestARotationInVaultIsNamedWithinSecondsAndMislabelsNothing(t *testing.T) {
	t.Parallel()
	v := newVault(t)
	p := newPlugin(v, "one", "write").start()
	c := client(t, p)
	seen := map[string]bool{}
	var sealed []*service.EncryptResponse
	for range 5 {
		keyID := status(t, c)
		if seen[keyID] {
			t.Fatalf("%s again", keyID)
		}
		seen[keyID] = true
		v.rotate("one")
		// Status still names the version before; Encrypt has the new one.
		got, err := c.Encrypt(t.Context(), "uid", []byte("0123456789abcdef0123456789abcdef"))
		if err != nil {
			t.Fatal(err)
		}
		if next := status(t, c); next != got.KeyID || next == keyID {
			t.Errorf("encrypted with %s, status names %s", got.KeyID, next)
		}
		sealed = append(sealed, got)
		v.rotate("one")
		after := got.KeyID
		eventually(t, 10*time.Second, "another key ID", func() error {
			if status(t, c) == after {
				return errors.New("the same")
			}
			return nil
		})
	}
	for _, one := range sealed {
		if _, err := c.Decrypt(t.Context(), "uid", &service.DecryptRequest{Ciphertext: one.Ciphertext, KeyID: one.KeyID, Annotations: one.Annotations}); err != nil {
			t.Error(err)
		}
	}
}
