package vault

import (
	"fmt"
	"net/http"
	"net/textproto"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/internal/nodefile"
	"github.com/lanyardhq/lanyard/internal/strict"
	"github.com/lanyardhq/lanyard/provider/backend/remote"
	"github.com/lanyardhq/lanyard/provider/secret"
)

const (
	maxHeaders      = 32
	maxHeadersBytes = 64 << 10
)

// headerName is a token of HTTP. https://www.rfc-editor.org/rfc/rfc9110#name-tokens
var headerName = regexp.MustCompile("^[A-Za-z0-9!#$%&'*+.^_`|~-]+$")

// ownHeaders are those that this package, net/http or the login decide on.
var ownHeaders = []string{
	"Accept-Encoding", "Authorization", "Connection", "Content-Length", "Content-Type", "Expect", "Host", "Keep-Alive",
	"Te", "Trailer", "Transfer-Encoding", "Upgrade",
}

// headers are what every call carries beside what it needs. All values may be secret.
type headers map[string]string

// readHeaders reads a file with the names and values of headers, as VAULT_HEADERS has
// them: a map in JSON or YAML. The error names the path and never a value.
func readHeaders(path string) (headers, error) {
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
	h := headers{}
	for name, value := range read {
		canonical := textproto.CanonicalMIMEHeaderKey(name)
		switch {
		case !headerName.MatchString(name):
			return nil, fmt.Errorf("%s: %s is no name of a header", path, message.Printable(name))
		case slices.Contains(ownHeaders, canonical), strings.HasPrefix(canonical, "X-Vault-"), strings.HasPrefix(canonical, "Proxy-"):
			return nil, fmt.Errorf("%s: the header %s has a meaning of its own between Lanyard and Vault and cannot be set", path, canonical)
		case strings.ContainsFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }):
			return nil, fmt.Errorf("%s: the value of %s has control characters", path, canonical)
		}
		h[canonical] = value
	}
	return h, nil
}

// secrets are the values that must not come back in an error. What is shorter is no
// secret, and stands in many words.
func (h headers) secrets() (values []secret.Bytes) {
	for _, value := range h {
		if len(value) >= 4 {
			values = append(values, secret.NewString(value))
		}
	}
	return values
}

func (h headers) addTo(header http.Header) {
	for name, value := range h {
		header.Set(name, value)
	}
}

// checkHeaders checks the setting alone; Connect reads the file.
func (s *Settings) checkHeaders(byOperator bool, problems *remote.Problems) {
	switch {
	case s.HeadersFile == "":
	case !byOperator:
		problems.Add("headersFile", "reads a file of the node, so only the operator's configuration file may give it")
	case !filepath.IsAbs(s.HeadersFile):
		problems.Add("headersFile", "must be the absolute path of a file on the node with the names and values of headers")
	}
}
