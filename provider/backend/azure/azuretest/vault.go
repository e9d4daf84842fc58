package azuretest

import (
	"crypto"
	"encoding/hex"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/lanyardhq/lanyard/provider/backend/backendtest"
)

// Vault is a Key Vault or a Managed HSM.
type Vault struct {
	// Host is its name in the domain of its cloud.
	Host string

	server *Server
	// The server's lock guards what follows.
	objects  map[string][]*version // the oldest first; by collection and name: "secrets/db"
	grants   map[string][]string   // by client ID: patterns of what it may use; "secrets/" to list all
	policies bool                  // it uses access policies, not roles
	seconds  int                   // so many versions were made, one in each second
}

// version is one of an object's.
type version struct {
	id       string
	created  time.Time
	disabled bool
	content  any // Secret, Certificate, crypto.Signer or JWK
}

// Secret is a version of a secret.
type Secret struct {
	Value       string
	ContentType string
	// Certificate is true for the secret of a certificate.
	Certificate bool
	// Version is the version's ID; empty makes one.
	Version string
	// Tags are of the version.
	Tags map[string]string
}

// Certificate is a version of a certificate, with its key and its secret.
type Certificate struct {
	CER         []byte
	Key         crypto.Signer
	Value       string // of its secret
	ContentType string // of its secret
	Version     string // empty makes one
}

// JWK is the public part of a key, as its JSON has it.
type JWK map[string]any

// Vault makes or finds a vault of the public cloud.
func (s *Server) Vault(name string) *Vault { return s.VaultAt(name + ".vault.azure.net") }

// VaultAt makes or finds the vault at a host.
func (s *Server) VaultAt(host string) *Vault {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.vaults[host] == nil {
		s.vaults[host] = &Vault{Host: host, server: s, objects: map[string][]*version{}, grants: map[string][]string{}}
	}
	return s.vaults[host]
}

// SetChallenge makes a vault's 401 carry another challenge than the right one.
func (s *Server) SetChallenge(host, header string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.challenges[host] = header
}

// Grant lets a client read what the patterns name: "secrets/db", "keys/*".
func (v *Vault) Grant(clientID string, patterns ...string) {
	v.server.mu.Lock()
	defer v.server.mu.Unlock()
	v.grants[clientID] = append(v.grants[clientID], patterns...)
}

// Revoke takes all of a client's permissions away.
func (v *Vault) Revoke(clientID string) {
	v.server.mu.Lock()
	defer v.server.mu.Unlock()
	delete(v.grants, clientID)
}

// UsePolicies makes the vault refuse in the words of access policies.
func (v *Vault) UsePolicies() {
	v.server.mu.Lock()
	defer v.server.mu.Unlock()
	v.policies = true
}

// Put makes a new version of a secret that is text, and returns its ID.
func (v *Vault) Put(name, value string) string { return v.PutSecret(name, Secret{Value: value}) }

// PutSecret makes a new version of a secret, and returns its ID.
func (v *Vault) PutSecret(name string, secret Secret) string {
	return v.put("secrets/"+name, secret.Version, secret)
}

// PutKey makes a new version of a key, a crypto.Signer or a JWK, and returns
// its ID.
func (v *Vault) PutKey(name string, key any) string { return v.put("keys/"+name, "", key) }

// PutCertificate makes a new version of a certificate with the key and the
// secret of the same name, and returns its ID.
// https://learn.microsoft.com/azure/key-vault/certificates/about-certificates#composition-of-a-certificate
func (v *Vault) PutCertificate(name string, certificate Certificate) string {
	id := v.put("certificates/"+name, certificate.Version, certificate)
	v.put("secrets/"+name, id, Secret{Value: certificate.Value, ContentType: certificate.ContentType, Certificate: true})
	if certificate.Key != nil {
		v.put("keys/"+name, id, certificate.Key)
	}
	return id
}

func (v *Vault) put(key, id string, content any) string {
	if id == "" {
		id = hex.EncodeToString(backendtest.Random(16))
	}
	v.server.mu.Lock()
	defer v.server.mu.Unlock()
	v.seconds++
	created := time.Date(2026, 1, 1, 0, 0, v.seconds, 0, time.UTC)
	v.objects[key] = append(v.objects[key], &version{id: id, created: created, content: content})
	return id
}

// Disable disables a version of "secrets/db" and the like; all if the ID is
// empty.
func (v *Vault) Disable(key, id string) {
	v.server.mu.Lock()
	defer v.server.mu.Unlock()
	for _, one := range v.objects[key] {
		if id == "" || one.id == id {
			one.disabled = true
		}
	}
}

// Delete deletes "secrets/db" and the like.
func (v *Vault) Delete(key string) {
	v.server.mu.Lock()
	defer v.server.mu.Unlock()
	delete(v.objects, key)
}

// find is a version; the last one if the ID is empty. The result must not be
// changed.
func (v *Vault) find(key, id string) (version, bool) {
	v.server.mu.Lock()
	defer v.server.mu.Unlock()
	for _, one := range slices.Backward(v.objects[key]) {
		if id == "" || one.id == id {
			return *one, true
		}
	}
	return version{}, false
}

// latest are the names of a collection's objects with the version of each that is
// current, sorted.
func (v *Vault) latest(kind string) (names []string, current []version) {
	v.server.mu.Lock()
	defer v.server.mu.Unlock()
	for _, key := range slices.Sorted(maps.Keys(v.objects)) {
		if name, ok := strings.CutPrefix(key, kind+"/"); ok {
			names = append(names, name)
			current = append(current, *v.objects[key][len(v.objects[key])-1])
		}
	}
	return names, current
}

// all are an object's versions.
func (v *Vault) all(key string) []version {
	v.server.mu.Lock()
	defer v.server.mu.Unlock()
	var versions []version
	for _, one := range v.objects[key] {
		versions = append(versions, *one)
	}
	return versions
}

// mayUse says whether a client may use an object.
func (v *Vault) mayUse(clientID, key string) bool {
	v.server.mu.Lock()
	defer v.server.mu.Unlock()
	return backendtest.Matches(v.grants[clientID], key)
}
