package sync

import (
	"context"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// request is a request for a token for audiences.
func request(audiences ...string) authenticationv1.TokenRequestSpec {
	return authenticationv1.TokenRequestSpec{Audiences: audiences}
}

// lasting is request with a lifetime in seconds.
func lasting(seconds int64, audiences ...string) authenticationv1.TokenRequestSpec {
	spec := request(audiences...)
	spec.ExpirationSeconds = &seconds
	return spec
}

// token asks for a token of a service account.
func token(who *client, namespace, account string, spec authenticationv1.TokenRequestSpec) try {
	return func(ctx context.Context) error {
		_, err := who.CoreV1().ServiceAccounts(namespace).CreateToken(ctx, account, &authenticationv1.TokenRequest{Spec: spec}, metav1.CreateOptions{})
		return err
	}
}

func TestTokensThatTheControllerMayAskFor(t *testing.T) {
	const (
		issuer   = "https://kubernetes.default.svc.cluster.local"
		pool     = "https://iam.googleapis.com/projects/123/locations/global/workloadIdentityPools/pool/providers/provider"
		audience = "may not ask for a token for the audiences ["
		account  = "may not ask for a token of the service account "
	)
	for what, spec := range map[string]authenticationv1.TokenRequestSpec{
		"Vault":         request("vault"),
		"several":       request("vault", "sts.amazonaws.com", "pods.eks.amazonaws.com", "api://AzureADTokenExchange"),
		"GKE":           request("my-project.svc.id.goog"),
		"Google":        request(pool),
		"for an hour":   lasting(3600, "vault"),
		"for a shorter": lasting(600, "vault"),
	} {
		t.Run("accepted: "+what, func(t *testing.T) { accepted(t, token(controllers[full], shop, "web", spec)) })
	}
	t.Run("accepted: a service account that is listed", func(t *testing.T) {
		accepted(t, token(controllers[full], metav1.NamespaceSystem, "listed", request("vault")))
	})
	t.Run("accepted: what a store of the configuration names", func(t *testing.T) {
		accepted(t, token(controllers[limited], shop, "web", request("vault-of-prod")))
	})
	for what, test := range map[string]struct {
		release, namespace, account string
		spec                        authenticationv1.TokenRequestSpec
		want                        string
	}{
		"no audience, which is the API server's": {full, shop, "web", request(), audience},
		"the API server":                         {full, shop, "web", request(issuer), audience + issuer},
		"the API server beside another":          {full, shop, "web", request("vault", issuer), audience + "vault, " + issuer},
		"an unknown one":                         {full, shop, "web", request("evil"), audience},
		"one that begins likewise":               {full, shop, "web", request("vault2"), audience},
		"one that ends likewise":                 {full, shop, "web", request("https://evil.example/.svc.id.goog"), audience},
		"one of several lines":                   {full, shop, "web", request("evil\n.svc.id.goog"), "for these audiences"},
		"a path within a pattern":                {full, shop, "web", request("https://iam.googleapis.com/projects/1/2/locations/global/workloadIdentityPools/a/providers/b"), audience},
		"a dialect that is not served":           {full, shop, "web", request("openbao"), audience},
		"of stores that classes cannot define":   {limited, shop, "web", request("sts.amazonaws.com"), audience},
		"longer than an hour":                    {full, shop, "web", lasting(3601, "vault"), "at most one hour"},
		"of kube-system":                         {full, metav1.NamespaceSystem, "root", request("vault"), account + "root in namespace kube-system"},
		"its own":                                {full, full, "lanyard-sync", request("vault"), account},
		"the provider's":                         {full, full, "lanyard", request("vault"), account},
		"listed for another release":             {plain, metav1.NamespaceSystem, "listed", request("vault"), account},
	} {
		t.Run("refused: "+what, func(t *testing.T) {
			refused(t, test.release, "tokens", test.want, token(controllers[test.release], test.namespace, test.account, test.spec))
		})
	}
}
