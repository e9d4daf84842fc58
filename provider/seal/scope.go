package seal

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/identity"
)

// The maximum length of a scope's names, in bytes. Namespaces are DNS labels, service
// accounts DNS subdomains, and an object's name may be a path of the driver.
// https://kubernetes.io/docs/concepts/overview/working-with-objects/names/
const (
	MaxCluster        = 253
	MaxNamespace      = 63
	MaxServiceAccount = 253
	MaxObject         = 4096
)

// lastSecond is the end of the year 9999, the last that RFC 3339 can write.
const lastSecond = 253402300799

// Scope is who may open a sealed value. It is public and authenticated with the
// value: a changed scope makes the value unreadable. The zero Scope is invalid, so
// that a forgotten field is an error and never a wider scope.
type Scope struct {
	Cluster        Name // 1 to MaxCluster bytes of UTF-8 without control characters
	Namespace      Name // a DNS label of at most MaxNamespace bytes
	ServiceAccount Name // a DNS subdomain of at most MaxServiceAccount bytes
	Object         Name // 1 to MaxObject bytes of UTF-8 without control characters
	// NotAfter is the last moment at which the value may be opened, in whole
	// seconds (a fraction is cut off) until the year 9999. Zero means that it
	// does not expire.
	NotAfter time.Time
}

// Name is one field of a Scope: exactly one name, or any name. The zero Name is
// invalid in a Scope.
type Name struct {
	exact string
	any   bool
}

// Exact is the Name that only name matches.
func Exact(name string) Name { return Name{exact: name} }

// Any is the Name that every name matches, the empty one included.
func Any() Name { return Name{any: true} }

// IsAny says whether every name matches.
func (n Name) IsAny() bool { return n.any }

// String is the exact name, or "(any)".
func (n Name) String() string {
	if n.any {
		return "(any)"
	}
	return n.exact
}

func (n Name) matches(name string) bool { return n.any || n.exact == name }

// Validate returns an error that names every invalid field, or nil.
func (s Scope) Validate() error {
	var problems []error
	check := func(field string, name Name, wrong func(string) string) {
		if name.any {
			return
		}
		text := "is empty; give the exact name, or say that any will do"
		if name.exact != "" {
			text = wrong(name.exact)
		}
		if text != "" {
			problems = append(problems, fmt.Errorf("%s: %s", field, text))
		}
	}
	check("cluster", s.Cluster, func(name string) string { return wrongText(name, MaxCluster) })
	check("namespace", s.Namespace, func(name string) string {
		if strings.Contains(name, ".") {
			return quote(name) + " has a dot; a namespace is lower-case letters, digits and '-'"
		}
		return wrongSubdomain(name, MaxNamespace)
	})
	check("service account", s.ServiceAccount, func(name string) string { return wrongSubdomain(name, MaxServiceAccount) })
	check("object name", s.Object, func(name string) string { return wrongText(name, MaxObject) })
	if !s.NotAfter.IsZero() && (s.NotAfter.Unix() < 1 || s.NotAfter.Unix() > lastSecond) {
		problems = append(problems, errors.New("not-after: is not between the years 1970 and 9999"))
	}
	return joined(problems)
}

// Match returns nil if the workload may open the value as the named object now.
// Otherwise the error wraps ErrOtherCluster, ErrOtherNamespace,
// ErrOtherServiceAccount, ErrOtherObject or ErrExpired for each mismatch; its text
// compares the scope with the workload and says what to do.
func (s Scope) Match(as identity.Identity, object string, now time.Time) error {
	var mismatches []error
	if !s.Cluster.matches(as.Cluster) {
		where := fmt.Sprintf("asked for in cluster %s", quote(as.Cluster))
		if as.Cluster == "" {
			where = "asked for where the provider's configuration names no cluster; set cluster there"
		}
		mismatches = append(mismatches, fault.Fail(ErrOtherCluster,
			fmt.Errorf("sealed for cluster %s, %s", quote(s.Cluster.exact), where)))
	}
	if !s.Namespace.matches(as.Namespace) {
		mismatches = append(mismatches, fault.Fail(ErrOtherNamespace,
			fmt.Errorf("sealed for namespace %s, asked for by a pod in %s", quote(s.Namespace.exact), quote(as.Namespace))))
	}
	if !s.ServiceAccount.matches(as.ServiceAccount) {
		mismatches = append(mismatches, fault.Fail(ErrOtherServiceAccount,
			fmt.Errorf("sealed for service account %s, asked for by %s", quote(s.ServiceAccount.exact), quote(as.ServiceAccount))))
	}
	if !s.Object.matches(object) {
		mismatches = append(mismatches, fault.Fail(ErrOtherObject,
			fmt.Errorf("sealed for object %s, asked for by object %s", quote(s.Object.exact), quote(object))))
	}
	if !s.NotAfter.IsZero() && now.After(s.NotAfter) {
		mismatches = append(mismatches, fault.Fail(ErrExpired,
			fmt.Errorf("sealed value expired at %s, it is %s", s.NotAfter.UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339))))
	}
	if len(mismatches) == 0 {
		return nil
	}
	return joined(append(mismatches, errors.New("seal the value again for this workload")))
}

// joined is all errs in one line, or nil if there are none.
func joined(errs []error) error {
	if len(errs) == 0 {
		return nil
	}
	return lineError(errs)
}

// lineError is several errors in one line.
type lineError []error

func (l lineError) Unwrap() []error { return l }

func (l lineError) Error() string {
	texts := make([]string, len(l))
	for i, err := range l {
		texts[i] = err.Error()
	}
	return strings.Join(texts, "; ")
}

// wrongText returns the problem with a free name, or "".
func wrongText(name string, limit int) string {
	switch {
	case len(name) > limit:
		return fmt.Sprintf("has %d bytes, at most %d are possible", len(name), limit)
	case !utf8.ValidString(name):
		return "is not UTF-8"
	case strings.ContainsFunc(name, isControl):
		return quote(name) + " has a control character"
	}
	return ""
}

// isControl matches U+0000 to U+001F and U+007F to U+009F, written out so that other
// implementations agree.
func isControl(r rune) bool { return r < 0x20 || r >= 0x7f && r <= 0x9f }

var subdomain = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$`)

// wrongSubdomain returns the problem with a DNS subdomain (RFC 1123), or "".
// Kubernetes limits the whole name and not each label.
func wrongSubdomain(name string, limit int) string {
	switch {
	case len(name) > limit:
		return fmt.Sprintf("has %d bytes, at most %d are possible", len(name), limit)
	case !subdomain.MatchString(name):
		return quote(name) + " is no Kubernetes name: lower-case letters, digits, '-' and '.', with a letter or digit at both ends of each part"
	}
	return ""
}
