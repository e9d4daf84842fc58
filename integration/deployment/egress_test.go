package deployment

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	networking "k8s.io/api/networking/v1"
)

// openings are the rules of the provider's egress policy beside DNS, each as "to ports".
func openings(t *testing.T, values string) []string {
	t.Helper()
	return openingsOf(t, render(t, values))
}

// openingsOf is openings of the only network policy that was rendered.
func openingsOf(t *testing.T, rendered Rendered) []string {
	t.Helper()
	policy := object[networking.NetworkPolicy](t, rendered, "NetworkPolicy")
	if len(policy.Spec.PolicyTypes) != 1 || policy.Spec.PolicyTypes[0] != networking.PolicyTypeEgress || len(policy.Spec.PodSelector.MatchLabels) == 0 {
		t.Errorf("the policy is %v", policy.Spec)
	}
	var found []string
	for _, rule := range policy.Spec.Egress {
		var to, ports []string
		for _, peer := range rule.To {
			if prefix, err := netip.ParsePrefix(peer.IPBlock.CIDR); err != nil || prefix != prefix.Masked() {
				t.Errorf("%s is no network", peer.IPBlock.CIDR)
			}
			for _, except := range peer.IPBlock.Except {
				if _, err := netip.ParsePrefix(except); err != nil {
					t.Errorf("%s is no network", except)
				}
			}
			to = append(to, peer.IPBlock.CIDR)
		}
		for _, port := range rule.Ports {
			ports = append(ports, fmt.Sprintf("%s/%s", port.Port, *port.Protocol))
		}
		found = append(found, strings.Join(to, ",")+" "+strings.Join(ports, ","))
	}
	if !slices.Contains(found, " 53/UDP,53/TCP") {
		t.Errorf("there is no DNS in %q", found)
	}
	return slices.DeleteFunc(found, func(rule string) bool { return rule == " 53/UDP,53/TCP" })
}

func TestTheEgressPolicyOpensWhatTheConfigurationNames(t *testing.T) {
	const closed = "policy: {classStores: false}"
	for values, want := range map[string][]string{
		"{" + closed + "}": nil,
		"{" + closed + ", stores: {files: {type: file, root: /etc/ssl/certs, allow: [a/b]}}}":                                                         nil,
		"{" + closed + ", stores: {v: {type: vault, address: 'https://10.1.2.3:8200'}}}":                                                              {"10.1.2.3/32 8200/TCP"},
		"{" + closed + ", stores: {v: {type: vault, address: 'https://[2001:db8::1]:8200'}}}":                                                         {"2001:db8::1/128 8200/TCP"},
		"{" + closed + ", stores: {v: {type: vault, address: 'http://10.1.2.3'}}}":                                                                    {"10.1.2.3/32 80/TCP"},
		"{" + closed + ", stores: {v: {type: vault, address: 'https://vault.example.com:8200'}, w: {type: vault, address: 'https://w:8200/'}}}":       {" 8200/TCP"},
		"{" + closed + ", stores: {v: {type: vault, address: 'https://vault.example.com', override: {address: ['https://v-*.example.com:8201']}}}}":   {" 443/TCP", " 8201/TCP"},
		"{" + closed + ", stores: {v: {type: vault, address: 'http://127.0.0.1:8200'}, w: {type: vault, address: 'http://localhost:8200'}}}":          nil,
		"{" + closed + ", stores: {a: {type: azure-key-vault, vault: web-kv, endpoint: '10.0.0.4:443', authorityHost: 'https://login.example.com'}}}": {" 443/TCP", "10.0.0.4/32 443/TCP"},
		"{" + closed + ", stores: {a: {type: azure-key-vault, vault: web-kv, auth: {method: managedIdentity}, allow: [a/b]}}}":                        {" 443/TCP", "169.254.169.254/32 80/TCP"},
		"{" + closed + ", stores: {a: {type: aws-secrets-manager, endpoint: 'https://vpce.{region}.amazonaws.com', auth: {method: podIdentity}}}}":    {" 443/TCP", "169.254.170.23/32 80/TCP", "fd00:ec2::23/128 80/TCP"},
		"{" + closed + ", stores: {g: {type: google-secret-manager, project: p}}}":                                                                    {" 443/TCP", "169.254.169.254/32 80/TCP"},
		"{" + closed + ", stores: {g: {type: google-secret-manager, project: p, auth: {audience: 'identitynamespace:a:b'}}}}":                         {" 443/TCP"},
		"{" + closed + ", stores: {s: {type: sealed, keys: [{name: k, service: {type: aws, key: k}}]}}}":                                              {" 443/TCP"},
		"{" + closed + ", proxy: {url: 'http://10.9.9.9:3128'}, stores: {v: {type: vault, address: 'https://10.1.2.3:8200'}}}":                        {"10.9.9.9/32 3128/TCP"},
		"{" + closed + ", proxy: {url: 'http://10.9.9.9:3128', noProxy: 10.1.2.3}, stores: {v: {type: vault, address: 'https://10.1.2.3:8200'}}}":     {"10.1.2.3/32 8200/TCP", "10.9.9.9/32 3128/TCP"},
		"{proxy: {url: 'http://proxy:3128'}}":                                      {" 3128/TCP"},
		"{policy: {classStores: false, tokenRequest: true}}":                       {" 443/TCP,6443/TCP"},
		"{policy: {classStores: true}}":                                            {"0.0.0.0/0,::/0 "},
		"{policy: {classStores: ['*', 127.0.0.0/8]}}":                              {"127.0.0.0/8 ", "0.0.0.0/0,::/0 "},
		"{policy: {classStores: ['*.example.com:8200', vault.example.com]}}":       {" 443/TCP", " 8200/TCP"},
		"{policy: {classStores: [10.0.0.0/8, 11.1.1.1, '11.1.1.2:8200']}}":         {"10.0.0.0/8 ", "11.1.1.1/32 ", "11.1.1.2/32 8200/TCP"},
		"{policy: {classStores: ['2001:db8::1', '[2001:db8::2]:8200', fd00::/8]}}": {"2001:db8::1/128 ", "2001:db8::2/128 8200/TCP", "fd00::/8 "},
	} {
		if got := openings(t, "{versionKey: {create: false}, networkPolicy: {enabled: false, egress: {enabled: true}}, config: "+values+"}"); !slices.Equal(got, want) {
			t.Errorf("with %s the openings are %q, want %q", values, got, want)
		}
	}
}

func TestTheEgressPolicyOpensTheAPIServerForTheKeyOfVersions(t *testing.T) {
	got := openings(t, "{config: {policy: {classStores: false}}, networkPolicy: {enabled: false, egress: {enabled: true, apiServer: {cidrs: [10.96.0.1/32]}}}}")
	if want := []string{"10.96.0.1/32 443/TCP,6443/TCP"}; !slices.Equal(got, want) {
		t.Errorf("the openings are %q, want %q", got, want)
	}
}

func TestTheEgressPolicyNeverOpensMetadataToClasses(t *testing.T) {
	policy := object[networking.NetworkPolicy](t, render(t, "networkPolicy: {enabled: false, egress: {enabled: true}}"), "NetworkPolicy")
	var except []netip.Prefix
	for _, rule := range policy.Spec.Egress {
		for _, peer := range rule.To {
			for _, text := range peer.IPBlock.Except {
				except = append(except, netip.MustParsePrefix(text))
			}
		}
	}
	for _, text := range []string{"169.254.169.254", "169.254.170.2", "169.254.170.23", "100.100.100.200", "168.63.129.16", "fd00:ec2::254", "fd20:ce::254", "fe80::a9fe:a9fe"} {
		if !slices.ContainsFunc(except, func(prefix netip.Prefix) bool { return prefix.Contains(netip.MustParseAddr(text)) }) {
			t.Errorf("%s may be called", text)
		}
	}
}

func TestTheEgressPolicyTakesFurtherRules(t *testing.T) {
	got := openings(t, `{config: {policy: {classStores: false, readObjects: true}}, networkPolicy: {enabled: false, egress: {enabled: true,
  apiServer: {cidrs: [10.96.0.1/32], ports: [443]}, extra: [{to: [{ipBlock: {cidr: 192.0.2.0/24}}], ports: [{port: 8443, protocol: TCP}]}]}}}`)
	if want := []string{"10.96.0.1/32 443/TCP", "192.0.2.0/24 8443/TCP"}; !slices.Equal(got, want) {
		t.Errorf("the openings are %q, want %q", got, want)
	}
}
