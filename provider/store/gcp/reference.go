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
	service  service
	location string // empty for what is global
	id       string // the secret's or parameter's own
	name     string // the resource name of the version
	version  string
	raw      bool // the parameter is read without its references rendered
	yaml     bool // the payload is YAML, to be read as JSON
	lists    bool // the versions are listed, and name is that of the secret or parameter
}

// service is what holds a value, called as in resource names.
type service string

const (
	secretManager    service = "secrets"
	parameterManager service = "parameters"
)

// title is the service's name in messages.
func (s service) title() string {
	if s == parameterManager {
		return "Parameter Manager"
	}
	return "Secret Manager"
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

const wantKey = "must be projects/PROJECT/secrets/SECRET, projects/PROJECT/locations/LOCATION/secrets/SECRET, SECRET alone where the store has the setting project, or projects/PROJECT/locations/LOCATION/parameters/PARAMETER"

// parseReference returns what ref asks for. The error wraps fault.ErrInvalid
// and names every wrong field.
func (s *settings) parseReference(ref store.Reference) (*query, error) {
	var problems remote.Problems
	q := &query{service: secretManager, version: ref.Version}
	parent := s.parent(ref.Key, q, &problems)
	q.checkVersion(&problems)
	q.name = parent + "/" + string(q.service) + "/" + q.id + "/versions/" + q.version
	for _, name := range slices.Sorted(maps.Keys(ref.Options)) {
		value := ref.Options[name]
		switch {
		case name == "format":
			if value != "yaml" {
				problems.Add("options.format", "must be yaml, for a value in YAML that is to be used as JSON; leave it out for any other value")
			}
			q.yaml = true
		case name == "raw" && q.service == parameterManager:
			if _, ok := value.(bool); !ok {
				problems.Add("options.raw", "must be true, for the parameter as it was written, with its references to secrets in it; leave it out for the rendered one")
			}
			q.raw = value == true
		default:
			known := []string{"format"}
			if q.service == parameterManager {
				known = append(known, "raw")
			}
			problems.Add("options."+message.Excerpt(name), "%s", strict.Unknown("option", name, known))
		}
	}
	return q, problems.Err()
}

// checkVersion completes the version. A version of a parameter has a name that its maker
// chose, and none of them is the latest.
// https://cloud.google.com/secret-manager/parameter-manager/docs/reference/rest/v1/projects.locations.parameters.versions/create
func (q *query) checkVersion(problems *remote.Problems) {
	switch {
	case q.service == parameterManager && q.version == "":
		problems.Add("version", "missing; name the version, since a parameter has no latest one")
	case q.service == parameterManager && !gcp.Only(q.version, "A-Za-z0-9_-", 63):
		problems.Add("version", "must be a version's name: 1 to 63 letters, digits, dashes and underscores")
	case q.service == parameterManager:
	case q.version == "":
		q.version = latest
	case !isVersion(q.version):
		problems.Add("version", `must be a version's number, an alias, or latest`)
	}
}

// pinned says that what q asks for never changes.
func (q *query) pinned() bool {
	if q.service == parameterManager {
		return q.raw
	}
	return gcp.Only(q.version, "0-9", 19)
}

// parent sets the service, the location and the ID, and returns the resource name that
// comes before the service.
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
	project, location := s.Project, ""
	switch {
	case len(parts) == 1 && project == "":
		return wrong("is a secret's name alone, and the store has no setting project; " + wantKey)
	case len(parts) == 1:
		location, q.id = s.Location, parts[0]
	case len(parts) == 4 && parts[0] == "projects" && parts[2] == string(secretManager):
		project, q.id = parts[1], parts[3]
	case len(parts) == 6 && parts[0] == "projects" && parts[2] == "locations" && (parts[4] == string(secretManager) || parts[4] == string(parameterManager)):
		q.service = service(parts[4])
		project, location, q.id = parts[1], parts[3], parts[5]
		switch {
		case isLocation(location):
		case q.service == parameterManager:
			return wrong("the location must be global, or one such as europe-west3")
		default:
			return wrong("the location " + badLocation)
		}
	default:
		return wrong(wantKey)
	}
	switch {
	case !isProject(project):
		return wrong("the project " + badProject)
	case q.service == parameterManager && !gcp.Only(q.id, "A-Za-z0-9_-", 63):
		return wrong("the parameter's name must be 1 to 63 letters, digits, dashes and underscores")
	case !isSecret(q.id):
		return wrong("the secret's name must be 1 to 255 letters, digits, dashes and underscores")
	}
	parent := "projects/" + project
	if location != "" {
		parent += "/locations/" + location
	}
	// The parameters that are in no region have a location that says so.
	if q.service == secretManager || location != "global" {
		q.location = location
	}
	return parent
}
