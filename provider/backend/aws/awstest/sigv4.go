package awstest

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Signature is what a request says of who signed it, and for what.
type Signature struct {
	AccessKeyID string
	Date        string // YYYYMMDD
	Region      string
	Service     string

	headers []string
	mac     string
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
		AccessKeyID: scope[0], Date: scope[1], Region: scope[2], Service: scope[3],
		headers: strings.Split(fields["SignedHeaders"], ";"), mac: fields["Signature"],
	}, nil
}

// Verify says whether the request, whose body this is, was signed with the
// secret key: the host, the target and every x-amz header must be part of what
// was signed, and the date must be now.
func (s *Signature) Verify(r *http.Request, body []byte, secretKey string, now time.Time) *Error {
	invalid := func(text string) *Error { return Fail(http.StatusBadRequest, "InvalidSignatureException", text) }
	stamp := r.Header.Get("X-Amz-Date")
	signed, err := time.Parse(stampLayout, stamp)
	switch {
	case err != nil || !strings.HasPrefix(stamp, s.Date):
		return invalid("the date of the request and of the credential scope do not agree")
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
	digest := sha256.Sum256([]byte(s.canonical(r, body)))
	toSign := strings.Join([]string{
		algorithm, stamp, strings.Join([]string{s.Date, s.Region, s.Service, terminator}, "/"), hex.EncodeToString(digest[:]),
	}, "\n")
	key := []byte("AWS4" + secretKey)
	for _, part := range []string{s.Date, s.Region, s.Service, terminator} {
		key = sum(key, part)
	}
	if subtle.ConstantTimeCompare([]byte(hex.EncodeToString(sum(key, toSign))), []byte(s.mac)) != 1 {
		return invalid("The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method.")
	}
	return nil
}

func sum(key []byte, text string) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(text))
	return mac.Sum(nil)
}

// canonical is the request in the one form that both sides sign.
func (s *Signature) canonical(r *http.Request, body []byte) string {
	path := r.URL.EscapedPath()
	if path == "" {
		path = "/"
	}
	lines := []string{r.Method, strings.ReplaceAll(url.PathEscape(path), "%2F", "/"), canonicalQuery(r.URL.Query())}
	for _, name := range s.headers {
		values := r.Header.Values(name)
		switch name {
		case "host":
			values = []string{r.Host}
		case "content-length":
			values = []string{r.Header.Get("Content-Length")}
			if values[0] == "" {
				values[0] = strconv.FormatInt(r.ContentLength, 10)
			}
		}
		for i, value := range values {
			values[i] = strings.Join(strings.Fields(value), " ")
		}
		lines = append(lines, name+":"+strings.Join(values, ","))
	}
	digest := sha256.Sum256(body)
	return strings.Join(append(lines, "", strings.Join(s.headers, ";"), hex.EncodeToString(digest[:])), "\n")
}

// canonicalQuery sorts by name and then by value; a space is %20.
func canonicalQuery(query url.Values) string {
	for name := range query {
		slices.Sort(query[name])
	}
	return strings.ReplaceAll(query.Encode(), "+", "%20")
}
