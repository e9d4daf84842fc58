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

// Identity is the pod that a mount is for. Pods of one service account are different
// identities with the same Key.
type Identity struct {
	Cluster        string // the operator's name for the cluster; may be empty
	Namespace      string
	ServiceAccount string
	// ServiceAccountUID is the service account's UID if who asks knows it; else the
	// tokens tell it.
	ServiceAccountUID string
	Pod               string
	PodUID            string

	// Tokens are the pod's service account tokens by audience, as the driver passed
	// them; empty if the CSIDriver has no tokenRequests.
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

// Key separates cached values and logins of different identities. Only identities
// with equal keys share them.
type Key struct {
	Cluster        string
	Namespace      string
	ServiceAccount string
	// UID is the service account's UID, if it is known: a service account that
	// was deleted and created again inherits nothing.
	UID string
	// Credentials is a digest of the identity's Credentials. Pods with other or no
	// credentials never share.
	Credentials [sha256.Size]byte
}

// Key returns the identity's Key.
func (id Identity) Key() Key {
	key := Key{Cluster: id.Cluster, Namespace: id.Namespace, ServiceAccount: id.ServiceAccount, UID: id.serviceAccountUID()}
	if len(id.Credentials) > 0 {
		digest := sha256.New()
		for _, name := range slices.Sorted(maps.Keys(id.Credentials)) {
			value := id.Credentials[name].Reveal()
			// Lengths make the encoding unambiguous.
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

// serviceAccountUID returns the UID that is known, else that in the tokens; the greatest
// if they differ.
func (id Identity) serviceAccountUID() string {
	uid := id.ServiceAccountUID
	if uid != "" {
		return uid
	}
	for _, token := range id.Tokens {
		uid = max(uid, accountUID(token.JWT.Reveal()))
	}
	return uid
}
