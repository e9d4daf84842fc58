package gcp

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/lanyardhq/lanyard/internal/strict"
	"github.com/lanyardhq/lanyard/provider/fault"
)

// MostText bounds the text of a setting, in bytes.
const MostText = 1024

// LocationMark stands for a location in a regional endpoint.
const LocationMark = "{location}"

// Problems collects what is wrong with settings or references.
type Problems strict.Problems

// Add notes a problem of a field.
func (p *Problems) Add(field, format string, args ...any) {
	*p = append(*p, strict.Problem{Field: field, Text: fmt.Sprintf(format, args...)})
}

// Err is nil if there are no problems, and else wraps fault.ErrInvalid.
func (p *Problems) Err() error {
	if len(*p) == 0 {
		return nil
	}
	return fault.Fail(fault.ErrInvalid, strict.Problems(*p))
}

// CheckEndpoint checks the URL of a service, which may have a LocationMark, and
// takes a slash from its end. Access tokens are good for all of Google Cloud, so
// that where they are sent, and whether in plain text, is for the operator to
// say: others may choose among Google's own hosts.
func CheckEndpoint(field string, text *string, byOperator bool, problems *Problems) {
	const want = "give a URL such as https://googleapis.example.com"
	plain := strings.ReplaceAll(*text, LocationMark, "location")
	// The parser's own error repeats the URL, which may hold a password.
	parsed, err := url.Parse(plain)
	switch {
	case err != nil || len(plain) > MostText:
		problems.Add(field, "is not a URL; %s", want)
	case parsed.User != nil:
		problems.Add(field, "must not hold a user name or password; how to log in is said in auth")
	case parsed.Scheme == "http" && !byOperator:
		problems.Add(field, "must begin with https://; only the operator's configuration file may send tokens in plain text")
	case parsed.Scheme != "https" && parsed.Scheme != "http":
		problems.Add(field, "must begin with https:// (or http:// for development); %s", want)
	case parsed.Hostname() == "":
		problems.Add(field, "names no host; %s", want)
	case !byOperator && !strings.HasSuffix("."+strings.ToLower(parsed.Hostname()), ".googleapis.com"):
		problems.Add(field, "must be a host of googleapis.com; only the operator's configuration file may send tokens elsewhere")
	case strings.TrimSuffix(parsed.Path, "/") != "" || parsed.RawQuery != "" || parsed.ForceQuery || parsed.Fragment != "":
		problems.Add(field, "must not go beyond the port: no path, no ?, no #; %s", want)
	default:
		*text = strings.TrimSuffix(*text, "/")
	}
}

// Host is the host, with the port if one is given, of a checked endpoint.
func Host(endpoint string) string {
	_, host, _ := strings.Cut(endpoint, "://")
	return host
}
