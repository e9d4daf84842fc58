package azure

import (
	"encoding/json"
	"path/filepath"

	"github.com/lanyardhq/lanyard/internal/nodefile"
	"github.com/lanyardhq/lanyard/provider/backend/remote"
)

// customCloud is what Azure's tools call a cloud that an environment file
// describes.
const customCloud = "AzureStackCloud"

// maxEnvironmentBytes bounds an environment file.
const maxEnvironmentBytes = 64 << 10

// environment is what of an environment file matters here. The file has the
// form of go-autorest's:
// https://azure.github.io/secrets-store-csi-driver-provider-azure/docs/configurations/custom-environments/
type environment struct {
	Authority string `json:"activeDirectoryEndpoint"`
	Resource  string `json:"keyVaultEndpoint"`
	DNSSuffix string `json:"keyVaultDNSSuffix"`
}

// fillEnvironment sets what the environment file says and nobody else does.
func (s *Settings) fillEnvironment(problems *remote.Problems) {
	const field = "environmentFile"
	switch {
	case !s.byOperator:
		problems.Add(field, "reads a file of the node, so only the operator's configuration file may give it; give dnsSuffix, authorityHost and resource")
		return
	case !filepath.IsAbs(s.EnvironmentFile):
		problems.Add(field, "must be an absolute path on the node")
		return
	}
	content, err := nodefile.Read(s.EnvironmentFile, maxEnvironmentBytes)
	if err != nil {
		problems.Add(field, "%v", err)
		return
	}
	var said environment
	if json.Unmarshal(content, &said) != nil {
		problems.Add(field, "%s is no JSON object with activeDirectoryEndpoint, keyVaultEndpoint and keyVaultDNSSuffix", s.EnvironmentFile)
		return
	}
	for _, setting := range []struct {
		into *string
		said string
	}{{&s.AuthorityHost, said.Authority}, {&s.Resource, said.Resource}, {&s.DNSSuffix, said.DNSSuffix}} {
		if *setting.into == "" {
			*setting.into = setting.said
		}
	}
}
