package kms

import (
	"errors"
	"fmt"

	kmsapi "k8s.io/kms/apis/v2"

	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/key"
	"github.com/lanyardhq/lanyard/provider/kmsring"
)

// What the API server accepts, in bytes: validate* and ValidateKeyID of
// k8s.io/apiserver/pkg/storage/value/encrypt/envelope/kmsv2.
const (
	maxCiphertext  = 1024
	maxKeyID       = 1024
	maxAnnotations = 32 << 10
)

// The annotations of a ciphertext lie beside it in plain text, and come back
// with it. They hold what Decrypt needs and cannot tell from the ciphertext,
// whatever has become of the ring since.
const (
	// formatAnnotation says how to read the others.
	formatAnnotation = "format.kms.lanyardhq.github.io"
	// versionAnnotation is the exact version of the key, as its service calls it.
	versionAnnotation = "version.kms.lanyardhq.github.io"

	format = "1"
)

// encryptAnswer makes the answer to an Encrypt and holds it against what the
// API server accepts, so that what is wrong is said in words.
func encryptAnswer(entry *kmsring.Entry, ciphertext key.Ciphertext) (*kmsapi.EncryptResponse, error) {
	answer := &kmsapi.EncryptResponse{
		Ciphertext:  ciphertext.Data,
		KeyId:       entry.KeyID(ciphertext.Version),
		Annotations: map[string][]byte{formatAnnotation: []byte(format), versionAnnotation: []byte(ciphertext.Version)},
	}
	size := 0
	for name, value := range answer.GetAnnotations() {
		size += len(name) + len(value)
	}
	var wrong string
	switch {
	case len(ciphertext.Data) == 0:
		wrong = "answered with an empty ciphertext"
	case len(ciphertext.Data) > maxCiphertext:
		wrong = fmt.Sprintf("made a ciphertext of %d bytes, and the API server takes %d; use a key of another kind", len(ciphertext.Data), maxCiphertext)
	case ciphertext.Version == "" || len(ciphertext.Version) > key.MaxVersion || size > maxAnnotations:
		wrong = fmt.Sprintf("did not say which version it used, or in %d bytes, which is too much", len(ciphertext.Version))
	default:
		return answer, nil
	}
	return nil, fault.Fail(fault.ErrInvalid, fmt.Errorf("key %s (%s) %s", entry.Name, entry.Service(), wrong))
}

// errForeign means that a ciphertext has not the annotations that this plugin
// writes, or that they were changed.
var errForeign = errors.New("not written by this plugin")

// versionOf is the version of the key that a ciphertext is of.
func versionOf(req *kmsapi.DecryptRequest) (string, error) {
	size := 0
	for name, value := range req.GetAnnotations() {
		size += len(name) + len(value)
	}
	version := string(req.GetAnnotations()[versionAnnotation])
	found := string(req.GetAnnotations()[formatAnnotation])
	switch {
	case len(req.GetCiphertext()) == 0 || len(req.GetCiphertext()) > maxCiphertext:
		return "", fault.Fail(fault.ErrInvalid, fmt.Errorf("the ciphertext has %d bytes, it must have 1 to %d", len(req.GetCiphertext()), maxCiphertext))
	case req.GetKeyId() == "" || len(req.GetKeyId()) > maxKeyID:
		return "", fault.Fail(fault.ErrInvalid, fmt.Errorf("the key ID has %d bytes, it must have 1 to %d", len(req.GetKeyId()), maxKeyID))
	case size > maxAnnotations:
		return "", fault.Fail(fault.ErrInvalid, fmt.Errorf("the annotations have %d bytes, at most %d are possible", size, maxAnnotations))
	case found == "":
		return "", fmt.Errorf("%w: the annotation %s is missing; data of another plugin needs that plugin's own entry, under the name it had, in the EncryptionConfiguration", errForeign, formatAnnotation)
	case found != format:
		return "", fmt.Errorf("%w: the annotation %s is not %s; a newer version of Lanyard may have written it", errForeign, formatAnnotation, format)
	case version == "" || len(version) > key.MaxVersion:
		return "", fmt.Errorf("%w: the annotation %s must have 1 to %d bytes", errForeign, versionAnnotation, key.MaxVersion)
	}
	return version, nil
}
