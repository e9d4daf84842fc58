package seal

import (
	"fmt"
	"slices"
	"strings"
)

// Keys are what a value may be opened with. The zero Keys opens nothing.
type Keys struct {
	// Ring opens what is sealed to a public key; nil if there is none.
	Ring *KeyRing
	// Services open what is sealed with a key service. Each has a name of its
	// own.
	Services []*ServiceKey

	// Signatures say whose values are opened; nil opens whoever's.
	Signatures *Signatures
	// Only are the names of sealers of which a value must be signed by one;
	// empty leaves it to Signatures.
	Only []string
}

// Check returns an error that wraps ErrUnknownKey if none of the keys can be the
// value's, as far as that is told without a call: which keys are in the ring is
// looked at when the value is opened.
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

// service returns the ServiceKey of the name; nil if there is none.
func (k Keys) service(name string) *ServiceKey {
	i := slices.IndexFunc(k.Services, func(s *ServiceKey) bool { return s.name == name })
	if i < 0 {
		return nil
	}
	return k.Services[i]
}

// listServices names the keys of key services for a message.
func (k Keys) listServices() string {
	const most = 8
	var names []string
	for i, service := range k.Services {
		if i == most {
			names = append(names, "others")
			break
		}
		names = append(names, service.name)
	}
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}
