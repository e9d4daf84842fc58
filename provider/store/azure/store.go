package azure

import (
	"context"
	"errors"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azcertificates"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azkeys"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"

	"github.com/lanyardhq/lanyard/provider/backend/azure"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/store"
)

// azureStore is one connection.
type azureStore struct {
	vault *azure.Vault
	hsm   bool // a Managed HSM, which holds keys alone

	secrets      *azsecrets.Client
	keys         *azkeys.Client
	certificates *azcertificates.Client
}

func newStore(vault *azure.Vault, hsm bool) (*azureStore, error) {
	s := &azureStore{vault: vault, hsm: hsm}
	options := vault.ClientOptions()
	var failed [3]error
	s.secrets, failed[0] = azsecrets.NewClient(vault.Address(), nil, &azsecrets.ClientOptions{ClientOptions: options})
	s.keys, failed[1] = azkeys.NewClient(vault.Address(), nil, &azkeys.ClientOptions{ClientOptions: options})
	s.certificates, failed[2] = azcertificates.NewClient(vault.Address(), nil, &azcertificates.ClientOptions{ClientOptions: options})
	if errors.Join(failed[:]...) != nil {
		return nil, fault.Failf(fault.ErrInvalid, "the settings do not make a client of Key Vault's")
	}
	return s, nil
}

// Check implements store.Store.
func (s *azureStore) Check(ref store.Reference) error {
	_, err := parseReference(ref, s.hsm)
	return err
}

// Read implements store.Store.
func (s *azureStore) Read(ctx context.Context, as identity.Identity, ref store.Reference) (store.Value, error) {
	q, err := parseReference(ref, s.hsm)
	if err != nil {
		return store.Value{}, err
	}
	switch {
	case q.pattern:
		return s.readPattern(ctx, as, q)
	case q.history > 0:
		return s.readHistory(ctx, as, q)
	case q.lists():
		versions, err := s.chooseVersions(ctx, as, q)
		if err != nil {
			return store.Value{}, err
		}
		q.version = versions[0].version
	}
	data, version, err := s.readOne(ctx, as, q)
	if err != nil {
		return store.Value{}, err
	}
	return store.Value{Data: data, Version: version}, nil
}

// RefreshOf implements store.Steady for versions by their ID.
func (*azureStore) RefreshOf(ref store.Reference) time.Duration {
	if ref.Version == "" || ref.Options["history"] != nil {
		return 0
	}
	return store.PinnedRefresh
}

// Close implements store.Store.
func (s *azureStore) Close() { s.vault.Close() }
