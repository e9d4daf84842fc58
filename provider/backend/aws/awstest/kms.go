package awstest

import (
	"crypto/cipher"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/lanyardhq/lanyard/provider/backend/backendtest"
)

// KMS is the part of a Server that is the Key Management Service: symmetric
// keys with their key materials, aliases, replicas in other regions, and roles
// that may use a key with some encryption contexts alone. Its ciphertext blobs
// are authenticated with the encryption context for real; their form is its own,
// since that of KMS is not public. It is safe for concurrent use.
type KMS struct {
	mu      sync.Mutex
	keys    map[string]*kmsKey // by ARN; replicas share one
	states  map[string]string  // by ARN: an error's code instead of an answer
	aliases map[string]string  // key ARNs by alias ARN
	demands map[string]demand  // by role ARN
	source  []string           // the source ARNs that calls came with
	made    int
}

// kmsKey is a key with all the materials that it ever had; the last encrypts.
type kmsKey struct {
	id        string
	materials []material
}

type material struct {
	id   string
	aead cipher.AEAD
}

// demand is what a role's policy asks of the encryption context.
type demand struct{ name, value string }

// NewKMS adds KMS to the server. It must be called before the first request.
func (s *Server) NewKMS() *KMS {
	k := &KMS{keys: map[string]*kmsKey{}, states: map[string]string{}, aliases: map[string]string{}, demands: map[string]demand{}}
	s.Handle("TrentService.GenerateDataKey", k.generate(true))
	s.Handle("TrentService.GenerateDataKeyWithoutPlaintext", k.generate(false))
	s.Handle("TrentService.Decrypt", k.decrypt)
	return k
}

// Create makes a key and returns its ARN. A multi-Region key can be replicated.
func (k *KMS) Create(t testing.TB, region string, multiRegion bool) string {
	t.Helper()
	k.mu.Lock()
	k.made++
	id := fmt.Sprintf("00000000-0000-4000-8000-%012d", k.made)
	if multiRegion {
		id = fmt.Sprintf("mrk-%032d", k.made)
	}
	arn := "arn:aws:kms:" + region + ":" + Account + ":key/" + id
	k.keys[arn] = &kmsKey{id: id}
	k.mu.Unlock()
	k.Rotate(t, arn)
	return arn
}

// Replicate makes a multi-Region key known in another region, with the same key
// materials, and returns the replica's ARN.
// https://docs.aws.amazon.com/kms/latest/developerguide/multi-region-keys-overview.html
func (k *KMS) Replicate(arn, region string) string {
	k.mu.Lock()
	defer k.mu.Unlock()
	parts := strings.Split(arn, ":")
	parts[3] = region
	replica := strings.Join(parts, ":")
	k.keys[replica] = k.keys[arn]
	return replica
}

// Rotate gives the key new key material. The old one goes on decrypting.
// https://docs.aws.amazon.com/kms/latest/developerguide/rotate-keys.html
func (k *KMS) Rotate(t testing.TB, arn string) {
	t.Helper()
	k.mu.Lock()
	defer k.mu.Unlock()
	k.keys[arn].materials = append(k.keys[arn].materials, material{id: hex.EncodeToString(backendtest.Random(32)), aead: backendtest.NewAEAD()})
}

// Alias makes the alias, named without "alias/", point to the key, in the key's
// region, and returns the alias's ARN.
func (k *KMS) Alias(name, arn string) string {
	k.mu.Lock()
	defer k.mu.Unlock()
	alias := strings.SplitN(arn, "key/", 2)[0] + "alias/" + name
	k.aliases[alias] = arn
	return alias
}

// Fail makes every use of the key fail with an error's code, such as
// "DisabledException" or "KMSInvalidStateException", until it is called with an
// empty one.
func (k *KMS) Fail(arn, code string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.states[arn] = code
}

// Demand lets the role use keys only with an encryption context that has the
// pair, as the condition kms:EncryptionContext:name does.
// https://docs.aws.amazon.com/kms/latest/developerguide/conditions-kms.html#conditions-kms-encryption-context
func (k *KMS) Demand(roleARN, name, value string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.demands[roleARN] = demand{name, value}
}

// Sources are the source ARNs and accounts that calls came with, as
// "ARN account", since the beginning.
func (k *KMS) Sources() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.source)
}

// kmsRequest is what the three actions have in common.
type kmsRequest struct {
	KeyID             string `json:"KeyId"`
	KeySpec           string
	CiphertextBlob    []byte
	EncryptionContext map[string]string
}

// find is the key that the caller may use for the action with this context.
// k.mu is held.
func (k *KMS) find(caller Caller, action string, request kmsRequest) (arn string, found *kmsKey, failed *Error) {
	arn = request.KeyID
	if !strings.HasPrefix(arn, "arn:") {
		prefix := "arn:aws:kms:" + caller.Region + ":" + Account + ":"
		if !strings.HasPrefix(arn, "alias/") {
			prefix += "key/"
		}
		arn = prefix + arn
	}
	if target, ok := k.aliases[arn]; ok {
		arn = target
	}
	if source := caller.Header.Get("X-Amz-Source-Arn"); source != "" {
		k.source = append(k.source, source+" "+caller.Header.Get("X-Amz-Source-Account"))
	}
	found = k.keys[arn]
	if failed := caller.Permit("kms:"+action, arn); failed != nil {
		return "", nil, failed
	}
	if want, ok := k.demands[caller.RoleARN]; ok && action != "GenerateDataKeyWithoutPlaintext" && request.EncryptionContext[want.name] != want.value {
		return "", nil, Fail(http.StatusBadRequest, "AccessDeniedException", "User: "+caller.ARN+" is not authorized to perform: kms:"+action+" on this resource because no identity-based policy allows the action")
	}
	switch parts := strings.Split(arn, ":"); {
	case found == nil || len(parts) < 6 || parts[3] != caller.Region:
		return "", nil, Fail(http.StatusBadRequest, "NotFoundException", "Key '"+arn+"' does not exist")
	case k.states[arn] != "":
		return "", nil, Fail(http.StatusBadRequest, k.states[arn], arn+" is not in a state for this.")
	}
	return arn, found, nil
}

// generate is GenerateDataKey, with or without the plaintext in its answer.
// https://docs.aws.amazon.com/kms/latest/APIReference/API_GenerateDataKey.html
func (k *KMS) generate(withPlaintext bool) Handler {
	return func(caller Caller, raw json.RawMessage) (any, *Error) {
		request, failed := decode[kmsRequest](raw)
		if failed != nil {
			return nil, failed
		}
		action := "GenerateDataKey"
		if !withPlaintext {
			action = "GenerateDataKeyWithoutPlaintext"
		}
		k.mu.Lock()
		defer k.mu.Unlock()
		arn, found, failed := k.find(caller, action, request)
		if failed != nil {
			return nil, failed
		}
		if request.KeySpec != "AES_256" {
			return nil, Fail(http.StatusBadRequest, "ValidationException", "KeySpec or NumberOfBytes must be given")
		}
		plain := backendtest.Random(32)
		current := found.materials[len(found.materials)-1]
		answer := map[string]any{"KeyId": arn, "KeyMaterialId": current.id, "CiphertextBlob": found.seal(current, plain, request.EncryptionContext)}
		if withPlaintext {
			answer["Plaintext"] = plain
		}
		return answer, nil
	}
}

// decrypt is Decrypt.
// https://docs.aws.amazon.com/kms/latest/APIReference/API_Decrypt.html
func (k *KMS) decrypt(caller Caller, raw json.RawMessage) (any, *Error) {
	request, failed := decode[kmsRequest](raw)
	if failed != nil {
		return nil, failed
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	invalid := Fail(http.StatusBadRequest, "InvalidCiphertextException", "")
	id, rest, ok := cutBlob(request.CiphertextBlob)
	if request.KeyID == "" {
		request.KeyID = id // the ciphertext of a symmetric key tells which
	}
	arn, found, failed := k.find(caller, "Decrypt", request)
	if failed != nil {
		return nil, failed
	}
	if !ok {
		return nil, invalid
	}
	if id != found.id {
		return nil, Fail(http.StatusBadRequest, "IncorrectKeyException", "The key ID in the request does not identify a CMK that can perform this operation.")
	}
	number := int(rest[0])
	if number >= len(found.materials) {
		return nil, invalid
	}
	used := found.materials[number]
	plain, err := used.aead.Open(nil, rest[1:13], rest[13:], blobData(id, byte(number), request.EncryptionContext)) //nolint:gosec // fewer than 256 keys
	if err != nil {
		return nil, invalid
	}
	return map[string]any{"KeyId": arn, "KeyMaterialId": used.id, "Plaintext": plain, "EncryptionAlgorithm": "SYMMETRIC_DEFAULT"}, nil
}

// Encrypt makes a ciphertext as Encrypt does, without a call.
// https://docs.aws.amazon.com/kms/latest/APIReference/API_Encrypt.html
func (k *KMS) Encrypt(t testing.TB, arn string, plain []byte, context map[string]string) []byte {
	t.Helper()
	k.mu.Lock()
	defer k.mu.Unlock()
	found, ok := k.keys[arn]
	if !ok {
		t.Fatalf("there is no key %s", arn)
	}
	return found.seal(found.materials[len(found.materials)-1], plain, context)
}

// seal makes a blob: the key's ID with its length, the material's number, a
// nonce, and the ciphertext.
func (k *kmsKey) seal(with material, plain []byte, context map[string]string) []byte {
	number := byte(slices.IndexFunc(k.materials, func(one material) bool { return one.id == with.id })) //nolint:gosec // fewer than 256 materials
	nonce := backendtest.Random(12)
	blob := append([]byte{byte(len(k.id))}, k.id...) //nolint:gosec // an id has fewer than 256 bytes
	blob = append(append(blob, number), nonce...)
	return with.aead.Seal(blob, nonce, plain, blobData(k.id, number, context))
}

// cutBlob is the key's ID in a blob and what follows it.
func cutBlob(blob []byte) (id string, rest []byte, ok bool) {
	if len(blob) < 1 || len(blob) < 1+int(blob[0])+1+12+16 {
		return "", nil, false
	}
	return string(blob[1 : 1+blob[0]]), blob[1+blob[0]:], true
}

// blobData is what a blob is bound to.
func blobData(id string, number byte, context map[string]string) []byte {
	data := append([]byte(id), number)
	for _, name := range slices.Sorted(maps.Keys(context)) {
		for _, text := range []string{name, context[name]} {
			data = binary.BigEndian.AppendUint32(data, uint32(len(text))) //nolint:gosec // a request is bounded
			data = append(data, text...)
		}
	}
	return data
}
