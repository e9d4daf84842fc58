package scenarios

import (
	"context"
	"testing"
	"time"

	"github.com/lanyardhq/lanyard/integration/cluster/lab"
)

// Each failure is told in the pod's event with what to do about it, and once it
// is fixed the same pod starts, without being deleted.

func TestWrongRole(t *testing.T) {
	s := beside(t)
	s.put("db", map[string]any{"password": "correct horse"})
	class := func(role string) {
		s.class("db", `
    stores: |
      vault: {auth: {role: $role}}
    objects: |
      - {path: password, store: vault, key: secret/data/$namespace/db, property: password}
`, "$role", role)
	}
	class("wrong")
	s.create(pod{Name: "web", Classes: []string{"db"}})
	s.event("web", `login as role "wrong"`, "refused", "check")
	class(lab.Role)
	s.startsAfterAll("web", "db", map[string]string{"password": "correct horse"})
}

func TestMissingSecret(t *testing.T) {
	s := beside(t)
	s.put("db", map[string]any{"user": "web"})
	s.class("db", asWorkload+`
    objects: |
      - {path: user, store: vault, key: secret/data/$namespace/db, property: user}
      - {path: password, store: vault, key: secret/data/$namespace/db, property: password}
      - {path: token, store: vault, key: secret/data/$namespace/token, property: value}
`)
	s.create(pod{Name: "web", Classes: []string{"db"}})
	s.event("web", "2 of 3 objects failed", "password", "selects nothing", "token", s.text("secret/data/$namespace/token: Vault has nothing there"))
	s.put("db", map[string]any{"user": "web", "password": "correct horse"})
	s.put("token", map[string]any{"value": "t"})
	s.startsAfterAll("web", "db", map[string]string{"user": "web", "password": "correct horse", "token": "t"})
}

func TestUnreachableVault(t *testing.T) {
	s := beside(t)
	s.put("db", map[string]any{"password": "correct horse"})
	class := func(address string) {
		s.class("db", `
    stores: |
      team:
        type: vault
        address: $address
        timeout: 2s
        tls: {caCert: $authority}
        auth: {method: kubernetes, role: workload}
    objects: |
      - {path: password, store: team, key: secret/data/$namespace/db, property: password}
`, "$address", address, "$authority", s.authority())
	}
	// Nobody listens there.
	class("https://10.87.0.1:18299")
	s.create(pod{Name: "web", Classes: []string{"db"}})
	s.event("web", "Vault at 10.87.0.1:18299 cannot be reached", "connection refused")
	class(lab.VaultAddress)
	s.startsAfterAll("web", "db", map[string]string{"password": "correct horse"})
}

// The operator's mistake, which the pod's event tells to the operator.
func TestMissingTokenRequests(t *testing.T) {
	s := alone(t)
	s.put("db", map[string]any{"password": "correct horse"})
	s.class("db", asWorkload+`
    objects: |
      - {path: password, store: vault, key: secret/data/$namespace/db, property: password}
`)
	audiences, err := s.TokenAudiences(t.Context())
	s.must(err)
	restore := func(ctx context.Context) error { return s.RequestTokens(ctx, audiences...) }
	s.atEnd(restore)
	s.must(s.RequestTokens(t.Context()))
	// The kubelet watches the object; it has no other sign that it knows.
	time.Sleep(2 * time.Second)
	s.create(pod{Name: "web", Classes: []string{"db"}})
	s.event("web", "no usable service account token", `{audience: "vault"}`, "tokenRequests of the CSIDriver secrets-store.csi.k8s.io")
	s.must(restore(t.Context()))
	s.startsAfterAll("web", "db", map[string]string{"password": "correct horse"})
}

// startsAfterAll waits until a pod that had failed is ready, and checks that it
// is the same pod with a volume that is whole.
func (s *scenario) startsAfterAll(name, class string, files map[string]string) {
	s.t.Helper()
	before := s.get(name)
	s.ready(name)
	if after := s.get(name); after.UID != before.UID {
		s.t.Errorf("pod %s is another one", name)
	}
	s.holds(name, class, files)
}
