package scenarios

import "testing"

// A pod starts without what is optional and missing, and gets it once it is
// there.
func TestOptionalObjects(t *testing.T) {
	s := beside(t)
	s.put("db", map[string]any{"user": "web"})
	s.class("some", asWorkload+`
    objects: |
      - {path: user, store: vault, key: secret/data/$namespace/db, property: user}
      - {path: property, store: vault, key: secret/data/$namespace/db, property: password, optional: true}
      - {path: secret, store: vault, key: secret/data/$namespace/later, property: value, optional: true}
    refresh: 2s
`)
	s.class("all", asWorkload+`
    objects: |
      - {path: secret, store: vault, key: secret/data/$namespace/later, property: value, optional: true}
    refresh: 2s
`)
	s.start(pod{Name: "web", Classes: []string{"some", "all"}})
	s.holds("web", "some", map[string]string{"user": "web"})
	s.holds("web", "all", nil)

	s.put("db", map[string]any{"user": "web", "password": "correct horse"})
	s.put("later", map[string]any{"value": "there now"})
	s.becomes("web", "some", "property", "correct horse")
	s.becomes("web", "some", "secret", "there now")
	s.becomes("web", "all", "secret", "there now")
	s.holds("web", "some", map[string]string{"user": "web", "property": "correct horse", "secret": "there now"})
}
