package seal

import (
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
