package azure

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"math/big"

	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azkeys"

	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/provider/fault"
)

// publicPEM writes the public part of a key as PKIX (RFC 5280) in PEM. The
// numbers of a JSON web key are big-endian (RFC 7518, section 6).
func publicPEM(key *azkeys.JSONWebKey) ([]byte, error) {
	if key.Kty == nil {
		return nil, fault.Failf(fault.ErrInvalid, "the key has no type")
	}
	var public any
	var err error
	switch *key.Kty {
	case azkeys.KeyTypeRSA, azkeys.KeyTypeRSAHSM:
		public, err = rsaKey(key)
	case azkeys.KeyTypeEC, azkeys.KeyTypeECHSM:
		public, err = ecKey(key)
	default:
		return nil, fault.Failf(fault.ErrInvalid, "a key of type %s is symmetric and has no public part", message.Excerpt(string(*key.Kty)))
	}
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return nil, fault.Failf(fault.ErrInvalid, "the key is malformed")
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), nil
}

func rsaKey(key *azkeys.JSONWebKey) (*rsa.PublicKey, error) {
	exponent := new(big.Int).SetBytes(key.E)
	if len(key.N) < 128 || !exponent.IsInt64() || exponent.Int64() < 3 || exponent.Int64() > 1<<31-1 {
		return nil, fault.Failf(fault.ErrInvalid, "the RSA key is malformed")
	}
	return &rsa.PublicKey{N: new(big.Int).SetBytes(key.N), E: int(exponent.Int64())}, nil
}

func ecKey(key *azkeys.JSONWebKey) (*ecdsa.PublicKey, error) {
	if key.Crv == nil {
		return nil, fault.Failf(fault.ErrInvalid, "the EC key has no curve")
	}
	var curve elliptic.Curve
	switch *key.Crv {
	case azkeys.CurveNameP256:
		curve = elliptic.P256()
	case azkeys.CurveNameP384:
		curve = elliptic.P384()
	case azkeys.CurveNameP521:
		curve = elliptic.P521()
	default:
		return nil, fault.Failf(fault.ErrInvalid, "keys of the curve %s cannot be written: the curves are P-256, P-384 and P-521", message.Excerpt(string(*key.Crv)))
	}
	size := (curve.Params().BitSize + 7) / 8
	if len(key.X) > size || len(key.Y) > size {
		return nil, fault.Failf(fault.ErrInvalid, "the EC key is malformed")
	}
	// SEC 1, section 2.3.3: an uncompressed point.
	point := make([]byte, 1+2*size)
	point[0] = 4
	copy(point[1+size-len(key.X):], key.X)
	copy(point[1+2*size-len(key.Y):], key.Y)
	public, err := ecdsa.ParseUncompressedPublicKey(curve, point)
	if err != nil {
		return nil, fault.Failf(fault.ErrInvalid, "the EC key is malformed")
	}
	return public, nil
}
