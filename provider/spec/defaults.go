package spec

import "maps"

// BaseField is the field of a class's store that names the store of the operator's
// configuration whose settings and rules hold for it too.
const BaseField = "base"

// Base returns the operator's name of a store that a class calls name, and false if what the
// class says of it is no name.
func Base(name string, settings map[string]any) (base string, ok bool) {
	given, isGiven := settings[BaseField]
	if !isGiven {
		return name, true
	}
	base, ok = given.(string)
	return base, ok && base != ""
}

// StoreSettings returns the settings of one of the class's stores with what its
// dialect implies of them, as they hold where the operator's configuration does
// not name the store.
func (c *Class) StoreSettings(store string) map[string]any {
	return WithDefaults(c.Stores[store], c.Defaults[store])
}

// WithDefaults lays settings over defaults.
func WithDefaults(settings, defaults map[string]any) map[string]any {
	merged := maps.Clone(settings)
	for name, value := range defaults {
		given, isGiven := merged[name]
		below, isMap := value.(map[string]any)
		inside, givenMap := given.(map[string]any)
		switch {
		case !isGiven:
			merged[name] = value
		case isMap && givenMap:
			merged[name] = WithDefaults(inside, below)
		}
	}
	return merged
}
