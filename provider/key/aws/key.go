package aws

import (
	"context"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/provider/backend/aws"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/key"
	"github.com/lanyardhq/lanyard/provider/key/envelope"
	"github.com/lanyardhq/lanyard/provider/secret"
)

// kmsKey is one key of KMS, or what an alias points to.
type kmsKey struct {
	access  *aws.Access
	arn     arn
	asNode  bool
	clients aws.Clients[aws.KMSCalls]
}

func newKey(access *aws.Access, config *settings, named arn, asNode bool) *kmsKey {
	k := &kmsKey{access: access, arn: named, asNode: asNode}
	k.clients.New = func(region string) aws.KMSCalls { return newClient(access, region, config.SourceARN) }
	return k
}

// Name is the ARN, with a star for the region of a multi-Region key.
func (k *kmsKey) Name() string { return nameOf(k.arn) }

// nameOf is the name of a key, which stands in its envelopes too: always that of
// the key itself, so that what was encrypted by an alias is read by the key's ARN
// and by any other alias of it.
func nameOf(key arn) string { return "aws " + key.String() }

// UsesNode implements key.NodeUser.
func (k *kmsKey) UsesNode() bool { return k.asNode }

// Encrypt implements key.Key.
// https://docs.aws.amazon.com/kms/latest/APIReference/API_GenerateDataKey.html
func (k *kmsKey) Encrypt(ctx context.Context, as identity.Identity, plaintext secret.Bytes, bound key.Context) (key.Ciphertext, error) {
	if err := key.CheckEncrypt(plaintext, bound); err != nil {
		return key.Ciphertext{}, err
	}
	var made key.Ciphertext
	err := k.do(ctx, as, "GenerateDataKey", func(ctx context.Context, target aws.Target) error {
		answer, err := k.clients.In(target.Region).GenerateDataKey(ctx, &kms.GenerateDataKeyInput{
			KeyId: awssdk.String(k.arn.in(target.Region)), KeySpec: types.DataKeySpecAes256, EncryptionContext: bound,
		}, target.KMS)
		if err != nil {
			return explain(err)
		}
		defer clear(answer.Plaintext)
		used, version, err := k.version(answer.KeyId, answer.KeyMaterialId)
		if err != nil {
			return err
		}
		made, err = envelope.Seal(nameOf(used), version, answer.Plaintext, answer.CiphertextBlob, plaintext.Reveal(), bound)
		if err != nil {
			return fault.Failf(fault.ErrUnavailable, "%v", err)
		}
		return nil
	})
	if err != nil {
		return key.Ciphertext{}, err
	}
	return made, nil
}

// Decrypt implements key.Key. It names the key that encrypted, and not the
// alias, which may have been moved since.
// https://docs.aws.amazon.com/kms/latest/APIReference/API_Decrypt.html
func (k *kmsKey) Decrypt(ctx context.Context, as identity.Identity, ciphertext key.Ciphertext, bound key.Context) (secret.Bytes, error) {
	if err := key.CheckDecrypt(ciphertext, bound); err != nil {
		return secret.Bytes{}, err
	}
	sealed, err := envelope.Parse(ciphertext)
	if err != nil {
		return secret.Bytes{}, k.fail(fault.ErrInvalid, err.Error())
	}
	used, material, ok := parseVersion(sealed.Version, k.arn.region)
	if !ok || !k.arn.covers(used) {
		return secret.Bytes{}, k.fail(fault.ErrInvalid, "the ciphertext is another key's")
	}
	var plain []byte
	err = k.do(ctx, as, "Decrypt", func(ctx context.Context, target aws.Target) error {
		region := used.region
		if used.multiRegion() {
			region = target.Region
		}
		answer, err := k.clients.In(target.Region).Decrypt(ctx, &kms.DecryptInput{
			KeyId: awssdk.String(used.in(region)), CiphertextBlob: sealed.Wrapped, EncryptionContext: bound,
		}, target.KMS)
		if err != nil {
			return explain(err)
		}
		defer clear(answer.Plaintext)
		if by, ok := parseARN(awssdk.ToString(answer.KeyId)); !ok || by.String() != used.String() {
			return fault.Failf(fault.ErrUnavailable, "KMS answered that it decrypted with another key than the request names, which cannot be")
		}
		if plain, err = sealed.Open(nameOf(used), answer.Plaintext, bound); err != nil {
			return fault.Failf(fault.Of(err).Err, "%v", err)
		}
		// What opens is as it was made, with the material that it names.
		if reported := awssdk.ToString(answer.KeyMaterialId); reported != "" && material != "" && reported != material {
			return fault.Failf(fault.ErrUnavailable, "KMS answered that it decrypted with another key material than that of the ciphertext, which cannot be")
		}
		return nil
	})
	if err != nil {
		return secret.Bytes{}, err
	}
	return key.Plaintext(plain)
}

// Current implements key.Key. It has KMS wrap a data key that nobody sees: the
// answer tells the same as that to Encrypt, and proves that the key works.
// https://docs.aws.amazon.com/kms/latest/APIReference/API_GenerateDataKeyWithoutPlaintext.html
func (k *kmsKey) Current(ctx context.Context, as identity.Identity) (string, error) {
	var version string
	err := k.do(ctx, as, "GenerateDataKeyWithoutPlaintext", func(ctx context.Context, target aws.Target) error {
		answer, err := k.clients.In(target.Region).GenerateDataKeyWithoutPlaintext(ctx, &kms.GenerateDataKeyWithoutPlaintextInput{
			KeyId: awssdk.String(k.arn.in(target.Region)), KeySpec: types.DataKeySpecAes256,
		}, target.KMS)
		if err != nil {
			return explain(err)
		}
		_, version, err = k.version(answer.KeyId, answer.KeyMaterialId)
		return err
	})
	return version, err
}

// Close implements key.Key. The platform's connections are not this key's.
func (k *kmsKey) Close() { k.access.Close() }

// version is what an answer tells: the key that was used, and its version.
func (k *kmsKey) version(keyID, material *string) (used arn, version string, err error) {
	used, ok := parseARN(awssdk.ToString(keyID))
	if !ok || !k.arn.covers(used) || used.alias() {
		return arn{}, "", fault.Failf(fault.ErrUnavailable, "KMS answered that it used the key %s, which cannot be", message.Excerpt(awssdk.ToString(keyID)))
	}
	version, ok = versionOf(used, awssdk.ToString(material))
	if !ok {
		return arn{}, "", fault.Failf(fault.ErrUnavailable, "KMS answered with a key material ID that is none")
	}
	return used, version, nil
}

// do makes a call as the node or as the pod, whichever the key is for.
func (k *kmsKey) do(ctx context.Context, as identity.Identity, action string, call func(context.Context, aws.Target) error) error {
	switch {
	case k.asNode && !key.IsNode(as):
		return k.fail(fault.ErrDenied, "node is the node's own right, which no pod may use as itself; open the key without it")
	case !k.asNode && key.IsNode(as):
		return k.fail(fault.ErrUnauthenticated, "auth is for pods, and the node is none; set node, such as node: {method: instanceRole}")
	}
	return k.access.Call(ctx, as, action+" "+k.Name(), call)
}

// fail says of which key an error speaks.
func (k *kmsKey) fail(kind error, text string) error {
	return fault.Failf(kind, "%s: %s", k.Name(), text)
}
