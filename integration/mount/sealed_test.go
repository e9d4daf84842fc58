package mount

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/lanyardhq/lanyard/provider/seal"
)

// A sealed value is bound to one workload and one spelling. Whatever differs
// is told apart and gives no file.
func TestSealedValueOpensNowhereElse(t *testing.T) {
	t.Parallel()
	n := newNode(t, setup{})
	web := n.pod(t, "shop", "web")
	scope := scopeOf(web, "token")
	// One retired key, one that still reads, one that writes.
	retired := n.ring.Public()
	retiredText := sealTo(t, retired, scope, "the value")
	ring := rotated(t, n.ring)
	readText := sealTo(t, ring.Public(), scope, "the value")
	ring = rotated(t, ring)
	ring, err := ring.Retire(retired.ID())
	if err != nil {
		t.Fatal(err)
	}
	to := ring.Public()
	right := sealTo(t, to, scope, "the value")
	n.writeRing(t, ring)

	expired := time.Now().Add(-time.Hour).Truncate(time.Second)
	with := func(change func(*seal.Scope)) string {
		changed := scope
		change(&changed)
		return sealTo(t, to, changed, "the value")
	}
	stranger, err := seal.NewKeyRing(cluster, time.Now())
	if err != nil {
		t.Fatal(err)
	}

	for name, c := range map[string]struct {
		text string
		code codes.Code
		want string // with which the error's text after the object begins
	}{
		"another cluster": {
			with(func(s *seal.Scope) { s.Cluster = seal.Exact("staging") }), codes.PermissionDenied,
			`sealed: sealed for cluster "staging", asked for in cluster "test-cluster"; seal the value again for this workload`,
		},
		"another namespace": {
			with(func(s *seal.Scope) { s.Namespace = seal.Exact("bank") }), codes.PermissionDenied,
			`sealed: sealed for namespace "bank", asked for by a pod in "shop"; seal the value again for this workload`,
		},
		"another service account": {
			with(func(s *seal.Scope) { s.ServiceAccount = seal.Exact("api") }), codes.PermissionDenied,
			`sealed: sealed for service account "api", asked for by "web"; seal the value again for this workload`,
		},
		"another object": {
			with(func(s *seal.Scope) { s.Object = seal.Exact("other") }), codes.PermissionDenied,
			`sealed: sealed for object "other", asked for by object "token"; seal the value again for this workload`,
		},
		"expired": {
			with(func(s *seal.Scope) { s.NotAfter = expired }), codes.PermissionDenied,
			`sealed: sealed value expired at ` + expired.UTC().Format(time.RFC3339),
		},
		"unknown key": {
			sealTo(t, stranger.Public(), scope, "the value"), codes.InvalidArgument,
			`sealed: unknown key: the value is sealed to key ` + stranger.Public().ID().String() + `, the key ring has ` + to.ID().String(),
		},
		"retired key": {
			retiredText, codes.InvalidArgument,
			`sealed: retired key: the value is sealed to key ` + retired.ID().String() + `, which was retired; seal the value again to key ` + to.ID().String(),
		},
		"one bit of the ciphertext flipped": {
			flipped(t, right, -1), codes.InvalidArgument,
			`sealed: sealed value was altered: it does not authenticate under key ` + to.ID().String() + `; take the text from Git again, or seal the value again`,
		},
		"truncated": {
			right[:len(right)-4], codes.InvalidArgument,
			`sealed: sealed value was altered: it does not authenticate under key ` + to.ID().String() + `; take the text from Git again, or seal the value again`,
		},
		"truncated in the middle of a byte": {
			right[:len(right)-3], codes.InvalidArgument,
			`sealed: malformed sealed value: it is not base64url, or is cut off; copy the whole text`,
		},
		"cut off": {
			right[:60], codes.InvalidArgument,
			`sealed: malformed sealed value: it is not base64url, or is cut off; copy the whole text`,
		},
		"in another alphabet": {
			"lanyard.v1." + base64.StdEncoding.EncodeToString(decoded(t, right)), codes.InvalidArgument,
			`sealed: malformed sealed value: it is in another alphabet than base64url`,
		},
		"padded": {
			right + "=", codes.InvalidArgument,
			`sealed: malformed sealed value: it has base64 padding (=), or it was copied with something else`,
		},
		"in capitals": {
			strings.ToUpper(right), codes.InvalidArgument,
			`sealed: malformed sealed value: it does not begin with "lanyard.v1."; copy the whole text that lanyard seal printed`,
		},
		"of a version to come": {
			strings.Replace(right, ".v1.", ".v2.", 1), codes.InvalidArgument,
			`sealed: unknown version of sealed value: v2; this program knows v1: use a newer lanyard, or seal the value again`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			pod := n.pod(t, "shop", "web")
			got := n.refused(t, pod, class{"objects": "[{path: token, sealed: " + c.text + "}]"}, c.code)
			const before = "object 1 (token): "
			got = strings.TrimPrefix(got, "the SecretProviderClass cannot be used: ")
			if !strings.HasPrefix(got, before+c.want) {
				t.Errorf("got\n%s\nwant\n%s", got, before+c.want)
			}
			if strings.Contains(got, c.text) || strings.Contains(got, c.text[len(c.text)/2:]) {
				t.Error("the error repeats the ciphertext")
			}
		})
	}

	// What was sealed for this workload opens, with the write key and with the
	// one before.
	for name, text := range map[string]string{"write key": right, "read key": readText} {
		n.mounted(t, web, class{"objects": "[{path: token, sealed: " + text + "}]"})
		if got := web.holds(t)["token"]; got != "the value" {
			t.Errorf("%s: the file holds %q", name, got)
		}
	}
}

// Every part counts: the scope and the key as well as the ciphertext.
func TestFlippedBitAnywhereInASealedValueGivesNoFile(t *testing.T) {
	t.Parallel()
	n := newNode(t, setup{bounds: "objects: 10000"})
	web := n.pod(t, "shop", "web")
	text := n.seal(t, web, "token", "the value")
	bits := 8 * len(decoded(t, text))
	for bit := 0; bit < bits; bit += 61 { // all over the text, and each place in a byte
		_, err := n.mount(t.Context(), web, class{"objects": "[{path: token, sealed: " + flipped(t, text, bit) + "}]"})
		if err == nil {
			t.Fatalf("bit %d of %d flipped: the mount succeeded", bit, bits)
		}
	}
	if got := web.holds(t); len(got) != 0 {
		t.Errorf("the volume holds %v", got)
	}
}

// A value that was opened once is not served from memory after its time.
func TestSealedValueEndsWithItsNotAfterTime(t *testing.T) {
	t.Parallel()
	n := newNode(t, setup{cache: "refresh: 1h"})
	web := n.pod(t, "shop", "web")
	scope := scopeOf(web, "token")
	scope.NotAfter = time.Now().Add(3 * time.Second)
	c := class{"objects": "[{path: token, sealed: " + sealTo(t, n.ring.Public(), scope, "the value") + "}]"}
	n.mounted(t, web, c)
	waitFor(t, "the value to expire", func() bool {
		_, err := n.mount(t.Context(), web, c)
		return err != nil && strings.Contains(err.Error(), "sealed value expired at")
	})
}

// rotated is the ring with a new write key.
func rotated(t *testing.T, ring *seal.KeyRing) *seal.KeyRing {
	t.Helper()
	next, err := ring.Rotate(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return next
}

func decoded(t *testing.T, text string) []byte {
	t.Helper()
	data, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(text, "lanyard.v1."))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// flipped is the text with one bit of its bytes changed; a negative bit is
// counted from the end.
func flipped(t *testing.T, text string, bit int) string {
	t.Helper()
	data := decoded(t, text)
	if bit < 0 {
		bit += 8 * len(data)
	}
	data[bit/8] ^= 1 << (bit % 8)
	return "lanyard.v1." + base64.RawURLEncoding.EncodeToString(data)
}
