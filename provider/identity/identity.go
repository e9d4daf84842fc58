// Package identity describes the pod on whose behalf a value is read: where it
// runs, its service account, and the audience-bound tokens that prove it. It
// never decides what an identity may read; the stores do.
//
// Start with Identity; a store asks a TokenSource for the token it logs in with.
package identity

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/lanyardhq/lanyard/provider/secret"
)

// Identity is the pod that a mount is for. Two pods of one service account are
// different identities with the same Key.
type Identity struct {
	Cluster        string // the operator's name for the cluster; may be empty
	Namespace      string
	ServiceAccount string
	Pod            string
	PodUID         string

	// Tokens are the pod's service account tokens by audience, as the driver
	// passed them; empty if the CSIDriver object asks for none.
	Tokens map[string]Token
	// Credentials are the pairs of nodePublishSecretRef; empty if the volume
	// names no Secret.
	Credentials map[string]secret.Bytes
}

// Token is a service account token bound to one audience.
type Token struct {
	JWT     secret.Bytes
	Expires time.Time
}

// Key is what separates one identity's cached values and logins from all
// others. It is comparable: equal keys may share, different ones never do.
type Key struct {
	Cluster        string
	Namespace      string
	ServiceAccount string
	// UID is the service account's UID where a token tells it, so that a
	// service account that was deleted and made anew under the same name
	// inherits nothing.
	UID string
	// Credentials is a digest of the identity's Credentials, so that pods
	// that bring their own never share with pods that do not.
	Credentials [sha256.Size]byte
}

// Key returns the identity's Key.
func (id Identity) Key() Key {
	key := Key{Cluster: id.Cluster, Namespace: id.Namespace, ServiceAccount: id.ServiceAccount, UID: id.serviceAccountUID()}
	if len(id.Credentials) > 0 {
		digest := sha256.New()
		for _, name := range slices.Sorted(maps.Keys(id.Credentials)) {
			value := id.Credentials[name].Reveal()
			// With their lengths, no two sets of pairs look alike.
			fmt.Fprintf(digest, "%d %d %s", len(name), len(value), name)
			digest.Write(value)
		}
		digest.Sum(key.Credentials[:0])
	}
	return key
}

// String names the service account the way Kubernetes writes it.
func (id Identity) String() string {
	return "system:serviceaccount:" + id.Namespace + ":" + id.ServiceAccount
}

// serviceAccountUID is the UID that the tokens tell; the greatest, should they
// differ.
func (id Identity) serviceAccountUID() string {
	uid := ""
	for _, token := range id.Tokens {
		uid = max(uid, accountUID(token.JWT.Reveal()))
	}
	return uid
}
