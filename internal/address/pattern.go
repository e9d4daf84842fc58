// Package address matches network addresses with patterns, and knows the addresses
// that only a trusted person may name: loopback, link-local, metadata services.
//
// Start with ParseRule. A Rule judges a host by its name before anything is
// resolved, and every IP address before it is connected to.
package address

import (
	"errors"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Any is the pattern of every address that is not reserved.
const Any = "*"

// pattern is one entry of a rule.
type pattern struct {
	text   string
	any    bool
	below  bool         // the name stands for what ends in it
	name   string       // in lower case, without a dot at its end
	prefix netip.Prefix // of IP addresses; then there is no name
	port   string       // empty for all
}

// Check says what is wrong with a pattern. Patterns are:
//
//   - every address that is not reserved
//     vault.example.com          a host
//     *.example.com              every host below the domain
//     10.1.2.3, 2001:db8::1      an IP address
//     10.0.0.0/8                 the IP addresses of a network (CIDR)
//
// All but networks may have a port: vault.example.com:8200, [2001:db8::1]:8200.
func Check(text string) error {
	_, err := parse(text)
	return err
}

var errPattern = errors.New("must be a host, a host and its port, *.example.com for all hosts below a domain, an IP address, a network such as 10.0.0.0/8, or * for all")

func parse(text string) (pattern, error) {
	if prefix, err := netip.ParsePrefix(text); err == nil {
		if prefix != prefix.Masked() {
			return pattern{}, errors.New("has bits set after its prefix; write " + prefix.Masked().String())
		}
		if prefix.Addr().Is4In6() {
			return pattern{}, errors.New("must be written as a network of IPv4")
		}
		return pattern{text: text, prefix: prefix}, nil
	}
	if strings.Contains(text, "/") {
		return pattern{}, errPattern
	}
	host, port := text, ""
	if addr, err := netip.ParseAddr(text); err == nil {
		return ofAddr(text, addr, "")
	}
	if h, p, err := net.SplitHostPort(text); err == nil {
		if n, err := strconv.ParseUint(p, 10, 16); err != nil || n == 0 || strconv.FormatUint(n, 10) != p {
			return pattern{}, errors.New("must have a port from 1 to 65535 after its colon")
		}
		host, port = h, p
	}
	if addr, err := netip.ParseAddr(host); err == nil {
		return ofAddr(text, addr, port)
	}
	if host == Any {
		return pattern{text: text, any: true, port: port}, nil
	}
	name, below := strings.CutPrefix(strings.ToLower(strings.TrimSuffix(host, ".")), "*.")
	switch {
	case !isName(name), numeric(name):
		return pattern{}, errPattern
	case isLocal(name):
		return pattern{}, errors.New("is this machine itself; list the address instead, such as 127.0.0.1 or ::1")
	}
	return pattern{text: text, name: name, below: below, port: port}, nil
}

func ofAddr(text string, addr netip.Addr, port string) (pattern, error) {
	if addr.Zone() != "" {
		return pattern{}, errors.New("must have no zone")
	}
	addr = addr.Unmap()
	return pattern{text: text, prefix: netip.PrefixFrom(addr, addr.BitLen()), port: port}, nil
}

// isName accepts what DNS and hosts files do.
func isName(name string) bool {
	if name == "" || len(name) > 253 {
		return false
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 || strings.ContainsFunc(label, func(r rune) bool {
			return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' && r != '_'
		}) {
			return false
		}
	}
	return true
}

// isLocal is true of the names that lead to the machine itself (RFC 6761).
func isLocal(name string) bool { return name == "localhost" || strings.HasSuffix(name, ".localhost") }

// numeric is true of a name that a resolver may take for an IPv4 address in another
// notation: 2130706433, 0x7f.1, 0177.0.0.1.
// https://url.spec.whatwg.org/#ends-in-a-number-checker
func numeric(name string) bool {
	last := name[strings.LastIndexByte(name, '.')+1:]
	if last == "" {
		return false
	}
	digits, isHex := strings.CutPrefix(strings.ToLower(last), "0x")
	return !strings.ContainsFunc(digits, func(r rune) bool { return (r < '0' || r > '9') && (!isHex || r < 'a' || r > 'f') })
}

// ofPort is true if the pattern is about the port.
func (p *pattern) ofPort(port string) bool { return p.port == "" || p.port == port }

// named is true if the pattern matches the host by its name.
func (p *pattern) named(host, port string) bool {
	switch {
	case !p.ofPort(port) || p.prefix.IsValid():
		return false
	case p.any:
		return true
	case p.below:
		return strings.HasSuffix(host, "."+p.name)
	}
	return host == p.name
}

// holds is true if the pattern matches the IP address.
func (p *pattern) holds(addr netip.Addr, port string) bool {
	return p.ofPort(port) && p.prefix.IsValid() && p.prefix.Contains(addr)
}

// Rule says which addresses may be connected to. Reserved addresses may be only
// where a pattern lists an IP address or a network that is all within what is
// reserved: 0.0.0.0/0 opens none. It is safe for concurrent use.
type Rule struct{ patterns []pattern }

// ParseRule returns the rule of patterns that have passed Check.
func ParseRule(patterns []string) (*Rule, error) {
	r := &Rule{}
	for _, text := range patterns {
		p, err := parse(text)
		if err != nil {
			return nil, err
		}
		r.patterns = append(r.patterns, p)
	}
	return r, nil
}

// Networks are the patterns that are IP addresses and networks.
func Networks(patterns []string) []string {
	return slices.DeleteFunc(slices.Clone(patterns), func(text string) bool {
		p, err := parse(text)
		return err != nil || !p.prefix.IsValid()
	})
}

// Verdict is what a Rule says of a host by its name alone.
type Verdict struct {
	// Refused says why no address of the host may be connected to, as the end of a
	// sentence about the host; empty if one may be.
	Refused string
	// Unlisted is true if Refused means that no pattern matches the host, and
	// Malformed that it is no host that any pattern could match.
	Unlisted, Malformed bool
	// ByAddress is true if only the IP address decides: no pattern matches the name.
	ByAddress bool
}

// Host judges a host and port before the host is resolved.
func (r *Rule) Host(host, port string) Verdict {
	if addr, err := netip.ParseAddr(host); err == nil {
		refused, unlisted := r.Addr(host, port, addr)
		return Verdict{Refused: refused, Unlisted: unlisted}
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	switch {
	case !isName(host):
		return Verdict{Refused: "is not the name of a host", Malformed: true}
	case numeric(host):
		return Verdict{Refused: "is an IP address in a notation that programs read differently; write it as 10.1.2.3", Malformed: true}
	case isLocal(host) && !r.opensAny("a loopback address"):
		return Verdict{Refused: "is this machine itself"}
	case isMetadata(host) && !r.opensAny("a cloud's metadata service"):
		return Verdict{Refused: "is a cloud's metadata service"}
	}
	if slices.ContainsFunc(r.patterns, func(p pattern) bool { return p.named(host, port) }) {
		return Verdict{}
	}
	if slices.ContainsFunc(r.patterns, func(p pattern) bool { return p.prefix.IsValid() && p.ofPort(port) }) {
		return Verdict{ByAddress: true}
	}
	return Verdict{Refused: "is not listed", Unlisted: true}
}

// isMetadata is true of the names that lead to a metadata service wherever they are
// resolved, which may be at a proxy.
// https://cloud.google.com/compute/docs/metadata/querying-metadata
func isMetadata(host string) bool {
	return slices.Contains([]string{"metadata", "metadata.google.internal", "metadata.goog", "instance-data", "instance-data.ec2.internal", "metadata.tencentyun.com"}, host)
}

// opensAny is true if some address that is reserved so may be connected to.
func (r *Rule) opensAny(kind string) bool {
	return slices.ContainsFunc(r.patterns, func(p pattern) bool {
		if !p.prefix.IsValid() {
			return false
		}
		as, within := reservedAs(p.prefix.Addr())
		return as == kind && p.prefix.Bits() >= within.Bits()
	})
}

// Addr judges an IP address that the host was resolved to. refused says why it may
// not be connected to, as the end of a sentence about it; unlisted is true if that
// is because no pattern matches.
func (r *Rule) Addr(host, port string, addr netip.Addr) (refused string, unlisted bool) {
	listed := false
	for _, as := range spellings(addr) {
		kind, within := reservedAs(as)
		opened := slices.ContainsFunc(r.patterns, func(p pattern) bool {
			return p.holds(as, port) && (kind == "" || p.prefix.Bits() >= within.Bits())
		})
		if kind != "" && !opened {
			return "is " + kind, false
		}
		listed = listed || opened
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if listed || slices.ContainsFunc(r.patterns, func(p pattern) bool { return p.named(host, port) }) {
		return "", false
	}
	return "is not listed", true
}
