package azure

import (
	"encoding/base64"
	"errors"
	"testing"

	"github.com/lanyardhq/lanyard/provider/backend/azure/azuretest"
	"github.com/lanyardhq/lanyard/provider/fault"
)

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
			if !errors.Is(err, fault.ErrInvalid) || b != nil {
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
