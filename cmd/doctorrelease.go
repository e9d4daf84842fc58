package cmd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lanyardhq/lanyard/provider/config"
)

// doctorRelease is one installation of the chart.
type doctorRelease struct {
	provider     doctorWorkload
	sync, inject *doctorWorkload // nil if they are not installed
	// configText is the configuration, and settings what it says; problems is why it
	// cannot be used.
	configName, configText string
	settings               *config.Config
	problems               []string
	unread                 error // why the ConfigMap was not found
	// audiences are those of the tokens that stores and classes need, with who needs each.
	audiences map[string][]string
	classes   []doctorClass
	dialects  []string
	// pods are those of each part, by its name.
	pods    map[string][]doctorPod
	podsErr error
	// metrics are those of each provider's pod, or why they were not read.
	metrics map[string]doctorText
	secrets map[string]error // by the name of a mounted Secret; nil if it is there
	rights  []doctorRight
}

// findReleases finds the chart's installations.
func (c *doctorCluster) findReleases() {
	deployments := listed[doctorWorkload](c, "deployments")
	for _, set := range c.installed.taken {
		labels := set.Metadata.Labels
		release := &doctorRelease{provider: set, pods: map[string][]doctorPod{}, metrics: map[string]doctorText{}, secrets: map[string]error{}, audiences: map[string][]string{}}
		for i := range deployments {
			of := &deployments[i]
			if of.Metadata.Namespace != set.Metadata.Namespace || of.Metadata.Labels["app.kubernetes.io/instance"] != labels["app.kubernetes.io/instance"] {
				continue
			}
			switch of.Metadata.Labels["app.kubernetes.io/component"] {
			case "sync":
				release.sync = of
			case "inject":
				release.inject = of
			}
		}
		release.readConfiguration(c)
		release.needRights(c)
		c.releases = append(c.releases, release)
	}
}

// readConfiguration finds the configuration of the provider's pods.
func (r *doctorRelease) readConfiguration(c *doctorCluster) {
	names, _ := argument(&r.provider.Spec.Template.Spec, "dialects")
	r.dialects = strings.Split(names, ",")
	for _, volume := range r.provider.Spec.Template.Spec.Volumes {
		if volume.Name == "config" && volume.ConfigMap != nil {
			r.configName = volume.ConfigMap.Name
		}
	}
	if r.unread = c.unlisted("configmaps"); r.unread != nil {
		return
	}
	r.unread = fmt.Errorf("there is no ConfigMap %s/%s with lanyard.yaml", r.provider.Metadata.Namespace, r.configName)
	type configMap struct {
		Metadata doctorMeta        `json:"metadata"`
		Data     map[string]string `json:"data"`
	}
	for _, one := range listed[configMap](c, "configmaps") {
		if text, ok := one.Data["lanyard.yaml"]; ok && one.Metadata.Namespace == r.provider.Metadata.Namespace && one.Metadata.Name == r.configName {
			r.configText, r.unread = text, nil
		}
	}
	if r.unread != nil {
		return
	}
	file, err := config.Parse(r.configName, []byte(r.configText))
	if err != nil {
		r.problems = errorLines(err)
		return
	}
	r.settings = &file.Config
	e, wrong, _, err := checkEngineUnder(file)
	switch {
	case err != nil:
		r.problems = errorLines(err)
		return
	case len(wrong) > 0:
		for _, finding := range wrong {
			r.problems = append(r.problems, finding.String())
		}
		return
	}
	defer e.Close()
	probes, giveBack := e.Probes()
	defer giveBack()
	for _, probe := range probes {
		if probe.AsNode {
			continue
		}
		for _, audience := range probe.Audiences {
			r.needAudience(audience, "store "+probe.Name)
		}
	}
	r.classesUnder(c, e)
}

func (r *doctorRelease) needAudience(audience, who string) {
	if !slices.Contains(r.audiences[audience], who) {
		r.audiences[audience] = append(r.audiences[audience], who)
	}
}

// clusterClass is what is looked at of a class.
type clusterClass struct {
	Metadata doctorMeta `json:"metadata"`
	Spec     struct {
		Provider   string            `json:"provider"`
		Parameters map[string]string `json:"parameters"`
	} `json:"spec"`
}

// classesUnder checks the release's classes, and notes whose tokens they need.
func (r *doctorRelease) classesUnder(c *doctorCluster, e *localEngine) {
	for _, class := range listed[clusterClass](c, "secretproviderclasses") {
		if !slices.Contains(r.dialects, class.Spec.Provider) {
			continue
		}
		one := doctorClass{namespace: class.Metadata.Namespace, name: class.Metadata.Name}
		request := (&doctorNode{}).request(classManifest{provider: class.Spec.Provider, parameters: class.Spec.Parameters})
		request.Identity.Namespace = class.Metadata.Namespace
		probes, giveBack, err := e.ProbesOf(request)
		if err != nil {
			one.problems = errorLines(err)
		} else {
			for _, probe := range probes {
				for _, audience := range probe.Audiences {
					r.needAudience(audience, "class "+one.namespace+"/"+one.name)
				}
			}
			giveBack()
		}
		r.classes = append(r.classes, one)
	}
	slices.SortFunc(r.classes, func(a, b doctorClass) int {
		return cmp.Or(strings.Compare(a.namespace, b.namespace), strings.Compare(a.name, b.name))
	})
}

// needRights lists the rights that the parts need in the cluster.
func (r *doctorRelease) needRights(c *doctorCluster) {
	namespace := r.provider.Metadata.Namespace
	account := func(w *doctorWorkload) string {
		return "system:serviceaccount:" + namespace + ":" + w.Spec.Template.Spec.ServiceAccount
	}
	need := func(right doctorRight) { r.rights = append(r.rights, right) }
	if r.settings != nil {
		of := account(&r.provider)
		if name := r.settings.Cache.VersionKeySecret; name != "" {
			need(doctorRight{account: of, verb: "get", resource: "secrets", name: name, namespace: namespace, why: "cache.versionKeySecret"})
		}
		if r.settings.Policy.TokenRequest {
			for _, where := range r.boundIn(c, "provider") {
				need(doctorRight{account: of, verb: "create", resource: "serviceaccounts", subresource: "token", namespace: where, bound: where != "", why: "policy.tokenRequest"})
			}
		}
		if r.settings.Policy.ReadObjects {
			need(doctorRight{account: of, verb: "get", resource: "serviceaccounts", why: "policy.readObjects"})
			need(doctorRight{account: of, verb: "get", resource: "nodes", why: "policy.readObjects"})
		}
	}
	if r.sync != nil {
		of := account(r.sync)
		for _, verb := range []string{"get", "list", "watch"} {
			need(doctorRight{account: of, verb: verb, group: classResource.Group, resource: "secretproviderclasses", why: "it follows classes"})
		}
		for _, where := range r.boundIn(c, "sync") {
			need(doctorRight{account: of, verb: "create", resource: "secrets", namespace: where, bound: where != "", why: "it writes Secrets"})
			need(doctorRight{account: of, verb: "patch", resource: "secrets", namespace: where, bound: where != "", why: "it writes Secrets"})
			need(doctorRight{account: of, verb: "create", resource: "serviceaccounts", subresource: "token", namespace: where, bound: where != "", why: "it reads stores as service accounts"})
		}
		need(doctorRight{account: of, verb: "update", group: "coordination.k8s.io", resource: "leases", name: syncLease, namespace: namespace, why: "one replica works"})
	}
	if r.inject != nil {
		if name, ok := argument(&r.inject.Spec.Template.Spec, "webhook"); ok {
			need(doctorRight{account: account(r.inject), verb: "patch", group: "admissionregistration.k8s.io", resource: "mutatingwebhookconfigurations", name: name, why: "it says whom API servers trust"})
		}
	}
}

// syncLease is the Lease by which one replica of the sync controller works.
const syncLease = "lanyard-sync"

// boundIn are the namespaces that the chart limits a part's rights to; one empty name
// stands for all.
func (r *doctorRelease) boundIn(c *doctorCluster, part string) []string {
	type binding struct {
		Metadata doctorMeta `json:"metadata"`
	}
	var found []string
	for _, one := range listed[binding](c, "rolebindings") {
		labels := one.Metadata.Labels
		// Those of the release's own objects have no colon in their names.
		if labels["app.kubernetes.io/component"] == part && labels["app.kubernetes.io/instance"] == r.provider.Metadata.Labels["app.kubernetes.io/instance"] && strings.HasPrefix(one.Metadata.Name, r.provider.Metadata.Namespace+":") {
			found = append(found, one.Metadata.Namespace)
		}
	}
	if found == nil {
		return []string{""}
	}
	return found
}

// maxMetricsRead is more than the metrics of a thousand nodes have, in bytes.
const maxMetricsRead = 256 << 20

// readRelease reads what concerns one installation.
func (r *clusterReader) readRelease(ctx context.Context, release *doctorRelease) {
	parts := map[string]*doctorWorkload{"provider": &release.provider, "sync": release.sync, "inject": release.inject}
	for part, of := range parts {
		if of == nil {
			continue
		}
		pods, err := r.pods(ctx, of)
		if err != nil {
			release.podsErr = err
		}
		release.pods[part] = pods
	}
	var group errgroup.Group
	group.SetLimit(doctorAtOnce)
	var mu sync.Mutex
	read := 0
	for _, pod := range release.pods["provider"] {
		group.Go(func() error {
			text, err := r.metrics(ctx, &release.provider, &pod)
			mu.Lock()
			defer mu.Unlock()
			if read += len(text); read > maxMetricsRead {
				text, err = "", errors.New("the metrics of the other pods are too long already")
			}
			release.metrics[pod.Metadata.Name] = doctorText{text, err}
			return nil
		})
	}
	for _, volume := range release.provider.Spec.Template.Spec.Volumes {
		if volume.Secret == nil {
			continue
		}
		group.Go(func() error {
			limited, cancel := context.WithTimeout(ctx, r.within)
			defer cancel()
			_, err := r.metadata.Resource(secretResource).Namespace(release.provider.Metadata.Namespace).Get(limited, volume.Secret.Name, meta.GetOptions{})
			mu.Lock()
			defer mu.Unlock()
			release.secrets[volume.Secret.Name] = err
			return nil
		})
	}
	for i := range release.rights {
		group.Go(func() error {
			r.review(ctx, &release.rights[i])
			return nil
		})
	}
	_ = group.Wait() //nolint:errcheck // nothing returns one
}
