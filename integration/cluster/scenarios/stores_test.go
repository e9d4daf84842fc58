package scenarios

import "testing"

// A pod gets what its class names from a KV engine.
func TestVaultKV(t *testing.T) {
	s := beside(t)
	s.put("db", map[string]any{"user": "web", "password": "correct horse"})
	s.apply(`
apiVersion: secrets-store.csi.x-k8s.io/v1
kind: SecretProviderClass
metadata: {name: db}
spec:
  provider: lanyard
  parameters:
    stores: |
      vault: {auth: {role: workload}}
    objects: |
      - {path: db/password, store: vault, key: secret/data/$namespace/db, property: password}
      - {path: all, store: vault, key: secret/data/$namespace/db, expand: true}
    refresh: 5s
`)
	s.start(pod{Name: "web", Classes: []string{"db"}})
	s.holds("web", "db", map[string]string{"db/password": "correct horse", "all/user": "web", "all/password": "correct horse"})

	s.put("db", map[string]any{"user": "web", "password": "battery staple"})
	s.becomes("web", "db", "db/password", "battery staple")
}
