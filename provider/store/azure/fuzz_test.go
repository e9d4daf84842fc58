package azure

import (
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"github.com/lanyardhq/lanyard/provider/azure/azuretest"
	"github.com/lanyardhq/lanyard/provider/store"
)

func FuzzChallenge(f *testing.F) {
	for _, header := range []string{
		`Bearer authorization="https://login.microsoftonline.com/72f988bf-0000-4000-8000-2d7cd011db47", resource="https://vault.azure.net"`,
		`Bearer authorization="https://login.windows.net/tenant", scope="https://vault.azure.net/.default" resource="https://managedhsm.azure.net"`,
		`Bearer authorization_uri="https://login.microsoftonline.com/t/oauth2/authorize", resource="https://vault.azure.cn"`,
		`Bearer authorization="https://login", resource="https://vault.azure.net"`,
		`Bearer authorization=, resource`, `Bearer`, `Basic realm="x"`, "",
	} {
		f.Add(header)
	}
	f.Fuzz(func(t *testing.T, header string) {
		c, err := parseChallenge(header)
		if err != nil {
			if c != (challenge{}) {
				t.Errorf("an error and %+v", c)
			}
			return
		}
		if !tenant.MatchString(c.tenant) || !strings.HasPrefix(c.resource, "https://") || strings.ContainsAny(c.resource[len("https://"):], "/?#@ ") {
			t.Errorf("%q is read as %+v", header, c)
		}
	})
}

func FuzzBundle(f *testing.F) {
	chain := azuretest.NewChain(f, 2, "web.example.com")
	pem := chain.KeyPEM(f) + azuretest.CertificatePEM(chain.All()...)
	raw, err := base64.StdEncoding.DecodeString(chain.PFX(f, ""))
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(pem), true)
	f.Add(raw, false)
	f.Add([]byte(azuretest.CertificatePEM(chain.Root, chain.Root, chain.Leaf)), true)
	f.Add([]byte("nothing"), false)
	f.Fuzz(func(t *testing.T, data []byte, isPEM bool) {
		value, contentType := base64.StdEncoding.EncodeToString(data), contentTypePFX
		if isPEM {
			value, contentType = string(data), contentTypePEM
		}
		b, err := parseBundle(value, contentType)
		if err != nil {
			if !errors.Is(err, store.ErrInvalid) || b != nil {
				t.Errorf("parseBundle = %v, %v", b, err)
			}
			return
		}
		if len(b.chain) == 0 {
			t.Error("a bundle without a certificate")
		}
		for _, part := range []string{partChain, partKey, partAll, partPair} {
			if got, err := b.part(part); err == nil && got.Len() == 0 {
				t.Errorf("%s is empty", part)
			}
		}
	})
}
