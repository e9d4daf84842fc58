package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"time"

	"sigs.k8s.io/secrets-store-csi-driver/provider/v1alpha1"

	"github.com/lanyardhq/lanyard/integration/issuer"
)

// class is the parameters of a SecretProviderClass with that many objects.
func class(kind string, objects int) map[string]string {
	var list strings.Builder
	for i := range objects {
		fmt.Fprintf(&list, "- {path: %s-%03d, store: vault, key: %s, property: value}\n", kind, i, keyOf(kind, i))
	}
	return map[string]string{"objects": list.String()}
}

// config is the operator's configuration with the Vault at address; bounds and
// everything else that is not given here are the defaults.
func config(address string, refresh time.Duration) string {
	return fmt.Sprintf(`cluster: bench
cache: {refresh: %s}
stores:
  vault: {type: vault, address: %s, auth: {method: jwt, role: %s}}
`, refresh, address, role)
}

// claims are those of the service account's nth pod.
func claims(account string, n int) issuer.Claims {
	name := fmt.Sprintf("%s-%d", account, n)
	return issuer.Claims{
		Audience: audience, Namespace: namespace, ServiceAccount: account, UID: "uid-of-" + account,
		Pod: name, PodUID: "uid-of-" + name, Expires: time.Now().Add(time.Hour),
	}
}

// request is what the driver sends for a volume of the service account's nth
// pod, which has a token of its own for Vault once that is started.
func (l *lab) request(account string, n int, class map[string]string) (*v1alpha1.MountRequest, error) {
	if l.issuer == nil {
		return l.requestOf(claims(account, n), "", class)
	}
	return l.requestWithToken(l.issuer, claims(account, n), class)
}

// requestWithToken is what the driver sends for a volume of a pod that has a
// token with these claims.
func (l *lab) requestWithToken(from *issuer.Issuer, who issuer.Claims, class map[string]string) (*v1alpha1.MountRequest, error) {
	token, err := from.Token(who)
	if err != nil {
		return nil, err
	}
	tokens, err := json.Marshal(map[string]any{who.Audience: map[string]any{"token": token, "expirationTimestamp": who.Expires}})
	if err != nil {
		return nil, err
	}
	return l.requestOf(who, string(tokens), class)
}

// requestOf is what the driver sends for a volume of a pod with the tokens, if
// there are any.
func (l *lab) requestOf(who issuer.Claims, tokens string, class map[string]string) (*v1alpha1.MountRequest, error) {
	attributes := map[string]string{
		"csi.storage.k8s.io/pod.name":            who.Pod,
		"csi.storage.k8s.io/pod.namespace":       who.Namespace,
		"csi.storage.k8s.io/pod.uid":             who.PodUID,
		"csi.storage.k8s.io/serviceAccount.name": who.ServiceAccount,
		"csi.storage.k8s.io/ephemeral":           "true",
		"secretProviderClass":                    "bench",
	}
	if tokens != "" {
		attributes["csi.storage.k8s.io/serviceAccount.tokens"] = tokens
	}
	maps.Copy(attributes, class)
	text, err := json.Marshal(attributes)
	if err != nil {
		return nil, err
	}
	return &v1alpha1.MountRequest{Attributes: string(text), Secrets: "null", TargetPath: l.dir + "/volume", Permission: "420"}, nil
}

// requests are those of the first n pods of the service account.
func (l *lab) requests(account string, n int, class map[string]string) ([]*v1alpha1.MountRequest, error) {
	all := make([]*v1alpha1.MountRequest, n)
	for i := range all {
		var err error
		if all[i], err = l.request(account, i, class); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// accounts are the requests of one pod each of n service accounts.
func (l *lab) accounts(prefix string, n int, class map[string]string) ([]*v1alpha1.MountRequest, error) {
	all := make([]*v1alpha1.MountRequest, n)
	for i := range all {
		var err error
		if all[i], err = l.request(fmt.Sprintf("%s-%d", prefix, i), 0, class); err != nil {
			return nil, err
		}
	}
	return all, nil
}
