package awskms

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"

	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/internal/strict"
	"github.com/lanyardhq/lanyard/provider/backend/aws"
	"github.com/lanyardhq/lanyard/provider/backend/remote"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/secret"
	"github.com/lanyardhq/lanyard/provider/store"
)

// The bounds of references.
// https://docs.aws.amazon.com/kms/latest/APIReference/API_Decrypt.html
const (
	maxBlob         = 6144
	maxContextBytes = 8192
)

// kmsStore is one connection.
type kmsStore struct {
	*aws.Access

	key     string
	clients *aws.Clients[aws.KMSCalls]
}

func newStore(access *aws.Access, key string) *kmsStore {
	client := func(region string) aws.KMSCalls { return access.KMS(region) }
	return &kmsStore{Access: access, key: key, clients: &aws.Clients[aws.KMSCalls]{New: client}}
}

// query is a parsed reference.
type query struct {
	blob    []byte
	context map[string]string
}

// parse parses ref. The error wraps fault.ErrInvalid and names every wrong field.
func parse(ref store.Reference) (query, error) {
	var problems remote.Problems
	// The output of `aws kms encrypt --output text`, also as folded by YAML.
	blob, err := base64.StdEncoding.Strict().DecodeString(strings.Join(strings.Fields(ref.Key), ""))
	switch {
	case ref.Key == "":
		problems.Add("key", "is missing; it is the ciphertext in base64, as aws kms encrypt prints it")
	case err != nil || len(blob) == 0:
		problems.Add("key", "must be the ciphertext in base64, as aws kms encrypt prints it")
	case len(blob) > maxBlob:
		problems.Add("key", "is a ciphertext of %d bytes; KMS takes %d at most", len(blob), maxBlob)
	}
	if ref.Version != "" {
		problems.Add("version", "a ciphertext has no versions; leave it out")
	}
	q := query{blob: blob}
	known := []string{"context"}
	for _, name := range slices.Sorted(maps.Keys(ref.Options)) {
		if name == "context" {
			q.context = parseContext(ref.Options[name], &problems)
			continue
		}
		problems.Add("options."+message.Excerpt(name), "%s", strict.Unknown("option", message.Excerpt(name), known))
	}
	return q, problems.Err()
}

func parseContext(given any, problems *remote.Problems) map[string]string {
	fields, ok := given.(map[string]any)
	if !ok || len(fields) == 0 {
		problems.Add("options.context", "must be the encryption context as fields with text, such as {app: web}")
		return nil
	}
	context, size := map[string]string{}, 0
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		value, ok := fields[name].(string)
		if !ok {
			problems.Add("options.context."+message.Excerpt(name), "must be text; put it in quotes")
		}
		context[name] = value
		size += len(name) + len(value)
	}
	if size > maxContextBytes {
		problems.Add("options.context", "is %d bytes long; KMS takes %d at most", size, maxContextBytes)
	}
	return context
}

// Check implements store.Store.
func (s *kmsStore) Check(ref store.Reference) error {
	_, err := parse(ref)
	return err
}

// Read implements store.Store. The version is a digest of the ciphertext, which is
// public.
// https://docs.aws.amazon.com/kms/latest/APIReference/API_Decrypt.html
func (s *kmsStore) Read(ctx context.Context, as identity.Identity, ref store.Reference) (store.Value, error) {
	q, err := parse(ref)
	if err != nil {
		return store.Value{}, err
	}
	var value store.Value
	err = s.Call(ctx, as, "Decrypt of a ciphertext", func(ctx context.Context, target aws.Target) error {
		input := &kms.DecryptInput{CiphertextBlob: q.blob, EncryptionContext: q.context}
		if s.key != "" {
			input.KeyId = &s.key
		}
		answer, err := s.clients.In(target.Region).Decrypt(ctx, input, target.KMS)
		if err != nil {
			return explained(aws.Explain(err))
		}
		if len(answer.Plaintext) == 0 || awssdk.ToString(answer.KeyId) == "" {
			return aws.Incomplete("has no plaintext or no key")
		}
		value = store.Value{Data: secret.New(answer.Plaintext), Version: version(q)}
		return nil
	})
	return value, err
}

func version(q query) string {
	bound, err := json.Marshal(q.context)
	if err != nil {
		return "" // text always marshals
	}
	digest := sha256.Sum256(append(bound, q.blob...))
	return hex.EncodeToString(digest[:8])
}

// explained adds what is specific to KMS.
// https://docs.aws.amazon.com/kms/latest/APIReference/API_Decrypt.html#API_Decrypt_Errors
func explained(f *aws.CallError) *aws.CallError {
	switch f.Code {
	case "AccessDeniedException":
		f.Text += "; the role's policy and the key's must allow kms:Decrypt, for this encryption context where they look at it"
	case "InvalidCiphertextException", "IncorrectKeyException":
		f.Kind = fault.ErrInvalid
		f.Text = "the ciphertext is damaged, of another key, or was made with another encryption context (" + f.Code + "); compare options.context, region and the store's key with what encrypted it"
	case "NotFoundException":
		// A missing key must not make an optional object absent.
		f.Kind = fault.ErrInvalid
		f.Text += "; check the store's key and region"
	case "DisabledException", "KMSInvalidStateException":
		f.Kind = fault.ErrDenied
		f.Text += "; enable the key (aws kms enable-key), or cancel its deletion"
	case "KeyUnavailableException":
		f.Kind = fault.ErrUnavailable
	}
	return f
}
