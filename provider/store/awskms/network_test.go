package awskms_test

import (
	"encoding/base64"
	"testing"

	"github.com/lanyardhq/lanyard/provider/store"
	"github.com/lanyardhq/lanyard/provider/store/storetest"
)

func TestCallsToKMSLeaveTheNodeAsTheyShould(t *testing.T) {
	storetest.Network(t, "double.example.com", func(t *testing.T) *storetest.Fixture {
		f := newFixture(t)
		return &storetest.Fixture{Type: f.typ, Settings: f.settings(nil), Identity: f.pod(t, "prod/web"), Put: func(t *testing.T, _, value string) store.Reference {
			return store.Reference{Key: f.encrypt(t, value, nil)}
		}, Refused: func(t *testing.T) store.Reference {
			t.Helper()
			return store.Reference{Key: base64.StdEncoding.EncodeToString([]byte("nobody's ciphertext"))}
		}}
	})
}
