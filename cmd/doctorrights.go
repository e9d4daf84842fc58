package cmd

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"strings"
	"time"
)

func (c *doctorCluster) checkRights(_ context.Context, n *doctorNotes) {
	c.each(n, nil, func(r *doctorRelease) {
		allowed := 0
		for i := range r.rights {
			right := &r.rights[i]
			_, account, _ := strings.Cut(strings.TrimPrefix(right.account, "system:serviceaccount:"), ":")
			switch {
			case right.err != nil:
				n.unknown("service account "+account, fixWith("docs/doctor.md has the ClusterRole with the rights that doctor needs"), "whether it may %s is not known: %v", right, right.err)
			case !right.allowed && right.bound:
				n.warn("service account "+account, noFix, "it may not %s, where a RoleBinding with the release's labels is: %s", right, right.why)
			case !right.allowed:
				n.fail("service account "+account, fixWith("kubectl auth can-i %s %s --as=%s", right.verb, right.resource, right.account).and(r.upgrade("nothing=changed")).and(fixWith("the upgrade makes the chart's roles anew")), "it may not %s, which it needs: %s", right, right.why)
			default:
				allowed++
			}
		}
		if allowed == len(r.rights) {
			n.ok(r.name(), "its service accounts have the %d rights that they need", allowed)
		}
	})
}

func (c *doctorCluster) checkPolicies(_ context.Context, n *doctorNotes) {
	c.each(n, []string{"validatingadmissionpolicies", "validatingadmissionpolicybindings"}, func(r *doctorRelease) {
		type policy struct {
			Metadata doctorMeta `json:"metadata"`
			Spec     struct {
				Policy  string   `json:"policyName"`
				Actions []string `json:"validationActions"`
			} `json:"spec"`
			Status struct {
				Types struct {
					Warnings []struct {
						Warning string `json:"warning"`
					} `json:"expressionWarnings"`
				} `json:"typeChecking"`
			} `json:"status"`
		}
		own := func(p policy) bool { return p.Metadata.Labels["app.kubernetes.io/instance"] == r.helm() }
		bound := map[string][]string{}
		for _, binding := range listed[policy](c, "validatingadmissionpolicybindings") {
			if own(binding) {
				bound[binding.Spec.Policy] = binding.Spec.Actions
			}
		}
		ofSync := 0
		for _, one := range listed[policy](c, "validatingadmissionpolicies") {
			if !own(one) {
				continue
			}
			if one.Metadata.Labels["app.kubernetes.io/component"] == "sync" {
				ofSync++
			}
			actions, is := bound[one.Metadata.Name]
			switch {
			case !is:
				n.fail(one.Metadata.Name, r.upgrade("nothing=changed").and(fixWith("the upgrade makes the binding anew")), "the policy has no binding, so it holds for nobody")
			case len(one.Status.Types.Warnings) > 0:
				n.warn(one.Metadata.Name, fixWith("kubectl get validatingadmissionpolicy %s -o yaml", one.Metadata.Name), "the API server doubts an expression: %s", one.Status.Types.Warnings[0].Warning)
			default:
				n.ok(one.Metadata.Name, "bound with %s", strings.Join(actions, ", "))
			}
		}
		switch {
		case r.sync != nil && ofSync == 0:
			n.fail("sync", r.upgrade("sync.admissionPolicies.enabled=true"), "the sync controller runs without its admission policies: its right to patch Secrets is one to read all of them")
		case r.sync == nil && len(bound) == 0:
			n.ok(r.name(), "nothing that needs one is installed")
		}
	})
}

func (c *doctorCluster) checkSync(_ context.Context, n *doctorNotes) {
	c.each(n, []string{"deployments"}, func(r *doctorRelease) {
		if r.sync == nil {
			n.ok(r.name(), "it is not installed (sync.enabled)")
			return
		}
		c.checkDeployment(n, r.sync, r.pods["sync"], "no Secret is written or renewed")
	})
}

// checkDeployment tells whether a Deployment works. One pod that does is enough.
func (*doctorCluster) checkDeployment(n *doctorNotes, of *doctorWorkload, pods []doctorPod, without string) {
	fix := fixWith("kubectl describe deployment %s -n %s; kubectl logs deployment/%s -n %s", of.Metadata.Name, of.Metadata.Namespace, of.Metadata.Name, of.Metadata.Namespace)
	unready := 0
	for _, pod := range pods {
		if ready, why := pod.ready(); !ready {
			unready++
			note := n.warn
			if of.Status.Available == 0 {
				note = n.fail
			}
			note("pod "+pod.Metadata.Name, fix, "it is not ready: %s", why)
		}
	}
	switch {
	case of.Status.Available > 0:
		n.ok(of.name(), "%d of %d replicas are available", of.Status.Available, max(of.Status.Replicas, of.Status.Available))
	case unready == 0:
		n.fail(of.name(), fix, "it has no pod: %s", without)
	default:
		n.fail(of.name(), fix, "no replica is available: %s", without)
	}
}

func (c *doctorCluster) checkWebhook(_ context.Context, n *doctorNotes) {
	c.each(n, []string{"deployments", "mutatingwebhookconfigurations"}, func(r *doctorRelease) {
		if r.inject == nil {
			n.ok(r.name(), "it is not installed (inject.enabled)")
			return
		}
		c.checkDeployment(n, r.inject, r.pods["inject"], "pods that ask for secrets are refused")
		name, _ := argument(&r.inject.Spec.Template.Spec, "webhook")
		type configuration struct {
			Metadata doctorMeta `json:"metadata"`
			Webhooks []struct {
				Name   string `json:"name"`
				Client struct {
					Bundle string `json:"caBundle"`
				} `json:"clientConfig"`
			} `json:"webhooks"`
		}
		found := false
		for _, one := range listed[configuration](c, "mutatingwebhookconfigurations") {
			if one.Metadata.Name != name && name != "" {
				continue
			}
			found = true
			for _, hook := range one.Webhooks {
				ends, err := bundleEnds(hook.Client.Bundle)
				switch {
				case err != nil:
					n.fail(hook.Name, fixWith("kubectl logs deployment/%s -n %s", r.inject.Metadata.Name, r.inject.Metadata.Namespace), "caBundle of %s %v: API servers trust nobody there, and refuse pods that ask for secrets", one.Metadata.Name, err)
				case ends.Before(c.now):
					n.fail(hook.Name, fixWith("kubectl rollout restart deployment/%s -n %s", r.inject.Metadata.Name, r.inject.Metadata.Namespace), "the authority in caBundle of %s ended at %s", one.Metadata.Name, ends.UTC().Format(time.RFC3339))
				default:
					n.ok(hook.Name, "the authority in its caBundle is valid until %s", ends.UTC().Format(time.RFC3339))
				}
			}
		}
		if !found {
			n.fail(r.name(), r.upgrade("inject.enabled=true"), "there is no MutatingWebhookConfiguration %s: pods start without what they ask for", name)
		}
	})
}

// bundleEnds is when the last certificate of a caBundle ends.
func bundleEnds(bundle string) (ends time.Time, err error) {
	text, err := base64.StdEncoding.DecodeString(bundle)
	if err != nil || len(text) == 0 {
		return ends, errors.New("is empty")
	}
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return ends, errors.New("holds no certificate")
		}
		if certificate.NotAfter.After(ends) {
			ends = certificate.NotAfter
		}
	}
	if ends.IsZero() {
		return ends, errors.New("holds no certificate")
	}
	return ends, nil
}
