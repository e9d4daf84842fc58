package main

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hpke"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/key"
	"github.com/lanyardhq/lanyard/provider/key/local"
	"github.com/lanyardhq/lanyard/provider/seal"
	"github.com/lanyardhq/lanyard/provider/secret"
)

// The sizes of values: a password or key, and the longest that there is.
const (
	sealedSmall = 1 << 10
	sealedLarge = 1 << 20
)

// sealing is one way to seal and to open a value, and its floor: the bare
// cryptography that Go's standard library has for it, on as many bytes.
type sealing struct {
	name        string
	seal, open  func() error
	floorSeal   func() error
	floorOpen   func() error
	floorOfWhat string
	held        bool // to its floor, for small values
}

// measureSeal measures sealing and opening in this process, on one core, each in
// short blocks that alternate with its floor's. A key service is one whose keys
// lie in a file, so that what is measured is not its network.
func measureSeal(ctx context.Context, l *lab) ([]figure, error) {
	dir, err := l.newDir()
	if err != nil {
		return nil, err
	}
	var figures []figure
	for _, size := range []int{sealedSmall, sealedLarge} {
		value := make([]byte, size)
		_, _ = rand.Read(value)
		public, err := publicKeySealing(ctx, value)
		if err != nil {
			return nil, err
		}
		service, err := keyServiceSealing(ctx, dir, value)
		if err != nil {
			return nil, err
		}
		for _, s := range []sealing{public, service} {
			of, err := s.measure(ctx, l, size)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", s.name, err)
			}
			figures = append(figures, of...)
		}
	}
	return figures, nil
}

// measure is the throughput of sealing and opening values of the size.
func (s sealing) measure(ctx context.Context, l *lab, size int) ([]figure, error) {
	var figures []figure
	for _, half := range []struct {
		verb        string
		own, floors func() error
	}{{"seal", s.seal, s.floorSeal}, {"open", s.open, s.floorOpen}} {
		own, floor, err := takeTurns(ctx, half.own, half.floors, l.samples(20))
		if err != nil {
			return nil, err
		}
		f := figure{What: half.verb + " values of 1 KiB " + s.name, Unit: "values/s", Value: own.P50, Floor: floor.P50}
		if size == sealedLarge {
			const mebibyte = 1 << 20
			perSecond := float64(size) / mebibyte
			f = figure{What: half.verb + " values of 1 MiB " + s.name, Unit: "MiB/s", Value: own.P50 * perSecond, Floor: floor.P50 * perSecond}
		}
		f.Note = "floor: " + s.floorOfWhat
		if s.held && size == sealedSmall {
			f = f.held(atLeast, f.Floor/1.5, "floor / 1.5")
		}
		f.Samples = map[string]summary{"lanyard": own, "floor": floor}
		figures = append(figures, f)
	}
	return figures, nil
}

// block is how long one block of calls takes at least.
const block = 50 * time.Millisecond

// takeTurns returns the calls a second of both, from blocks that take turns.
func takeTurns(ctx context.Context, own, floor func() error, blocks int) (ownRate, floorRate summary, err error) {
	rates := [2][]float64{}
	for range blocks {
		for i, call := range []func() error{own, floor} {
			start, n := time.Now(), 0
			for time.Since(start) < block {
				if err := errors.Join(call(), ctx.Err()); err != nil {
					return summary{}, summary{}, err
				}
				n++
			}
			rates[i] = append(rates[i], float64(n)/time.Since(start).Seconds())
		}
	}
	return summarize("calls/s", rates[0]), summarize("calls/s", rates[1]), nil
}

// sealedScope and sealedFor are whom all values are for.
func sealedScope() seal.Scope {
	return seal.Scope{Cluster: seal.Exact("bench"), Namespace: seal.Exact(namespace), ServiceAccount: seal.Exact("web"), Object: seal.Exact("db/password")}
}

func openSealed(ctx context.Context, keys seal.Keys, text string, size int) error {
	parsed, err := seal.Parse(text)
	if err != nil {
		return err
	}
	as := identity.Identity{Cluster: "bench", Namespace: namespace, ServiceAccount: "web"}
	value, err := parsed.Open(ctx, keys, as, "db/password", time.Now())
	if err == nil && value.Len() != size {
		err = errors.New("another value was opened than was sealed")
	}
	return err
}

// publicKeySealing is suite 1, whose floor is HPKE with the same algorithms.
func publicKeySealing(ctx context.Context, value []byte) (sealing, error) {
	ring, err := seal.NewKeyRing("bench", time.Now())
	if err != nil {
		return sealing{}, err
	}
	text, err := seal.Seal(ring.Public(), sealedScope(), secret.New(value))
	if err != nil {
		return sealing{}, err
	}
	private, err := hpke.MLKEM768X25519().GenerateKey()
	if err != nil {
		return sealing{}, err
	}
	floor, err := hpke.Seal(private.PublicKey(), hpke.HKDFSHA256(), hpke.AES256GCM(), nil, value)
	if err != nil {
		return sealing{}, err
	}
	return sealing{
		name: "with a public key", floorOfWhat: "HPKE", held: true,
		seal: func() error {
			_, err := seal.Seal(ring.Public(), sealedScope(), secret.New(value))
			return err
		},
		open: func() error { return openSealed(ctx, seal.Keys{Ring: ring}, text, len(value)) },
		floorSeal: func() error {
			_, err := hpke.Seal(private.PublicKey(), hpke.HKDFSHA256(), hpke.AES256GCM(), nil, value)
			return err
		},
		floorOpen: func() error {
			_, err := hpke.Open(private, hpke.HKDFSHA256(), hpke.AES256GCM(), nil, floor)
			return err
		},
	}, nil
}

// keyServiceSealing is suite 2, whose floor is AES-256-GCM under a new key each
// time, and nothing that wraps it.
func keyServiceSealing(ctx context.Context, dir string, value []byte) (sealing, error) {
	plain := make([]byte, 32)
	_, _ = rand.Read(plain)
	path := filepath.Join(dir, fmt.Sprintf("local-key-%d", len(value)))
	if err := os.WriteFile(path, []byte(base64.StdEncoding.EncodeToString(plain)+"\n"), 0o600); err != nil {
		return sealing{}, err
	}
	opened, err := local.NewType().Open(key.Settings{Fields: map[string]any{"file": path}, ByOperator: true})
	if err != nil {
		return sealing{}, err
	}
	with, err := seal.NewServiceKey("bench", opened, true)
	if err != nil {
		return sealing{}, err
	}
	text, err := seal.SealWith(ctx, with, sealedScope(), secret.New(value))
	if err != nil {
		return sealing{}, err
	}
	floor, err := bareSeal(plain, value)
	if err != nil {
		return sealing{}, err
	}
	return sealing{
		name: "with a local key service", floorOfWhat: "AES-256-GCM",
		seal: func() error {
			_, err := seal.SealWith(ctx, with, sealedScope(), secret.New(value))
			return err
		},
		open: func() error {
			return openSealed(ctx, seal.Keys{Services: []*seal.ServiceKey{with}}, text, len(value))
		},
		floorSeal: func() error {
			fresh := make([]byte, 32)
			_, _ = rand.Read(fresh)
			_, err := bareSeal(fresh, value)
			return err
		},
		floorOpen: func() error {
			aead, err := bareGCM(plain)
			if err != nil {
				return err
			}
			_, err = aead.Open(nil, make([]byte, aead.NonceSize()), floor, nil)
			return err
		},
	}, nil
}

func bareSeal(plain, value []byte) ([]byte, error) {
	aead, err := bareGCM(plain)
	if err != nil {
		return nil, err
	}
	return aead.Seal(nil, make([]byte, aead.NonceSize()), value, nil), nil //nolint:gosec // the key is new for each value
}

func bareGCM(plain []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(slices.Clone(plain))
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}
