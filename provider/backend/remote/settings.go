package remote

import (
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/lanyardhq/lanyard/internal/strict"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/identity"
)

// maxTimeout is the maximum of the setting timeout.
const maxTimeout = time.Minute

// maxCalls is how many calls may be in flight at one address where nobody says
// otherwise.
const maxCalls = 64

// Defaults fills in the options of a back end that are nil: the tokens are those
// that the driver passed, 64 calls are allowed at each address, and the time is
// time.Now's.
func Defaults(tokens *identity.TokenSource, calls **Calls, now *func() time.Time) {
	if *now == nil {
		*now = time.Now
	}
	if *tokens == nil {
		*tokens = identity.PodTokens{Now: *now}
	}
	if *calls == nil {
		*calls = NewCalls(maxCalls)
	}
}

// Problems collects what is wrong with settings or references.
type Problems strict.Problems

// Decode reads fields into a struct and returns all that cannot be read.
func Decode(fields map[string]any, into any) Problems {
	return Problems(strict.DecodeMap(fields, into))
}

// Add notes what is wrong with a field, unless Decode could not read it.
func (p *Problems) Add(field, format string, args ...any) {
	(*strict.Problems)(p).Add(field, format, args...)
}

// Err is nil if there are no problems, and else wraps fault.ErrInvalid.
func (p *Problems) Err() error {
	if len(*p) == 0 {
		return nil
	}
	return fault.Fail(fault.ErrInvalid, strict.Problems(*p))
}

// CheckTries checks the settings timeout and retries.
func (p *Problems) CheckTries(timeout, minTimeout time.Duration, retries, maxRetries int) {
	if timeout < minTimeout || timeout > maxTimeout {
		p.Add("timeout", "must be between %s and %s", minTimeout, maxTimeout)
	}
	if retries < 0 || retries > maxRetries {
		p.Add("retries", "must be between 0 and %d", maxRetries)
	}
}

// CheckURL checks the URL of a server, which has one of the schemes and nothing
// after its port. It returns the URL with the scheme and the host alone; empty if
// there is a problem.
func (p *Problems) CheckURL(field, text, example string, schemes ...string) string {
	parsed := p.checkServer(field, text, example, schemes)
	switch {
	case parsed == nil:
		return ""
	case strings.TrimSuffix(parsed.Path, "/") != "" || beyondPath(parsed):
		p.Add(field, "must not go beyond the port: no path, no ?, no #; such as %s", example)
		return ""
	}
	return parsed.Scheme + "://" + parsed.Host
}

// CheckBaseURL is CheckURL for a server whose API may lie below a path, as behind an
// ingress. It returns the URL with the path, if there is one, without needless slashes.
func (p *Problems) CheckBaseURL(field, text, example string, schemes ...string) string {
	parsed := p.checkServer(field, text, example, schemes)
	if parsed == nil {
		return ""
	}
	base := parsed.Scheme + "://" + parsed.Host
	for part := range strings.SplitSeq(parsed.Path, "/") {
		switch {
		case part == "":
		case part == "." || part == ".." || !plainPart.MatchString(part):
			p.Add(field, "has a path with other parts than letters, digits, dashes, dots and underscores; must be a URL such as %s", example)
			return ""
		default:
			base += "/" + part
		}
	}
	if beyondPath(parsed) {
		p.Add(field, "must not go beyond the path: no ?, no #; such as %s", example)
		return ""
	}
	return base
}

// plainPart is a part of a path that everyone on its way writes alike.
var plainPart = regexp.MustCompile(`^[A-Za-z0-9._~-]+$`)

func beyondPath(u *url.URL) bool {
	return u.RawQuery != "" || u.ForceQuery || u.Fragment != ""
}

// checkServer checks a URL up to its port and returns it; nil if there is a problem.
func (p *Problems) checkServer(field, text, example string, schemes []string) *url.URL {
	// The parser's own error repeats the text, which may hold a password.
	parsed, err := url.Parse(text)
	switch {
	case err != nil:
		p.Add(field, "is not a URL; must be one such as %s", example)
	case parsed.User != nil:
		p.Add(field, "must not hold a user name or password; how to log in is said in auth")
	case !slices.Contains(schemes, parsed.Scheme):
		p.Add(field, "must begin with %s://, such as %s", strings.Join(schemes, ":// or "), example)
	case parsed.Hostname() == "":
		p.Add(field, "names no host; must be a URL such as %s", example)
	default:
		return parsed
	}
	return nil
}
