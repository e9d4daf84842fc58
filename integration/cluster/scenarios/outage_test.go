package scenarios

import (
	"testing"

	"github.com/lanyardhq/lanyard/integration/faultproxy"
)

// While Vault is down running pods keep their files, and new pods start that
// belong to a service account which has read before: for as long as the
// operator's staleOnError says, ten minutes here. Others are told why they wait.
// When Vault is back nothing has to be restarted.
func TestVaultDown(t *testing.T) {
	s := beside(t)
	p := s.proxy()
	s.newAccount("stranger")
	s.put("db", map[string]any{"password": "old"})
	s.proxiedClass("db", p, "[{path: password, store: proxied, key: secret/data/$namespace/db, property: password}]", "refresh", "1s")
	s.start(pod{Name: "running", Classes: []string{"db"}})
	before, err := s.Provider(t.Context())
	s.must(err)

	p.Add(faultproxy.Fault{Refuse: true})
	p.Reset()
	s.eventually("a poll finds Vault down", func() error { return atLeast(1, p.Count("", "secret/data/"+s.namespace)) })
	s.create(pod{Name: "stranger", Account: "stranger", Classes: []string{"db"}})
	s.start(pod{Name: "late", Classes: []string{"db"}})
	s.holds("late", "db", map[string]string{"password": "old"})
	s.waitsInVain("stranger", "object 1 (password): proxied: ", "cannot be reached")
	s.holds("running", "db", map[string]string{"password": "old"})

	s.put("db", map[string]any{"password": "new"})
	p.Clear()
	s.ready("stranger")
	s.holds("stranger", "db", map[string]string{"password": "new"})
	s.becomes("running", "db", "password", "new")
	s.becomes("late", "db", "password", "new")
	after, err := s.Provider(t.Context())
	s.must(err)
	if before.UID != after.UID || after.Status.ContainerStatuses[0].RestartCount != before.Status.ContainerStatuses[0].RestartCount {
		t.Error("Lanyard was restarted meanwhile")
	}
	for _, name := range []string{"running", "late", "stranger"} {
		if restarts := s.get(name).Status.ContainerStatuses[0].RestartCount; restarts > 0 {
			t.Errorf("pod %s was restarted %d times", name, restarts)
		}
	}
}
