package remote

import (
	"fmt"
	"net/http"
	"net/textproto"
	"regexp"
	"slices"
	"strings"

	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/internal/nodefile"
	"github.com/lanyardhq/lanyard/internal/strict"
	"github.com/lanyardhq/lanyard/provider/secret"
)

const (
	maxHeaders      = 32
	maxHeadersBytes = 64 << 10
)

// headerName is a token of HTTP. https://www.rfc-editor.org/rfc/rfc9110#name-tokens
var headerName = regexp.MustCompile("^[A-Za-z0-9!#$%&'*+.^_`|~-]+$")

// ownHeaders are those that net/http and the transport decide on.
var ownHeaders = []string{
	"Accept-Encoding", "Connection", "Content-Length", "Expect", "Host", "Keep-Alive", "Te", "Trailer", "Transfer-Encoding", "Upgrade",
}

// Headers are what every call carries beside what it needs. All values may be secret.
type Headers map[string]string

// ReadHeaders reads a file with the names and values of headers: a map in JSON or YAML. own says which the caller
// decides on itself. The error names the path and never a value.
func ReadHeaders(path string, own func(name string) bool) (Headers, error) {
	content, err := nodefile.ReadPrivate(path, maxHeadersBytes)
	if err != nil {
		return nil, err
	}
	var read map[string]string
	if problems := strict.Unmarshal(content, &read); len(problems) > 0 || len(read) == 0 {
		return nil, fmt.Errorf("%s holds no headers; write each as NAME: value with text for a value", path)
	}
	if len(read) > maxHeaders {
		return nil, fmt.Errorf("%s holds %d headers; the maximum is %d", path, len(read), maxHeaders)
	}
	h := Headers{}
	for name, value := range read {
		canonical := textproto.CanonicalMIMEHeaderKey(name)
		switch {
		case !headerName.MatchString(name):
			return nil, fmt.Errorf("%s: %s is no name of a header", path, message.Printable(name))
		case slices.Contains(ownHeaders, canonical), strings.HasPrefix(canonical, "Proxy-"), own(canonical):
			return nil, fmt.Errorf("%s: the header %s has a meaning of its own between Lanyard and the service and cannot be set", path, canonical)
		case strings.ContainsFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }):
			return nil, fmt.Errorf("%s: the value of %s has control characters", path, canonical)
		}
		h[canonical] = value
	}
	return h, nil
}

// Secrets are the values that must not come back in an error. What is shorter is no
// secret, and stands in many words.
func (h Headers) Secrets() (values []secret.Bytes) {
	for _, value := range h {
		if len(value) >= 4 {
			values = append(values, secret.NewString(value))
		}
	}
	return values
}

// AddTo sets the headers of a call.
func (h Headers) AddTo(header http.Header) {
	for name, value := range h {
		header.Set(name, value)
	}
}
