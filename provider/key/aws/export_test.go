package aws

import "github.com/lanyardhq/lanyard/provider/key"

// OpenElsewhere opens a key at a host that is not AWS's, which Open refuses for a
// person.
func (t *Type) OpenElsewhere(given key.Settings) (key.Key, error) {
	config, arn, problems := parseSettings(given)
	if err := problems.Err(); err != nil {
		return nil, err
	}
	access, err := t.open(config)
	if err != nil {
		return nil, err
	}
	return newKey(access, config, arn, true), nil
}
