package aws

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/lanyardhq/lanyard/internal/strict"
	"github.com/lanyardhq/lanyard/provider/backend/remote"
	"github.com/lanyardhq/lanyard/provider/fault"
)

// The bounds and defaults of settings.
const (
	defaultTimeout = 5 * time.Second
	mostTimeout    = time.Minute
	defaultRetries = 4
	mostRetries    = 10
	mostFailovers  = 3
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
	return Settings{Timeout: defaultTimeout, Retries: defaultRetries, Auth: Auth{Method: methodWebIdentity, AddressType: addressAuto}}
}

// WorkloadSettings are those of Settings with which AWS itself decides what the
// pod may have, since the pod's own token must be good for them.
func WorkloadSettings() []string {
	return []string{"region", "failoverRegions", "auth.method", "auth.role", "auth.chain", "auth.addressType"}
}

// Problems collects what is wrong with settings or references.
type Problems strict.Problems

// Add notes a problem with a field.
func (p *Problems) Add(field, format string, args ...any) {
	*p = append(*p, strict.Problem{Field: field, Text: fmt.Sprintf(format, args...)})
}

// Err is nil if there are no problems, and else wraps fault.ErrInvalid.
func (p *Problems) Err() error {
	if len(*p) == 0 {
		return nil
	}
	return fmt.Errorf("%w: %w", fault.ErrInvalid, strict.Problems(*p))
}

// Check notes what is wrong with the settings. byOperator says that the
// operator's configuration names the store.
func (s *Settings) Check(byOperator bool, problems *Problems) {
	if s.Region != "" && !IsRegion(s.Region) {
		problems.Add("region", notRegion)
	}
	if len(s.FailoverRegions) > mostFailovers {
		problems.Add("failoverRegions", "has %d entries; the most is %d", len(s.FailoverRegions), mostFailovers)
	}
	for i, region := range s.FailoverRegions {
		field := fmt.Sprintf("failoverRegions[%d]", i)
		switch {
		case !IsRegion(region):
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
	if s.Timeout < 100*time.Millisecond || s.Timeout > mostTimeout {
		problems.Add("timeout", "must be between 100ms and %s", mostTimeout)
	}
	if s.Retries < 0 || s.Retries > mostRetries {
		problems.Add("retries", "must be between 0 and %d", mostRetries)
	}
	s.Auth.check(byOperator, problems)
	s.TLS.Check(byOperator, false, problems.Add)
}

// check looks at an endpoint of the settings. One that needs a region which only the
// call knows is looked at when it is dialled.
func (Networks) check(field string, network remote.Network, endpoint, region string, problems *Problems) {
	if address := endpointIn(endpoint, region); address != nil && (region != "" || !strings.Contains(endpoint, regionPlace)) {
		network.Rule.Check(field, *address, problems.Add)
	}
}

const notRegion = "must be the name of a region, such as eu-west-1"

// regionName is what the names of regions look like, in every partition. It
// keeps a class from leading the provider to any other host.
// https://docs.aws.amazon.com/global-infrastructure/latest/regions/aws-regions.html
var regionName = regexp.MustCompile(`^[a-z]{2,5}(-[a-z]{2,12}){1,3}-[0-9]{1,2}$`)

// IsRegion says whether a name can be a region's.
func IsRegion(name string) bool { return len(name) <= 32 && regionName.MatchString(name) }

// regionPlace is where an endpoint has the region's name, if it has one.
const regionPlace = "{region}"

func checkEndpoint(field, text string, problems *Problems) {
	if text == "" {
		return
	}
	const want = "such as https://vpce-0a1b-2c3d.secretsmanager.{region}.vpce.amazonaws.com, where {region} stands for the region that is asked"
	// The parser's own error repeats the text, which may hold a password.
	parsed, err := url.Parse(strings.ReplaceAll(text, regionPlace, "eu-west-1"))
	switch {
	case err != nil || parsed.Scheme != "https" && parsed.Scheme != "http" || parsed.Hostname() == "":
		problems.Add(field, "must be a URL that begins with https:// (or http:// for development), %s", want)
	case parsed.User != nil:
		problems.Add(field, "must not hold a user name or password")
	case strings.TrimSuffix(parsed.Path, "/") != "" || parsed.RawQuery != "" || parsed.ForceQuery || parsed.Fragment != "":
		problems.Add(field, "must not go beyond the port, %s", want)
	}
}

// endpointIn is the endpoint of a region; nil means that the SDK knows it.
func endpointIn(text, region string) *string {
	if text == "" {
		return nil
	}
	text = strings.TrimSuffix(strings.ReplaceAll(text, regionPlace, region), "/")
	return &text
}
