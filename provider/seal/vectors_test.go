package seal_test

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/seal"
	"github.com/lanyardhq/lanyard/provider/secret"
)

const vectorsPath = "testdata/vectors.json"

// allErrors are the errors of the format by their names in the vectors.
var allErrors = map[string]error{
	"malformed":             seal.ErrMalformed,
	"unknown-version":       seal.ErrUnknownVersion,
	"unknown-suite":         seal.ErrUnknownSuite,
	"other-cluster":         seal.ErrOtherCluster,
	"other-namespace":       seal.ErrOtherNamespace,
	"other-service-account": seal.ErrOtherServiceAccount,
	"other-object":          seal.ErrOtherObject,
	"expired":               seal.ErrExpired,
	"unknown-key":           seal.ErrUnknownKey,
	"retired-key":           seal.ErrRetiredKey,
	"key-service":           seal.ErrKeyService,
	"unsigned":              seal.ErrUnsigned,
	"unknown-sealer":        seal.ErrUnknownSealer,
	"signature":             seal.ErrSignature,
	"authentication":        seal.ErrAuthentication,
}

// vectorFile is the vectors' file; docs/spec/sealed-value-v1.md describes it.
type vectorFile struct {
	Comment  string          `json:"comment"`
	Keys     []vectorKey     `json:"keys"`
	Services []vectorService `json:"services"`
	Sealers  []vectorSealer  `json:"sealers"`
	Unsigned []string        `json:"unsigned"` // namespaces
	Vectors  []vector        `json:"vectors"`
}

type vectorKey struct {
	ID     string `json:"id"`
	State  string `json:"state"`
	Seed   string `json:"seed"`
	Public string `json:"public"`
}

// vectorService is a key of type local.
type vectorService struct {
	Name string   `json:"name"`
	Keys []string `json:"keys"` // lines of a key file
}

// vectorSealer is a sealer that is trusted for the namespaces.
type vectorSealer struct {
	ID         string   `json:"id"`
	Seed       string   `json:"seed"`
	Public     string   `json:"public"`
	Namespaces []string `json:"namespaces"`
}

type vector struct {
	Name   string       `json:"name"`
	Text   string       `json:"text"`
	As     vectorAs     `json:"as"`
	Object string       `json:"object"`
	Now    int64        `json:"now"`
	Errors []string     `json:"errors"`
	Key    string       `json:"key,omitempty"`
	Scope  *vectorScope `json:"scope,omitempty"`
	Sealer string       `json:"sealer,omitempty"`
	Value  string       `json:"value,omitempty"`
}

type vectorAs struct {
	Cluster        string `json:"cluster"`
	Namespace      string `json:"namespace"`
	ServiceAccount string `json:"serviceAccount"`
}

// vectorScope has null for any, and 0 for a value that does not expire.
type vectorScope struct {
	Cluster        *string `json:"cluster"`
	Namespace      *string `json:"namespace"`
	ServiceAccount *string `json:"serviceAccount"`
	Object         *string `json:"object"`
	NotAfter       int64   `json:"notAfter"`
}

func readVectors(t testing.TB) vectorFile {
	t.Helper()
	data, err := os.ReadFile(vectorsPath)
	if err != nil {
		t.Fatal(err)
	}
	var file vectorFile
	if err := json.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	return file
}

// vectorRing makes the vectors' key ring from its seeds.
func vectorRing(t testing.TB, keys []vectorKey) *seal.KeyRing {
	t.Helper()
	var b strings.Builder
	b.WriteString("kind: lanyard.key-ring.v1\nkeys:\n")
	for _, key := range keys {
		fmt.Fprintf(&b, "- {id: %q, state: %s, created: \"2026-05-01T12:00:00Z\"", key.ID, key.State)
		if key.State != "retired" {
			fmt.Fprintf(&b, ", private: %s", "lanyard.private.v1."+base64url(unhex(t, key.Seed)))
		}
		b.WriteString("}\n")
	}
	ring, err := seal.ParseKeyRing(secret.NewString(b.String()))
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

// vectorKeys are the vectors' key ring and keys of key services.
func vectorKeys(t testing.TB, file vectorFile) seal.Keys {
	t.Helper()
	keys := seal.Keys{Ring: vectorRing(t, file.Keys)}
	for _, service := range file.Services {
		keys.Services = append(keys.Services, named(t, service.Name, localKey(t, service.Keys...), true))
	}
	keys.Signatures = &seal.Signatures{Unsigned: file.Unsigned}
	for _, sealer := range file.Sealers {
		key, err := seal.ParseSealerKey("vector", "lanyard.sealer-public.v1."+base64url(unhex(t, sealer.Public)))
		if err != nil || key.ID().String() != sealer.ID {
			t.Fatalf("sealer %s: %v", sealer.ID, err)
		}
		keys.Signatures.Trusted = append(keys.Signatures.Trusted, seal.TrustedSealer{Key: key, Namespaces: sealer.Namespaces})
	}
	return keys
}

func unhex(t testing.TB, text string) []byte {
	t.Helper()
	data, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestVectors(t *testing.T) {
	file := readVectors(t)
	keys := vectorKeys(t, file)
	for _, v := range file.Vectors {
		t.Run(v.Name, func(t *testing.T) {
			want := make([]error, len(v.Errors))
			for i, name := range v.Errors {
				if want[i] = allErrors[name]; want[i] == nil {
					t.Fatalf("unknown error name %q", name)
				}
			}
			sealed, err := seal.Parse(v.Text)
			var value secret.Bytes
			if err == nil {
				value, err = sealed.Open(t.Context(), keys, identity.Identity{Cluster: v.As.Cluster, Namespace: v.As.Namespace, ServiceAccount: v.As.ServiceAccount}, v.Object, time.Unix(v.Now, 0))
			}
			wantErrors(t, err, want...)
			if got := hex.EncodeToString(value.Reveal()); got != v.Value {
				t.Errorf("value %s, want %s", got, v.Value)
			}
			if v.Scope == nil {
				return
			}
			if got := scopeOf(sealed.Scope()); !sameJSON(t, got, *v.Scope) || sealed.KeyID().String() != v.Key {
				t.Errorf("key %s, scope %+v", sealed.KeyID(), sealed.Scope())
			}
			if id, signed := sealed.Sealer(); signed != (v.Sealer != "") || signed && id.String() != v.Sealer {
				t.Errorf("signed by %s", id)
			}
		})
	}
}

func TestVectorsAreComplete(t *testing.T) {
	covered := map[string]bool{}
	names := map[string]bool{}
	positive := 0
	for _, v := range readVectors(t).Vectors {
		if names[v.Name] {
			t.Errorf("two vectors are called %q", v.Name)
		}
		names[v.Name] = true
		if len(v.Errors) == 0 {
			positive++
		}
		if len(v.Errors) == 1 {
			covered[v.Errors[0]] = true
		}
	}
	for name := range allErrors {
		if !covered[name] {
			t.Errorf("no vector has the error %s alone", name)
		}
	}
	if positive < 5 {
		t.Errorf("only %d vectors open", positive)
	}
}

// A new error of the package must get a name here and a vector.
func TestEveryErrorHasAName(t *testing.T) {
	source, err := os.ReadFile("errors.go")
	if err != nil {
		t.Fatal(err)
	}
	if declared := strings.Count(string(source), "= errors.New("); declared != len(allErrors) {
		t.Errorf("errors.go declares %d errors, the vectors name %d", declared, len(allErrors))
	}
	texts := []string{}
	for _, kind := range allErrors {
		texts = append(texts, kind.Error())
		for _, other := range allErrors {
			if kind.Error() != other.Error() && errors.Is(kind, other) {
				t.Errorf("%q is %q", kind, other)
			}
		}
	}
	slices.Sort(texts)
	if len(slices.Compact(texts)) != len(allErrors) {
		t.Error("two errors have one text")
	}
}

func scopeOf(s seal.Scope) vectorScope {
	field := func(n seal.Name) *string {
		if n.IsAny() {
			return nil
		}
		name := n.String()
		return &name
	}
	out := vectorScope{Cluster: field(s.Cluster), Namespace: field(s.Namespace), ServiceAccount: field(s.ServiceAccount), Object: field(s.Object)}
	if !s.NotAfter.IsZero() {
		out.NotAfter = s.NotAfter.Unix()
	}
	return out
}

func sameJSON(t testing.TB, a, b any) bool {
	t.Helper()
	one, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	two, err := json.Marshal(b)
	if err != nil {
		t.Fatal(err)
	}
	return string(one) == string(two)
}
