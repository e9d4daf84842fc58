package seal_test

import (
	"crypto/hpke"
	"fmt"
	"testing"

	"github.com/lanyardhq/lanyard/provider/seal"
	"github.com/lanyardhq/lanyard/provider/secret"
)

var benchSizes = []int{32, 4 << 10, 1 << 20}

// BenchmarkSeal compares Seal with bare HPKE of the same size, the floor.
func BenchmarkSeal(b *testing.B) {
	for _, size := range benchSizes {
		value := make([]byte, size)
		b.Run(fmt.Sprintf("lanyard/%d", size), func(b *testing.B) {
			public := newRing(b).Public()
			b.SetBytes(int64(size))
			for b.Loop() {
				if _, err := seal.Seal(public, webScope(), secret.New(value)); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(fmt.Sprintf("floor/%d", size), func(b *testing.B) {
			private, err := hpke.MLKEM768X25519().GenerateKey()
			if err != nil {
				b.Fatal(err)
			}
			public := private.PublicKey()
			b.SetBytes(int64(size))
			for b.Loop() {
				if _, err := hpke.Seal(public, hpke.HKDFSHA256(), hpke.AES256GCM(), nil, value); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkOpen compares Parse and Open with bare HPKE of the same size, the
// floor.
func BenchmarkOpen(b *testing.B) {
	for _, size := range benchSizes {
		value := make([]byte, size)
		b.Run(fmt.Sprintf("lanyard/%d", size), func(b *testing.B) {
			ring := newRing(b)
			text := mustSeal(b, ring, webScope(), string(value))
			b.SetBytes(int64(size))
			for b.Loop() {
				sealed, err := seal.Parse(text)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := sealed.Open(b.Context(), seal.Keys{Ring: ring}, web, object, noon); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(fmt.Sprintf("floor/%d", size), func(b *testing.B) {
			private, err := hpke.MLKEM768X25519().GenerateKey()
			if err != nil {
				b.Fatal(err)
			}
			ciphertext, err := hpke.Seal(private.PublicKey(), hpke.HKDFSHA256(), hpke.AES256GCM(), nil, value)
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(size))
			for b.Loop() {
				if _, err := hpke.Open(private, hpke.HKDFSHA256(), hpke.AES256GCM(), nil, ciphertext); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
