package scenarios

import (
	"crypto/tls"
	"testing"
)

// Every kind of store in one pod, a class and a volume for each.
func TestEveryStoreInOnePod(t *testing.T) {
	s := beside(t)
	// The store "files" is for service accounts of this name.
	const account = "files"
	s.newAccount(account)
	s.put("db", map[string]any{"user": "web", "password": "correct horse"})
	s.file("licence", "from a file")

	s.class("kv", asWorkload+`
    objects: |
      - {path: db/password, store: vault, key: secret/data/$namespace/db, property: password}
      - {path: all, store: vault, key: secret/data/$namespace/db, expand: true}
`)
	s.class("certificate", asWorkload+`
    objects: |
      - {path: tls, store: vault, key: pki/issue/web, expand: true, options: {body: {common_name: web.example.com, ttl: 1h}}}
`)
	s.class("database", asWorkload+`
    objects: |
      - {path: login, store: vault, key: database/creds/app, expand: true}
`)
	s.class("sealed", `
    objects: |
      - {path: api-token, sealed: $sealed}
`, "$sealed", s.seal(account, "api-token", "from Git"))
	s.class("file", `
    objects: |
      - {path: licence, store: files, key: $namespace/licence}
`)
	s.class("template", asWorkload+`
    objects: |
      - {name: user, store: vault, key: secret/data/$namespace/db, property: user}
      - {name: token, sealed: $sealed}
      - path: app.properties
        template: |
          url=postgres://{{ .user }}@db/app
          token={{ .token }}
`, "$sealed", s.seal(account, "token", "from Git"))

	s.start(pod{Name: "web", Account: account, Classes: []string{"kv", "certificate", "database", "sealed", "file", "template"}})

	s.holds("web", "kv", map[string]string{"db/password": "correct horse", "all/user": "web", "all/password": "correct horse"})
	s.holds("web", "sealed", map[string]string{"api-token": "from Git"})
	s.holds("web", "file", map[string]string{"licence": "from a file"})
	s.holds("web", "template", map[string]string{"app.properties": "url=postgres://web@db/app\ntoken=from Git\n"})

	pair, err := tls.X509KeyPair([]byte(s.read("web", "certificate", "tls/certificate")), []byte(s.read("web", "certificate", "tls/private_key")))
	s.must(err)
	if err := pair.Leaf.VerifyHostname("web.example.com"); err != nil {
		t.Error(err)
	}

	user := s.read("web", "database", "login/username")
	if got, err := s.Postgres.Query(user, s.read("web", "database", "login/password"), "SELECT current_user"); err != nil || got != user {
		t.Errorf("the database user %q logs in as %q: %v", user, got, err)
	}
}

// Pods that share a class share what is the same for all, and each has a
// database user of its own.
func TestOneClassInSeveralPods(t *testing.T) {
	s := beside(t)
	s.put("db", map[string]any{"host": "db.example.com"})
	s.class("db", asWorkload+`
    objects: |
      - {path: host, store: vault, key: secret/data/$namespace/db, property: host}
      - {path: user, store: vault, key: database/creds/app, property: username}
      - {path: password, store: vault, key: database/creds/app, property: password}
`)
	pods := []string{"one", "two", "three"}
	for _, name := range pods {
		s.create(pod{Name: name, Classes: []string{"db"}})
	}
	users := map[string]bool{}
	for _, name := range pods {
		s.ready(name)
		if got := s.read(name, "db", "host"); got != "db.example.com" {
			t.Errorf("pod %s: host holds %q", name, got)
		}
		// Both come from one credential, though each is an object.
		user := s.read(name, "db", "user")
		if got, err := s.Postgres.Query(user, s.read(name, "db", "password"), "SELECT current_user"); err != nil || got != user {
			t.Errorf("pod %s: the database user %q logs in as %q: %v", name, user, got, err)
		}
		users[user] = true
	}
	if len(users) != len(pods) {
		t.Errorf("%d pods have the database users %v", len(pods), users)
	}
}

// A class that was written for another provider works in the same pod as a
// native one.
func TestSeveralProvidersInOnePod(t *testing.T) {
	s := beside(t)
	s.put("db", map[string]any{"user": "web", "password": "correct horse"})
	s.class("native", asWorkload+`
    objects: |
      - {path: user, store: vault, key: secret/data/$namespace/db, property: user}
`)
	s.apply(`
apiVersion: secrets-store.csi.x-k8s.io/v1
kind: SecretProviderClass
metadata: {name: foreign}
spec:
  provider: vault
  parameters:
    roleName: workload
    objects: |
      - objectName: password
        secretPath: secret/data/$namespace/db
        secretKey: password
`)
	s.start(pod{Name: "web", Classes: []string{"native", "foreign"}})
	s.holds("web", "native", map[string]string{"user": "web"})
	s.holds("web", "foreign", map[string]string{"password": "correct horse"})
}
