package aws

import (
	"context"
	"time"

	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/internal/strict"
	"github.com/lanyardhq/lanyard/provider/backend/credential"
	"github.com/lanyardhq/lanyard/provider/backend/remote"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/identity"
)

// regionFor is after about how long the node's region is asked for again.
const regionFor = 24 * time.Hour

// regionLabel is where a node names its region.
// https://kubernetes.io/docs/reference/labels-annotations-taints/#topologykubernetesioregion
const regionLabel = "topology.kubernetes.io/region"

// LooksUp are the settings that calls look up in the cluster's objects, as
// store.ClusterReader has it.
func (a *Access) LooksUp() (missing strict.Problems) {
	if a.node != nil {
		return nil
	}
	if a.settings.Region == "" {
		missing = append(missing, strict.Problem{Field: "region", Text: "missing, and the provider may not look up the region of its node; give it, or let the operator set policy.readObjects"})
	}
	if auth := &a.settings.Auth; auth.Method == methodWebIdentity && auth.Role == "" {
		missing = append(missing, strict.Problem{Field: "auth.method", Text: "without EKS Pod Identity the role is that of the service account's annotation " + roleAnnotation + ", which the provider may not look up; give auth.role, or let the operator set policy.readObjects"})
	}
	return missing
}

// annotatedRole is the role of the service account's annotation.
func (p *Platform) annotatedRole(ctx context.Context, as identity.Identity) (string, error) {
	if p.cluster == nil {
		return "", fault.Failf(fault.ErrInvalid, "no role is named; give auth.role, the ARN of the role that the service account may assume")
	}
	return p.facts.Annotation(ctx, p.cluster, as, roleAnnotation, func(role string) error {
		switch {
		case role == "":
			return fault.Failf(fault.ErrInvalid, "no role is named: service account %s in namespace %s has no annotation %s; add it, or give auth.role", message.Excerpt(as.ServiceAccount), message.Excerpt(as.Namespace), roleAnnotation)
		case !isRole(role):
			return credential.WrongAnnotation(as, roleAnnotation, notRole)
		}
		return nil
	})
}

// nodeRegion is the region of the node's label.
func (p *Platform) nodeRegion(ctx context.Context) (string, error) {
	if p.cluster == nil {
		return "", fault.Failf(fault.ErrInvalid, "no region is named; give region, such as eu-west-1")
	}
	return p.facts.Get(ctx, credential.Key{Issuer: regionLabel}, regionFor, func(ctx context.Context) (string, error) {
		region, err := p.cluster.NodeLabel(ctx, regionLabel)
		switch {
		case err != nil:
			return "", remote.ClusterFailure(err)
		case !isRegion(region):
			return "", fault.Failf(fault.ErrInvalid, "no region is named, and the node's label %s names none of AWS; give region in the class or the configuration", regionLabel)
		}
		return region, nil
	})
}
