package azuretest

import (
	"cmp"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1" //nolint:gosec // the algorithm RSA-OAEP is defined with it
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"maps"
	"math/big"
	"net/http"
	"slices"
	"strings"
)

func sortByID(versions []version) {
	slices.SortFunc(versions, func(a, b version) int { return cmp.Compare(a.id, b.id) })
}

func encode(raw []byte) string { return base64.RawURLEncoding.EncodeToString(raw) }

// publicJWK is the public part of a key (RFC 7518, section 6).
func publicJWK(key any, hsm bool) (JWK, error) {
	suffix := ""
	if hsm {
		suffix = "-HSM"
	}
	switch key := key.(type) {
	case JWK:
		return maps.Clone(key), nil
	case *rsa.PrivateKey:
		return JWK{"kty": "RSA" + suffix, "n": encode(key.N.Bytes()), "e": encode(big.NewInt(int64(key.E)).Bytes())}, nil
	case *ecdsa.PrivateKey:
		point, err := key.PublicKey.Bytes()
		if err != nil {
			return nil, err
		}
		half := (len(point) - 1) / 2
		return JWK{"kty": "EC" + suffix, "crv": key.Curve.Params().Name, "x": encode(point[1 : 1+half]), "y": encode(point[1+half:])}, nil
	}
	return nil, fmt.Errorf("a %T is no key", key)
}

// operate does an operation of an RSA key or of a symmetric one.
// https://learn.microsoft.com/rest/api/keyvault/keys/wrap-key/wrap-key
func (v *Vault) operate(w http.ResponseWriter, r *http.Request, name, id, operation string) {
	one, ok := v.find("keys/"+name, id)
	key, isRSA := one.content.(*rsa.PrivateKey)
	symmetric, isAES := one.content.(AESKey)
	if !ok {
		refuse(w, http.StatusNotFound, "KeyNotFound", "", fmt.Sprintf("A key with (name/id) %s/%s was not found in this key vault.", name, id))
		return
	}
	if one.disabled {
		refuse(w, http.StatusForbidden, "Forbidden", "KeyDisabled", fmt.Sprintf("Operation %s is not allowed on a disabled key.", operation))
		return
	}
	var requested struct {
		Algorithm string `json:"alg"`
		Value     string `json:"value"`
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err == nil {
		err = json.Unmarshal(body, &requested)
	}
	value, broken := base64.RawURLEncoding.DecodeString(strings.TrimRight(requested.Value, "="))
	if err = errors.Join(err, broken); err != nil || !isRSA && !isAES {
		refuse(w, http.StatusBadRequest, "BadParameter", "", "The parameters are not those of an operation of this key.")
		return
	}
	var result []byte
	if isAES {
		result, err = aesOperation(symmetric, operation, requested.Algorithm, value)
	} else {
		result, err = rsaOperation(key, operation, requested.Algorithm, value)
	}
	if err != nil {
		refuse(w, http.StatusBadRequest, "BadParameter", "", err.Error())
		return
	}
	answer(w, map[string]any{"kid": v.link("keys", name, one.id), "value": encode(result)})
}

func rsaOperation(key *rsa.PrivateKey, operation, algorithm string, value []byte) ([]byte, error) {
	hashes := map[string]hash.Hash{"RSA-OAEP": sha1.New(), "RSA-OAEP-256": sha256.New()} //nolint:gosec // see the import
	switch operation {
	case "wrapkey", "encrypt":
		if hashes[algorithm] != nil {
			return rsa.EncryptOAEP(hashes[algorithm], rand.Reader, &key.PublicKey, value, nil)
		}
	case "unwrapkey", "decrypt":
		if hashes[algorithm] != nil {
			plain, err := rsa.DecryptOAEP(hashes[algorithm], nil, key, value, nil)
			if err != nil {
				return nil, errors.New("the parameter is incorrect")
			}
			return plain, nil
		}
	case "sign":
		switch algorithm {
		case "RS256":
			return rsa.SignPKCS1v15(nil, key, crypto.SHA256, value)
		case "PS256":
			return rsa.SignPSS(rand.Reader, key, crypto.SHA256, value, nil)
		}
	}
	return nil, fmt.Errorf("property has invalid value: %s %s", operation, algorithm)
}
