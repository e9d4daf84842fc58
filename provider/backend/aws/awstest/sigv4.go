package awstest

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// Signature is what a request says of who signed it, and for what.
type Signature struct {
	AccessKeyID string
	Region      string
	Service     string

	headers []string
}

// The bounds and names of Signature Version 4.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
const (
	algorithm   = "AWS4-HMAC-SHA256"
	terminator  = "aws4_request"
	stampLayout = "20060102T150405Z"
	maxSkew     = 5 * time.Minute
)

// ParseSignature reads the Authorization header of a signed request.
func ParseSignature(r *http.Request) (*Signature, *Error) {
	header := r.Header.Get("Authorization")
	if header == "" {
		return nil, Fail(http.StatusBadRequest, "MissingAuthenticationTokenException", "Missing Authentication Token")
	}
	incomplete := Fail(http.StatusBadRequest, "IncompleteSignatureException", "Authorization header is not a signature of version 4")
	rest, ok := strings.CutPrefix(header, algorithm+" ")
	if !ok {
		return nil, incomplete
	}
	fields := map[string]string{}
	for part := range strings.SplitSeq(rest, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		fields[name] = value
	}
	scope := strings.Split(fields["Credential"], "/")
	if len(scope) != 5 || scope[4] != terminator || fields["SignedHeaders"] == "" || len(fields["Signature"]) != hex.EncodedLen(sha256.Size) {
		return nil, incomplete
	}
	return &Signature{
		AccessKeyID: scope[0], Region: scope[2], Service: scope[3], headers: strings.Split(fields["SignedHeaders"], ";"),
	}, nil
}

// Verify says whether the request, whose body this is, was signed with the
// secret key, by signing it again with the SDK's own signer: the host, the target
// and every x-amz header must be part of what was signed, and the date must be now.
func (s *Signature) Verify(r *http.Request, body []byte, secretKey string, now time.Time) *Error {
	invalid := func(text string) *Error { return Fail(http.StatusBadRequest, "InvalidSignatureException", text) }
	stamp := r.Header.Get("X-Amz-Date")
	signed, err := time.Parse(stampLayout, stamp)
	switch {
	case err != nil:
		return invalid("the request has no date")
	case now.Sub(signed).Abs() > maxSkew:
		return invalid("Signature expired: " + stamp + " is not within 5 min. of the service's time")
	case !slices.Contains(s.headers, "host"):
		return invalid("host must be a signed header")
	}
	for name := range r.Header {
		if name = strings.ToLower(name); strings.HasPrefix(name, "x-amz-") && !slices.Contains(s.headers, name) {
			return invalid(name + " must be a signed header")
		}
	}
	again := r.Clone(r.Context())
	again.Header = http.Header{}
	for _, name := range s.headers {
		if values := r.Header.Values(name); len(values) > 0 {
			again.Header[http.CanonicalHeaderKey(name)] = slices.Clone(values)
		}
	}
	digest := sha256.Sum256(body)
	credentials := aws.Credentials{AccessKeyID: s.AccessKeyID, SecretAccessKey: secretKey}
	err = v4.NewSigner().SignHTTP(r.Context(), credentials, again, hex.EncodeToString(digest[:]), s.Service, s.Region, signed)
	if err != nil || again.Header.Get("Authorization") != r.Header.Get("Authorization") {
		return invalid("The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method.")
	}
	return nil
}
