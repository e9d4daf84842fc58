package awskms

import (
	"encoding/base64"
	"testing"

	"github.com/lanyardhq/lanyard/provider/store"
)

func FuzzParse(f *testing.F) {
	f.Add("AQICAHhR0nzuPZYM", "app", "web")
	f.Add("AQIC\n AHhR", "", "")
	f.Add("====", "a", "")
	f.Fuzz(func(t *testing.T, key, name, value string) {
		ref := store.Reference{Key: key}
		if name != "" {
			ref.Options = map[string]any{"context": map[string]any{name: value}}
		}
		q, err := parse(ref)
		if err != nil {
			return
		}
		if len(q.blob) == 0 || len(q.blob) > maxBlob {
			t.Errorf("a ciphertext of %d bytes is accepted", len(q.blob))
		}
		again, err := parse(store.Reference{Key: base64.StdEncoding.EncodeToString(q.blob), Options: ref.Options})
		if err != nil || version(again) != version(q) {
			t.Errorf("one ciphertext has two versions: %v", err)
		}
	})
}
