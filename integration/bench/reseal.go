package main

import (
	"bytes"
	"context"
	"crypto/hpke"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/lanyardhq/lanyard/provider/seal"
	"github.com/lanyardhq/lanyard/provider/secret"
)

// What is sealed again: as many values, as long as a password or a token, in
// classes of as many objects as have a file of their own.
const (
	resealValues  = 10000
	resealPerFile = 100
	resealBytes   = 64
)

// measureReseal measures `lanyard reseal` over classes in files, from the start
// of the process to its end, files written and brought to the disk. The floor is
// bare HPKE that opens and seals as many values, on as many cores.
func measureReseal(ctx context.Context, l *lab) ([]figure, error) {
	dir, err := l.newDir()
	if err != nil {
		return nil, err
	}
	before, err := seal.NewKeyRing("bench", time.Now())
	if err != nil {
		return nil, err
	}
	after, err := before.Rotate(time.Now())
	if err != nil {
		return nil, err
	}
	ring, err := after.Marshal()
	if err != nil {
		return nil, err
	}
	ringFile, publicFile := filepath.Join(dir, "ring"), filepath.Join(dir, "public")
	if err := errors.Join(os.WriteFile(ringFile, ring.Reveal(), 0o600), os.WriteFile(publicFile, after.Public().Marshal(), 0o600)); err != nil {
		return nil, err
	}
	texts, err := inParallel(resealValues, func(i int) (string, error) {
		scope := sealedScope()
		scope.Object = seal.Exact("object-" + strconv.Itoa(i))
		value := make([]byte, resealBytes)
		_, _ = rand.Read(value)
		return seal.Seal(before.Public(), scope, secret.New(value))
	})
	if err != nil {
		return nil, err
	}
	floor, err := resealFloor()
	if err != nil {
		return nil, err
	}
	var own, floors []float64
	err = alternate(l.samples(5), func() error {
		rate, err := l.resealOnce(ctx, dir, texts, "--key-ring", ringFile, "--public", publicFile)
		own = append(own, rate)
		return err
	}, func() error {
		rate, err := floor()
		floors = append(floors, rate)
		return err
	})
	if err != nil {
		return nil, err
	}
	ours, bare := summarize("values/s", own), summarize("values/s", floors)
	f := figure{
		What: fmt.Sprintf("reseal %s values in %d files", number(resealValues), resealValues/resealPerFile), Unit: "values/s",
		Value: ours.P50, Floor: bare.P50, Note: "floor: HPKE, open and seal",
		Samples: map[string]summary{"lanyard": ours, "floor": bare},
	}
	return []figure{f.held(atLeast, bare.P50/2, "floor / 2")}, nil
}

// resealOnce writes the files anew, seals what is in them again, and returns how
// many values a second that was.
func (l *lab) resealOnce(ctx context.Context, dir string, texts []string, flags ...string) (float64, error) {
	classes := filepath.Join(dir, "classes")
	if err := errors.Join(os.RemoveAll(classes), os.Mkdir(classes, 0o700)); err != nil {
		return 0, err
	}
	for first := 0; first < len(texts); first += resealPerFile {
		var b strings.Builder
		b.WriteString("apiVersion: secrets-store.csi.x-k8s.io/v1\nkind: SecretProviderClass\nmetadata: {name: web, namespace: bench}\nspec:\n  provider: lanyard\n  parameters:\n    objects: |\n")
		for i := range resealPerFile {
			fmt.Fprintf(&b, "      - path: object-%d # of the bench\n        sealed: %s\n", first+i, texts[first+i])
		}
		if err := os.WriteFile(filepath.Join(classes, strconv.Itoa(first)+".yaml"), []byte(b.String()), 0o600); err != nil {
			return 0, err
		}
	}
	start := time.Now()
	cmd := exec.CommandContext(ctx, l.binary, append(append([]string{"reseal"}, flags...), classes)...) //nolint:gosec // the binary is the caller's
	cmd.Env = []string{"HOME=" + dir, "TMPDIR=" + dir, "PATH=/nonexistent"}
	printed, err := cmd.CombinedOutput()
	took := time.Since(start)
	want := fmt.Sprintf("%d values resealed, 0 current already, 0 failed, in %d files\n", len(texts), len(texts)/resealPerFile)
	if err != nil || !bytes.Contains(printed, []byte(want)) {
		return 0, fmt.Errorf("reseal: %w\n%s", err, printed)
	}
	return float64(len(texts)) / took.Seconds(), nil
}

// resealFloor returns what measures the floor, in values a second.
func resealFloor() (func() (float64, error), error) {
	private, err := hpke.MLKEM768X25519().GenerateKey()
	if err != nil {
		return nil, err
	}
	kdf, aead := hpke.HKDFSHA256(), hpke.AES256GCM()
	ciphertext, err := hpke.Seal(private.PublicKey(), kdf, aead, nil, make([]byte, resealBytes))
	if err != nil {
		return nil, err
	}
	return func() (float64, error) {
		start := time.Now()
		_, err := inParallel(resealValues, func(int) (struct{}, error) {
			value, err := hpke.Open(private, kdf, aead, nil, ciphertext)
			if err == nil {
				_, err = hpke.Seal(private.PublicKey(), kdf, aead, nil, value)
			}
			return struct{}{}, err
		})
		return resealValues / time.Since(start).Seconds(), err
	}, nil
}

// inParallel does n things on all cores.
func inParallel[T any](n int, do func(int) (T, error)) ([]T, error) {
	done := make([]T, n)
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i := range n {
		group.Go(func() (err error) {
			done[i], err = do(i)
			return err
		})
	}
	return done, group.Wait()
}
