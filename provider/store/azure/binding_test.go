package azure_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/lanyardhq/lanyard/provider/backend/azure/azuretest"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/identity/identitytest"
	"github.com/lanyardhq/lanyard/provider/secret"
	"github.com/lanyardhq/lanyard/provider/store"
	"github.com/lanyardhq/lanyard/provider/store/azure"
)

const bindingAudience = "api://AKSIdentityBinding"

// boundPod is a pod of prod/web with a token for identity bindings.
func (f *fixture) boundPod() identity.Identity {
	pod := f.pod("prod/web")
	expires := time.Now().Add(time.Hour)
	pod.Tokens = map[string]identity.Token{bindingAudience: {JWT: secret.NewString(f.issuer.Token(f.t, "prod/web", bindingAudience, expires)), Expires: expires}}
	return pod
}

func bound(proxy *azuretest.TokenProxy) map[string]any {
	return map[string]any{
		"auth":       map[string]any{"clientID": "bound-client", "identityBinding": true},
		"tokenProxy": map[string]any{"url": proxy.URL, "serverName": proxy.ServerName, "caCertFile": proxy.CACertFile},
	}
}

func TestAPodThatIsBoundToAnIdentityLogsInThroughTheTokenProxy(t *testing.T) {
	f := newFixture(t)
	f.vault.Put("db", "hunter2")
	f.vault.Grant("bound-client", "*")
	f.azure.Federate("bound-client", azuretest.Federation{Issuer: azuretest.IssuerName, Subject: identitytest.Subject("prod/web"), Audience: bindingAudience})
	proxy := f.azure.NewTokenProxy(t)
	value, err := f.open(bound(proxy)).Read(t.Context(), f.boundPod(), db)
	if err != nil || value.Data.RevealString() != "hunter2" {
		t.Fatalf("Read = %v", err)
	}
	if calls, logins := proxy.Calls.Load(), f.azure.Calls("token")+f.azure.Calls("discovery"); calls != int64(logins) || logins != 2 {
		t.Errorf("%d calls through the proxy, and %d to Entra ID", calls, logins)
	}
	// A token for another audience is not the pod's word here.
	_, err = f.open(bound(proxy)).Read(t.Context(), f.pod("prod/web"), db)
	if !errors.Is(err, fault.ErrUnauthenticated) || !strings.Contains(err.Error(), bindingAudience) {
		t.Errorf("without a token for bindings: %v", err)
	}
}

func TestALoginThroughTheTokenProxyThatFails(t *testing.T) {
	f := newFixture(t)
	f.vault.Put("db", "hunter2")
	proxy := f.azure.NewTokenProxy(t)
	read := func(more map[string]any) error {
		more["retries"] = 0
		_, err := f.open(more).Read(t.Context(), f.boundPod(), db)
		return err
	}
	f.azure.Federate("bound-client")
	if err := read(bound(proxy)); !errors.Is(err, fault.ErrUnauthenticated) || !strings.Contains(err.Error(), "check that the managed identity is bound to this cluster, and that a role lets system:serviceaccount:prod:web use it") {
		t.Errorf("an identity that is not bound: %v", err)
	}
	other := bound(proxy)
	other["tokenProxy"].(map[string]any)["serverName"] = "b0.ests.aks"
	if err := read(other); !errors.Is(err, fault.ErrUnavailable) || proxy.Refused.Load() == 0 {
		t.Errorf("another server name: %v", err)
	}
	stranger := bound(proxy)
	delete(stranger["tokenProxy"].(map[string]any), "caCertFile")
	if err := read(stranger); !errors.Is(err, fault.ErrUnavailable) || !strings.Contains(err.Error(), "unknown authority") {
		t.Errorf("a proxy of an unknown authority: %v", err)
	}
}

func TestSettingsOfTheTokenProxy(t *testing.T) {
	f := newFixture(t)
	proxy := map[string]any{"url": "https://proxy", "serverName": "a.ests.aks"}
	with := func(setting string, value any) map[string]any {
		changed := map[string]any{"url": "https://proxy", "serverName": "a.ests.aks"}
		changed[setting] = value
		return changed
	}
	binding := map[string]any{"clientID": "c", "identityBinding": true}
	for name, test := range map[string]struct {
		more     map[string]any
		operator bool
		want     string
	}{
		"none":                {map[string]any{"auth": binding}, true, "auth.identityBinding: logs in through the cluster's token proxy, and the operator's configuration names none"},
		"none, of a class":    {map[string]any{"auth": binding}, false, "auth.identityBinding: logs in through the cluster's token proxy, and the operator's configuration names none"},
		"a class's own":       {map[string]any{"auth": binding, "tokenProxy": proxy}, false, "tokenProxy: is shown the pods' tokens, so only the operator's configuration file may give it"},
		"without a name":      {map[string]any{"auth": binding, "tokenProxy": map[string]any{"url": "https://proxy"}}, true, "tokenProxy: needs the proxy's url, and serverName"},
		"in the clear":        {map[string]any{"auth": binding, "tokenProxy": with("url", "http://proxy")}, true, "tokenProxy.url: must begin with https://"},
		"with a query":        {map[string]any{"auth": binding, "tokenProxy": with("url", "https://proxy/?a=b")}, true, "tokenProxy.url: must not go beyond the path"},
		"with a user":         {map[string]any{"auth": binding, "tokenProxy": with("url", "https://u:p@proxy/")}, true, "tokenProxy.url: must not hold a user name"},
		"a name that is none": {map[string]any{"auth": binding, "tokenProxy": with("serverName", "a b")}, true, "tokenProxy.serverName: must be a DNS name"},
		"a relative file":     {map[string]any{"auth": binding, "tokenProxy": with("caCertFile", "ca.crt")}, true, "tokenProxy.caCertFile: must be an absolute path"},
		"another method":      {map[string]any{"auth": map[string]any{"method": "servicePrincipal", "identityBinding": true}, "tokenProxy": proxy}, true, "auth.identityBinding: is for the method workloadIdentity alone"},
		"without a client":    {map[string]any{"auth": map[string]any{"method": "workloadIdentity", "identityBinding": true}, "tokenProxy": proxy}, true, "auth.clientID: is missing"},
	} {
		settings := f.settings(test.more)
		settings.ByOperator = test.operator
		if _, err := azure.NewType(azure.Options{}).Open(settings); !errors.Is(err, fault.ErrInvalid) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", name, err, test.want)
		}
	}
}

// annotations are those of one service account.
type annotations map[string]string

func (a annotations) Annotation(_ context.Context, namespace, serviceAccount, name string) (string, error) {
	if namespace != "prod" || serviceAccount != "web" {
		return "", nil
	}
	return a[name], nil
}

func TestTheServiceAccountNamesClientAndTenant(t *testing.T) {
	f := newFixture(t)
	f.vault.Put("db", "hunter2")
	f.azure.SetSecret("secret-client", "s3cr3t")
	f.vault.Grant("secret-client", "*")
	own := func(pod identity.Identity) identity.Identity {
		pod.Credentials = map[string]secret.Bytes{"clientid": secret.NewString("secret-client"), "clientsecret": secret.NewString("s3cr3t")}
		return pod
	}
	for name, test := range map[string]struct {
		said    annotations
		allowed bool
		more    map[string]any
		pod     identity.Identity
		kind    error
		want    string // in the error
	}{
		"both":                    {annotations{"azure.workload.identity/client-id": webClient, "azure.workload.identity/tenant-id": azuretest.Tenant}, true, map[string]any{"tenantID": nil}, f.pod("prod/web"), nil, ""},
		"the client alone":        {annotations{"azure.workload.identity/client-id": webClient}, true, map[string]any{"tenantID": nil}, f.pod("prod/web"), nil, ""},
		"the class's tenant":      {annotations{"azure.workload.identity/client-id": webClient, "azure.workload.identity/tenant-id": "other"}, true, nil, f.pod("prod/web"), nil, ""},
		"the pod's own secret":    {annotations{"azure.workload.identity/client-id": "other"}, true, nil, own(f.pod("prod/web")), nil, ""},
		"another tenant":          {annotations{"azure.workload.identity/client-id": webClient, "azure.workload.identity/tenant-id": "other"}, true, map[string]any{"tenantID": nil}, f.pod("prod/web"), fault.ErrUnauthenticated, "there is no such tenant"},
		"none":                    {annotations{}, true, nil, f.pod("prod/web"), fault.ErrUnauthenticated, "the pod brings no credential \"clientid\"; name a Secret that has this key in the volume's nodePublishSecretRef, or give auth.clientID to use the pod's own identity; service account web in namespace prod has no annotation azure.workload.identity/client-id"},
		"not allowed":             {annotations{"azure.workload.identity/client-id": webClient}, false, nil, f.pod("prod/web"), fault.ErrUnauthenticated, "the annotation azure.workload.identity/client-id of service account web in namespace prod is not read, because the operator's configuration does not set policy.readObjects"},
		"one that is none":        {annotations{"azure.workload.identity/client-id": "a b"}, true, nil, f.pod("prod/web"), fault.ErrInvalid, "must be a client ID"},
		"a tenant that is none":   {annotations{"azure.workload.identity/client-id": webClient, "azure.workload.identity/tenant-id": "a b"}, true, map[string]any{"tenantID": nil}, f.pod("prod/web"), fault.ErrInvalid, "must be a tenant's ID"},
		"the secret, by its word": {annotations{"azure.workload.identity/client-id": webClient}, true, map[string]any{"auth": map[string]any{"method": "servicePrincipal"}}, f.pod("prod/web"), fault.ErrUnauthenticated, "the pod brings no credential"},
		"the client of the class": {annotations{"azure.workload.identity/client-id": "other"}, true, map[string]any{"auth": map[string]any{"clientID": webClient}}, f.pod("prod/web"), nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			settings := f.settings(map[string]any{"auth": map[string]any{}, "retries": 0})
			for setting, value := range test.more {
				settings.Fields[setting] = value
				if value == nil {
					delete(settings.Fields, setting)
				}
			}
			s, err := azure.NewType(azure.Options{Cluster: test.said, ClusterAllowed: func() bool { return test.allowed }}).Open(settings)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			value, err := s.Read(t.Context(), test.pod, db)
			switch {
			case test.kind == nil && (err != nil || value.Data.RevealString() != "hunter2"):
				t.Errorf("Read: %v", err)
			case test.kind != nil && (!errors.Is(err, test.kind) || !strings.Contains(err.Error(), test.want)):
				t.Errorf("Read: %v\nwant %q", err, test.want)
			}
		})
	}
}

func TestAStoreOfADefinedCloudHoldsForClassesThatNameIt(t *testing.T) {
	f := newFixture(t)
	for name, test := range map[string]struct {
		settings store.Settings
		want     string
	}{
		"without a file":                  {store.Settings{Fields: map[string]any{"vault": "web-kv", "cloud": "AzureStackCloud"}}, "cloud: AzureStackCloud is described by a file of the node: the operator's configuration must say which for this store, in environmentFile"},
		"of the operator, without a file": {f.settings(map[string]any{"cloud": "azurestackcloud", "authorityHost": nil}), "cloud: AzureStackCloud is described by a file"},
	} {
		if _, err := azure.NewType(azure.Options{}).Open(test.settings); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// A class may name another cloud than the file's; then the file does not hold.
	if _, err := azure.NewType(azure.Options{}).Open(f.settings(map[string]any{"cloud": "china", "environmentFile": "/missing"})); err != nil {
		t.Error(err)
	}
}
