// Package sync writes what classes read into Secrets, without a pod, and keeps them as
// their stores have them.
//
// An Input is a kind of object that asks for Secrets. It turns an object into a Want and
// tells the object's readers what became of it; all else is the same for every kind: Add
// has a reconciler read the values through the engine, as the service account that the
// Want names, and write the Secrets. Start with Input and Add.
package sync

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
)

// What the controller notes on Secrets.
const (
	// OwnerLabel holds the UID of the object that a Secret is written for. Secrets
	// without it are somebody else's.
	OwnerLabel = "lanyard.dev/synced-from"
	// VersionsAnnotation holds a JSON object with the version of each file that a Secret
	// has a value of.
	VersionsAnnotation = "lanyard.dev/versions"
	// RefreshAnnotation on a class or SecretSync has its values read anew whenever its
	// text changes.
	RefreshAnnotation = "lanyard.dev/refresh"
	// FieldManager is the controller's name for server-side apply.
	FieldManager = "lanyard-sync"
)

// Bounds of one object, which has room for about this many names in its status.
const (
	// MaxSecrets is how many Secrets an object may ask for.
	MaxSecrets = 64
	// MaxHeld is how many it may have, those among them that it does not ask for any more
	// and that could not be removed yet.
	MaxHeld = 2 * MaxSecrets
)

// Input is a kind of object that asks for Secrets.
type Input interface {
	// Kind names the objects in the log and in metrics.
	Kind() string
	// Want is what the object asks for; nil if it asks for nothing and has nothing to
	// clear away. It reads from memory. Its error is one of the API server.
	Want(ctx context.Context, key types.NamespacedName) (*Want, error)
	// Report tells the object's readers what became of it. It is called after each
	// attempt and writes only what changed.
	Report(ctx context.Context, want *Want, outcome *Outcome) error
}

// Want is what one object asks for.
type Want struct {
	// Object is what Want read, for Report.
	Object runtime.Object
	// Owner is put on every Secret, so that Kubernetes removes them with it.
	Owner meta.OwnerReference
	// Namespace is the object's and the Secrets'.
	Namespace string
	// ServiceAccount is whose rights at the store count.
	ServiceAccount string
	// Provider and Parameters are those of the class.
	Provider   string
	Parameters map[string]string
	// Secrets are to be written, at most MaxSecrets; none removes all that were.
	Secrets []Secret
	// Problem is what makes the object useless before anything is read; nil for none.
	Problem *Problem
	// Refresh stands for RefreshAnnotation, and whatever else asks for new values when it
	// changes; RefreshOf makes it.
	Refresh string
	// Known is what the object's status says of the last success, by Secret: at most
	// MaxHeld.
	Known map[string]Written
	// Failing and Since are the state that the object's status tells, and when it began;
	// Since is zero if it tells nothing.
	Failing bool
	Since   time.Time
	// Adopt are further signs of a Secret that may be taken over: a JSON pointer and the
	// value that it must have there.
	Adopt []Sign
}

// Sign is a place in a Secret and the text that must stand there.
type Sign struct{ Path, Value string }

// Secret is one Secret as an object describes it.
type Secret struct {
	Name        string
	Type        string
	Labels      map[string]string
	Annotations map[string]string
	Data        []Item
}

// Item is a key of a Secret and the file of the class that it has the content of.
type Item struct{ Key, File string }

// Written is what a Secret was last written with: a digest that needs no value to be
// computed, and the text of Want.Refresh at that time.
type Written struct {
	Digest  string `json:"digest"`
	Refresh string `json:"refresh,omitempty"`
}

// Outcome is what became of a Want.
type Outcome struct {
	// Problem is why not all Secrets are as they should be; nil if they are.
	Problem *Problem
	// Written are the Secrets that are as they should be, and those that stay from
	// before because of a Problem.
	Written map[string]Written
	// Created and Changed say that a Secret was made, or that a value in one changed, this
	// time.
	Created, Changed []string
	// Since is when the object began to be in its state: all right, or with a Problem.
	Since time.Time
	// Now is the time of the attempt.
	Now time.Time

	removed []string // Secrets that the object does not ask for any more
	// unanswered is an error of an API server that could not be asked, so that nothing is
	// known of the object.
	unanswered error
}

// Reason is why an object has no Secret, in a word for programs.
type Reason string

// The reasons, named as those of the driver project's sync controller where it has one.
// https://github.com/kubernetes-sigs/secrets-store-sync-controller/blob/main/api/secretsync/v1alpha1/secretsync_types.go
const (
	// ReasonProvider: the store did not give the value, or the class cannot be used.
	ReasonProvider Reason = "ProviderError"
	// ReasonClass: there is no such class.
	ReasonClass Reason = "ControllerSPCError"
	// ReasonInput: what the object says of the Secret cannot be done.
	ReasonInput Reason = "UserInputValidationFailed"
	// ReasonPolicy: an admission policy or the operator's own (--secret-types) refuses the
	// Secret.
	ReasonPolicy Reason = "ValidatingAdmissionPolicyCheckFailed"
	// ReasonLabel and ReasonAnnotation: one that is the controller's own.
	ReasonLabel      Reason = "InvalidClusterSecretLabelError"
	ReasonAnnotation Reason = "InvalidClusterSecretAnnotationError"
	// ReasonForeign: a Secret of the name is somebody else's.
	ReasonForeign Reason = "SecretNotOwned"
	// ReasonInternal: the API server does not let the controller do its work.
	ReasonInternal Reason = "ControllerInternalError"
	// ReasonUnknown: the API server refused the Secret for another cause.
	ReasonUnknown Reason = "UnknownError"
)

// Problem is why an object's Secrets are not as they should be. Text never holds a value.
type Problem struct {
	Reason Reason
	Text   string
}

// RefreshOf is Want.Refresh for the texts that ask for new values when one of them
// changes: short, however long they are.
func RefreshOf(texts ...string) string {
	if strings.Join(texts, "") == "" {
		return ""
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%q", texts))
	return hex.EncodeToString(sum[:8])
}
