package azure

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azcertificates"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azkeys"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"

	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/secret"
)

// readOne reads one version and returns it with the version's ID.
func (s *azureStore) readOne(ctx context.Context, as identity.Identity, q *query) (secret.Bytes, string, error) {
	switch {
	case q.kind == kindKeys:
		return s.readKey(ctx, as, q)
	case q.part == partLeaf:
		return s.readLeaf(ctx, as, q)
	}
	return s.readSecret(ctx, as, q)
}

// readSecret reads a secret, or what of a certificate only its secret holds:
// the key and the chain.
// https://learn.microsoft.com/rest/api/keyvault/secrets/get-secret/get-secret
func (s *azureStore) readSecret(ctx context.Context, as identity.Identity, q *query) (secret.Bytes, string, error) {
	secretQuery := *q
	secretQuery.kind = kindSecrets
	var got azsecrets.GetSecretResponse
	err := s.vault.Call(ctx, as, &secretQuery, func(ctx context.Context) (err error) {
		got, err = s.secrets.GetSecret(ctx, q.name, q.version, nil)
		return err
	})
	if err != nil {
		return secret.Bytes{}, "", err
	}
	if got.Value == nil || !q.isAnsweredBy(text(got.ID)) {
		return secret.Bytes{}, "", s.vault.Incomplete(&secretQuery)
	}
	contentType := ""
	if got.ContentType != nil {
		contentType = *got.ContentType
	}
	backs := got.KID != nil && *got.KID != ""
	data, err := q.choose(*got.Value, contentType, backs)
	if err != nil {
		return secret.Bytes{}, "", fmt.Errorf("%s: %w", secretQuery.String(), err)
	}
	if q.separate {
		data, err = parts(data, backs)
	}
	return data, got.ID.Version(), err
}

// parts is the JSON object of a secret: "all", and if it is a certificate's, "crt" with
// the certificates and "key" with the key among its PEM blocks. Both are empty for a PFX,
// as in the other provider.
func parts(data secret.Bytes, certificate bool) (secret.Bytes, error) {
	object := map[string]string{"all": data.RevealString()}
	if certificate {
		object["crt"], object["key"] = "", ""
		for block, rest := pem.Decode(data.Reveal()); block != nil; block, rest = pem.Decode(rest) {
			part := "key"
			if block.Type == "CERTIFICATE" {
				part = "crt"
			}
			object[part] += string(pem.EncodeToMemory(block))
		}
	}
	text, err := json.Marshal(object)
	if err != nil {
		return secret.Bytes{}, malformed()
	}
	return secret.New(text), nil
}

// isAnsweredBy says whether the ID in an answer, which is its address, is about what was
// asked for. A name is the same in any case.
// https://learn.microsoft.com/azure/key-vault/general/about-keys-secrets-certificates#object-identifiers
func (q *query) isAnsweredBy(id string) bool {
	parts := strings.Split(strings.TrimPrefix(id, "https://"), "/")
	return len(parts) == 4 && strings.EqualFold(parts[2], q.name) && parts[3] != "" && (q.version == "" || parts[3] == q.version)
}

// text is an ID as text; empty if there is none. The SDK's own methods panic on one that
// is none.
func text[ID ~string](id *ID) string {
	if id == nil {
		return ""
	}
	return string(*id)
}

// choose returns what of a secret's value the query asks for. backs is true
// for the secret of a certificate.
func (q *query) choose(value, contentType string, backs bool) (secret.Bytes, error) {
	if q.kind == kindSecrets && (q.format == "" || !backs || contentType == contentTypePEM) {
		return secret.NewString(value), nil
	}
	if q.format == formatPFX && contentType == contentTypePFX {
		// Base64, as Key Vault holds it. It is taken apart to see that whoever
		// reads the file can do so too.
		if _, err := parseBundle(value, contentType); err != nil {
			return secret.Bytes{}, err
		}
		return secret.NewString(value), nil
	}
	if q.format == formatPFX {
		return secret.Bytes{}, fault.Failf(fault.ErrInvalid, "the certificate is held as PEM, not as PFX; leave `options.format` out")
	}
	b, err := parseBundle(value, contentType)
	if err != nil {
		return secret.Bytes{}, err
	}
	return b.part(q.part)
}

// readKey reads the public part of a key as PEM.
// https://learn.microsoft.com/rest/api/keyvault/keys/get-key/get-key
func (s *azureStore) readKey(ctx context.Context, as identity.Identity, q *query) (secret.Bytes, string, error) {
	var got azkeys.GetKeyResponse
	err := s.vault.Call(ctx, as, q, func(ctx context.Context) (err error) {
		got, err = s.keys.GetKey(ctx, q.name, q.version, nil)
		return err
	})
	if err != nil {
		return secret.Bytes{}, "", err
	}
	if got.Key == nil || !q.isAnsweredBy(text(got.Key.KID)) {
		return secret.Bytes{}, "", s.vault.Incomplete(q)
	}
	text, err := publicPEM(got.Key)
	if err != nil {
		return secret.Bytes{}, "", fmt.Errorf("%s: %w", q.String(), err)
	}
	return secret.New(text), got.Key.KID.Version(), nil
}

// readLeaf reads a certificate without its key and chain, which needs no
// permission on secrets.
// https://learn.microsoft.com/rest/api/keyvault/certificates/get-certificate/get-certificate
func (s *azureStore) readLeaf(ctx context.Context, as identity.Identity, q *query) (secret.Bytes, string, error) {
	var got azcertificates.GetCertificateResponse
	err := s.vault.Call(ctx, as, q, func(ctx context.Context) (err error) {
		got, err = s.certificates.GetCertificate(ctx, q.name, q.version, nil)
		return err
	})
	if err != nil {
		return secret.Bytes{}, "", err
	}
	if !q.isAnsweredBy(text(got.ID)) {
		return secret.Bytes{}, "", s.vault.Incomplete(q)
	}
	if len(got.CER) == 0 {
		return secret.Bytes{}, "", fault.Failf(fault.ErrNotFound, "%s: the certificate has not been issued yet; wait for its authority, or complete the request", q)
	}
	if err := checkCertificate(got.CER); err != nil {
		return secret.Bytes{}, "", fmt.Errorf("%s: %w", q.String(), err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: got.CER})
	return secret.New(text), got.ID.Version(), nil
}
