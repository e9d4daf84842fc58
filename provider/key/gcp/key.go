package gcp

import (
	"context"
	"errors"
	"hash/crc32"
	"regexp"
	"strings"

	"cloud.google.com/go/kms/apiv1/kmspb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/lanyardhq/lanyard/provider/backend/gcp"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/key"
	"github.com/lanyardhq/lanyard/provider/secret"
)

// kmsKey is one key of Cloud KMS, in all of its versions.
type kmsKey struct {
	config  *settings
	conn    *gcp.Conn
	release func() // of the link
	login   *gcp.Login
}

// Name is the resource name of the key. Google never gives a key's name away
// twice.
func (k *kmsKey) Name() string { return "gcp " + k.config.Key }

// UsesNode implements key.NodeUser.
func (k *kmsKey) UsesNode() bool { return k.config.Auth.UsesNode() }

// Encrypt implements key.Key.
// https://cloud.google.com/kms/docs/reference/rpc/google.cloud.kms.v1#encryptrequest
func (k *kmsKey) Encrypt(ctx context.Context, as identity.Identity, plaintext secret.Bytes, bound key.Context) (key.Ciphertext, error) {
	if err := key.CheckEncrypt(plaintext, bound); err != nil {
		return key.Ciphertext{}, err
	}
	var made key.Ciphertext
	err := k.call(ctx, as, "encrypt", func(ctx context.Context) error {
		canonical := bound.Canonical()
		answer, err := k.client().Encrypt(ctx, &kmspb.EncryptRequest{
			Name: k.config.Key, Plaintext: plaintext.Reveal(), PlaintextCrc32C: checksum(plaintext.Reveal()),
			AdditionalAuthenticatedData: canonical, AdditionalAuthenticatedDataCrc32C: checksum(canonical),
		})
		if err != nil {
			return err
		}
		made, err = k.encrypted(answer)
		return err
	})
	if err != nil {
		return key.Ciphertext{}, err
	}
	return made, nil
}

// encrypted is the ciphertext of an answer that is whole.
// https://cloud.google.com/kms/docs/data-integrity-guidelines
func (k *kmsKey) encrypted(answer *kmspb.EncryptResponse) (key.Ciphertext, error) {
	data := answer.GetCiphertext()
	version, ok := k.versionIn(answer.GetName())
	switch {
	case !answer.GetVerifiedPlaintextCrc32C() || !answer.GetVerifiedAdditionalAuthenticatedDataCrc32C():
		return key.Ciphertext{}, k.damaged("Cloud KMS did not compare the checksums of what it was sent")
	case !fits(data, answer.GetCiphertextCrc32C()):
		return key.Ciphertext{}, k.damaged("the ciphertext does not fit its checksum")
	case len(data) == 0 || len(data) > key.MaxCiphertext:
		return key.Ciphertext{}, k.damaged("the ciphertext is empty or too long")
	case !ok:
		return key.Ciphertext{}, k.damaged("the answer names a version of another key")
	}
	return key.Ciphertext{Data: data, Version: version}, nil
}

// Decrypt implements key.Key. Cloud KMS does not tell which version it used, so
// a wrong one in ciphertext is not found.
// https://cloud.google.com/kms/docs/reference/rpc/google.cloud.kms.v1#decryptrequest
func (k *kmsKey) Decrypt(ctx context.Context, as identity.Identity, ciphertext key.Ciphertext, bound key.Context) (secret.Bytes, error) {
	if err := key.CheckDecrypt(ciphertext, bound); err != nil {
		return secret.Bytes{}, err
	}
	var plain []byte
	err := k.call(ctx, as, "decrypt", func(ctx context.Context) error {
		canonical := bound.Canonical()
		answer, err := k.client().Decrypt(ctx, &kmspb.DecryptRequest{
			Name: k.config.Key, Ciphertext: ciphertext.Data, CiphertextCrc32C: checksum(ciphertext.Data),
			AdditionalAuthenticatedData: canonical, AdditionalAuthenticatedDataCrc32C: checksum(canonical),
		})
		if err != nil {
			return err
		}
		if !fits(answer.GetPlaintext(), answer.GetPlaintextCrc32C()) {
			return k.damaged("the plaintext does not fit its checksum")
		}
		plain = answer.GetPlaintext()
		return nil
	})
	if err != nil {
		return secret.Bytes{}, err
	}
	return key.Plaintext(plain)
}

// probe is what Current encrypts. It holds nothing, and its ciphertext is
// dropped.
const probe = "lanyard"

// Current implements key.Key. It encrypts, because that alone tells what an
// encryption uses: the key's primary version is another one for up to three
// hours after a rotation.
// https://cloud.google.com/kms/docs/consistency#key_versions
func (k *kmsKey) Current(ctx context.Context, as identity.Identity) (string, error) {
	made, err := k.Encrypt(ctx, as, secret.NewString(probe), nil)
	return made.Version, err
}

// Close implements key.Key.
func (k *kmsKey) Close() {
	k.conn.Close()
	k.release()
}

func (k *kmsKey) client() kmspb.KeyManagementServiceClient {
	return kmspb.NewKeyManagementServiceClient(k.conn)
}

var versionForm = regexp.MustCompile(`^[1-9][0-9]{0,17}$`)

// versionIn is the version that a resource name tells, if it is one of this
// key. The project may be its number where the settings have its ID, or the reverse.
func (k *kmsKey) versionIn(name string) (string, bool) {
	named, number, ok := strings.Cut(name, "/cryptoKeyVersions/")
	if !ok || !versionForm.MatchString(number) {
		return "", false
	}
	got, want := keyForm().FindStringSubmatch(named), keyForm().FindStringSubmatch(k.config.Key)
	if got == nil || got[2] != want[2] || got[1] != want[1] && isNumber(got[1]) == isNumber(want[1]) {
		return "", false
	}
	return number, true
}

// isNumber tells a project's number from its ID, which begins with a letter.
func isNumber(project string) bool { return strings.Trim(project, "0123456789") == "" }

// damaged is an answer that must not be used, and may come whole another time.
func (k *kmsKey) damaged(text string) error {
	return fault.Fail(fault.ErrUnavailable, fault.Fail(gcp.ErrDamaged, errors.New(k.Name()+": "+text)))
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func checksum(data []byte) *wrapperspb.Int64Value {
	return wrapperspb.Int64(int64(crc32.Checksum(data, castagnoli)))
}

// fits is true if the checksum came and is that of the data.
func fits(data []byte, sum *wrapperspb.Int64Value) bool {
	return sum != nil && sum.GetValue() == checksum(data).GetValue()
}
