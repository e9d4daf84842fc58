package aws

import (
	"regexp"
	"slices"
	"strings"

	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/internal/strict"
	"github.com/lanyardhq/lanyard/provider/backend/remote"
)

// The auth methods, and which address of the node's agent is asked.
const (
	methodWebIdentity = "webIdentity"
	methodPodIdentity = "podIdentity"

	addressAuto = "auto"
	addressIPv4 = "ipv4"
	addressIPv6 = "ipv6"
)

// The audiences of the pods' tokens, and the agent's addresses.
// https://docs.aws.amazon.com/eks/latest/userguide/iam-roles-for-service-accounts.html
// https://docs.aws.amazon.com/eks/latest/userguide/pod-id-how-it-works.html
const (
	stsAudience   = "sts.amazonaws.com"
	agentAudience = "pods.eks.amazonaws.com"
	agentIPv4     = "http://169.254.170.23"
	agentIPv6     = "http://[fd00:ec2::23]"
	agentPath     = "/v1/credentials"
)

// roleAnnotation is where a service account names its role for IRSA.
// https://docs.aws.amazon.com/eks/latest/userguide/associate-service-account-role.html
const roleAnnotation = "eks.amazonaws.com/role-arn"

// maxChained bounds a chain of roles.
const maxChained = 4

// maxExternalID is the longest external ID.
const maxExternalID = 1224

// Auth says how a pod's identity becomes credentials.
type Auth struct {
	// Method is webIdentity, which is IRSA, or podIdentity.
	Method string `yaml:"method"`
	// Role is the ARN of the role that webIdentity assumes; empty takes that of
	// the service account's annotation.
	Role string `yaml:"role"`
	// Audience is that of the pod's token.
	Audience string `yaml:"audience"`
	// Chain are the ARNs of roles that are assumed one after another, the last
	// of which reads.
	Chain []string `yaml:"chain"`
	// ExternalID is sent for each role of Chain, for trust policies that ask for it.
	ExternalID string `yaml:"externalID"`
	// SessionName is what CloudTrail shows beside the role, and Tags are the session's,
	// which are sent for each role of Chain. Both may hold the places of the identity.
	SessionName string            `yaml:"sessionName"`
	Tags        map[string]string `yaml:"tags"`
	// STSEndpoint is where tokens are exchanged and roles assumed; empty means
	// the region's own.
	STSEndpoint string `yaml:"stsEndpoint"`
	// AddressType is which of the agent's addresses podIdentity asks: auto,
	// ipv4 or ipv6.
	AddressType string `yaml:"addressType"`
	// AgentEndpoint is asked instead of the agent's own addresses.
	AgentEndpoint string `yaml:"agentEndpoint"`
}

// roleARN is the form of a role's ARN.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html#identifiers-arns
var roleARN = regexp.MustCompile(`^arn:aws[a-z-]*:iam::[0-9]{12}:role/[\w+=,.@/-]+$`)

func isRole(arn string) bool { return len(arn) <= 2048 && roleARN.MatchString(arn) }

const notRole = "must be the ARN of a role, such as arn:aws:iam::111122223333:role/web"

// externalID is the form of an external ID.
// https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html
var externalID = regexp.MustCompile(`^[\w+=,.@:/-]+$`)

func (a *Auth) check(byOperator bool, problems *remote.Problems) {
	methods := []string{methodWebIdentity, methodPodIdentity}
	if !slices.Contains(methods, a.Method) {
		problems.Add("auth.method", "%s", strict.Unknown("method", message.Excerpt(a.Method), methods))
		return
	}
	if a.Role != "" && !isRole(a.Role) {
		problems.Add("auth.role", notRole)
	}
	if len(a.Chain) > maxChained {
		problems.Add("auth.chain", "has %d roles; the maximum is %d", len(a.Chain), maxChained)
	}
	for _, role := range a.Chain {
		if !isRole(role) {
			problems.Add("auth.chain", "each %s", notRole)
			break
		}
	}
	checkExternalID("auth", a.ExternalID, a.Chain, problems)
	a.checkSession(problems)
	if strings.ContainsFunc(a.Audience, func(r rune) bool { return r <= ' ' || r == 0x7f }) || len(a.Audience) > 256 {
		problems.Add("auth.audience", "must be one of the audiences in spec.tokenRequests of the CSIDriver, such as %s", stsAudience)
	}
	checkEndpoint("auth.stsEndpoint", a.STSEndpoint, problems)
	checkEndpoint("auth.agentEndpoint", a.AgentEndpoint, problems)
	if a.AgentEndpoint != "" && !byOperator {
		problems.Add("auth.agentEndpoint", "is an address of the node, so only the operator's configuration file may give it")
	}
	kinds := []string{addressAuto, addressIPv4, addressIPv6}
	if !slices.Contains(kinds, a.AddressType) {
		problems.Add("auth.addressType", "%s", strict.Unknown("address type", message.Excerpt(a.AddressType), kinds))
	}
	if a.Method == methodWebIdentity {
		if a.AddressType != addressAuto {
			problems.Add("auth.addressType", "is for the method podIdentity alone; remove it")
		}
	} else if a.Role != "" {
		problems.Add("auth.role", "has no meaning for the method podIdentity, whose association names the role; remove it, or put a role that is to be assumed after that one into auth.chain")
	}
}

// checkExternalID notes what is wrong with the external ID of the settings below a field.
func checkExternalID(below, id string, chain []string, problems *remote.Problems) {
	switch {
	case id == "":
	case len(id) < 2 || len(id) > maxExternalID || !externalID.MatchString(id):
		problems.Add(below+".externalID", "must be 2 to %d letters, digits and +=,.@:/_-", maxExternalID)
	case len(chain) == 0:
		problems.Add(below+".externalID", "is sent for the roles of %[1]s.chain, and there are none; put the role that asks for it into %[1]s.chain", below)
	}
}

// audience returns the audience of the token to exchange.
func (a *Auth) audience() string {
	switch {
	case a.Audience != "":
		return a.Audience
	case a.Method == methodPodIdentity:
		return agentAudience
	}
	return stsAudience
}

// agents are the addresses to ask, in their order.
func (a *Auth) agents() []string {
	switch {
	case a.AgentEndpoint != "":
		return []string{strings.TrimSuffix(a.AgentEndpoint, "/") + agentPath}
	case a.AddressType == addressIPv4:
		return []string{agentIPv4 + agentPath}
	case a.AddressType == addressIPv6:
		return []string{agentIPv6 + agentPath}
	}
	return []string{agentIPv4 + agentPath, agentIPv6 + agentPath}
}
