package gcp

import (
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
)

// settings are the connection as configured.
type settings struct {
	Project          string        `yaml:"project"`
	Location         string        `yaml:"location"`
	Endpoint         string        `yaml:"endpoint"`
	RegionalEndpoint string        `yaml:"regionalEndpoint"`
	TLS              remote.TLS    `yaml:"tls"`
	Auth             gcp.Auth      `yaml:"auth"`
	Timeout          time.Duration `yaml:"timeout"`
	Retries          int           `yaml:"retries"`

	way gcp.Way
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
		Timeout: defaultTimeout, Retries: defaultRetries, Auth: gcp.DefaultAuth(),
	}
	problems := remote.Decode(given.Fields, config)
	if len(problems) > 0 {
		return nil, problems
	}
	config.way = gcp.Way{
		TLS: config.TLS, Global: given.Reach("endpoint"), Regional: given.Reach("regionalEndpoint"),
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
	config.TLS.Check(given.ByOperator, false, problems.Add)
	config.Auth.Check(given.ByOperator, &problems)
	config.checkReach(&problems)
	problems.CheckTries(config.Timeout, time.Second, config.Retries, maxRetries)
	return config, problems
}

// at is the endpoint for a location; the global one if it is empty.
func (s *settings) at(location string) string {
	if location == "" {
		return s.Endpoint
	}
	return strings.ReplaceAll(s.RegionalEndpoint, gcp.LocationMark, location)
}

// checkReach looks at the addresses that are known before a call.
func (s *settings) checkReach(problems *remote.Problems) {
	s.way.Global.Rule.Check("endpoint", s.Endpoint, problems.Add)
	if regional := s.at(s.Location); regional != s.Endpoint {
		s.way.Regional.Rule.Check("regionalEndpoint", regional, problems.Add)
	}
	s.way.STS.Rule.Check("auth.stsEndpoint", s.Auth.STSEndpoint, problems.Add)
	if s.Auth.ServiceAccount != "" {
		s.way.IAM.Rule.Check("auth.iamEndpoint", s.Auth.IAMEndpoint, problems.Add)
	}
}
