package gcptest

import (
	"context"
	"crypto/cipher"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"strings"

	"cloud.google.com/go/kms/apiv1/kmspb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/lanyardhq/lanyard/provider/backend/backendtest"
)

// cryptoKey is a symmetric key of Cloud KMS; its last version is the primary.
type cryptoKey struct {
	versions []cipher.AEAD
	states   []kmspb.CryptoKeyVersion_CryptoKeyVersionState
}

// keyManagement is Cloud KMS. Its ciphertexts are authenticated for real; their
// form is its own, since that of Cloud KMS is not public.
type keyManagement struct {
	kmspb.UnimplementedKeyManagementServiceServer
	*Server
	keys map[string]*cryptoKey // by resource name; guarded by Server.mu
}

// PutKey makes a key, named by its resource name, or a new version of it, which
// becomes the primary one.
func (s *Server) PutKey(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	held := s.kms.keys[name]
	if held == nil {
		held = &cryptoKey{}
		s.kms.keys[name] = held
	}
	held.versions = append(held.versions, backendtest.NewAEAD())
	held.states = append(held.states, kmspb.CryptoKeyVersion_ENABLED)
}

// SetKeyState sets the state of a version of a key, counted from one.
func (s *Server) SetKeyState(name string, number int, state kmspb.CryptoKeyVersion_CryptoKeyVersionState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kms.keys[name].states[number-1] = state
}

// use is the key that the caller may use. The lock is held.
func (k *keyManagement) use(ctx context.Context, name, permission string) (*cryptoKey, error) {
	caller, err := k.caller(ctx, "name")
	switch {
	case err != nil:
		return nil, err
	case !k.allowed(canonical(name), caller):
		return nil, status.Errorf(codes.PermissionDenied, "Permission '%s' denied on resource '%s' (or it may not exist).", permission, name)
	case k.keys[name] == nil:
		return nil, status.Errorf(codes.NotFound, "CryptoKey %s not found.", name)
	}
	return k.keys[name], nil
}

// enabled is an error if the version cannot be used.
func (c *cryptoKey) enabled(name string, number int) error {
	if state := c.states[number-1]; state != kmspb.CryptoKeyVersion_ENABLED {
		return status.Errorf(codes.FailedPrecondition, "%s/cryptoKeyVersions/%d is not enabled, current state is: %s.", name, number, state)
	}
	return nil
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func checksum(data []byte) *wrapperspb.Int64Value {
	return wrapperspb.Int64(int64(crc32.Checksum(data, castagnoli)))
}

// verify compares what came with its checksum, which must have come too: the
// client is held to checking both ways.
func verify(field string, data []byte, sum *wrapperspb.Int64Value) error {
	if sum == nil || sum.GetValue() != checksum(data).GetValue() {
		return status.Errorf(codes.InvalidArgument, "The checksum in field %s_crc32c did not match the data in field %s.", field, field)
	}
	return nil
}

// Encrypt implements the generated server.
// https://cloud.google.com/kms/docs/reference/rpc/google.cloud.kms.v1#encryptrequest
func (k *keyManagement) Encrypt(ctx context.Context, req *kmspb.EncryptRequest) (*kmspb.EncryptResponse, error) {
	met := k.meet(ctx, "Encrypt")
	if err := met.err(); err != nil {
		return nil, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	held, err := k.use(ctx, req.GetName(), "cloudkms.cryptoKeyVersions.useToEncrypt")
	if err != nil {
		return nil, err
	}
	if err := verify("plaintext", req.GetPlaintext(), req.GetPlaintextCrc32C()); err != nil {
		return nil, err
	}
	if err := verify("additional_authenticated_data", req.GetAdditionalAuthenticatedData(), req.GetAdditionalAuthenticatedDataCrc32C()); err != nil {
		return nil, err
	}
	number := len(held.versions)
	if err := held.enabled(req.GetName(), number); err != nil {
		return nil, err
	}
	header := binary.BigEndian.AppendUint32(nil, uint32(number)) //nolint:gosec // a test makes few
	nonce := backendtest.Random(12)
	header = append(header, nonce...)
	answer := &kmspb.EncryptResponse{
		Name:                    fmt.Sprintf("%s/cryptoKeyVersions/%d", req.GetName(), number),
		Ciphertext:              held.versions[number-1].Seal(header, nonce, req.GetPlaintext(), req.GetAdditionalAuthenticatedData()),
		VerifiedPlaintextCrc32C: !met.Unchecked, VerifiedAdditionalAuthenticatedDataCrc32C: !met.Unchecked,
	}
	answer.CiphertextCrc32C = checksum(answer.GetCiphertext())
	switch {
	case met.Corrupt:
		answer.Ciphertext[20] ^= 1
	case met.Empty:
		answer.Ciphertext, answer.CiphertextCrc32C = nil, checksum(nil)
	case met.Other:
		answer.Name = strings.Replace(answer.GetName(), "/cryptoKeys/", "/cryptoKeys/other-", 1)
	}
	return answer, nil
}

// Decrypt implements the generated server.
// https://cloud.google.com/kms/docs/reference/rpc/google.cloud.kms.v1#decryptrequest
func (k *keyManagement) Decrypt(ctx context.Context, req *kmspb.DecryptRequest) (*kmspb.DecryptResponse, error) {
	met := k.meet(ctx, "Decrypt")
	if err := met.err(); err != nil {
		return nil, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	held, err := k.use(ctx, req.GetName(), "cloudkms.cryptoKeyVersions.useToDecrypt")
	if err != nil {
		return nil, err
	}
	if err := verify("ciphertext", req.GetCiphertext(), req.GetCiphertextCrc32C()); err != nil {
		return nil, err
	}
	if err := verify("additional_authenticated_data", req.GetAdditionalAuthenticatedData(), req.GetAdditionalAuthenticatedDataCrc32C()); err != nil {
		return nil, err
	}
	failed := status.Error(codes.InvalidArgument, "Decryption failed: verify that 'name' refers to the correct CryptoKey.")
	data := req.GetCiphertext()
	if len(data) < 16 {
		return nil, failed
	}
	number := binary.BigEndian.Uint32(data)
	if number < 1 || int64(number) > int64(len(held.versions)) {
		return nil, failed
	}
	if err := held.enabled(req.GetName(), int(number)); err != nil {
		return nil, err
	}
	plain, err := held.versions[number-1].Open(nil, data[4:16], data[16:], req.GetAdditionalAuthenticatedData())
	if err != nil {
		return nil, failed
	}
	answer := &kmspb.DecryptResponse{Plaintext: plain, PlaintextCrc32C: checksum(plain), UsedPrimary: int(number) == len(held.versions)}
	switch {
	case met.Corrupt:
		answer.Plaintext = append(answer.GetPlaintext(), 'x')
	case met.Unchecked:
		answer.PlaintextCrc32C = nil
	case met.Empty:
		answer.Plaintext, answer.PlaintextCrc32C = nil, checksum(nil)
	}
	return answer, nil
}
