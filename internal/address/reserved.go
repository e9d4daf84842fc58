package address

import (
	"encoding/binary"
	"net/netip"
)

// reserved are the addresses that a person who may only name a server must not
// reach, because what answers there trusts everyone on this machine.
//
// Metadata services hand credentials of the machine to whoever asks:
//   - AWS, Google Cloud, Azure and most others: 169.254.169.254, and over IPv6
//     https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html
//     https://cloud.google.com/compute/docs/metadata/querying-metadata
//   - the credentials of ECS tasks and of EKS Pod Identity
//     https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-iam-roles.html
//     https://docs.aws.amazon.com/eks/latest/userguide/pod-id-how-it-works.html
//   - Azure's host agent
//     https://learn.microsoft.com/azure/virtual-network/what-is-ip-address-168-63-129-16
//   - Alibaba Cloud, Scaleway, Oracle's older cloud, Tencent Cloud
//     https://docs.cloud-init.io/en/latest/reference/datasources.html
//
// Private networks (RFC 1918, fc00::/7) are not reserved: servers of the cluster
// are there.
var reserved = []struct {
	kind     string
	prefixes []netip.Prefix
}{
	{"a cloud's metadata service", prefixes(
		"169.254.169.254/32", "fd00:ec2::254/128", "fd20:ce::254/128",
		"169.254.170.2/32", "169.254.170.23/32", "fd00:ec2::23/128",
		"168.63.129.16/32",
		"100.100.100.200/32", "169.254.42.42/32", "fd00:42::42/128", "192.0.0.192/32", "169.254.0.23/32",
	)},
	{"a loopback address", prefixes("127.0.0.0/8", "::1/128")},
	{"an unspecified address", prefixes("0.0.0.0/8", "::/128")}, // Linux connects to itself
	{"a link-local address", prefixes("169.254.0.0/16", "fe80::/10")},
	{"a multicast address", prefixes("224.0.0.0/4", "ff00::/8")},
	{"the broadcast address", prefixes("255.255.255.255/32")},
}

func prefixes(texts ...string) []netip.Prefix {
	parsed := make([]netip.Prefix, len(texts))
	for i, text := range texts {
		parsed[i] = netip.MustParsePrefix(text)
	}
	return parsed
}

// reservedAs returns what the address is reserved for and the narrowest range that
// holds it. kind is empty if it is not reserved.
func reservedAs(addr netip.Addr) (kind string, within netip.Prefix) {
	for _, r := range reserved {
		for _, prefix := range r.prefixes {
			if prefix.Contains(addr) {
				return r.kind, prefix
			}
		}
	}
	return "", netip.Prefix{}
}

// spellings returns the address without its zone, and every IPv4 address that a
// router or a host may take it for: IPv4-mapped, -compatible and -translated
// addresses (RFC 4291, RFC 2765), NAT64 (RFC 6052, RFC 8215), 6to4 (RFC 3056),
// Teredo (RFC 4380) and ISATAP (RFC 5214).
func spellings(addr netip.Addr) []netip.Addr {
	addr = addr.WithZone("").Unmap()
	all := []netip.Addr{addr}
	if kind, _ := reservedAs(addr); kind != "" || addr.Is4() {
		return all // ::1 is no spelling of 0.0.0.1
	}
	b := addr.As16()
	add := func(bytes ...byte) {
		if bytes[0] != 0 { // 0.0.0.0/8 is this machine in its own packets alone
			all = append(all, netip.AddrFrom4([4]byte(bytes)))
		}
	}
	switch {
	case within(addr, "::/96"), within(addr, "::ffff:0:0:0/96"), within(addr, "64:ff9b::/96"):
		add(b[12:]...)
	case within(addr, "64:ff9b:1::/48"):
		// The prefix is the network's choice; octet 8 is always zero.
		add(b[12:]...)
		add(b[6], b[7], b[9], b[10])
		add(b[7], b[9], b[10], b[11])
		add(b[9], b[10], b[11], b[12])
	case within(addr, "2002::/16"):
		add(b[2:6]...)
	case within(addr, "2001::/32"):
		add(b[4:8]...)
		add(binary.BigEndian.AppendUint32(nil, ^binary.BigEndian.Uint32(b[12:]))...)
	}
	if b[8]&^2 == 0 && b[9] == 0 && b[10] == 0x5e && b[11] == 0xfe {
		add(b[12:]...)
	}
	return all
}

func within(addr netip.Addr, prefix string) bool { return netip.MustParsePrefix(prefix).Contains(addr) }
