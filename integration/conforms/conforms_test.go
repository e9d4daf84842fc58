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
	"github.com/lanyardhq/lanyard/integration/issuer"
	"github.com/lanyardhq/lanyard/integration/lanyardserver"
)

const cluster = "test-cluster"

var (
	web      = conformance.Account{Namespace: "shop", Name: "web"}
	api      = conformance.Account{Namespace: "shop", Name: "api"}
	accounts = []conformance.Account{web, api}
)

// refresh is the shortest refresh interval that Lanyard allows.
const refresh = time.Second

func TestLanyardKeepsItsPromisesToTheDriver(t *testing.T) {
	binary, err := lanyardserver.Build(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for name, newStore := range map[string]func(*testing.T) store{
		"vault": newVault, "azure": newAzure, "gcp": newGCP, "file": newFiles, "sealed": newSealed,
		"aws secrets": newAWS, "aws parameters": newAWSParameters, "aws kms": newAWSKMS,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conformance.Run(t, provider(t, binary, newStore(t)))
		})
	}
}

// store is one of Lanyard's, as the suite changes it.
type store struct {
	// config is the value of stores in the operator's configuration.
	config string
	put    func(ctx context.Context, owner conformance.Account, name string, value []byte) error
	remove func(ctx context.Context, owner conformance.Account, name string) error
	// parameters are those of a class beside its objects; object is what an
	// object says beside its path and mode.
	parameters func(owner conformance.Account) map[string]string
	object     func(owner conformance.Account, object conformance.Object) (map[string]any, error)

	// These may be left out.
	tokens        func(ctx context.Context, pod conformance.Pod) (map[string]conformance.Token, error)
	reads         func() int
	fail, recover func(context.Context) error
	largestVolume int
	largestValue  int
}

// provider starts Lanyard with the store and describes both to the suite.
func provider(t *testing.T, binary string, s store) conformance.Provider {
	t.Helper()
	key := filepath.Join(t.TempDir(), "versions.key")
	if err := os.WriteFile(key, []byte("a key for the versions of this test alone"), 0o600); err != nil {
		t.Fatal(err)
	}
	server := lanyardserver.New(t, lanyardserver.Options{Binary: binary, Config: fmt.Sprintf(`
cluster: %s
cache: {refresh: %s, staleOnError: 10m, versionKeyFile: %s}
stores:
%s`, cluster, refresh, key, s.config)})
	return conformance.Provider{
		Name: "lanyard", SocketDir: server.SocketDir, Accounts: accounts,
		Put: s.put, Delete: s.remove, Tokens: s.tokens, Reads: s.reads, Fail: s.fail, Recover: s.recover, LargestVolume: s.largestVolume, LargestValue: s.largestValue,
		Class: func(owner conformance.Account, objects []conformance.Object) (map[string]string, error) {
			return class(s, owner, objects)
		},
		RotatesWithin: 30 * time.Second, Refresh: refresh,
		Kill:  func(context.Context) error { server.Kill(); return nil },
		Start: func(context.Context) error { return server.Start() },
	}
}

// class is the parameters of a SecretProviderClass. JSON is YAML too, and
// quotes whatever a path holds.
func class(s store, owner conformance.Account, objects []conformance.Object) (map[string]string, error) {
	all := make([]map[string]any, len(objects))
	for i, object := range objects {
		one, err := s.object(owner, object)
		if err != nil {
			return nil, err
		}
		one["path"] = object.Path
		if object.Mode != 0 {
			one["mode"] = fmt.Sprintf("%04o", object.Mode)
		}
		all[i] = one
	}
	text, err := json.Marshal(all)
	if err != nil {
		return nil, err
	}
	parameters := map[string]string{}
	if s.parameters != nil {
		parameters = s.parameters(owner)
	}
	parameters["objects"] = string(text)
	return parameters, nil
}

// tokensFor Vault's audience, as the kubelet makes them.
func tokensFor(from *issuer.Issuer) func(context.Context, conformance.Pod) (map[string]conformance.Token, error) {
	return func(_ context.Context, pod conformance.Pod) (map[string]conformance.Token, error) {
		expires := time.Now().Add(time.Hour).Truncate(time.Second)
		text, err := from.Token(issuer.Claims{
			Audience: "vault", Namespace: pod.Namespace, ServiceAccount: pod.Account.Name,
			UID: "uid-of-" + pod.Account.String(), Pod: pod.Name, PodUID: pod.UID, Expires: expires,
		})
		return map[string]conformance.Token{"vault": {Token: text, Expires: expires}}, err
	}
}
