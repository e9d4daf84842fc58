package address

import (
	"net"
	"net/url"
	"strings"
)

// URL returns the one spelling of what means the same server and path: scheme and host in
// lower case, no port that the scheme has anyway, and no needless slashes. It returns any
// other text as it is, one with a user, a query or a fragment included.
func URL(text string) string {
	parsed, err := url.Parse(text)
	if err != nil || parsed.Hostname() == "" || parsed.User != nil || parsed.RawQuery != "" || parsed.ForceQuery || parsed.Fragment != "" {
		return text
	}
	usual := map[string]string{"https": "443", "http": "80"}[parsed.Scheme]
	if usual == "" {
		return text
	}
	host := strings.ToLower(parsed.Hostname())
	switch port := parsed.Port(); {
	case port != "" && port != usual:
		host = net.JoinHostPort(host, port)
	case strings.Contains(host, ":"):
		host = "[" + host + "]"
	}
	parts := strings.FieldsFunc(parsed.EscapedPath(), func(r rune) bool { return r == '/' })
	return strings.Join(append([]string{parsed.Scheme + "://" + host}, parts...), "/")
}

// SameURL says whether both texts mean the same server and path.
func SameURL(a, b string) bool { return a == b || URL(a) == URL(b) }
