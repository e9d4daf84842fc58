package cmd

import (
	"fmt"

	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/provider/config"
	"github.com/lanyardhq/lanyard/provider/seal"
)

// sealedStore is the store that opens the sealed values of classes.
const sealedStore = "sealed"

// keysThatOpen returns what says why nobody can open a value of a key: because it is not
// one of the public keys, or because the key ring of the configuration has no private key
// for it. nil if neither is known. A value of a key of a key service is not told of.
func keysThatOpen(publics []string, settings config.Config) (func(*seal.Sealed) string, error) {
	var named []*seal.PublicKey
	for _, path := range publics {
		public, err := seal.ReadPublicKey(path)
		if err != nil {
			return nil, usagef("--public: %w", err)
		}
		named = append(named, public)
	}
	if len(named) > 0 {
		return func(value *seal.Sealed) string { return notOf(named, value) }, nil
	}
	path, _ := settings.Stores[sealedStore].Fields["keyRing"].(string)
	if isMissing(path) || path == "" {
		return nil, nil
	}
	ring, err := seal.ReadKeyRing(path)
	if err != nil {
		return nil, usagef("stores.%s.keyRing: %w", sealedStore, err)
	}
	return func(value *seal.Sealed) string { return notIn(ring, value) }, nil
}

func notOf(named []*seal.PublicKey, value *seal.Sealed) string {
	if _, _, ofService := value.ServiceKey(); ofService {
		return ""
	}
	for _, public := range named {
		if public.ID() == value.KeyID() {
			return ""
		}
	}
	ids := message.Names(named, func(public *seal.PublicKey) string { return public.ID().String() })
	return fmt.Sprintf("it is sealed to key %s, and --public gives %s; seal it again with lanyard reseal", value.KeyID(), ids)
}

func notIn(ring *seal.KeyRing, value *seal.Sealed) string {
	if _, _, ofService := value.ServiceKey(); ofService {
		return ""
	}
	for _, key := range ring.Keys() {
		switch {
		case key.ID != value.KeyID():
		case key.State == seal.StateRetired:
			return fmt.Sprintf("it is sealed to key %s, which is retired; seal the value again", key.ID)
		default:
			return ""
		}
	}
	return fmt.Sprintf("it is sealed to key %s, which the key ring does not have; seal it to that of the cluster", value.KeyID())
}
