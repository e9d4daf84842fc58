package cmd

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	kmsapi "k8s.io/kms/apis/v2"
	"sigs.k8s.io/secrets-store-csi-driver/provider/v1alpha1"

	"github.com/lanyardhq/lanyard/provider/engine"
	"github.com/lanyardhq/lanyard/server/status"
)

// told is everything that a process tells of itself, as JSON, page and events, in which no
// text of planted may be.
func (s *served) told(planted ...string) status.Facts {
	s.Helper()
	code, text := s.get("/status")
	var facts status.Facts
	if err := json.Unmarshal([]byte(text), &facts); err != nil || code != http.StatusOK {
		s.Fatalf("/status answers %d: %v\n%s", code, err, text)
	}
	_, page := s.get("/")
	events, err := http.Get("http://" + s.adminAddress() + "/events")
	if err != nil {
		s.Fatal(err)
	}
	defer events.Body.Close()
	event, err := bufio.NewReader(events.Body).ReadString('\n')
	if err != nil {
		s.Fatal(err)
	}
	for what, text := range map[string]string{"/status": text, "the page": page, "an event": event} {
		for _, secret := range planted {
			if strings.Contains(text, secret) || strings.Contains(text, base64.StdEncoding.EncodeToString([]byte(secret))) {
				s.Errorf("%s has %s:\n%s", what, secret, text)
			}
		}
	}
	return facts
}

func TestServeTellsItsStatusWithoutValues(t *testing.T) {
	directory := t.TempDir()
	const planted = "planted-5d1e"
	write := func(name, content string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(directory, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(directory, "files"), 0o700); err != nil {
		t.Fatal(err)
	}
	write("files/password", planted)
	write("files/json", `{"a":"`+planted+`","b":{}}`)
	write("lanyard.yaml", "stores:\n  node: {type: file, root: "+directory+"/files, allow: ['prod/web']}\n")
	s := serveLanyard(t, "--config", filepath.Join(directory, "lanyard.yaml"), "--node", "node-7")
	objects := "- {path: db/password, store: node, key: password}\n- {path: made, template: 'x{{ index . \"db/password\" }}'}\n- {path: gone, store: node, key: gone, optional: true}\n"
	if _, err := s.mount(objects); err != nil {
		t.Fatal(err)
	}
	facts := s.told(planted)
	if facts.Program != "serve" || facts.Node != "node-7" || len(facts.Volumes) != 1 || facts.Ring != nil || facts.Synced != nil {
		t.Fatalf("%+v", facts)
	}
	v := facts.Volumes[0]
	if v.Namespace != "prod" || v.Pod != "web-0" || v.ServiceAccount != "web" || v.Class != "web" || v.Dialect != "lanyard" || v.State != engine.VolumeOK || len(v.Objects) != 3 {
		t.Errorf("%+v", v)
	}
	if o := v.Objects[0]; o.Object != "db/password" || o.Store != "node" || o.StoreType != "file" || o.Version == "" {
		t.Errorf("%+v", o)
	}
	if len(facts.Stores) != 1 || facts.Stores[0].State != engine.StoreUp || facts.Cache.Entries == 0 {
		t.Errorf("stores %+v, cache %+v", facts.Stores, facts.Cache)
	}
	// What fails is told without the values that it fails with.
	wrong := []string{
		"- {path: a, store: node, key: json, property: a.b.c}\n",
		"- {path: a, store: node, key: password, property: x}\n",
		"- {path: a, store: node, key: password, encoding: base64}\n",
		"- {path: a, store: node, key: json, expand: true, encoding: hex}\n",
		"- {name: p, store: node, key: password}\n- {path: a, template: '{{ fromJson .p }}'}\n",
		"- {path: a, sealed: lanyard.v1." + base64.RawURLEncoding.EncodeToString([]byte(planted)) + "}\n",
	}
	for i, objects := range wrong {
		attributes, err := json.Marshal(map[string]string{
			"csi.storage.k8s.io/pod.name": fmt.Sprint("wrong-", i), "csi.storage.k8s.io/pod.namespace": "prod", "csi.storage.k8s.io/pod.uid": fmt.Sprint("w", i),
			"csi.storage.k8s.io/serviceAccount.name": "web", "secretProviderClass": "wrong", "objects": objects,
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.client.Mount(t.Context(), &v1alpha1.MountRequest{Attributes: string(attributes), Secrets: "null", Permission: "420"}); err == nil {
			t.Errorf("mounted: %s", objects)
		}
	}
	s.eventually("new facts", func() bool {
		facts = s.told(planted, base64.RawURLEncoding.EncodeToString([]byte(planted)))
		return len(facts.Volumes) == 1+len(wrong)
	})
	for _, v := range facts.Volumes[1:] {
		if v.State != engine.VolumeFailed || v.Error == "" || v.Since.IsZero() {
			t.Errorf("%+v", v)
		}
	}
}

func TestKMSTellsItsRingWithoutSeeds(t *testing.T) {
	directory := socketDirectory(t)
	ring := ringOf(t, directory, "one", "write", "two", "read")
	s := serveKMS(t, directory, ring, "--node", "master-1")
	s.eventually("key ID", func() bool { return s.keyID() != "" })
	const seed = "planted-seed-5d1e"
	sealed, err := s.kms.Encrypt(t.Context(), &kmsapi.EncryptRequest{Plaintext: []byte(seed), Uid: "1"})
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(filepath.Join(directory, "one.key"))
	if err != nil {
		t.Fatal(err)
	}
	facts := s.told(seed, strings.TrimSpace(string(raw)), string(sealed.GetCiphertext()))
	if facts.Program != "kms" || facts.Node != "master-1" || facts.Facts != nil || facts.Ring == nil {
		t.Fatalf("%+v", facts)
	}
	r := facts.Ring
	if !r.Healthy || r.Named != "one" || r.KeyID != s.keyID() || r.Stale || len(r.Keys) != 2 || r.Worked.IsZero() {
		t.Errorf("%+v", r)
	}
	one, two := r.Keys[0], r.Keys[1]
	if one.Name != "one" || one.Use != "write" || one.State != status.KeyUp || one.Encrypted.IsZero() || one.Calls == 0 || two.Use != "read" || two.State != status.KeyUnasked || two.Calls != 0 {
		t.Errorf("%+v\n%+v", one, two)
	}
}
