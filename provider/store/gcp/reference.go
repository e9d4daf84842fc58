package gcp

import (
	"maps"
	"slices"
	"strings"

	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/internal/strict"
	"github.com/lanyardhq/lanyard/provider/backend/gcp"
	"github.com/lanyardhq/lanyard/provider/backend/remote"
	"github.com/lanyardhq/lanyard/provider/store"
)

// query is a reference as it is sent.
type query struct {
	location string // empty for a global secret
	secret   string // the secret's own ID
	name     string // the resource name of the version
	version  string
	yaml     bool // the payload is YAML, to be read as JSON
}

// latest is the alias of the version that was made last.
// https://cloud.google.com/secret-manager/docs/reference/rest/v1/projects.secrets.versions/access
const latest = "latest"

// isSecret says whether a text can be a secret's ID.
// https://cloud.google.com/secret-manager/docs/reference/rest/v1/projects.secrets/create
func isSecret(text string) bool { return gcp.Only(text, "A-Za-z0-9_-", 255) }

// isVersion says whether a text can be a version's number, or an alias: up to 63
// characters that begin with a letter.
// https://cloud.google.com/secret-manager/docs/reference/rest/v1/projects.secrets
func isVersion(text string) bool {
	if gcp.Only(text, "0-9", 19) {
		return text[0] != '0'
	}
	return gcp.Only(text, "A-Za-z0-9_-", 63) && gcp.Only(text[:1], "A-Za-z", 1)
}

const wantKey = "must be projects/PROJECT/secrets/SECRET, projects/PROJECT/locations/LOCATION/secrets/SECRET, or SECRET alone where the store has the setting project"

// parseReference returns what ref asks for. The error wraps fault.ErrInvalid
// and names every wrong field.
func (s *settings) parseReference(ref store.Reference) (*query, error) {
	var problems remote.Problems
	q := &query{version: ref.Version}
	parent := s.parent(ref.Key, q, &problems)
	if q.version == "" {
		q.version = latest
	}
	if !isVersion(q.version) {
		problems.Add("version", `must be a version's number, an alias, or latest`)
	}
	q.name = parent + "/secrets/" + q.secret + "/versions/" + q.version
	for _, name := range slices.Sorted(maps.Keys(ref.Options)) {
		if name != "format" {
			problems.Add("options."+message.Excerpt(name), "%s", strict.Unknown("option", name, []string{"format"}))
			continue
		}
		if ref.Options[name] != "yaml" {
			problems.Add("options.format", "must be yaml, for a value in YAML that is to be used as JSON; leave it out for any other value")
		}
		q.yaml = true
	}
	return q, problems.Err()
}

// parent sets the location and the secret's ID, and returns the resource name
// that comes before /secrets.
func (s *settings) parent(key string, q *query, problems *remote.Problems) string {
	wrong := func(text string) string {
		problems.Add("key", "%s", text)
		return ""
	}
	if key == "" {
		return wrong("is missing; it is the secret's name: " + strings.TrimPrefix(wantKey, "must be "))
	}
	parts := strings.Split(key, "/")
	if n := len(parts); n > 2 && parts[n-2] == "versions" {
		return wrong("must end with the secret's name; the version goes into `version`")
	}
	project := s.Project
	switch {
	case len(parts) == 1 && project == "":
		return wrong("is a secret's name alone, and the store has no setting project; " + wantKey)
	case len(parts) == 1:
		q.location, q.secret = s.Location, parts[0]
	case len(parts) == 4 && parts[0] == "projects" && parts[2] == "secrets":
		project, q.secret = parts[1], parts[3]
	case len(parts) == 6 && parts[0] == "projects" && parts[2] == "locations" && parts[4] == "secrets":
		project, q.location, q.secret = parts[1], parts[3], parts[5]
		if !isLocation(q.location) {
			return wrong("the location " + badLocation)
		}
	default:
		return wrong(wantKey)
	}
	if !isProject(project) {
		return wrong("the project " + badProject)
	}
	if !isSecret(q.secret) {
		return wrong("the secret's name must be 1 to 255 letters, digits, dashes and underscores")
	}
	if q.location != "" {
		return "projects/" + project + "/locations/" + q.location
	}
	return "projects/" + project
}
