package vault

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"strconv"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/provider/backend/vault"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/secret"
	"github.com/lanyardhq/lanyard/provider/store"
)

// versioned is the metadata of a secret in KV version 2.
// https://developer.hashicorp.com/vault/api-docs/secret/kv/kv-v2#read-secret-version
type versioned struct {
	Version      int64  `json:"version"`
	CreatedTime  string `json:"created_time"`
	DeletionTime string `json:"deletion_time"`
	Destroyed    bool   `json:"destroyed"`
}

// asVersioned recognises a response of KV version 2 by its shape: only data and
// metadata, the latter with version and creation time. A secret of KV version 1 that
// looks so has a lease duration, which those of version 2 never have.
func asVersioned(a *vault.Answer) (value json.RawMessage, meta versioned, ok bool) {
	outer := fields(a.Data)
	if a.LeaseDuration > 0 {
		return nil, meta, false
	}
	if len(outer) != 2 || outer["data"] == nil || outer["metadata"] == nil {
		return nil, meta, false
	}
	if json.Unmarshal(outer["metadata"], &meta) != nil || meta.Version < 1 {
		return nil, meta, false
	}
	if _, err := time.Parse(time.RFC3339Nano, meta.CreatedTime); err != nil {
		return nil, meta, false
	}
	return outer["data"], meta, true
}

// brokenData says whether an answer's data is none, or a part of what KV version 2
// answers.
func brokenData(a *vault.Answer) bool {
	outer := fields(a.Data)
	for name := range outer {
		if name != "data" && name != "metadata" {
			return false
		}
	}
	return a.LeaseDuration == 0 && a.LeaseID == ""
}

// id is unique for each version, even if the secret was deleted with its metadata and
// versions restart at one.
func (v versioned) id() string {
	created, err := time.Parse(time.RFC3339Nano, v.CreatedTime)
	if err != nil {
		return ""
	}
	return strconv.FormatInt(v.Version, 10) + "-" + strconv.FormatInt(created.UnixNano(), 36)
}

// value is the value of a version. A pinned one has no order: another may be asked
// for next.
func (v versioned) value(q *query, data json.RawMessage) store.Value {
	value := store.Value{Data: secret.New(data), Version: v.id()}
	if q.pinned == "" {
		value.Order = v.Version
		value.Made, _ = time.Parse(time.RFC3339Nano, v.CreatedTime) //nolint:errcheck // asVersioned has parsed it
	}
	// With delete_version_after the end of a version is known when it is made.
	if end, err := time.Parse(time.RFC3339Nano, v.DeletionTime); err == nil {
		value.ChangesAt = end.Add(rotationLag)
	}
	return value
}

// gone explains a version without data, such as a deleted one; nil for other
// responses.
func gone(q *query, a *vault.Answer) error {
	if a == nil {
		return nil
	}
	data, meta, ok := asVersioned(a)
	if !ok || !isNull(data) {
		return nil
	}
	if !meta.Destroyed && meta.DeletionTime == "" {
		return fault.Failf(fault.ErrUnavailable, "%s: version %d is neither deleted nor has it data, which Vault does not answer; look at what stands between the node and Vault", message.Excerpt(q.key), meta.Version)
	}
	if meta.Destroyed {
		return fault.Failf(fault.ErrNotFound, "%s: version %d is destroyed for good; name another version, or write a new one", message.Excerpt(q.key), meta.Version)
	}
	return fault.Failf(fault.ErrNotFound, "%s: version %d was deleted at %s; undelete it, name another version, or write a new one",
		message.Excerpt(q.key), meta.Version, message.Excerpt(meta.DeletionTime))
}

// valueOf returns the value of a successful response, without its lease.
func valueOf(q *query, resp *vault.Response) (store.Value, error) {
	where := q.where()
	if resp.Status == http.StatusNoContent {
		return store.Value{}, q.nothing("204")
	}
	a := resp.Answer
	if a == nil {
		return store.Value{}, fault.Failf(fault.ErrUnavailable, "%s: Vault answered %d with %v; use a path that returns JSON, or look at what stands between the node and Vault (see troubleshooting: vault-no-json)",
			where, resp.Status, resp.Broken)
	}
	switch {
	case a.WrapInfo != nil:
		return store.Value{}, fault.Failf(fault.ErrInvalid, "%s: Vault wrapped the answer because the policy demands it (min_wrapping_ttl); lift that for this path", where)
	case a.Data == nil && a.Auth != nil:
		return store.Value{}, fault.Failf(fault.ErrInvalid, "%s: the path gives a Vault token, which is not a value", where)
	case a.Data == nil:
		return store.Value{}, q.nothing("no data" + resp.Said())
	}
	if err := gone(q, a); err != nil {
		return store.Value{}, err
	}
	if q.method == http.MethodGet && !q.params.Has("list") {
		data, meta, ok := asVersioned(a)
		switch {
		case ok && q.whole:
			return wholeAnswer(where, a)
		case ok:
			return meta.value(q, data), nil
		case brokenData(a):
			return store.Value{}, fault.Failf(fault.ErrUnavailable, "%s: the answer has no data, or a part of it, which Vault does not answer; look at what stands between the node and Vault", where)
		}
	}
	if q.pinned != "" {
		return store.Value{}, fault.Failf(fault.ErrInvalid, "`version`: %s is not a secret of KV version 2 (a key there looks like secret/data/prod/db), so it has no versions; leave `version` out", message.Excerpt(q.key))
	}
	if q.whole {
		return wholeAnswer(where, a)
	}
	return store.Value{Data: secret.New(a.Data)}, nil
}

// rotationLag is how long after the time that Vault told a value is read again.
const rotationLag = time.Second

// maxRotation is the longest time to a rotation that is taken for one.
const maxRotation = 100 * 365 * 24 * time.Hour

// rotation returns when Vault will rotate the password of a static role, whose
// answer says how many seconds are left; zero for other answers.
// https://developer.hashicorp.com/vault/api-docs/secret/databases#get-static-credentials
// https://developer.hashicorp.com/vault/api-docs/secret/ldap#static-role-passwords
func rotation(data json.RawMessage, start time.Time) time.Time {
	answer := fields(data)
	if answer["rotation_period"] == nil && answer["rotation_schedule"] == nil && answer["last_vault_rotation"] == nil {
		return time.Time{}
	}
	seconds, err := strconv.ParseFloat(strings.Trim(string(answer["ttl"]), `"`), 64)
	if err != nil || !(seconds >= 0 && seconds <= maxRotation.Seconds()) {
		return time.Time{}
	}
	return start.Add(time.Duration(seconds*float64(time.Second)) + rotationLag)
}

// nothing explains a success without a value. A write may have none by design; for a
// missing secret Vault returns 404.
func (q *query) nothing(answer string) error {
	if q.writes() {
		return fault.Failf(fault.ErrInvalid, "%s: Vault has done it and gives no value back (%s), so there is nothing to mount", q.where(), answer)
	}
	return fault.Failf(fault.ErrUnavailable, "%s: a success without a value (%s), which Vault does not answer to a read; look at what stands between the node and Vault", q.where(), answer)
}

// certificateEnd returns when an issued certificate expires: X.509 from the PKI
// engine or a signed key from the SSH engine.
// https://developer.hashicorp.com/vault/api-docs/secret/pki#generate-certificate-and-key
// https://developer.hashicorp.com/vault/api-docs/secret/ssh#sign-ssh-key
func certificateEnd(data json.RawMessage) (time.Time, bool) {
	var made struct {
		Certificate string `json:"certificate"`
		SignedKey   string `json:"signed_key"`
	}
	if json.Unmarshal(data, &made) != nil {
		return time.Time{}, false
	}
	// With format pem_bundle the private key comes first.
	for block, rest := pem.Decode([]byte(made.Certificate)); block != nil; block, rest = pem.Decode(rest) {
		if certificate, err := x509.ParseCertificate(block.Bytes); err == nil {
			return certificate.NotAfter, true
		}
	}
	if made.Certificate != "" {
		// Format der: the end stands beside it.
		if end, err := strconv.ParseInt(string(fields(data)["expiration"]), 10, 64); err == nil && end > 0 {
			return time.Unix(end, 0), true
		}
	}
	if key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(made.SignedKey)); err == nil {
		if certificate, ok := key.(*ssh.Certificate); ok && certificate.ValidBefore < 1<<62 {
			return time.Unix(int64(certificate.ValidBefore), 0), true
		}
	}
	return time.Time{}, false
}

func isNull(text json.RawMessage) bool { return len(text) == 0 || string(text) == "null" }

// fields returns the members of a JSON object; nil if the text is none.
func fields(text json.RawMessage) map[string]json.RawMessage {
	var f map[string]json.RawMessage
	if json.Unmarshal(text, &f) != nil {
		return nil
	}
	return f
}
