package cmd

import (
	"context"
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/provider/engine"
)

func (c *doctorCluster) checkNodeClocks(_ context.Context, n *doctorNotes) {
	if !c.needs(n, "leases", "nodes") {
		return
	}
	if c.date.IsZero() {
		n.unknown("", noFix, "the API server does not report its time")
		return
	}
	type lease struct {
		Metadata doctorMeta `json:"metadata"`
		Spec     struct {
			Renewed string `json:"renewTime"`
			Seconds int64  `json:"leaseDurationSeconds"`
		} `json:"spec"`
	}
	agree := 0
	for _, one := range listed[lease](c, "leases") {
		if one.Metadata.Namespace != "kube-node-lease" {
			continue
		}
		// The kubelet writes its own clock's time every ten seconds.
		renewed, err := time.Parse(time.RFC3339Nano, one.Spec.Renewed)
		if err != nil {
			continue
		}
		ahead := renewed.Sub(c.date)
		place := "node " + one.Metadata.Name
		switch {
		case ahead > skewWarn:
			reportSkew(n, place, ahead, "the node", "the API server")
		case -ahead > skewFail+time.Duration(one.Spec.Seconds)*time.Second:
			n.warn(place, fixWith("kubectl get node %s", one.Metadata.Name), "its kubelet has not been heard of for %s: it is down, or its clock is behind", message.Duration((-ahead).Round(time.Second)))
		default:
			agree++
		}
	}
	if agree > 0 {
		n.ok("", "%s with the API server's clock", agrees(agree))
	} else if len(n.findings) == 0 {
		n.unknown("", noFix, "no node has a Lease that reports its time")
	}
}

func agrees(nodes int) string {
	if nodes == 1 {
		return "1 node agrees"
	}
	return strconv.Itoa(nodes) + " nodes agree"
}

func (c *doctorCluster) checkStores(_ context.Context, n *doctorNotes) {
	c.each(n, nil, func(r *doctorRelease) {
		up := map[string]int{}
		for _, pod := range slices.Sorted(maps.Keys(r.metrics)) {
			read := r.metrics[pod]
			if read.err != nil {
				n.unknown("pod "+pod, fixWith("give the API server's addresses in networkPolicy.from, or run doctor in the pod: kubectl exec -n %s %s -- /lanyard doctor --node --config /etc/lanyard/config/lanyard.yaml", r.provider.Metadata.Namespace, pod), "its metrics cannot be read through the API server: %v", read.err)
				continue
			}
			for _, found := range storeUp.FindAllStringSubmatch(read.text, -1) {
				if found[2] == "1" {
					up[found[1]]++
					continue
				}
				note := n.fail
				if found[1] == engine.ClassDefined {
					note = n.warn // whose they are, they have to fix them
				}
				note("store "+found[1], fixWith("kubectl exec -n %s %s -- /lanyard doctor --node --config /etc/lanyard/config/lanyard.yaml", r.provider.Metadata.Namespace, pod), "the provider's pod %s found it unavailable when it was read last", pod)
			}
		}
		for _, name := range slices.Sorted(maps.Keys(up)) {
			n.ok("store "+name, "available, as %d of %s found when it was read last", up[name], count(len(r.metrics), "provider"))
		}
		if len(n.findings) == 0 {
			n.ok(r.name(), "no store of the configuration has been read yet")
		}
	})
}

var storeUp = regexp.MustCompile(`(?m)^lanyard_store_up\{store="([^"]*)"\} ([01])$`)

// metric is the value of a metric without labels.
func metric(text, name string) (float64, bool) {
	_, rest, ok := strings.Cut("\n"+text, "\n"+name+" ")
	if !ok {
		return 0, false
	}
	line, _, _ := strings.Cut(rest, "\n")
	value, err := strconv.ParseFloat(strings.TrimSpace(line), 64)
	return value, err == nil
}

func (c *doctorCluster) checkClasses(_ context.Context, n *doctorNotes) {
	c.each(n, []string{"secretproviderclasses"}, func(r *doctorRelease) {
		if r.settings == nil || len(r.problems) > 0 {
			n.unknown(r.name(), noFix, "not looked at: the configuration cannot be used (cluster-configuration)")
			return
		}
		right := 0
		for _, class := range r.classes {
			if len(class.problems) == 0 {
				right++
			}
			for _, problem := range class.problems {
				n.fail("class "+class.namespace+"/"+class.name, fixWith("kubectl get secretproviderclass %s -n %s -o yaml | lanyard check -", class.name, class.namespace), "%s", problem)
			}
		}
		n.ok(r.name(), "%d of %s without problems", right, count(len(r.classes), "class"))
	})
}

// jsonField is a text of a JSON object.
func jsonField(text, field string) string {
	var fields map[string]any
	if json.Unmarshal([]byte(text), &fields) != nil {
		return ""
	}
	value, _ := fields[field].(string)
	return value
}
