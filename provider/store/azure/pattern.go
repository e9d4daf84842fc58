package azure

import (
	"context"
	"path"
	"slices"
	"strings"

	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/store"
)

// maxMatches bounds the secrets of one pattern. Each is a call.
const maxMatches = 200

// readPattern reads the secrets that are enabled, whose names the pattern matches, and
// that have the tags, and returns a JSON object of their texts by name.
func (s *azureStore) readPattern(ctx context.Context, as identity.Identity, q *query) (store.Value, error) {
	names, err := s.matching(ctx, as, q)
	if err != nil {
		return store.Value{}, err
	}
	if len(names) == 0 {
		return store.Value{}, fault.Failf(fault.ErrNotFound, "%s: Key Vault has no enabled secret that matches; check the pattern and the tags", q)
	}
	several := newSeveral(q)
	for _, name := range names {
		one := *q
		one.pattern, one.name = false, name
		data, version, err := s.readOne(ctx, as, &one)
		if err == nil {
			err = several.add(name, version, data)
		}
		if err != nil {
			return store.Value{}, err
		}
	}
	return several.value()
}

// matching lists the names of the secrets that the query means, in their order.
// https://learn.microsoft.com/rest/api/keyvault/secrets/get-secrets/get-secrets
func (s *azureStore) matching(ctx context.Context, as identity.Identity, q *query) ([]string, error) {
	pager := s.secrets.NewListSecretPropertiesPager(nil)
	var names []string
	for n := 0; pager.More(); n++ {
		if n == maxPages {
			return nil, fault.Failf(fault.ErrInvalid, "%s: the vault has more than %d secrets, which are too many to look through; name each secret", q, 25*maxPages)
		}
		err := s.vault.Call(ctx, as, q, func(ctx context.Context) error {
			page, err := pager.NextPage(ctx)
			for _, found := range page.Value {
				if found == nil || found.ID == nil || found.Attributes == nil || found.Attributes.Enabled != nil && !*found.Attributes.Enabled {
					continue
				}
				if name := nameIn(string(*found.ID)); q.matches(name, found.Tags) {
					names = append(names, name)
				}
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	slices.Sort(names)
	if names = slices.Compact(names); len(names) > maxMatches {
		return nil, fault.Failf(fault.ErrInvalid, "%s: matches %d secrets, and one object may hold %d; give a narrower pattern", q, len(names), maxMatches)
	}
	return names, nil
}

// nameIn is the name in a secret's ID, https://VAULT/secrets/NAME; empty if it is none.
func nameIn(id string) string {
	parts := strings.Split(strings.TrimPrefix(id, "https://"), "/")
	if len(parts) < 3 || !objectName().MatchString(parts[2]) {
		return ""
	}
	return parts[2]
}

// matches says whether the query means a secret.
func (q *query) matches(name string, tags map[string]*string) bool {
	// Names are the same in any case, and the pattern has no other special characters.
	ok, err := path.Match(strings.ToLower(q.name), strings.ToLower(name))
	if err != nil || !ok || name == "" {
		return false
	}
	for tag, want := range q.tags {
		if got := tags[tag]; got == nil || *got != want {
			return false
		}
	}
	return true
}
