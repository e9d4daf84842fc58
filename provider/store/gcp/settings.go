package gcp

import (
	"slices"
	"strings"
	"time"

	"github.com/lanyardhq/lanyard/provider/backend/gcp"
	"github.com/lanyardhq/lanyard/provider/backend/remote"
	"github.com/lanyardhq/lanyard/provider/store"
)

// The bounds and defaults of settings.
const (
	defaultTimeout = 10 * time.Second
	defaultRetries = 4
	maxRetries     = 8

	// Where Secret Manager is, for global and for regional secrets.
	// https://cloud.google.com/secret-manager/docs/reference/rest
	// https://cloud.google.com/secret-manager/regional-secrets/create-regional-secret
	defaultEndpoint         = "https://secretmanager.googleapis.com"
	defaultRegionalEndpoint = "https://secretmanager." + gcp.LocationMark + ".rep.googleapis.com"

	// Where Parameter Manager is.
	// https://cloud.google.com/secret-manager/parameter-manager/docs/reference/rest
	defaultParameters         = "https://parametermanager.googleapis.com"
	defaultRegionalParameters = "https://parametermanager." + gcp.LocationMark + ".rep.googleapis.com"
)

// settings are the connection as configured.
type settings struct {
	Project          string        `yaml:"project"`
	Location         string        `yaml:"location"`
	Endpoint         string        `yaml:"endpoint"`
	RegionalEndpoint string        `yaml:"regionalEndpoint"`
	Parameters       parameters    `yaml:"parameters"`
	TLS              remote.TLS    `yaml:"tls"`
	Auth             gcp.Auth      `yaml:"auth"`
	Timeout          time.Duration `yaml:"timeout"`
	Retries          int           `yaml:"retries"`

	way gcp.Way
}

// parameters are the settings of Parameter Manager.
type parameters struct {
	Endpoint         string `yaml:"endpoint"`
	RegionalEndpoint string `yaml:"regionalEndpoint"`
}

// isProject says whether a text can be a project's ID, with the domain that old
// ones have before it, or its number.
// https://cloud.google.com/resource-manager/docs/creating-managing-projects
func isProject(text string) bool {
	if domain, id, ok := strings.Cut(text, ":"); ok {
		return gcp.Only(domain, "a-z0-9.-", 100) && !strings.Contains(domain, "..") && isProject(id) && !strings.Contains(id, ":")
	}
	return gcp.Only(text, "a-z0-9-", 63) && text[0] != '-'
}

// isLocation says whether a text can be a location's name, which is put into a
// host name.
// https://cloud.google.com/secret-manager/docs/locations
func isLocation(text string) bool {
	return gcp.Only(text, "a-z0-9-", 30) && text[0] != '-' && text[len(text)-1] != '-'
}

const (
	badProject  = "must be a project's ID or number, such as my-project"
	badLocation = "must be a location such as europe-west3; leave it out for global secrets"
)

// parseSettings returns the settings with their defaults, and all that is
// wrong with them.
func parseSettings(given store.Settings) (*settings, remote.Problems) {
	config := &settings{
		Endpoint: defaultEndpoint, RegionalEndpoint: defaultRegionalEndpoint,
		Parameters: parameters{Endpoint: defaultParameters, RegionalEndpoint: defaultRegionalParameters},
		Timeout:    defaultTimeout, Retries: defaultRetries, Auth: gcp.DefaultAuth(),
	}
	problems := remote.Decode(given.Fields, config)
	config.way = gcp.Way{
		TLS: config.TLS, Global: given.Reach("endpoint"), Regional: given.Reach("regionalEndpoint"),
		Parameters: given.Reach("parameters.endpoint"), RegionalParameters: given.Reach("parameters.regionalEndpoint"),
		STS: given.Reach("auth.stsEndpoint"), IAM: given.Reach("auth.iamEndpoint"), OAuth: given.Reach("auth.oauthEndpoint"),
		Node: given.ReachNode("auth.metadataEndpoint"),
	}
	if config.Project != "" && !isProject(config.Project) {
		problems.Add("project", badProject)
	}
	if config.Location != "" && !isLocation(config.Location) {
		problems.Add("location", badLocation)
	}
	gcp.CheckEndpoint("endpoint", &config.Endpoint, given.ByOperator, &problems)
	gcp.CheckEndpoint("regionalEndpoint", &config.RegionalEndpoint, given.ByOperator, &problems)
	gcp.CheckEndpoint("parameters.endpoint", &config.Parameters.Endpoint, given.ByOperator, &problems)
	gcp.CheckEndpoint("parameters.regionalEndpoint", &config.Parameters.RegionalEndpoint, given.ByOperator, &problems)
	config.TLS.Check(given.ByOperator, false, problems.Add)
	config.Auth.Check(given.ByOperator, &problems)
	config.checkReach(&problems)
	problems.CheckTries(config.Timeout, time.Second, config.Retries, maxRetries)
	return config, problems
}

// place is where a resource is read.
type place struct {
	setting   string // that says the endpoint
	endpoint  string
	network   remote.Network
	maxAnswer int
}

// at is the place of a service's resources at a location; the global one if it is empty.
func (s *settings) at(service service, location string) place {
	var p place
	switch {
	case service == parameterManager && location == "":
		p = place{"parameters.endpoint", s.Parameters.Endpoint, s.way.Parameters, maxParameterAnswer}
	case service == parameterManager:
		p = place{"parameters.regionalEndpoint", s.Parameters.RegionalEndpoint, s.way.RegionalParameters, maxParameterAnswer}
	case location == "":
		p = place{"endpoint", s.Endpoint, s.way.Global, gcp.MaxAnswerBytes}
	default:
		p = place{"regionalEndpoint", s.RegionalEndpoint, s.way.Regional, gcp.MaxAnswerBytes}
	}
	p.endpoint = strings.ReplaceAll(p.endpoint, gcp.LocationMark, location)
	return p
}

// checkReach looks at the addresses that are known before a call.
func (s *settings) checkReach(problems *remote.Problems) {
	for _, of := range []service{secretManager, parameterManager} {
		for _, location := range slices.Compact([]string{"", s.Location}) {
			at := s.at(of, location)
			at.network.Rule.Check(at.setting, at.endpoint, problems.Add)
		}
	}
	s.way.STS.Rule.Check("auth.stsEndpoint", s.Auth.STSEndpoint, problems.Add)
	if s.Auth.ServiceAccount != "" {
		s.way.IAM.Rule.Check("auth.iamEndpoint", s.Auth.IAMEndpoint, problems.Add)
	}
}
