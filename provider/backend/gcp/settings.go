package gcp

import (
	"net/url"
	"strings"

	"github.com/lanyardhq/lanyard/provider/backend/remote"
)

// maxText bounds the text of a setting, in bytes.
const maxText = 1024

// LocationMark stands for a location in a regional endpoint.
const LocationMark = "{location}"

// CheckEndpoint checks the URL of a service, which may have a LocationMark, and
// takes a slash from its end. Access tokens are good for all of Google Cloud, so
// that where they are sent, and whether in plain text, is for the operator to
// say: others may choose among Google's own hosts.
func CheckEndpoint(field string, text *string, byOperator bool, problems *remote.Problems) {
	plain := strings.ReplaceAll(*text, LocationMark, "location")
	if len(plain) > maxText {
		problems.Add(field, "is %d bytes long; the maximum is %d", len(plain), maxText)
		return
	}
	schemes := []string{"https", "http"}
	if !byOperator {
		schemes = schemes[:1]
	}
	checked := problems.CheckURL(field, plain, "https://googleapis.example.com", schemes...)
	switch parsed, err := url.Parse(checked); {
	case checked == "" || err != nil:
	case !byOperator && !strings.HasSuffix("."+strings.ToLower(parsed.Hostname()), ".googleapis.com"):
		problems.Add(field, "must be a host of googleapis.com; only the operator's configuration file may send tokens elsewhere")
	default:
		*text = strings.TrimSuffix(*text, "/")
	}
}

// Host is the host, with the port if one is given, of a checked endpoint.
func Host(endpoint string) string {
	_, host, _ := strings.Cut(endpoint, "://")
	return host
}
