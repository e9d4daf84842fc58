package cmd

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/server/csi"
)

func (c *doctorCluster) checkVersions(_ context.Context, n *doctorNotes) {
	if !c.needs(n) {
		return
	}
	if version, ok := parseVersion(c.version); !ok {
		n.unknown("Kubernetes", noFix, "its version %s cannot be read", message.Printable(c.version))
	} else if version[0] == 1 && version[1] < support.Kubernetes {
		n.fail("Kubernetes", fixWith("upgrade the cluster"), "%s is older than 1.%d, the oldest that is supported", c.version, support.Kubernetes)
	} else {
		n.ok("Kubernetes", "%s is supported", c.version)
	}
	for _, set := range c.drivers() {
		text := driverVersion(&set)
		version, ok := parseVersion(text)
		switch {
		case !ok:
			n.unknown("driver", fixWith("kubectl get daemonset %s -n %s -o wide", set.Metadata.Name, set.Metadata.Namespace), "the tag of its image (%s) is no version", message.Printable(text))
		case older(version, support.Driver):
			n.fail("driver", fixWith("upgrade the driver"), "%s is older than %s, the oldest that is supported", text, versionName(support.Driver))
		case older(version, support.DriverTested):
			n.warn("driver", fixWith("upgrade the driver to %s", versionName(support.DriverTested)), "Lanyard is tested with %s, and this is %s", versionName(support.DriverTested), text)
		default:
			n.ok("driver", "%s is supported", text)
		}
	}
	for _, release := range c.releases {
		images := map[string]bool{}
		for _, pod := range release.pods["provider"] {
			for _, container := range pod.Spec.Containers {
				images[container.Image] = true
			}
		}
		if len(images) > 1 {
			n.warn(release.name(), fixWith("kubectl rollout status daemonset/%s -n %s", release.provider.Metadata.Name, release.provider.Metadata.Namespace), "its pods run different images: %s", strings.Join(slices.Sorted(maps.Keys(images)), ", "))
		}
		own, runs := thisBuild().Version, release.provider.Metadata.Labels["app.kubernetes.io/version"]
		a, known := parseVersion(own)
		if b, ok := parseVersion(runs); ok && known && a != b {
			n.warn(release.name(), fixWith("use the program of the version that is installed"), "%s is installed, and this is lanyard %s", runs, own)
		} else {
			n.ok(release.name(), "%s is installed", message.Printable(runs))
		}
	}
}

func versionName(v [3]int) string { return fmt.Sprintf("%d.%d.%d", v[0], v[1], v[2]) }

// isDriver says that a DaemonSet looks like the Secrets Store CSI driver: what the projects and the
// clouds install has a container of this name, or an image of the driver's.
// https://github.com/kubernetes-sigs/secrets-store-csi-driver/blob/v1.6.0/deploy/secrets-store-csi-driver.yaml
func (w *doctorWorkload) isDriver() bool {
	return w.Metadata.Labels["app.kubernetes.io/part-of"] != "lanyard" && slices.ContainsFunc(w.Spec.Template.Spec.Containers, func(of doctorContainer) bool {
		return of.Name == "secrets-store" && slices.ContainsFunc(of.Args, func(arg string) bool { return strings.HasPrefix(arg, "--endpoint") }) ||
			strings.Contains(of.Image, "csi-secrets-store/driver")
	})
}

// drivers are the DaemonSets of the driver.
func (c *doctorCluster) drivers() []doctorWorkload { return c.driver.taken }

// driverVersion is the tag of the driver's image.
func driverVersion(set *doctorWorkload) string {
	for _, container := range set.Spec.Template.Spec.Containers {
		if container.Name != "secrets-store" && !strings.Contains(container.Image, "csi-secrets-store/driver") {
			continue
		}
		image, _, _ := strings.Cut(container.Image, "@")
		if _, tag, ok := strings.Cut(path.Base(image), ":"); ok {
			return tag
		}
	}
	return ""
}

// audienceRequest is an entry of tokenRequests, as JSON.
func audienceRequest(audience string) string {
	text, err := json.Marshal(map[string]string{"audience": audience})
	if err != nil {
		return "" // a map of texts always can be
	}
	return string(text)
}

// csiDriver is what is looked at of the CSIDriver object.
type csiDriver struct {
	Metadata doctorMeta `json:"metadata"`
	Spec     struct {
		PodInfo   *bool    `json:"podInfoOnMount"`
		Republish *bool    `json:"requiresRepublish"`
		Modes     []string `json:"volumeLifecycleModes"`
		Tokens    []struct {
			Audience string `json:"audience"`
		} `json:"tokenRequests"`
	} `json:"spec"`
}

func (c *doctorCluster) driverObject() *csiDriver {
	for _, one := range listed[csiDriver](c, "csidrivers") {
		if one.Metadata.Name == driverName {
			return &one
		}
	}
	return nil
}

const noDriver = "there is no CSIDriver " + driverName + ": the Secrets Store CSI driver is not installed"

var installDriver = fixWith("helm install csi-secrets-store secrets-store-csi-driver/secrets-store-csi-driver -n kube-system; docs/install.md has its values")

func (c *doctorCluster) checkDriverObject(_ context.Context, n *doctorNotes) {
	if !c.needs(n, "csidrivers") {
		return
	}
	object := c.driverObject()
	if object == nil {
		n.fail("", installDriver, noDriver)
		return
	}
	right := true
	if object.Spec.PodInfo == nil || !*object.Spec.PodInfo {
		right = false
		n.fail("", fixWith("kubectl patch csidriver %s --type merge -p %s", driverName, `{"spec":{"podInfoOnMount":true}}`), "podInfoOnMount is not true: the provider does not learn whose volume it is, and refuses every mount")
	}
	if !slices.Contains(object.Spec.Modes, "Ephemeral") {
		right = false
		n.fail("", fixWith("install the driver anew: volumeLifecycleModes cannot be changed"), "volumeLifecycleModes does not have Ephemeral: pods cannot name the driver in their volumes")
	}
	if right {
		n.ok("", "%s is as the driver needs it", driverName)
	}
}

func (c *doctorCluster) checkTokens(_ context.Context, n *doctorNotes) {
	c.each(n, []string{"csidrivers"}, func(r *doctorRelease) {
		object := c.driverObject()
		if object == nil {
			n.unknown(r.name(), noFix, noDriver)
			return
		}
		if r.settings == nil {
			n.unknown(r.name(), noFix, "not looked at: the configuration cannot be used (cluster-configuration)")
			return
		}
		passed := map[string]bool{}
		for _, token := range object.Spec.Tokens {
			passed[token.Audience] = true
		}
		var requests []string
		for _, audience := range slices.Sorted(maps.Keys(passed)) {
			requests = append(requests, audienceRequest(audience))
		}
		for _, audience := range slices.Sorted(maps.Keys(r.audiences)) {
			if !passed[audience] {
				requests = append(requests, audienceRequest(audience))
			}
		}
		if len(r.audiences) == 0 {
			n.ok(r.name(), "no store and no class says that it needs pods' tokens")
		}
		for _, audience := range slices.Sorted(maps.Keys(r.audiences)) {
			who := message.Names(r.audiences[audience], message.Printable)
			switch {
			case passed[audience]:
				n.ok(r.name(), "tokens for %s are passed on, as needed by %s", audience, who)
			case r.settings.Policy.TokenRequest:
				n.ok(r.name(), "tokens for %s are asked for by the provider (policy.tokenRequest), as needed by %s", audience, who)
			default:
				n.fail(r.name(), fixWith("kubectl patch csidriver %s --type merge -p %s", driverName, `{"spec":{"tokenRequests":[`+strings.Join(requests, ",")+"]}}"),
					"tokenRequests of the CSIDriver %s has no audience %s, which is needed by %s: they cannot log in", driverName, audience, who)
			}
		}
	})
}

func (c *doctorCluster) checkRotation(_ context.Context, n *doctorNotes) {
	if !c.needs(n, "csidrivers", "daemonsets") {
		return
	}
	object := c.driverObject()
	if object == nil {
		n.unknown("", noFix, noDriver)
		return
	}
	if object.Spec.Republish == nil || !*object.Spec.Republish {
		n.fail("CSIDriver", fixWith("kubectl patch csidriver %s --type merge -p %s", driverName, `{"spec":{"requiresRepublish":true}}`), "requiresRepublish is not true: the kubelet never asks again, so that changed values do not reach pods that run, and their tokens run out")
	} else {
		n.ok("CSIDriver", "requiresRepublish is true")
	}
	drivers := c.drivers()
	if len(drivers) == 0 {
		n.unknown("driver", fixWith("kubectl get daemonsets -A"), "no DaemonSet with the driver was found, so its flags are not known")
	}
	for _, set := range drivers {
		on, given := argument(&set.Spec.Template.Spec, "enable-secret-rotation")
		if !given || on != "true" {
			n.fail(set.name(), fixWith("helm upgrade csi-secrets-store secrets-store-csi-driver/secrets-store-csi-driver -n %s --reuse-values --set enableSecretRotation=true", set.Metadata.Namespace), "the driver runs without --enable-secret-rotation=true: changed values do not reach pods that run")
			continue
		}
		interval, _ := argument(&set.Spec.Template.Spec, "rotation-poll-interval")
		n.ok(set.name(), "on, every %s", message.Printable(interval))
	}
}

func (c *doctorCluster) checkDriver(_ context.Context, n *doctorNotes) {
	if !c.needs(n, "daemonsets", "csinodes") {
		return
	}
	drivers := c.drivers()
	c.driver.warnOthers(n, "the driver", fixWith("give --driver-namespace if one is"))
	for _, set := range drivers {
		if set.Status.Ready < set.Status.Desired {
			n.fail(set.name(), fixWith("kubectl get pods -n %s -o wide", set.Metadata.Namespace), "%d of its %d pods are ready", set.Status.Ready, set.Status.Desired)
			continue
		}
		n.ok(set.name(), "all of its %d pods are ready", set.Status.Desired)
	}
	if len(drivers) > 0 {
		return
	}
	if on := c.driverNodes(); len(on) > 0 {
		n.ok("", "it is registered on %s, and runs from no DaemonSet that was found", count(len(on), "node"))
		return
	}
	n.fail("", installDriver, "the driver runs on no node")
}

// driverNodes are the nodes on which the kubelet knows the driver.
func (c *doctorCluster) driverNodes() (names []string) {
	type csiNode struct {
		Metadata doctorMeta `json:"metadata"`
		Spec     struct {
			Drivers []doctorMeta `json:"drivers"`
		} `json:"spec"`
	}
	for _, node := range listed[csiNode](c, "csinodes") {
		for _, driver := range node.Spec.Drivers {
			if driver.Name == driverName {
				names = append(names, node.Metadata.Name)
			}
		}
	}
	return names
}

func (c *doctorCluster) checkDirectory(_ context.Context, n *doctorNotes) {
	c.each(n, nil, func(r *doctorRelease) {
		own, ok := argument(&r.provider.Spec.Template.Spec, "socket-dir")
		if !ok {
			own = csi.FirstDirectory
		}
		// Inside the pod it is the directory of the node that is mounted there.
		drivers := c.drivers()
		if len(drivers) == 0 {
			if slices.Contains(csi.Directories(), own) {
				n.ok(r.name(), "%s, where the driver looks by default", own)
				return
			}
			n.unknown(r.name(), noFix, "sockets are in %s, and no DaemonSet says where the driver looks", own)
		}
		for _, set := range drivers {
			looks := driverDirectories(&set)
			if slices.Contains(looks, own) {
				n.ok(r.name(), "%s, where %s looks", own, set.name())
				continue
			}
			n.fail(r.name(), r.upgrade("socketDirectory="+helmValue(looks[0])), "sockets are in %s, and the driver %s looks in %s alone: no mount reaches the provider", own, set.name(), strings.Join(looks, " and "))
		}
	})
}

// driverDirectories are where a driver looks for sockets: those of its flags that it has
// mounted.
func driverDirectories(set *doctorWorkload) (found []string) {
	spec := &set.Spec.Template.Spec
	first, ok := argument(spec, "provider-volume")
	if !ok {
		first = "/var/run/secrets-store-csi-providers"
	}
	further, ok := argument(spec, "additional-provider-volume-paths")
	if !ok {
		further = csi.FirstDirectory
	}
	for _, directory := range append([]string{first}, strings.Split(further, ",")...) {
		if directory != "" && !slices.Contains(found, directory) {
			found = append(found, directory)
		}
	}
	mounted := slices.DeleteFunc(slices.Clone(found), func(directory string) bool {
		for _, volume := range spec.Volumes {
			if volume.HostPath != nil && path.Clean(volume.HostPath.Path) == path.Clean(directory) {
				return false
			}
		}
		return true
	})
	if len(mounted) > 0 {
		return mounted
	}
	return found
}
