package migrate

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"k8s.io/client-go/metadata"
)

const (
	oldHash = "sha256:01d"
	newHash = "sha256:2e3"
)

// read answers a GET of one object and counts it, as the API server does when
// it reads etcd: stale objects are under the old key.
func (a *apiServer) read(w http.ResponseWriter, r *http.Request, resource, name string) {
	o := a.objects[resource+" "+name]
	if o == nil {
		fail(w, http.StatusNotFound, "NotFound", "not found")
		return
	}
	if r.URL.RawQuery != "" {
		a.Errorf("%s may be answered from a cache", r.URL)
	}
	if a.answer != nil && a.answer(w, r, name) {
		return
	}
	a.count(resource, o.stale)
	reply(w, o.metadata())
}

func (a *apiServer) count(resource string, stale bool) {
	a.reads[resource]++
	if stale {
		a.keys[oldHash]++
	} else {
		a.keys[newHash]++
	}
}

// metrics are those of a server that has read before, and has another provider.
func (a *apiServer) metrics(w http.ResponseWriter) {
	var b strings.Builder
	b.WriteString("# HELP apiserver_storage_transformation_operations_total [ALPHA] Total number of transformations.\n")
	for resource, n := range a.reads {
		fmt.Fprintf(&b, "apiserver_storage_transformation_operations_total{resource=%q,status=\"OK\",transformation_type=\"from_storage\",transformer_prefix=\"k8s:enc:kms:v2:lanyard:\"} %d\n", resource, n-a.others)
		fmt.Fprintf(&b, "apiserver_storage_transformation_operations_total{resource=%q,status=\"OK\",transformation_type=\"from_storage\",transformer_prefix=\"k8s:enc:kms:v2:other:\"} %d\n", resource, a.others)
		fmt.Fprintf(&b, "apiserver_storage_transformation_operations_total{resource=%q,status=\"OK\",transformation_type=\"to_storage\",transformer_prefix=\"k8s:enc:kms:v2:lanyard:\"} 1e+06\n", resource)
		fmt.Fprintf(&b, "apiserver_storage_transformation_operations_total{resource=%q,status=\"unknown\",transformation_type=\"from_storage\",transformer_prefix=\"k8s:enc:kms:v2:lanyard:\"} 9\n", resource)
	}
	for hash, n := range a.keys {
		fmt.Fprintf(&b, "apiserver_envelope_encryption_key_id_hash_total{apiserver_id_hash=\"\",key_id_hash=%q,provider_name=\"lanyard\",transformation_type=\"from_storage\"} %d\n", hash, n)
	}
	fmt.Fprintf(&b, "apiserver_envelope_encryption_key_id_hash_total{apiserver_id_hash=\"\",key_id_hash=%q,provider_name=\"other\",transformation_type=\"from_storage\"} %d\n", oldHash, 99+a.others)
	b.WriteString("apiserver_envelope_encryption_key_id_hash_status_last_timestamp_seconds{apiserver_id_hash=\"\",key_id_hash=\"" + oldHash + "\",provider_name=\"lanyard\"} 1.674865558833728e+09\n")
	b.WriteString("apiserver_envelope_encryption_key_id_hash_status_last_timestamp_seconds{apiserver_id_hash=\"\",key_id_hash=\"" + newHash + "\",provider_name=\"lanyard\"} 1.774865558833728e+09\n")
	if _, err := io.WriteString(w, b.String()); err != nil {
		a.Error(err)
	}
}

func (a *apiServer) countKeys(t *testing.T, names ...string) ([]Count, error) {
	t.Helper()
	return a.countKeysWithout(t, nil, names...)
}

func (a *apiServer) countKeysWithout(t *testing.T, others []string, names ...string) ([]Count, error) {
	t.Helper()
	client, err := NewServer(a.config())
	if err != nil {
		t.Fatal(err)
	}
	objects, err := metadata.NewForConfig(a.config())
	if err != nil {
		t.Fatal(err)
	}
	found, err := Resolve(t.Context(), client, names)
	if err != nil {
		t.Fatal(err)
	}
	read := Metrics(client.Metrics)
	if hash, err := read.Names(t.Context(), "lanyard"); err != nil || hash != newHash {
		t.Errorf("the API server writes with %q, %v", hash, err)
	}
	if hash, err := read.Names(t.Context(), "nobody"); err != nil || hash != "" {
		t.Errorf("a provider that is not there writes with %q, %v", hash, err)
	}
	return CountKeys(t.Context(), Options{Client: objects, Rate: 10000, Workers: 4, PageSize: 3}, read, others, found)
}

func TestObjectsAreCountedByTheKeyThatTheyAreUnder(t *testing.T) {
	a := serve(t)
	a.add("secrets", several(10)...)
	a.add("namespaces", "x", "y")
	for _, name := range several(10)[:4] {
		a.objects["secrets "+name].stale = false
	}
	counts, err := a.countKeys(t, "secrets", "namespaces")
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []Count{
		{Resource: "namespaces", Objects: 2, Read: 2, Keys: map[string]int{oldHash: 2}},
		{Resource: "secrets", Objects: 10, Read: 10, Keys: map[string]int{oldHash: 6, newHash: 4}},
	} {
		got := counts[i]
		if got.Resource != want.Resource || got.Objects != want.Objects || got.Read != want.Read || !maps.Equal(got.Keys, want.Keys) || got.AtMost || got.Failed != 0 {
			t.Errorf("%+v, want %+v", got, want)
		}
	}
	if n := counts[1].Beside(newHash); n != 6 {
		t.Errorf("%d need another key", n)
	}
	if len(a.patches) > 0 {
		t.Error("something was written")
	}
}

// What lies under another name of the plugin needs its key no less.
func TestObjectsUnderAnotherProvidersNameAreCounted(t *testing.T) {
	a := serve(t)
	a.add("secrets", several(10)...)
	for _, o := range a.objects {
		o.stale = false
	}
	a.answer = func(w http.ResponseWriter, _ *http.Request, name string) bool {
		if name != "ns0/s00" {
			return false
		}
		a.reads["secrets"]++
		a.others++
		reply(w, a.objects["secrets "+name].metadata())
		return true
	}
	counts, err := a.countKeys(t, "secrets")
	if err != nil || counts[0].Beside(newHash) != 1 || counts[0].Keys[newHash] != 9 || counts[0].AtMost {
		t.Errorf("%+v, %v", counts, err)
	}
	if by := counts[0].Providers[oldHash]; !slices.Equal(by, []string{"other"}) {
		t.Errorf("%v read with the old key", by)
	}
	counts, err = a.countKeysWithout(t, []string{"other"}, "secrets")
	if err != nil || counts[0].Beside(newHash) != 0 || counts[0].Keys[newHash] != 9 || counts[0].Read != 10 {
		t.Errorf("beside another plugin: %+v, %v", counts, err)
	}
}

func TestReadsOfOthersMakeACountAnUpperBound(t *testing.T) {
	a := serve(t)
	a.add("secrets", several(10)...)
	a.answer = func(http.ResponseWriter, *http.Request, string) bool {
		a.count("secrets", true)
		return false
	}
	counts, err := a.countKeys(t, "secrets")
	if err != nil || !counts[0].AtMost || counts[0].Beside(newHash) != 10 {
		t.Errorf("%+v, %v", counts, err)
	}
}

func TestWhatCannotBeReadIsCountedAsFailed(t *testing.T) {
	a := serve(t)
	a.add("secrets", several(5)...)
	a.answer = func(w http.ResponseWriter, _ *http.Request, name string) bool {
		if !strings.HasSuffix(name, "s03") {
			return false
		}
		fail(w, http.StatusInternalServerError, "InternalError", "retired key")
		return true
	}
	counts, err := a.countKeys(t, "secrets")
	if err != nil || counts[0].Failed != 1 || counts[0].Read != 4 || !strings.Contains(counts[0].Failures[0].Reason, "retired key") {
		t.Errorf("%+v, %v", counts, err)
	}
}

func TestCountsThatCannotBeThoseOfTheReadsAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		after func(a *apiServer)
		want  string
	}{
		"another API server answers":          {func(a *apiServer) { a.reads["secrets"]-- }, "more than one API server"},
		"the API server was restarted":        {func(a *apiServer) { a.reads["secrets"], a.keys[oldHash] = 0, 0 }, "more than one API server"},
		"a key was forgotten":                 {func(a *apiServer) { delete(a.keys, oldHash) }, "do not show the keys of all reads"},
		"a key was forgotten and counts anew": {func(a *apiServer) { a.keys[oldHash] = -4 }, "do not show the keys of all reads"},
	} {
		t.Run(name, func(t *testing.T) {
			a := serve(t)
			a.add("secrets", several(4)...)
			a.reads["secrets"], a.keys[oldHash] = 1, 1
			read := 0
			a.answer = func(http.ResponseWriter, *http.Request, string) bool {
				if read++; read == 6 { // two pages of the list, then each object
					a.count("secrets", true)
					c.after(a)
					a.reads["secrets"]--
					a.keys[oldHash]--
				}
				return false
			}
			if counts, err := a.countKeys(t, "secrets"); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%+v, %v, want %q", counts, err, c.want)
			}
		})
	}
}

func FuzzSample(f *testing.F) {
	f.Add(`a="b",c="d\"e"} 1e+06`)
	f.Add(`} 1`)
	f.Add(`a="b`)
	f.Fuzz(func(t *testing.T, text string) {
		if labels, _, err := sample(text); err == nil && labels == nil {
			t.Error("no labels and no error")
		}
	})
}
