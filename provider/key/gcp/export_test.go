package gcp

import "github.com/lanyardhq/lanyard/provider/key"

// OpenElsewhere opens a key as the person at a host that is not Google's, which Open
// refuses.
func (t *Type) OpenElsewhere(given key.Settings) (key.Key, error) {
	config, problems := parseSettings(given, false)
	if len(problems) > 0 {
		return nil, problems.Err()
	}
	config.Auth.AsPerson()
	return t.open(config)
}
