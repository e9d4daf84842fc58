package aws

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/lanyardhq/lanyard/provider/backend/remote"
)

// The bounds and defaults of settings.
const (
	defaultTimeout = 5 * time.Second
	defaultRetries = 4
	maxRetries     = 10
	maxFailovers   = 3
)

// Settings are the part of a connection that all stores of AWS have in common.
// A store embeds them inline in its own settings; docs/stores/aws.md lists them.
type Settings struct {
	Region          string        `yaml:"region"`
	FailoverRegions []string      `yaml:"failoverRegions"`
	Endpoint        string        `yaml:"endpoint"`
	FIPS            bool          `yaml:"fips"`
	DualStack       bool          `yaml:"dualStack"`
	Auth            Auth          `yaml:"auth"`
	TLS             remote.TLS    `yaml:"tls"`
	Timeout         time.Duration `yaml:"timeout"`
	Retries         int           `yaml:"retries"`

	Networks Networks `yaml:"-"`
}

// Networks are the ways to the service, to STS, and to what the node itself answers:
// the agent of EKS Pod Identity, the instance metadata service.
type Networks struct{ Service, STS, Node remote.Network }

// DefaultSettings are what holds where nobody says otherwise.
func DefaultSettings() Settings {
	return Settings{Timeout: defaultTimeout, Retries: defaultRetries, Auth: Auth{Method: methodWebIdentity, SessionName: defaultSession, AddressType: addressAuto}}
}

// WorkloadSettings are those of Settings with which AWS itself decides what the
// pod may have, since the pod's own token must be good for them.
func WorkloadSettings() []string {
	return []string{"region", "failoverRegions", "auth.method", "auth.role", "auth.chain", "auth.externalID", "auth.sessionName", "auth.tags", "auth.addressType"}
}

// Check notes what is wrong with the settings. byOperator says that the
// operator's configuration names the store.
func (s *Settings) Check(byOperator bool, problems *remote.Problems) {
	if s.Region != "" && !isRegion(s.Region) {
		problems.Add("region", notRegion)
	}
	if len(s.FailoverRegions) > maxFailovers {
		problems.Add("failoverRegions", "has %d entries; the maximum is %d", len(s.FailoverRegions), maxFailovers)
	}
	for i, region := range s.FailoverRegions[:min(len(s.FailoverRegions), maxFailovers)] {
		field := fmt.Sprintf("failoverRegions[%d]", i)
		switch {
		case !isRegion(region):
			problems.Add(field, notRegion)
		case region == s.Region || slices.Contains(s.FailoverRegions[:i], region):
			problems.Add(field, "is named before already; name each region once")
		}
	}
	checkEndpoint("endpoint", s.Endpoint, problems)
	s.Networks.check("endpoint", s.Networks.Service, s.Endpoint, s.Region, problems)
	s.Networks.check("auth.stsEndpoint", s.Networks.STS, s.Auth.STSEndpoint, s.Region, problems)
	s.Networks.check("auth.agentEndpoint", s.Networks.Node, s.Auth.AgentEndpoint, s.Region, problems)
	if s.Endpoint != "" && (s.FIPS || s.DualStack) {
		problems.Add("endpoint", "leaves fips and dualStack without effect; name the endpoint that has them, or leave it out")
	}
	problems.CheckTries(s.Timeout, 100*time.Millisecond, s.Retries, maxRetries)
	s.Auth.check(byOperator, problems)
	s.TLS.Check(byOperator, false, problems.Add)
}

// check looks at an endpoint of the settings. One that needs a region which only the
// call knows is looked at when it is dialled.
func (Networks) check(field string, network remote.Network, endpoint, region string, problems *remote.Problems) {
	if address := endpointIn(endpoint, region); address != nil && (region != "" || !strings.Contains(endpoint, regionPlace)) {
		network.Rule.Check(field, *address, problems.Add)
	}
}

const notRegion = "must be the name of a region, such as eu-west-1"

// regionName is what the names of regions look like, in every partition. It
// keeps a class from leading the provider to any other host.
// https://docs.aws.amazon.com/global-infrastructure/latest/regions/aws-regions.html
var regionName = regexp.MustCompile(`^[a-z]{2,5}(-[a-z]{2,12}){1,3}-[0-9]{1,2}$`)

// isRegion says whether a name can be a region's.
func isRegion(name string) bool { return len(name) <= 32 && regionName.MatchString(name) }

// regionPlace is where an endpoint has the region's name, if it has one.
const regionPlace = "{region}"

func checkEndpoint(field, text string, problems *remote.Problems) {
	if text == "" {
		return
	}
	const example = "https://vpce-0a1b-2c3d.secretsmanager.{region}.vpce.amazonaws.com, where {region} stands for the region that is asked"
	problems.CheckURL(field, strings.ReplaceAll(text, regionPlace, "eu-west-1"), example, "https", "http")
}

// endpointIn is the endpoint of a region; nil means that the SDK knows it.
func endpointIn(text, region string) *string {
	if text == "" {
		return nil
	}
	text = strings.TrimSuffix(strings.ReplaceAll(text, regionPlace, region), "/")
	return &text
}
