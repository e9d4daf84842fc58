package cluster

import (
	"context"
	"strings"
)

const (
	cniPlugins = "/usr/lib/cni"
	// cniNetwork names the pods' network; the plugins' own files carry it.
	cniNetwork = "lanyard-cluster"
)

// prepareNetwork gives the node its address and pods a network: a pair of
// virtual devices for each, with the node as the router.
func (c *Cluster) prepareNetwork(ctx context.Context) error {
	if err := c.writeJSON("cni/10-pods.conflist", map[string]any{
		"cniVersion": "0.4.0",
		"name":       cniNetwork,
		"plugins": []any{map[string]any{
			"type": "ptp",
			"ipam": map[string]any{
				"type": "host-local", "dataDir": c.Path("cni", "addresses"),
				"ranges": []any{[]any{map[string]any{"subnet": podNetwork}}},
				"routes": []any{map[string]any{"dst": "0.0.0.0/0"}},
			},
		}},
	}); err != nil {
		return err
	}
	addresses, err := run(ctx, "ip", "-oneline", "address", "show", "dev", "lo")
	if err != nil {
		return err
	}
	if !strings.Contains(addresses, " "+Address+"/") {
		if _, err := run(ctx, "ip", "address", "add", Address+"/32", "dev", "lo"); err != nil {
			return err
		}
	}
	if _, err := run(ctx, "iptables", c.serviceRule("-C")...); err == nil {
		return nil
	}
	_, err = run(ctx, "iptables", c.serviceRule("-A")...)
	return err
}

// serviceRule is the one rule that kube-proxy would make here: it leads the pods' calls
// of the service kubernetes to the API server.
func (c *Cluster) serviceRule(do string) []string {
	return []string{"-t", "nat", do, "PREROUTING", "-d", apiService + "/32", "-p", "tcp", "--dport", "443", "-j", "DNAT", "--to-destination", Address + ":" + c.at.api}
}

// removeNetwork removes the node's address. Those of pods went with them.
func (c *Cluster) removeNetwork(ctx context.Context) error {
	if _, err := run(ctx, "iptables", c.serviceRule("-C")...); err == nil {
		if _, err := run(ctx, "iptables", c.serviceRule("-D")...); err != nil {
			return err
		}
	}
	addresses, err := run(ctx, "ip", "-oneline", "address", "show", "dev", "lo")
	if err != nil || !strings.Contains(addresses, " "+Address+"/") {
		return err
	}
	_, err = run(ctx, "ip", "address", "del", Address+"/32", "dev", "lo")
	return err
}
