package remote

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"syscall"

	"github.com/lanyardhq/lanyard/internal/address"
	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/internal/proxy"
	"github.com/lanyardhq/lanyard/provider/fault"
)

// Network is how connections leave the node. The zero value goes everywhere, and
// directly.
type Network struct {
	// Proxy is the operator's.
	Proxy proxy.Settings
	// Rule holds for addresses that a class chose.
	Rule DialRule
}

// Node is the Network of services that are the node's own, such as a cloud's
// metadata service: no proxy leads to them.
func (n Network) Node() Network { return Network{Rule: n.Rule} }

// DialRule is the patterns, as package address knows them, of what may be connected
// to, with spaces between them. The empty DialRule allows everything, reserved
// addresses too.
type DialRule string

// NewDialRule returns the rule of patterns that have passed address.Check, of which
// there is at least one.
func NewDialRule(patterns []string) DialRule { return DialRule(strings.Join(patterns, " ")) }

// AddressRefusedError is the error of a connection that a DialRule refuses. It wraps
// fault.ErrDenied.
type AddressRefusedError struct{ text string }

// Error implements error.
func (e *AddressRefusedError) Error() string { return e.text }

// Unwrap is the kind of failure.
func (e *AddressRefusedError) Unwrap() error { return fault.ErrDenied }

// IsRefused is true of the error of a call that was not made because a DialRule
// refuses the address.
func IsRefused(err error) bool {
	var refused *AddressRefusedError
	return errors.As(err, &refused)
}

// parse returns nil for the empty rule.
func (r DialRule) parse() (*address.Rule, error) {
	if r == "" {
		return nil, nil //nolint:nilnil // no rule is an answer
	}
	return address.ParseRule(strings.Fields(string(r)))
}

// refuseHost explains why a host is refused by its name.
func (r DialRule) refuseHost(host, port string, verdict address.Verdict) *AddressRefusedError {
	where := message.Printable(net.JoinHostPort(host, port))
	if verdict.Malformed {
		return &AddressRefusedError{where + " " + verdict.Refused}
	}
	return r.refuse(where, verdict.Refused, verdict.Unlisted)
}

// refuse explains a refusal. where is the host and port, and what it was resolved to.
func (r DialRule) refuse(where, why string, unlisted bool) *AddressRefusedError {
	if unlisted {
		return &AddressRefusedError{fmt.Sprintf("%s: the operator lets classes choose %s here (policy.classStores)", where, message.Names(strings.Fields(string(r)), message.Printable))}
	}
	return &AddressRefusedError{fmt.Sprintf("%s %s, which a class must not choose; if it is right, let the operator list the IP address in policy.classStores", where, why)}
}

// Check adds a problem of the field if the rule refuses the URL, or the host and
// port, that the field leads to, as far as that can be told without resolving it.
func (r DialRule) Check(field, target string, add func(field, format string, args ...any)) {
	rule, err := r.parse()
	if rule == nil || err != nil {
		return
	}
	if parsed, err := url.Parse(target); err == nil && parsed.Host != "" {
		target = HostPort(parsed)
	}
	host, port, err := net.SplitHostPort(target)
	if err != nil || host == "" {
		return // the field has another problem already
	}
	if verdict := rule.Host(host, port); verdict.Refused != "" {
		add(field, "%s", r.refuseHost(host, port, verdict).text)
	}
}

// dialer opens the connections of one Network.
type dialer struct {
	rule  *address.Rule // nil for none
	text  DialRule
	proxy *proxy.Proxy
	plain Dial // that no rule holds for
}

func newDialer(network Network, plain Dial, person bool) (*dialer, error) {
	rule, err := network.Rule.parse()
	if err != nil {
		return nil, err
	}
	d := &dialer{rule: rule, text: network.Rule, proxy: proxy.New(network.Proxy), plain: plain}
	if d.proxy == nil && person {
		d.proxy = proxy.FromEnvironment()
	}
	return d, nil
}

// dial connects to target. A refusal is an *AddressRefusedError.
func (d *dialer) dial(ctx context.Context, network, target string) (net.Conn, error) {
	via, err := d.proxy.For(target)
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: network, Err: err}
	}
	if d.rule == nil {
		if via == nil {
			return d.plain(ctx, network, target)
		}
		return d.proxy.Connect(ctx, proxy.Dial(d.plain), via, target)
	}
	host, port, err := net.SplitHostPort(target)
	if err != nil {
		return nil, err
	}
	verdict := d.rule.Host(host, port)
	switch {
	case verdict.Refused != "":
		return nil, d.text.refuseHost(host, port, verdict)
	case via == nil:
		return d.direct(ctx, network, host, port)
	}
	if err := d.checkNames(ctx, host, port, verdict.ByAddress); err != nil {
		return nil, err
	}
	return d.proxy.Connect(ctx, proxy.Dial(d.plain), via, target)
}

// direct connects under the rule, which judges the address of each socket before it
// is connected, whatever the name was resolved to. A refusal of one of the host's
// addresses is the error only if none could be connected to.
func (d *dialer) direct(ctx context.Context, network, host, port string) (net.Conn, error) {
	var refused atomic.Pointer[AddressRefusedError]
	dialer := net.Dialer{Timeout: dialTime, KeepAlive: keepAlive, Control: func(_, at string, _ syscall.RawConn) error {
		resolved, err := netip.ParseAddrPort(at)
		if err != nil {
			return err
		}
		if err := d.checkAddr(host, port, resolved.Addr()); err != nil {
			refused.Store(err)
			return err
		}
		return nil
	}}
	conn, err := dialer.DialContext(ctx, network, net.JoinHostPort(host, port))
	if err != nil && refused.Load() != nil {
		return nil, refused.Load()
	}
	return conn, err
}

// checkAddr judges one address of a host.
func (d *dialer) checkAddr(host, port string, addr netip.Addr) *AddressRefusedError {
	why, unlisted := d.rule.Addr(host, port, addr)
	if why == "" {
		return nil
	}
	where := message.Printable(net.JoinHostPort(host, port))
	if addr.String() != host {
		where += " (" + addr.String() + ")"
	}
	return d.text.refuse(where, why, unlisted)
}

// checkNames judges a host that a proxy will resolve by what it resolves to here.
// A name that is known to the proxy alone is judged by the name; if only its address
// could allow it, it is refused.
func (d *dialer) checkNames(ctx context.Context, host, port string, byAddress bool) error {
	ctx, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil && byAddress {
		return d.text.refuse(message.Printable(net.JoinHostPort(host, port))+", whose IP address is not known on the node", "", true)
	}
	for _, addr := range addrs {
		if err := d.checkAddr(host, port, addr); err != nil {
			return err
		}
	}
	return nil
}
