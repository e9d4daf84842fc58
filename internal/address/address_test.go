package address

import (
	"net/netip"
	"strings"
	"testing"
)

func rule(t *testing.T, patterns ...string) *Rule {
	t.Helper()
	r, err := ParseRule(patterns)
	if err != nil {
		t.Fatalf("%q: %v", patterns, err)
	}
	return r
}

// judge says what becomes of a connection to a host that is at addr; a host that is an
// IP address is at itself.
func judge(r *Rule, host, port, addr string) string {
	verdict := r.Host(host, port)
	if verdict.Refused != "" || addr == "" {
		return verdict.Refused
	}
	refused, _ := r.Addr(host, port, netip.MustParseAddr(addr))
	return refused
}

// Whatever a class may choose, it chooses none of these, in no notation.
func TestReservedAddressesAreRefusedInEveryNotation(t *testing.T) {
	const (
		loopback  = "is a loopback address"
		local     = "is a link-local address"
		metadata  = "is a cloud's metadata service"
		nowhere   = "is an unspecified address"
		multicast = "is a multicast address"
		notation  = "is an IP address in a notation"
		itself    = "is this machine itself"
		noName    = "is not the name of a host"
	)
	for _, c := range []struct{ host, addr, want string }{
		{"127.0.0.1", "", loopback},
		{"127.8.9.10", "", loopback},
		{"::1", "", loopback},
		{"0:0:0:0:0:0:0:1", "", loopback},
		{"::ffff:127.0.0.1", "", loopback},
		{"::ffff:7f00:1", "", loopback},
		{"::127.0.0.1", "", loopback},
		{"::ffff:0:127.0.0.1", "", loopback},
		{"64:ff9b::127.0.0.1", "", loopback},
		{"64:ff9b::7f00:1", "", loopback},
		{"64:ff9b:1::7f00:1", "", loopback},
		{"64:ff9b:1:7f00:0:100::", "", loopback},
		{"64:ff9b:1:aa7f:0:1::", "", loopback},
		{"64:ff9b:1:aaaa:7f:0:100:0", "", loopback},
		{"2002:7f00:1::", "", loopback},
		{"2002:7f00:1::1", "", loopback},
		{"2001:0:7f00:1::", "", loopback},
		{"2001::80ff:fffe", "", loopback},
		{"2001:db8::5efe:127.0.0.1", "", loopback},
		{"2001:db8::200:5efe:127.0.0.1", "", loopback},
		{"::1%eth0", "", loopback},
		{"0.0.0.0", "", nowhere},
		{"0.1.2.3", "", nowhere},
		{"::", "", nowhere},
		{"::ffff:0.0.0.0", "", nowhere},
		{"169.254.1.1", "", local},
		{"fe80::1", "", local},
		{"fe80::1%eth0", "", local},
		{"febf::1", "", local},
		{"::ffff:169.254.1.1", "", local},
		{"169.254.169.254", "", metadata},
		{"::ffff:169.254.169.254", "", metadata},
		{"::ffff:a9fe:a9fe", "", metadata},
		{"64:ff9b::a9fe:a9fe", "", metadata},
		{"2002:a9fe:a9fe::", "", metadata},
		{"fd00:ec2::254", "", metadata},
		{"fd00:ec2:0:0:0:0:0:254%eth0", "", metadata},
		{"fd20:ce::254", "", metadata},
		{"169.254.170.2", "", metadata},
		{"169.254.170.23", "", metadata},
		{"fd00:ec2::23", "", metadata},
		{"168.63.129.16", "", metadata},
		{"64:ff9b::168.63.129.16", "", metadata},
		{"100.100.100.200", "", metadata},
		{"fd00:42::42", "", metadata},
		{"192.0.0.192", "", metadata},
		{"224.0.0.1", "", multicast},
		{"239.255.255.250", "", multicast},
		{"ff02::1", "", multicast},
		{"255.255.255.255", "", "is the broadcast address"},

		{"2130706433", "127.0.0.1", notation},
		{"0x7f000001", "127.0.0.1", notation},
		{"0X7F.1", "127.0.0.1", notation},
		{"017700000001", "127.0.0.1", notation},
		{"0177.0.0.1", "127.0.0.1", notation},
		{"127.1", "127.0.0.1", notation},
		{"127.0.1", "127.0.0.1", notation},
		{"0", "0.0.0.0", notation},
		{"2852039166", "169.254.169.254", notation},
		{"0xa9fea9fe", "169.254.169.254", notation},
		{"127.0.0.1.", "127.0.0.1", notation},
		{"1.2.3.4.5", "", notation},
		{"300.1.1.1", "", notation},

		{"localhost", "127.0.0.1", itself},
		{"LocalHost.", "127.0.0.1", itself},
		{"vault.localhost", "127.0.0.1", itself},
		{"metadata.google.internal", "169.254.169.254", metadata},
		{"METADATA.google.internal.", "", metadata},
		{"instance-data", "169.254.169.254", metadata},

		{"rebinding.example.com", "127.0.0.1", loopback},
		{"rebinding.example.com", "::ffff:127.0.0.1", loopback},
		{"cname.example.com", "169.254.169.254", metadata},
		{"nat64.example.com", "64:ff9b::a9fe:a9fe", metadata},
		{"zone.example.com", "fe80::1%eth0", local},

		{"", "", noName},
		{"１２７.0.0.1", "", noName},
		{"localhost@example.com", "", noName},
		{"a..example.com", "", noName},
		{"example.com/x", "", noName},
		{"[::1]", "", noName},
		{strings.Repeat("a", 64) + ".example.com", "", noName},
	} {
		for _, patterns := range [][]string{{"*"}, {"*", "0.0.0.0/0", "::/0"}, {"*", "128.0.0.0/1", "0.0.0.0/1", "fd00::/8", "100.64.0.0/10"}} {
			if got := judge(rule(t, patterns...), c.host, "443", c.addr); !strings.HasPrefix(got, c.want) || got == "" {
				t.Errorf("%q at %q under %q: %q, want %q", c.host, c.addr, patterns, got, c.want)
			}
		}
	}
}

func TestServersOfTheClusterAndOfTheInternetAreNot(t *testing.T) {
	for _, c := range []struct{ host, addr string }{
		{"vault.vault.svc", "10.96.3.4"},
		{"vault.vault.svc.cluster.local", "fd12:3456::7"},
		{"10.0.0.1", ""},
		{"172.16.0.1", ""},
		{"192.168.1.1", ""},
		{"100.64.0.1", ""},
		{"fd00::1", ""},
		{"::ffff:10.0.0.1", ""},
		{"64:ff9b::8.8.8.8", ""},
		{"2002:808:808::1", ""},
		{"2606:4700::1111", ""},
		{"1.1.1.1", ""},
		{"xn--bcher-kva.example", "192.0.2.7"},
		{"a_b.example.com", "192.0.2.7"},
		{"4chan.org", "192.0.2.7"},
		{"0x.example.com", "192.0.2.7"},
		{"169.254.169.254.example.com", "192.0.2.7"},
		{"EXAMPLE.com.", "192.0.2.7"},
	} {
		if got := judge(rule(t, "*"), c.host, "443", c.addr); got != "" {
			t.Errorf("%q at %q %s, want no objection", c.host, c.addr, got)
		}
	}
}

func TestAReservedAddressIsOpenedByItsOwnPatternAlone(t *testing.T) {
	for _, c := range []struct {
		patterns         string
		host, port, addr string
		want             string
	}{
		{"* 127.0.0.0/8", "localhost", "8200", "127.0.0.1", ""},
		{"* 127.0.0.0/8", "127.9.9.9", "8200", "", ""},
		{"* 127.0.0.0/8", "localhost", "8200", "::1", "is a loopback address"},
		{"* 127.0.0.1", "127.0.0.1", "8200", "", ""},
		{"* 127.0.0.1", "::ffff:127.0.0.1", "8200", "", ""},
		{"* 127.0.0.1", "127.0.0.2", "8200", "", "is a loopback address"},
		{"* 127.0.0.1:8200", "127.0.0.1", "8200", "", ""},
		{"* 127.0.0.1:8200", "127.0.0.1", "2375", "", "is a loopback address"},
		{"* ::1", "::1", "8200", "", ""},
		{"* [::1]:8200", "localhost", "8200", "::1", ""},
		{"* [::1]:8200", "localhost", "1", "::1", "is a loopback address"},
		{"127.0.0.0/8", "localhost", "8200", "127.0.0.1", ""},
		{"127.0.0.0/8", "vault.example.com", "8200", "10.0.0.1", "is not listed"},
		{"* 169.254.0.0/16", "169.254.1.1", "80", "", ""},
		{"* 169.254.0.0/16", "169.254.169.254", "80", "", "is a cloud's metadata service"},
		{"* 169.254.169.254", "169.254.169.254", "80", "", ""},
		{"* 169.254.169.254", "metadata.google.internal", "80", "169.254.169.254", ""},
		{"* 100.100.100.0/24", "100.100.100.200", "80", "", "is a cloud's metadata service"},
		{"* 100.100.100.200/32", "100.100.100.200", "80", "", ""},
		{"rebinding.example.com", "rebinding.example.com", "80", "127.0.0.1", "is a loopback address"},
		{"*.example.com", "rebinding.example.com", "80", "169.254.169.254", "is a cloud's metadata service"},
	} {
		if got := judge(rule(t, strings.Fields(c.patterns)...), c.host, c.port, c.addr); got != c.want {
			t.Errorf("%s: %s:%s at %q: %q, want %q", c.patterns, c.host, c.port, c.addr, got, c.want)
		}
	}
}

func TestPatterns(t *testing.T) {
	const unlisted = "is not listed"
	for _, c := range []struct {
		patterns         string
		host, port, addr string
		want             string
	}{
		{"vault.example.com", "vault.example.com", "8200", "10.0.0.1", ""},
		{"vault.example.com", "VAULT.example.COM.", "443", "10.0.0.1", ""},
		{"Vault.Example.com.", "vault.example.com", "443", "10.0.0.1", ""},
		{"vault.example.com", "vault.example.com.evil.com", "443", "10.0.0.1", unlisted},
		{"vault.example.com", "a.vault.example.com", "443", "10.0.0.1", unlisted},
		{"vault.example.com:8200", "vault.example.com", "8200", "10.0.0.1", ""},
		{"vault.example.com:8200", "vault.example.com", "443", "10.0.0.1", unlisted},
		{"*.example.com", "vault.example.com", "443", "10.0.0.1", ""},
		{"*.example.com", "a.b.example.com", "443", "10.0.0.1", ""},
		{"*.example.com", "example.com", "443", "10.0.0.1", unlisted},
		{"*.example.com", "badexample.com", "443", "10.0.0.1", unlisted},
		{"*.example.com:8200", "a.example.com", "443", "10.0.0.1", unlisted},
		{"*:8200", "a.example.com", "8200", "10.0.0.1", ""},
		{"*:8200", "a.example.com", "443", "10.0.0.1", unlisted},
		{"10.0.0.0/8", "vault.vault.svc", "443", "10.0.0.1", ""},
		{"10.0.0.0/8", "vault.vault.svc", "443", "11.0.0.1", unlisted},
		{"10.0.0.0/8", "10.1.2.3", "443", "", ""},
		{"10.0.0.0/8", "11.1.2.3", "443", "", unlisted},
		{"10.1.2.3", "10.1.2.3", "443", "", ""},
		{"10.1.2.3:8200", "10.1.2.3", "443", "", unlisted},
		{"10.1.2.3:8200", "vault.example.com", "443", "10.1.2.3", unlisted},
		{"2001:db8::/32", "2001:db8::7", "443", "", ""},
		{"2001:db8::7", "2001:0db8:0::7", "443", "", ""},
		{"::ffff:10.1.2.3", "10.1.2.3", "443", "", ""},
		{"a.example.com b.example.com", "b.example.com", "443", "10.0.0.1", ""},
	} {
		if got := judge(rule(t, strings.Fields(c.patterns)...), c.host, c.port, c.addr); got != c.want {
			t.Errorf("%s: %s:%s at %q: %q, want %q", c.patterns, c.host, c.port, c.addr, got, c.want)
		}
	}
}

// A name that only its address could allow costs a question to DNS; one that nothing
// could allow costs none.
func TestANameIsResolvedOnlyWhereThatMatters(t *testing.T) {
	if v := rule(t, "10.0.0.0/8").Host("vault.example.com", "443"); v.Refused != "" || !v.ByAddress {
		t.Errorf("under a network: %+v, want that its address decides", v)
	}
	for _, patterns := range []string{"vault.example.org", "10.1.2.3:8200"} {
		if v := rule(t, patterns).Host("vault.example.com", "443"); !v.Unlisted {
			t.Errorf("under %s: %+v, want a refusal", patterns, v)
		}
	}
}

func TestPatternsThatAreNone(t *testing.T) {
	for _, text := range []string{
		"", " ", "https://vault.example.com", "vault.example.com/v1", "a b", "*.", "**", "a*.example.com", "vault.*.com", "*.*",
		"vault.example.com:", "vault.example.com:0", "vault.example.com:65536", "vault.example.com:http", "vault.example.com:+80",
		"10.0.0.1/8", "10.0.0.0/33", "10.0.0.0/8:443", "10.1", "0x7f000001", "2130706433", "fe80::1%eth0", "::ffff:10.0.0.0/104",
		"localhost", "localhost:8200", "*.localhost", "vault.localhost", "user@vault.example.com", "bücher.example",
	} {
		if Check(text) == nil {
			t.Errorf("%q is taken for a pattern", text)
		}
	}
}

func FuzzARuleOfNamesOpensNoReservedAddress(f *testing.F) {
	for _, seed := range []string{"127.0.0.1", "64:ff9b::7f00:1", "0x7f.1", "fe80::1%lo", "localhost.", "a.example.com"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, host string) {
		r, err := ParseRule([]string{"*", "*.example.com", "10.0.0.0/8", "0.0.0.0/0", "::/0"})
		if err != nil {
			t.Fatal(err)
		}
		addr, err := netip.ParseAddr(host)
		if err != nil {
			r.Host(host, "443")
			return
		}
		plain := addr.WithZone("").Unmap()
		if bad := plain.IsLoopback() || plain.IsUnspecified() || plain.IsMulticast() || plain.IsLinkLocalUnicast(); bad && r.Host(host, "443").Refused == "" {
			t.Errorf("%s is allowed", host)
		}
	})
}
