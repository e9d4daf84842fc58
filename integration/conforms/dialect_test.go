package conforms

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/lanyardhq/lanyard/integration/conformance"
	"github.com/lanyardhq/lanyard/integration/lanyardserver"
)

// A dialect is another way to say the same, so that every promise holds for its
// socket and its classes too.
func TestDialectsKeepTheirPromisesToTheDriver(t *testing.T) {
	t.Parallel()
	binary, err := lanyardserver.Build(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for name, dialect := range map[string]struct {
		newStore func(*testing.T) store
		class    dialectClass
	}{
		"vault": {newVault, vaultClass},
		"azure": {newAzure, azureClass},
		"aws":   {newAWSForDialect, awsClass},
		"gcp":   {newGCP, gcpClass},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conformance.Run(t, inDialect(t, name, binary, dialect.newStore(t), dialect.class))
		})
	}
}

// dialectClass is a class as the other provider's users write it.
type dialectClass func(s store, owner conformance.Account, objects []conformance.Object) (map[string]string, error)

// inDialect starts Lanyard with the dialect and the store that it reads from,
// and describes both to the suite.
func inDialect(t *testing.T, name, binary string, s store, class dialectClass) conformance.Provider {
	t.Helper()
	key := filepath.Join(t.TempDir(), "versions.key")
	if err := os.WriteFile(key, []byte("a key for the versions of this test alone"), 0o600); err != nil {
		t.Fatal(err)
	}
	server := lanyardserver.New(t, lanyardserver.Options{
		Binary: binary, Flags: []string{"--dialects=" + name},
		Config: fmt.Sprintf("cache: {refresh: %s, staleOnError: 10m, versionKeyFile: %s}\nstores:\n%s", refresh, key, s.config),
	})
	return conformance.Provider{
		Name: name, SocketDir: server.SocketDir, Accounts: accounts,
		Put: s.put, Delete: s.remove, Tokens: s.tokens, Reads: s.reads, Fail: s.fail, Recover: s.recover, LargestValue: s.largestValue,
		Class: func(owner conformance.Account, objects []conformance.Object) (map[string]string, error) {
			return class(s, owner, objects)
		},
		RotatesWithin: 30 * time.Second, Refresh: refresh,
		Kill:  func(context.Context) error { server.Kill(); return nil },
		Start: func(context.Context) error { return server.Start() },
	}
}

// vaultClass is a class as vault-csi-provider's users write it.
func vaultClass(s store, owner conformance.Account, objects []conformance.Object) (map[string]string, error) {
	type entry struct {
		Name       string `json:"objectName"`
		Path       any    `json:"secretPath"`
		Key        any    `json:"secretKey"`
		Encoding   any    `json:"encoding"`
		Permission uint32 `json:"filePermission,omitempty"`
	}
	all := make([]entry, len(objects))
	for i, object := range objects {
		native, err := s.object(owner, object)
		if err != nil {
			return nil, err
		}
		all[i] = entry{object.Path, native["key"], native["property"], native["encoding"], uint32(object.Mode)}
	}
	text, err := json.Marshal(all)
	return map[string]string{"objects": string(text), "roleName": "all"}, err
}
