package seal

import (
	"fmt"
	"slices"

	"github.com/lanyardhq/lanyard/internal/message"
)

// Keys are what a value may be opened with. The zero Keys opens nothing.
type Keys struct {
	// Ring opens values sealed to a public key; nil if there is none.
	Ring *KeyRing
	// Services open values sealed with a key service. Their names are unique.
	Services []*ServiceKey

	// Signatures restrict who may have signed a value; nil opens every value.
	Signatures *Signatures
	// Only names the sealers one of which must have signed the value; empty leaves it
	// to Signatures.
	Only []string
}

// Check returns an error that wraps ErrUnknownKey if none of the keys can open the
// value. It makes no call and does not look up the key in the ring; Open does.
func (k Keys) Check(s *Sealed) error {
	name, version, isService := s.ServiceKey()
	switch {
	case isService && k.service(name) == nil:
		return fmt.Errorf("%w: service key %s (version %s) is not configured here, only %s; configure it under that name, or seal the value again (see troubleshooting: service-key-missing)", ErrUnknownKey, name, quote(version), k.listServices())
	case !isService && k.Ring == nil:
		return fmt.Errorf("%w: the value is sealed to the public key %s, and no key ring is configured here; configure the key ring, or seal the value again with a key service", ErrUnknownKey, s.key)
	}
	return nil
}

// service returns the ServiceKey with the name, or nil.
func (k Keys) service(name string) *ServiceKey {
	i := slices.IndexFunc(k.Services, func(s *ServiceKey) bool { return s.name == name })
	if i < 0 {
		return nil
	}
	return k.Services[i]
}

// listServices names the keys of key services for a message.
func (k Keys) listServices() string {
	return message.Names(k.Services, (*ServiceKey).Name)
}
