package vault

import (
	"encoding/json"
	"time"

	"github.com/lanyardhq/lanyard/provider/backend/vault"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/secret"
	"github.com/lanyardhq/lanyard/provider/store"
)

// whole is the response as Vault's Go client encodes it (api.Secret), with the same
// names in the same order. The request ID is always empty, because it differs for
// each read and would look like a change. A token is never part of it.
type whole struct {
	RequestID     string          `json:"request_id"`
	LeaseID       string          `json:"lease_id"`
	LeaseDuration int64           `json:"lease_duration"` // seconds
	Renewable     bool            `json:"renewable"`
	Data          json.RawMessage `json:"data"`
	Warnings      []string        `json:"warnings"`
	MountType     string          `json:"mount_type,omitempty"`
}

// wholeAnswer returns the value for the option whole. It has no version, since
// Vault's version covers the secret's data only.
func wholeAnswer(where string, a *vault.Answer) (store.Value, error) {
	text, err := json.Marshal(whole{
		LeaseID: a.LeaseID, LeaseDuration: int64(time.Duration(a.LeaseDuration) / time.Second), Renewable: a.Renewable,
		Data: a.Data, Warnings: a.Warnings, MountType: a.MountType,
	})
	if err != nil {
		return store.Value{}, fault.Failf(fault.ErrInvalid, "%s: the answer cannot be written as JSON again", where)
	}
	return store.Value{Data: secret.New(text)}, nil
}
