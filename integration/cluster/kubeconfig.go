package cluster

import (
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"
)

// Server is the API server's URL.
func (c *Cluster) Server() string { return c.at.server(c.at.api) }

// credentials are how a kubeconfig's user is known: files of a client
// certificate, or a token's file.
type credentials struct{ ClientCertificate, ClientKey, TokenFile string }

// writeKubeconfig writes the access to an API server as somebody.
func (c *Cluster) writeKubeconfig(file, server string, as credentials) error {
	config := api.NewConfig()
	config.Clusters["lanyard"] = &api.Cluster{Server: server, CertificateAuthority: c.AuthorityFile()}
	config.AuthInfos["user"] = &api.AuthInfo{
		ClientCertificate: as.ClientCertificate, ClientKey: as.ClientKey, TokenFile: as.TokenFile,
	}
	config.Contexts["lanyard"] = &api.Context{Cluster: "lanyard", AuthInfo: "user"}
	config.CurrentContext = "lanyard"
	return clientcmd.WriteToFile(*config, c.Path(file))
}
