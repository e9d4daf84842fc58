package azure

import (
	"github.com/lanyardhq/lanyard/provider/backend/azure"
	"github.com/lanyardhq/lanyard/provider/backend/remote"
	"github.com/lanyardhq/lanyard/provider/key"
)

// OpenElsewhere opens a key as the person at a host that is not Azure's, which Open
// refuses.
func (t *Type) OpenElsewhere(given key.Settings) (key.Key, error) {
	config := &settings{Settings: azure.DefaultSettings(), Algorithm: "RSA-OAEP-256"}
	problems := remote.Decode(given.Fields, config)
	config.AsPerson(&remote.Problems{})
	config.Check(given.ByOperator, &problems)
	if err := problems.Err(); err != nil {
		return nil, err
	}
	return t.open(config)
}
