package vault

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"time"
)

// maxAnswerBytes bounds an answer: what the driver takes for a whole volume.
const maxAnswerBytes = 4 << 20

// maxTime is the longest time that an answer may speak of; what is longer is
// taken for it, so that times never overflow.
const maxTime = 100 * 365 * 24 * time.Hour

// Answer is the envelope of Vault's answers.
// https://developer.hashicorp.com/vault/api-docs#http-status-codes
type Answer struct {
	RequestID     *string          `json:"request_id"`
	LeaseID       string           `json:"lease_id"`
	LeaseDuration Seconds          `json:"lease_duration"`
	Renewable     bool             `json:"renewable"`
	Data          json.RawMessage  `json:"data"`
	WrapInfo      *json.RawMessage `json:"wrap_info"`
	Auth          *Auth            `json:"auth"`
	Warnings      []string         `json:"warnings"`
	Errors        []string         `json:"errors"`
	// MountType is the kind of engine that answered; older servers leave it out.
	MountType string `json:"mount_type"`
}

// Auth is what a login or the renewal of a token answers.
type Auth struct {
	ClientToken   string           `json:"client_token"`
	LeaseDuration Seconds          `json:"lease_duration"`
	Renewable     bool             `json:"renewable"`
	NumUses       int              `json:"num_uses"`
	MFA           *json.RawMessage `json:"mfa_requirement"`
}

// Seconds is a time as Vault writes it, between zero and maxTime.
type Seconds time.Duration

// UnmarshalJSON takes a whole number of seconds.
func (s *Seconds) UnmarshalJSON(text []byte) error {
	var number float64
	if json.Unmarshal(text, &number) != nil {
		return errors.New("not a number of seconds")
	}
	switch {
	case !(number > 0):
		*s = 0
	case number > maxTime.Seconds():
		*s = Seconds(maxTime)
	default:
		*s = Seconds(time.Duration(number) * time.Second)
	}
	return nil
}

// The ways in which an answer cannot be used. Their texts stand for those of
// the JSON decoder, which may repeat what it read.
var (
	errEmpty   = errors.New("an empty body")
	errNotJSON = errors.New("a body that is not one whole JSON object")
	errShape   = errors.New("a JSON object that is not one of Vault's")
)

// ParseAnswer reads the body of the answer to a request for path. Numbers inside
// data stay as they were written. What has nothing of an envelope is data itself
// below the paths that answer so, and no answer of Vault's elsewhere.
func ParseAnswer(path string, body []byte) (*Answer, error) {
	body = bytes.TrimSpace(body)
	if len(body) == 0 {
		return nil, errEmpty
	}
	if body[0] != '{' || !json.Valid(body) {
		return nil, errNotJSON
	}
	var a Answer
	if json.Unmarshal(body, &a) != nil {
		return nil, errShape
	}
	if a.WrapInfo != nil {
		var wrapped struct{ Token string }
		if json.Unmarshal(*a.WrapInfo, &wrapped) != nil || wrapped.Token == "" {
			return nil, errShape
		}
	}
	if string(a.Data) == "null" {
		a.Data = nil
	}
	if a.byVault() || a.Data != nil || a.Auth != nil || a.WrapInfo != nil || a.LeaseID != "" {
		return &a, nil
	}
	if !answersBare(path) || len(body) == len("{}") {
		return nil, errShape
	}
	a.Data = body
	return &a, nil
}

// answersBare is true of paths whose answers may have no envelope: Vault's own
// state (sys/health, sys/seal-status, sys/leader and the like), and what the
// identity engine says in the words of OpenID Connect (its keys, for one). Both
// are mounted there for good.
// https://developer.hashicorp.com/vault/api-docs/system/health
// https://developer.hashicorp.com/vault/api-docs/secret/identity/tokens#read-active-public-keys
func answersBare(path string) bool {
	if strings.HasPrefix(path, "sys/") || strings.HasPrefix(path, "identity/oidc/") {
		return true
	}
	// A namespace may stand in front. So may an engine of values, whose keys are
	// hardly named so.
	_, rest, inside := strings.Cut(path, "/identity/oidc/")
	return inside && strings.Contains("/"+rest, "/.well-known/")
}

// byVault is true of what nobody but Vault writes: the request's identifier, or
// a list of errors, empty where it has nothing to say. A gateway or an ingress
// that has no way to Vault answers 404 or 403 too, and knows nothing of either.
// https://developer.hashicorp.com/vault/api-docs#error-response
func (a *Answer) byVault() bool { return a != nil && (a.RequestID != nil || a.Errors != nil) }
