package vault

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/provider/backend/vault"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/store"
)

// maxMetadataKeys bounds the keys that are tried where several parts of a key are "data".
const maxMetadataKeys = 4

// metadataKeys are the keys under which KV version 2 may have the metadata of a secret:
// data/ becomes metadata/, and it is not known where the name of the mount ends.
// https://developer.hashicorp.com/vault/api-docs/secret/kv/kv-v2#read-secret-metadata
func metadataKeys(key string) []string {
	parts := strings.Split(key, "/")
	var keys []string
	for i := 1; i < len(parts)-1 && len(keys) < maxMetadataKeys; i++ {
		if parts[i] == "data" {
			keys = append(keys, strings.Join(parts[:i], "/")+"/metadata/"+strings.Join(parts[i+1:], "/"))
		}
	}
	return keys
}

// HasVersions implements store.Historian: secrets of KV version 2 have versions.
func (*vaultStore) HasVersions(ref store.Reference) error {
	q, err := parseReference(ref)
	switch {
	case err != nil:
		return err
	case !q.reads():
		return fault.Failf(store.ErrUnversioned, "%s: Vault makes a value for each %s, and keeps no versions; revoke the value, or set the role back in Vault", q.where(), q.verb())
	case len(metadataKeys(q.key)) == 0:
		return fault.Failf(store.ErrUnversioned, "%s: Vault keeps versions of secrets in KV version 2 alone (a key there looks like secret/data/prod/db); write the earlier value again, or move the secret to such an engine", q.where())
	}
	return nil
}

// Versions implements store.Historian.
func (s *vaultStore) Versions(ctx context.Context, as identity.Identity, ref store.Reference) ([]store.VersionInfo, error) {
	if err := s.HasVersions(ref); err != nil {
		return nil, err
	}
	var first error
	for _, key := range metadataKeys(ref.Key) {
		versions, err := s.metadata(ctx, as, key)
		if err == nil {
			return store.Newest(versions, ref.Version), nil
		}
		if ctx.Err() != nil || fault.Of(err).StaleOK {
			return nil, err
		}
		if first == nil {
			first = err
		}
	}
	return nil, first
}

// metadata reads the versions in the metadata of a secret.
func (s *vaultStore) metadata(ctx context.Context, as identity.Identity, key string) ([]store.VersionInfo, error) {
	q := &query{key: key, method: http.MethodGet, params: url.Values{}}
	resp, made, err := s.connection.Call(ctx, as, vault.Request{What: q.where(), Method: q.method, Path: q.key, Params: q.params, Repeatable: true})
	switch {
	case err != nil:
		return nil, err
	case !resp.OK():
		return nil, refusal(q, s.connection.Who(), resp)
	}
	var found struct {
		Current  int64                 `json:"current_version"`
		Versions map[string]*versioned `json:"versions"`
	}
	if resp.Answer == nil || json.Unmarshal(resp.Answer.Data, &found) != nil || found.Versions == nil {
		return nil, noMetadata(q)
	}
	versions := make([]store.VersionInfo, 0, len(found.Versions))
	for number, v := range found.Versions {
		if _, err := strconv.ParseUint(number, 10, 63); err != nil || v == nil {
			return nil, noMetadata(q)
		}
		info := store.VersionInfo{Version: number, State: store.StateAvailable}
		info.Made, _ = time.Parse(time.RFC3339Nano, v.CreatedTime)  //nolint:errcheck // zero for what is no time
		info.Ends, _ = time.Parse(time.RFC3339Nano, v.DeletionTime) //nolint:errcheck // empty for most
		switch {
		case v.Destroyed:
			info.State = store.StateDestroyed
		case !info.Ends.IsZero() && !made.Start.Before(info.Ends):
			info.State = store.StateDeleted
		case number == strconv.FormatInt(found.Current, 10):
			info.State = store.StateCurrent
		}
		versions = append(versions, info)
	}
	if len(versions) == 0 {
		return nil, fault.Failf(fault.ErrNotFound, "%s: the secret has metadata and no version", message.Excerpt(key))
	}
	return versions, nil
}

func noMetadata(q *query) error {
	return fault.Failf(fault.ErrUnavailable, "%s: the answer is not the metadata of a secret of KV version 2; look at what stands between the caller and Vault, and whether the engine is KV version 1", q.where())
}
