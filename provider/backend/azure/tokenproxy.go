package azure

import (
	"net/http"
	"net/url"
	"path/filepath"

	"github.com/lanyardhq/lanyard/provider/backend/remote"
)

// TokenProxy is the settings below tokenProxy: the proxy of a cluster through which
// pods log in that are bound to an identity (identity binding of AKS). It is the
// operator's alone, because it is shown the pods' tokens.
// https://learn.microsoft.com/azure/aks/identity-bindings-concepts
type TokenProxy struct {
	// URL is the proxy's. A login's own path is appended to its path.
	URL string `yaml:"url"`
	// ServerName is the name that TLS asks the proxy for, and that its certificate has.
	ServerName string `yaml:"serverName"`
	// CACertFile has the authorities that the proxy is trusted by; empty means the
	// system's.
	CACertFile string `yaml:"caCertFile"`
}

// check looks at the proxy. used is true if logins go through it.
func (t *TokenProxy) check(byOperator, used bool, problems *remote.Problems) {
	const field = "tokenProxy"
	given := *t != TokenProxy{}
	switch {
	case given && !byOperator:
		problems.Add(field, "is shown the pods' tokens, so only the operator's configuration file may give it")
	case given && (t.URL == "" || t.ServerName == ""):
		problems.Add(field, "needs the proxy's url, and serverName: what AZURE_KUBERNETES_TOKEN_PROXY and AZURE_KUBERNETES_SNI_NAME are in pods of the cluster that are bound to an identity")
	case given:
		// https://github.com/Azure/azure-sdk-for-go/blob/main/sdk/azidentity/internal/customtokenproxy/transport.go
		t.URL = problems.CheckBaseURL(field+".url", t.URL, "https://kubernetes.default.svc.cluster.local", "https")
		if !dnsName().MatchString(t.ServerName) {
			problems.Add(field+".serverName", "must be a DNS name")
		}
		if t.CACertFile != "" && !filepath.IsAbs(t.CACertFile) {
			problems.Add(field+".caCertFile", "must be an absolute path on the node")
		}
	case used:
		problems.Add("auth.identityBinding", "logs in through the cluster's token proxy, and the operator's configuration names none for this store (tokenProxy)")
	}
}

// route is the way to the proxy, which is a part of the cluster: no other proxy leads
// there.
func (t TokenProxy) route() remote.Route {
	return remote.Route{TLS: remote.TLS{CACertFile: t.CACertFile, ServerName: t.ServerName}}
}

// proxied leads calls to a token proxy, which learns from the header Host where they
// were to go.
type proxied struct {
	transporter
	to *url.URL
}

// Do implements policy.Transporter.
func (p proxied) Do(req *http.Request) (*http.Response, error) {
	led := *req
	if led.Host == "" {
		led.Host = req.URL.Host
	}
	led.URL = p.to.JoinPath(req.URL.EscapedPath())
	led.URL.RawQuery = req.URL.RawQuery
	return p.transporter.Do(&led)
}
