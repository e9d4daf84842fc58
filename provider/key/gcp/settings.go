package gcp

import (
	"regexp"
	"sync"
	"time"

	"github.com/lanyardhq/lanyard/provider/backend/gcp"
	"github.com/lanyardhq/lanyard/provider/backend/remote"
	"github.com/lanyardhq/lanyard/provider/key"
)

// The bounds and defaults of settings.
const (
	defaultTimeout = 5 * time.Second
	defaultRetries = 3
	maxRetries     = 8

	// https://cloud.google.com/kms/docs/reference/rest
	defaultEndpoint = "https://cloudkms.googleapis.com"
)

// settings are a key as configured.
type settings struct {
	// Key is the resource name of the key, without a version.
	Key      string        `yaml:"key"`
	Endpoint string        `yaml:"endpoint"`
	TLS      remote.TLS    `yaml:"tls"`
	Auth     gcp.Auth      `yaml:"auth"`
	Timeout  time.Duration `yaml:"timeout"` // of one try of one call
	Retries  int           `yaml:"retries"` // of one call, after the first try

	way gcp.Way
}

// keyForm is the resource name of a key. A project may be spelled by its ID or
// by its number, and nobody but Google can tell which are the same.
// https://cloud.google.com/kms/docs/resource-hierarchy#retrieve_resource_id
var keyForm = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^projects/((?:[a-z0-9.-]{1,100}:)?[a-z0-9][a-z0-9-]{0,62})(/locations/[a-z0-9-]{1,30}/keyRings/[a-zA-Z0-9_-]{1,63}/cryptoKeys/[a-zA-Z0-9_-]{1,63})$`)
})

// parseSettings returns the settings with their defaults, and all that is
// wrong with them.
func parseSettings(given key.Settings, asPerson bool) (*settings, remote.Problems) {
	config := &settings{Endpoint: defaultEndpoint, Timeout: defaultTimeout, Retries: defaultRetries, Auth: gcp.DefaultAuth()}
	problems := remote.Decode(given.Fields, config)
	config.way = gcp.Way{TLS: config.TLS, Global: given.Network(), STS: given.Network(), IAM: given.Network(), OAuth: given.Network()}
	if !keyForm().MatchString(config.Key) {
		problems.Add("key", "must be the resource name of a key without a version, such as projects/my-project/locations/europe-west3/keyRings/lanyard/cryptoKeys/kms")
	}
	if asPerson {
		if _, says := given.Fields["auth"]; says {
			problems.Add("auth", "has no place here: commands use your own credentials; remove it and log in with gcloud auth application-default login (see troubleshooting: command-credentials)")
		}
		config.Auth.AsPerson()
		if _, says := given.Fields["tls"]; says {
			problems.Add("tls", "has no place beside your own credentials, which go to Google alone")
		}
	}
	// A person's tokens go to Google alone: the file may lie in a repository where
	// others write too.
	gcp.CheckEndpoint("endpoint", &config.Endpoint, given.ByOperator && !asPerson, &problems)
	config.TLS.Check(given.ByOperator && !asPerson, false, problems.Add)
	config.Auth.Check(given.ByOperator, &problems)
	problems.CheckTries(config.Timeout, 100*time.Millisecond, config.Retries, maxRetries)
	return config, problems
}
