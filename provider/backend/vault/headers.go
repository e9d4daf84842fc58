package vault

import (
	"path/filepath"
	"strings"

	"github.com/lanyardhq/lanyard/provider/backend/remote"
)

// ownHeader says that this package or the login decides on a header.
func ownHeader(name string) bool {
	return name == "Authorization" || name == "Content-Type" || strings.HasPrefix(name, "X-Vault-")
}

// readHeaders reads a file with headers as VAULT_HEADERS has them.
func readHeaders(path string) (remote.Headers, error) { return remote.ReadHeaders(path, ownHeader) }

// checkHeaders checks the setting alone; Connect reads the file.
func (s *Settings) checkHeaders(byOperator bool, problems *remote.Problems) {
	switch {
	case s.HeadersFile == "":
	case !byOperator:
		problems.Add("headersFile", "reads a file of the node, so only the operator's configuration file may give it")
	case !filepath.IsAbs(s.HeadersFile):
		problems.Add("headersFile", "must be the absolute path of a file on the node with the names and values of headers")
	}
}
