package azure

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"slices"
	"strconv"
	"time"

	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/secret"
	"github.com/lanyardhq/lanyard/provider/store"
)

// maxPages bounds the list of an object's versions, of 25 each.
const maxPages = 100

// listed is a version as a list tells it.
type listed struct {
	version string
	created time.Time
	expires time.Time // zero if it does not
	enabled bool
}

// chooseVersions returns the versions that are enabled, the newest first: from the given
// one on if there is one, and those that were made until the given time. There is one at
// least.
func (s *azureStore) chooseVersions(ctx context.Context, as identity.Identity, q *query) ([]listed, error) {
	versions, err := s.listVersions(ctx, as, q)
	if err != nil {
		return nil, err
	}
	versions = slices.DeleteFunc(versions, func(v listed) bool { return !v.enabled })
	if q.version != "" {
		from := slices.IndexFunc(versions, func(v listed) bool { return v.version == q.version })
		versions = versions[max(from, 0):]
		if from < 0 {
			versions = nil
		}
	}
	if len(versions) == 0 {
		return nil, fault.Failf(fault.ErrNotFound, "%s: Key Vault has no enabled version of it%s; if it was deleted, recover it, else check the name", q, q.OrVersion())
	}
	if q.notAfter.IsZero() {
		return versions, nil
	}
	// A version without its time is none that is known to be old enough.
	oldest := versions[len(versions)-1].created
	versions = slices.DeleteFunc(versions, func(v listed) bool { return v.created.IsZero() || v.created.After(q.notAfter) })
	if len(versions) == 0 {
		return nil, fault.Failf(fault.ErrNotFound, "%s: Key Vault has no enabled version of it that was made until %s; the oldest was made at %s", q, q.notAfter.Format(time.RFC3339), oldest.UTC().Format(time.RFC3339))
	}
	return versions, nil
}

// readHistory reads the last versions that are enabled and returns a JSON object: "0" is
// the newest, "1" the one before. Key Vault holds text alone, so the values are JSON strings.
func (s *azureStore) readHistory(ctx context.Context, as identity.Identity, q *query) (store.Value, error) {
	versions, err := s.chooseVersions(ctx, as, q)
	if err != nil {
		return store.Value{}, err
	}
	several := newSeveral(q)
	for i, v := range versions[:min(q.history, len(versions))] {
		one := *q
		one.version = v.version
		data, version, err := s.readOne(ctx, as, &one)
		if err == nil {
			err = several.add(strconv.Itoa(i), version, data)
		}
		if err != nil {
			return store.Value{}, err
		}
	}
	return several.value()
}

// maxSeveralBytes bounds what one object may hold of several versions or secrets: the
// driver takes no larger volume.
const maxSeveralBytes = 4 << 20

// several makes one value of several.
type several struct {
	query  *query
	values map[string]string
	bytes  int
	digest hash.Hash
}

func newSeveral(q *query) *several {
	return &several{query: q, values: map[string]string{}, digest: sha256.New()}
}

// add adds what was read under a name; all parts of it if the query separates them.
func (s *several) add(name, version string, data secret.Bytes) error {
	if s.bytes += data.Len(); s.bytes > maxSeveralBytes {
		return fault.Failf(fault.ErrInvalid, "%s: is more than %d bytes in total, which no volume can hold; ask for fewer", s.query, maxSeveralBytes)
	}
	fmt.Fprintf(s.digest, "%d %s%s\n", len(name), name, version)
	if !s.query.separate {
		s.values[name] = data.RevealString()
		return nil
	}
	var object map[string]string
	if err := json.Unmarshal(data.Reveal(), &object); err != nil {
		return malformed()
	}
	for part, text := range object {
		if part == "all" {
			s.values[name] = text
		} else {
			s.values[name+"."+part] = text
		}
	}
	return nil
}

// value is the JSON object of all.
func (s *several) value() (store.Value, error) {
	text, err := json.Marshal(s.values)
	if err != nil {
		return store.Value{}, fault.Failf(fault.ErrInvalid, "%s: the values cannot be written as JSON", s.query)
	}
	return store.Value{Data: secret.New(text), Version: hex.EncodeToString(s.digest.Sum(nil)[:16])}, nil
}

// HasVersions implements store.Historian.
func (s *azureStore) HasVersions(ref store.Reference) error {
	q, err := parseReference(ref, s.hsm)
	if err == nil && q.pattern {
		return fault.Failf(store.ErrUnversioned, "%s: is a pattern of several secrets, each with versions of its own; name one secret", q)
	}
	return err
}

// Versions implements store.Historian. The expiry of a secret only says until when it is
// meant to be used: it can be read afterwards too.
// https://learn.microsoft.com/azure/key-vault/secrets/about-secrets#secret-attributes
func (s *azureStore) Versions(ctx context.Context, as identity.Identity, ref store.Reference) ([]store.VersionInfo, error) {
	if err := s.HasVersions(ref); err != nil {
		return nil, err
	}
	q, err := parseReference(ref, s.hsm)
	if err != nil {
		return nil, err
	}
	named := q.version
	q.version, q.onlyLists = "", true
	found, err := s.listVersions(ctx, as, q)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, fault.Failf(fault.ErrNotFound, "%s: Key Vault has no version of it; if it was deleted, recover it, else check the name", q)
	}
	versions := make([]store.VersionInfo, len(found))
	for i, v := range found {
		versions[i] = store.VersionInfo{Version: v.version, Made: v.created.UTC(), Ends: v.expires.UTC(), State: store.StateAvailable}
		switch {
		case !v.enabled:
			versions[i].State = store.StateDisabled
		case i == 0: // without a version the newest is read, and none if that is disabled
			versions[i].State = store.StateCurrent
		}
		if named == "" && !q.notAfter.IsZero() && v.enabled && !v.created.IsZero() && !v.created.After(q.notAfter) {
			named = v.version // which is read then
		}
	}
	return store.Newest(versions, named), nil
}

// listVersions lists all versions of an object, the newest first.
// https://learn.microsoft.com/rest/api/keyvault/secrets/get-secret-versions/get-secret-versions
func (s *azureStore) listVersions(ctx context.Context, as identity.Identity, q *query) ([]listed, error) {
	pages := s.versionPages(q)
	var all []listed
	for n := 0; pages.more(); n++ {
		if n == maxPages {
			option := "options.history"
			if q.history == 0 {
				option = "options.notAfter"
			}
			return nil, fault.Failf(fault.ErrInvalid, "%s: has more than %d versions, which are too many to look through; purge the old ones, or leave `%s` out", q, 25*maxPages, option)
		}
		err := s.vault.Call(ctx, as, q, func(ctx context.Context) error {
			page, err := pages.next(ctx)
			all = append(all, page...)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	slices.SortFunc(all, func(a, b listed) int {
		return cmp.Or(b.created.Compare(a.created), cmp.Compare(a.version, b.version))
	})
	return all, nil
}

// pages is a list of versions in whichever collection.
type pages struct {
	more func() bool
	next func(context.Context) ([]listed, error)
}

func (s *azureStore) versionPages(q *query) pages {
	switch q.kind {
	case kindKeys:
		pager := s.keys.NewListKeyPropertiesVersionsPager(q.name, nil)
		return pages{pager.More, func(ctx context.Context) (page []listed, err error) {
			got, err := pager.NextPage(ctx)
			for _, v := range got.Value {
				if v != nil && v.KID != nil && v.Attributes != nil {
					page = append(page, newListed(v.KID.Version(), v.Attributes.Created, v.Attributes.Expires, v.Attributes.Enabled))
				}
			}
			return page, err
		}}
	case kindCertificates:
		pager := s.certificates.NewListCertificatePropertiesVersionsPager(q.name, nil)
		return pages{pager.More, func(ctx context.Context) (page []listed, err error) {
			got, err := pager.NextPage(ctx)
			for _, v := range got.Value {
				if v != nil && v.ID != nil && v.Attributes != nil {
					page = append(page, newListed(v.ID.Version(), v.Attributes.Created, v.Attributes.Expires, v.Attributes.Enabled))
				}
			}
			return page, err
		}}
	}
	pager := s.secrets.NewListSecretPropertiesVersionsPager(q.name, nil)
	return pages{pager.More, func(ctx context.Context) (page []listed, err error) {
		got, err := pager.NextPage(ctx)
		for _, v := range got.Value {
			if v != nil && v.ID != nil && v.Attributes != nil {
				page = append(page, newListed(v.ID.Version(), v.Attributes.Created, v.Attributes.Expires, v.Attributes.Enabled))
			}
		}
		return page, err
	}}
}

func newListed(version string, created, expires *time.Time, enabled *bool) listed {
	v := listed{version: version, enabled: enabled == nil || *enabled}
	if created != nil {
		v.created = *created
	}
	if expires != nil {
		v.expires = *expires
	}
	return v
}
