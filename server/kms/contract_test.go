package kms

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	kmsapi "k8s.io/kms/apis/v2"

	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/kmsring/ringtest"
)

func TestSizesAreHeldAgainstTheContract(t *testing.T) {
	p := start(t, head+ringKey("a", "write", ""))
	p.probe()
	_, err := p.encrypt("")
	p.is(err, codes.InvalidArgument, "the plaintext has 0 bytes")
	_, err = p.encrypt(strings.Repeat("x", 4097))
	p.is(err, codes.InvalidArgument, "the plaintext has 4097 bytes")
	_, err = p.encrypt(strings.Repeat("x", 1000))
	p.is(err, codes.InvalidArgument, "made a ciphertext of 103", "and the API server takes 1024")
	p.keyID()

	good := p.sealed("seed")
	for name, test := range map[string]struct {
		change func(*kmsapi.DecryptRequest)
		code   codes.Code
		want   string
	}{
		"no ciphertext":       {func(r *kmsapi.DecryptRequest) { r.Ciphertext = nil }, codes.InvalidArgument, "the ciphertext has 0 bytes"},
		"a long ciphertext":   {func(r *kmsapi.DecryptRequest) { r.Ciphertext = make([]byte, 1025) }, codes.InvalidArgument, "the ciphertext has 1025 bytes"},
		"no key ID":           {func(r *kmsapi.DecryptRequest) { r.KeyId = "" }, codes.InvalidArgument, "the key ID has 0 bytes"},
		"a long key ID":       {func(r *kmsapi.DecryptRequest) { r.KeyId = strings.Repeat("k", 1025) }, codes.InvalidArgument, "the key ID has 1025 bytes"},
		"another key ID":      {func(r *kmsapi.DecryptRequest) { r.KeyId = "\xff\x00rogue" }, codes.FailedPrecondition, "unknown key ID"},
		"no annotations":      {func(r *kmsapi.DecryptRequest) { r.Annotations = nil }, codes.FailedPrecondition, "the annotation format.kms.lanyardhq.github.io is missing"},
		"another format":      {func(r *kmsapi.DecryptRequest) { r.Annotations[formatAnnotation] = []byte("2") }, codes.FailedPrecondition, "a newer version of Lanyard"},
		"another version":     {func(r *kmsapi.DecryptRequest) { r.Annotations[versionAnnotation] = []byte("2") }, codes.FailedPrecondition, "unknown key ID"},
		"no version":          {func(r *kmsapi.DecryptRequest) { delete(r.Annotations, versionAnnotation) }, codes.FailedPrecondition, "must have 1 to 512 bytes"},
		"too long a version":  {func(r *kmsapi.DecryptRequest) { r.Annotations[versionAnnotation] = make([]byte, 513) }, codes.FailedPrecondition, "must have 1 to 512 bytes"},
		"too many to read":    {func(r *kmsapi.DecryptRequest) { r.Annotations["x.example.com"] = make([]byte, 33<<10) }, codes.InvalidArgument, "at most 32768 are possible"},
		"an annotation added": {func(r *kmsapi.DecryptRequest) { r.Annotations["x.example.com"] = []byte("y") }, codes.OK, ""},
	} {
		t.Run(name, func(*testing.T) {
			req := &kmsapi.DecryptRequest{Ciphertext: good.GetCiphertext(), KeyId: good.GetKeyId(), Annotations: map[string][]byte{}}
			for name, value := range good.GetAnnotations() {
				req.Annotations[name] = value
			}
			test.change(req)
			_, err := p.decrypt(req)
			if test.code == codes.OK && err == nil {
				return
			}
			p.is(err, test.code, test.want)
		})
	}
}

func TestAKeyWhoseCiphertextsAreTooLongIsNeverNamed(t *testing.T) {
	p := start(t, head+ringKey("a", "write", ""))
	p.keys.Pad(1000)
	p.probe()
	_, err := p.status()
	p.is(err, codes.InvalidArgument, "use a key of another kind")
}

func TestStatusCostsNoCallOfTheKeyService(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := start(t, head+ringKey("a", "write", ""))
		p.run()
		synctest.Wait()
		began := time.Now()
		for range 1000 {
			p.keyID()
			time.Sleep(100 * time.Millisecond)
		}
		most := int(time.Since(began)/DefaultProbe) + 1
		for _, operation := range []string{ringtest.Encrypt, ringtest.Decrypt} {
			if calls := p.keys.Calls("a", operation); calls > most {
				t.Errorf("%d calls to %s in 100 s of polling, want at most %d", calls, operation, most)
			}
		}
		if calls := p.keys.Calls("a", ringtest.Current); calls != 0 {
			t.Errorf("%d other calls", calls)
		}
	})
}

func TestOnlyWhatIsUnavailableIsTriedAgainAndOnlyWhileTheCallerWaits(t *testing.T) {
	for kind, want := range map[error]int{
		fault.ErrUnavailable: maxAttempts, fault.ErrDenied: 1, fault.ErrInvalid: 1, fault.ErrNotFound: 1, fault.ErrUnauthenticated: 1,
	} {
		synctest.Test(t, func(t *testing.T) {
			p := start(t, head+ringKey("a", "write", ""))
			p.failing(kind, "a")
			began := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
			defer cancel()
			_, err := p.server.service.Encrypt(ctx, &kmsapi.EncryptRequest{Plaintext: []byte("seed")})
			if got := p.keys.Calls("a", ringtest.Encrypt); err == nil || got < min(want, 4) || got > want || time.Since(began) > 2600*time.Millisecond {
				t.Errorf("%v: %d attempts in %s: %v", kind, got, time.Since(began), err)
			}
		})
	}
}

func TestAServiceThatAnswersAgainInTimeIsNotNoticed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := start(t, head+ringKey("a", "write", ""))
		p.probe()
		req := p.sealed("seed")
		fails := 2
		p.keys.Fail(func(context.Context, string, string) error {
			if fails--; fails >= 0 {
				return fault.Fail(fault.ErrUnavailable, errors.New("throttled"))
			}
			return nil
		})
		p.opens(req, "seed")
		p.keyID()
	})
}

func TestASlowServiceIsWaitedForAsLongAsTheCallerWaits(t *testing.T) {
	for delay, want := range map[time.Duration]codes.Code{2900 * time.Millisecond: codes.OK, 3100 * time.Millisecond: codes.Unavailable} {
		synctest.Test(t, func(t *testing.T) {
			p := start(t, head+ringKey("a", "write", ""))
			p.probe()
			req := p.sealed("seed")
			p.keys.Fail(func(ctx context.Context, _, _ string) error {
				select {
				case <-time.After(delay):
				case <-ctx.Done():
				}
				return ctx.Err()
			})
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
			defer cancel()
			_, err := p.server.service.Decrypt(ctx, req)
			p.is(err, want)
			if want != codes.OK {
				p.is(err, want, "key a (memory:a): no answer within 2.9")
				if ctx.Err() != nil {
					t.Error("the caller's time was over before it was told")
				}
			}
		})
	}
}

func TestACallerThatGivesUpSaysNothingOfTheKey(t *testing.T) {
	p := start(t, head+ringKey("a", "write", ""))
	p.probe()
	p.keys.Fail(func(ctx context.Context, _, _ string) error { <-ctx.Done(); return ctx.Err() })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := p.server.service.Encrypt(ctx, &kmsapi.EncryptRequest{Plaintext: []byte("seed")})
	p.is(err, codes.Canceled, "gave up")
	p.keyID()
}

func TestCallsAtTheKeyServicesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := start(t, head+ringKey("a", "write", ""))
		p.probe()
		req := p.sealed("seed")
		inFlight, most := 0, 0
		lock := make(chan struct{}, 1)
		count := func(n int) {
			lock <- struct{}{}
			inFlight += n
			most = max(most, inFlight)
			<-lock
		}
		p.keys.Fail(func(context.Context, string, string) error {
			count(1)
			time.Sleep(10 * time.Millisecond)
			count(-1)
			return nil
		})
		failed := make(chan error, 500)
		for range cap(failed) {
			go func() {
				_, err := p.server.service.Decrypt(context.Background(), req)
				failed <- err
			}()
		}
		for range cap(failed) {
			if err := <-failed; err != nil {
				t.Error(err)
			}
		}
		if most != 64 {
			t.Errorf("%d calls in flight, want 64", most)
		}
	})
}

func TestErrorsAreBoundedAndPlain(t *testing.T) {
	p := start(t, head+ringKey("a", "write", ""))
	p.keys.Fail(func(context.Context, string, string) error {
		return fault.Fail(fault.ErrDenied, fmt.Errorf("%s\xff", strings.Repeat("x", 10<<10)))
	})
	_, err := p.encrypt("seed")
	p.is(err, codes.PermissionDenied)
	if len(err.Error()) > maxText+200 {
		t.Errorf("%d bytes", len(err.Error()))
	}
}

func FuzzDecrypt(f *testing.F) {
	f.Add([]byte("v1:0:xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"), "id", "1", "1", "x.example.com", []byte("y"))
	f.Add([]byte{}, "", "", "", "", []byte{})
	f.Add(make([]byte, 1024), strings.Repeat("k", 1024), "1", strings.Repeat("v", 512), "a", make([]byte, 40<<10))
	f.Fuzz(func(t *testing.T, ciphertext []byte, keyID, format, version, name string, value []byte) {
		p := start(t, head+ringKey("a", "write", "")+ringKey("b", "read", ""))
		p.probe()
		good := p.sealed("the seed")
		for _, id := range []string{keyID, good.GetKeyId()} {
			got, err := p.decrypt(&kmsapi.DecryptRequest{
				Ciphertext: ciphertext, KeyId: id,
				Annotations: map[string][]byte{name: value, formatAnnotation: []byte(format), versionAnnotation: []byte(version)},
			})
			if err == nil {
				t.Errorf("it decrypts to %q", got)
			} else if strings.Contains(err.Error(), "the seed") || len(err.Error()) > maxText+200 {
				t.Errorf("the error is %v", err)
			}
		}
		p.opens(good, "the seed")
		p.keyID()
	})
}
