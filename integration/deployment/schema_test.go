package deployment

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/lanyardhq/lanyard/cmd"
	"github.com/lanyardhq/lanyard/integration/checkout"
)

// schemaNode is as much of a JSON schema as is looked at here.
type schemaNode struct {
	Type                 string
	Ref                  string `json:"$ref"`
	Properties           map[string]schemaNode
	AdditionalProperties any
	Items                any
	Defs                 map[string]schemaNode `json:"$defs"`
}

func schema(t *testing.T) schemaNode {
	t.Helper()
	var root schemaNode
	if err := json.Unmarshal(source(t, "deployment/charts/lanyard/values.schema.json"), &root); err != nil {
		t.Fatal(err)
	}
	return root
}

// source is a file of the repository.
func source(t *testing.T, path string) []byte {
	t.Helper()
	file, err := checkout.Path(strings.Split(path, "/")...)
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// properties are the dotted names of all properties below a node.
func properties(node schemaNode, prefix string) []string {
	var all []string
	for name, below := range node.Properties {
		all = append(all, prefix+name)
		all = append(all, properties(below, prefix+name+".")...)
	}
	return all
}

func TestTheSchemaIsClosedAndKnowsEveryDefault(t *testing.T) {
	root := schema(t)
	var values map[string]any
	if err := yaml.Unmarshal(source(t, "deployment/charts/lanyard/values.yaml"), &values); err != nil {
		t.Fatal(err)
	}
	var compare func(path string, node schemaNode, values map[string]any, kubernetes bool)
	compare = func(path string, node schemaNode, values map[string]any, kubernetes bool) {
		// Kubernetes' own types have defaults of their own.
		kubernetes = kubernetes || strings.HasPrefix(node.Ref, "#/$defs/") && node.Ref != "#/$defs/monitor"
		node = resolve(root, node)
		// The driver's chart has its own.
		if node.Properties == nil || path == ".secrets-store-csi-driver" {
			return
		}
		if node.AdditionalProperties != false {
			t.Errorf("the schema of %s takes fields that it does not know", path)
		}
		for name, below := range node.Properties {
			value, found := values[name]
			// The configuration's defaults are the provider's, and global is Helm's own.
			if !found && !kubernetes && path+"."+name != ".global" && !strings.HasPrefix(path, ".config") {
				t.Errorf("values.yaml has no %s.%s", path, name)
			}
			inside, isMap := value.(map[string]any)
			if !isMap {
				inside = nil
			}
			compare(path+"."+name, below, inside, kubernetes)
		}
	}
	compare("", root, values, false)
}

// resolve follows a reference into the schema's definitions.
func resolve(root, node schemaNode) schemaNode {
	if name, found := strings.CutPrefix(node.Ref, "#/$defs/"); found {
		return root.Defs[name]
	}
	return node
}

func TestMistakesInValuesAreRefused(t *testing.T) {
	for values, want := range map[string]string{
		"configs: {}":                                     "configs",
		"image: {repositry: a}":                           "repositry",
		"image: {tag: 1.2}":                               "/image/tag",
		"image: {digest: sha256:abc}":                     "/image/digest",
		"image: {pullPolicy: Sometimes}":                  "/image/pullPolicy",
		"config: {cache: {refersh: 5m}}":                  "refersh",
		"config: {cache: {refresh: 5}}":                   "/config/cache/refresh",
		"config: {policy: {tokenRequest: 'yes'}}":         "/config/policy/tokenRequest",
		"config: {stores: {vault: {address: a}}}":         "/config/stores/vault",
		"config: {stores: {a/b: {type: vault}}}":          "a/b",
		"config: {stores: {a: {type: file, allow: [b]}}}": "/config/stores/a/allow",
		"secrets: [A_b]":                                  "/secrets/0",
		"secrets: [a, a]":                                 "/secrets",
		"hostDirectories: [var/lib]":                      "/hostDirectories/0",
		"hostDirectories: [/var/../etc]":                  "/hostDirectories/0",
		"hostDirectories: [/]":                            "/hostDirectories/0",
		"dialects: []":                                    "/dialects",
		"dialects: ['a,b']":                               "/dialects/0",
		"socketDirectory: a":                              "/socketDirectory",
		"runAsUser: -1":                                   "/runAsUser",
		"allowPeerUIDs: [4294967295]":                     "/allowPeerUIDs/0",
		"shutdownSeconds: 0":                              "/shutdownSeconds",
		"log: {format: xml}":                              "/log/format",
		"admin: {port: 80}":                               "/admin/port",
		"updateStrategy: {maxUnavailable: 0}":             "/updateStrategy/maxUnavailable",
		"updateStrategy: {maxSurge: 1}":                   "maxSurge",
		"labels: {app.kubernetes.io/name: a}":             "app.kubernetes.io/name",
		"serviceAccount: {create: false}":                 "serviceAccount.name",
		"{runAsUser: 65532, secrets: [key-ring]}":         "cannot read them",
		"tokenRequestNamespaces: [shop]":                  "config.policy.tokenRequest",
		"hostNetwork: true":                               "host's network",
		"podMonitor: {enabled: true}":                     "networkPolicy.from",
		"config: {stores: {s: {type: sealed, keyRing: /etc/lanyard/secrets/ring/r.yaml}}}":                                                                                 "config.stores.s.keyRing: /etc/lanyard/secrets/ring/r.yaml is in no volume of the provider's pods; add ring to secrets",
		"{secrets: [rin], config: {stores: {s: {type: sealed, keyRing: /etc/lanyard/secrets/ring/r.yaml}}}}":                                                               "add ring to secrets",
		"config: {stores: {v: {type: vault, tls: {caCertFile: /etc/lanyard/files/ca/ca.pem}}}}":                                                                            "config.stores.v.tls.caCertFile: /etc/lanyard/files/ca/ca.pem is in no volume of the provider's pods; add ca to configMaps",
		"config: {stores: {s: {type: sealed, keys: [{name: k, service: {type: vault, auth: {method: approle, secretIDFile: /etc/id}}}]}}}":                                 "config.stores.s.keys[0].service.auth.secretIDFile: /etc/id is in no volume",
		"config: {proxy: {url: 'http://p', credentialsFile: /etc/p}}":                                                                                                      "config.proxy.credentialsFile: /etc/p",
		"config: {stores: {f: {type: file, root: /srv/x, allow: [a/b]}}}":                                                                                                  "config.stores.f.root: /srv/x is in no volume of the provider's pods; add it to hostDirectories",
		"{hostDirectories: [/srv/xy], config: {stores: {f: {type: file, root: /srv/x, allow: [a/b]}}}}":                                                                    "/srv/x is in no volume",
		"config: {audit: {file: {path: /var/log/lanyard/audit}}}":                                                                                                          "config.audit.file.path: /var/log/lanyard/audit is in no volume that can be written",
		"{hostDirectories: [/var/log/lanyard], config: {audit: {file: {path: /var/log/lanyard/audit}}}}":                                                                   "no volume that can be written",
		"{extraVolumes: [{name: a}], extraVolumeMounts: [{name: a, mountPath: /srv}], sync: {enabled: true}, config: {proxy: {url: 'http://p', credentialsFile: /srv/p}}}": "/srv/p is in no volume of the controller's pods; put it into a Secret or a ConfigMap that secrets or configMaps names, or mount it with sync.extraVolumes",
		"extraVolumeMounts: [{name: a, mountPath: /srv}]":                                                                                                                  "no volume has this name; add it to extraVolumes",
		"{inject: {enabled: true, extraVolumeMounts: [{name: a, mountPath: /srv}]}}":                                                                                       "inject.extraVolumeMounts",
		"config: {cache: {bytes: 33Mi}}":                          "resources.limits.memory: is 256Mi, and cache.bytes (33Mi), bounds.memory (64Mi) and 160Mi beside them take 257Mi",
		"config: {bounds: {memory: 76546048}}":                    "take 257Mi",
		"resources: {limits: {memory: 200M}}":                     "is 200M",
		"{sync: {enabled: true, config: {cache: {bytes: 32Mi}}}}": "sync.resources.limits.memory: is 128Mi, and cache.bytes (32Mi), bounds.memory (16Mi) and 96Mi beside them take 144Mi",
		"podSecurityContext: {runAsUser: 7}":                      "set the value runAsUser",
		"securityContext: {privileged: true}":                     "securityContext.allowPrivilegeEscalation: true",
		"sync: {enabled: true, dnsPolicy: None}":                  "sync.dnsConfig.nameservers",
		"inject: {enabled: true, port: 9879}":                     "admin.port",
		"{networkPolicy: {enabled: false}, inject: {enabled: true, networkPolicy: {from: [{podSelector: {}}]}}}": "inject.networkPolicy.from",
		"{networkPolicy: {enabled: false, egress: {enabled: true}}, hostNetwork: true}":                          "host's network",
		"networkPolicy: {egress: {to: []}}":                                           "to",
		"networkPolicy: {egress: {apiServer: {cidrs: [10.0.0.1]}}}":                   "/networkPolicy/egress/apiServer/cidrs/0",
		"config: {policy: {classStores: vault.example.com}}":                          "/config/policy/classStores",
		"config: {proxy: {noProxy: .svc}}":                                            "url",
		"config: {proxy: {url: 'http://user:password@proxy'}}":                        "/config/proxy/url",
		"config: {proxy: {url: 'http://proxy', caCertFile: ca.crt}}":                  "/config/proxy/caCertFile",
		"priorityClass: {create: true}":                                               "priorityClass.name",
		"priorityClass: {quota: 10}":                                                  "/priorityClass/quota",
		"networkPolicy: {from: [{port: 1}]}":                                          "port",
		"podMonitor: {interval: often}":                                               "/podMonitor/interval",
		"securityContext: {privilege: true}":                                          "privilege",
		"podSecurityContext: {privileged: true}":                                      "privileged",
		"extraArgs: [serve]":                                                          "/extraArgs/0",
		"extraEnv: [{name: A, values: b}]":                                            "values",
		"dnsPolicy: Cluster":                                                          "/dnsPolicy",
		"sync: {dnsConfig: {nameserver: []}}":                                         "nameserver",
		"inject: {hostAliases: [{ip: 10.0.0.5}]}":                                     "hostnames",
		"inject: {topologySpreadConstraints: [{maxSkew: 1}]}":                         "topologyKey",
		"dialects: [vualt]":                                                           "/dialects/0",
		"config: {stores: {a: {type: valut}}}":                                        "/config/stores/a/type",
		"config: {stores: {a: {type: sealed, keys: [{service: {type: hsm}}]}}}":       "/config/stores/a/keys/0/service/type",
		"secrets-store-csi-driver: {tokenRequests: [vault]}":                          "/tokenRequests/0",
		"livenessProbe: {periodSecond: 1}":                                            "periodSecond",
		"topologySpreadConstraints: []":                                               "topologySpreadConstraints",
		"inject: {networkPolicy: {from: [{cidr: 10.0.0.1}]}}":                         "cidr",
		"inject: {enable: true}":                                                      "enable",
		"inject: {replicas: 0}":                                                       "/inject/replicas",
		"inject: {dialects: [vault]}":                                                 "/inject/dialects/0",
		"inject: {audiences: ['a,b']}":                                                "/inject/audiences/0",
		"inject: {agentConfig: {cache: {refersh: 5m}}}":                               "refersh",
		"inject: {vault: {address: 'vault:8200'}}":                                    "/inject/vault/address",
		"inject: {vault: {authPath: /auth/}}":                                         "/inject/vault/authPath",
		"inject: {exemptNamespaces: [shop]}":                                          "/inject/exemptNamespaces",
		"inject: {timeoutSeconds: 31}":                                                "/inject/timeoutSeconds",
		"inject: {agentResources: {limits: {memory: much}}}":                          "/inject/agentResources/limits/memory",
		"inject: {certManager: {issuer: {name: mine}}}":                               "inject.certManager.enabled",
		"inject: {enabled: true, serviceAccount: {create: false}}":                    "inject.serviceAccount.name",
		"sync: {enable: true}":                                                        "enable",
		"sync: {replicas: 0}":                                                         "/sync/replicas",
		"sync: {secretTypes: []}":                                                     "/sync/secretTypes",
		"sync: {secretTypes: [kubernetes.io/service-account-token]}":                  "/sync/secretTypes/0",
		"sync: {secretTypes: [Opaque, bootstrap.kubernetes.io/token]}":                "/sync/secretTypes/1",
		"sync: {secretTypes: [\"a' || true || 'b\"]}":                                 "/sync/secretTypes/0",
		"sync: {audiences: ['*']}":                                                    "/sync/audiences/0",
		"sync: {audiences: [\"a' in ['\"]}":                                           "/sync/audiences/0",
		"sync: {allowServiceAccounts: [web]}":                                         "/sync/allowServiceAccounts/0",
		"sync: {allowServiceAccounts: [kube-system/*]}":                               "/sync/allowServiceAccounts/0",
		"sync: {namespaces: ['*']}":                                                   "/sync/namespaces/0",
		"sync: {secretSyncs: true}":                                                   "/sync/secretSyncs",
		"sync: {interval: often}":                                                     "/sync/interval",
		"sync: {restart: {max: 0}}":                                                   "/sync/restart/max",
		"sync: {config: {cache: {refersh: 5m}}}":                                      "refersh",
		"sync: {enabled: true, serviceAccount: {create: false}}":                      "sync.serviceAccount.name",
		"sync: {enabled: true, serviceAccount: {name: lanyard}}":                      "the provider's service account",
		"sync: {enabled: true, secretSyncs: {crd: true}}":                             "sync.secretSyncs.enabled",
		"sync: {enabled: true, admissionPolicies: {enabled: false, requester: true}}": "sync.admissionPolicies.enabled",
		"impersonation: {mode: off}":                                                  "/impersonation/mode",
		"impersonation: {updates: pod}":                                               "/impersonation/updates",
		"impersonation: {openServiceAccounts: ['*']}":                                 "/impersonation/openServiceAccounts/0",
		"impersonation: {exemptUsers: [\"a' || true || 'b\"]}":                        "/impersonation/exemptUsers/0",
		"impersonation: {exemptUsers: ['']}":                                          "/impersonation/exemptUsers/0",
		"impersonation: {namespaceSelector: {team: shop}}":                            "team",
		"impersonation: {namespaceSelector: {matchExpressions: [{key: a}]}}":          "operator",
		"impersonation: {aggregateTo: [view]}":                                        "/impersonation/aggregateTo/0",
	} {
		_, err := renderOrError(t, values)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("with %s the error is %v, want %s in it", values, err, want)
		}
	}
}

// TestWhatCanRunIsNotRefused has what lies close to the refusals above.
func TestWhatCanRunIsNotRefused(t *testing.T) {
	for _, values := range []string{
		"config: {cache: {bytes: 32Mi}}",
		"{config: {cache: {bytes: 1Gi}}, resources: {limits: {memory: 1.25Gi}}}",
		"{config: {cache: {bytes: 1Gi}}, resources: {limits: {memory: null}}}",
		"{config: {cache: {bytes: 1Gi}}, resources: {limits: {memory: 2e9}}}",
		"{hostDirectories: [/srv], config: {stores: {f: {type: file, root: /srv/x, allow: [a/b]}}}}",
		"{hostDirectories: [/srv], config: {stores: {f: {type: file, root: /srv, allow: [a/b]}}}, sync: {enabled: true}}",
		"config: {stores: {v: {type: vault, tls: {caCertDir: /etc/ssl/certs}}}}",
		"{extraVolumes: [{name: log}], extraVolumeMounts: [{name: log, mountPath: /var/log/lanyard}], config: {audit: {file: {path: /var/log/lanyard/audit}}}}",
		"{extraVolumes: [{name: a}], extraVolumeMounts: [{name: a, mountPath: /srv/}], config: {stores: {v: {type: vault, headersFile: /srv/headers}}}}",
		"{extraVolumeMounts: [{name: config, mountPath: /other}], securityContext: {privileged: true, allowPrivilegeEscalation: true}}",
		"{podMonitor: {enabled: true}, networkPolicy: {enabled: false}}",
		"{sync: {dnsPolicy: None}, inject: {port: 9879}}",
	} {
		if _, err := renderOrError(t, values); err != nil {
			t.Errorf("%s: %v", values, err)
		}
	}
}

func TestEveryProblemIsToldAtOnce(t *testing.T) {
	_, err := renderOrError(t, "{hostNetwork: true, tokenRequestNamespaces: [a], config: {cache: {bytes: 1Gi}}}")
	for _, want := range []string{"tokenRequestNamespaces:", "networkPolicy:", "resources.limits.memory:"} {
		if err == nil || !strings.Contains(err.Error(), "\n  "+want) {
			t.Errorf("the error is %v, want %s in it", err, want)
		}
	}
}

// TestTheSchemaKnowsDialectsAndTypes holds the schema's lists against what the
// product itself says.
func TestTheSchemaKnowsDialectsAndTypes(t *testing.T) {
	file := filepath.Join(t.TempDir(), "lanyard.yaml")
	if err := os.WriteFile(file, []byte("stores: {a: {type: none}, b: {type: sealed, keys: [{name: k, service: {type: none}}]}}"), 0o600); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	cmd.Execute([]string{"check", "--config", file}, strings.NewReader(""), &out, &out)
	cmd.Execute([]string{"serve", "--dialects=none", "--socket-dir=" + t.TempDir()}, strings.NewReader(""), &out, &out)
	root := schema(t)
	store := root.Properties["config"].Properties["stores"].AdditionalProperties.(map[string]any)["properties"].(map[string]any)
	service := store["keys"].(map[string]any)["items"].(map[string]any)["properties"].(map[string]any)["service"].(map[string]any)["properties"].(map[string]any)
	for name, list := range map[string]struct {
		text  string
		known any
	}{
		"types of stores":       {"unknown type; give one of ", store["type"]},
		"types of key services": {"unknown key service; known are ", service["type"]},
		"dialects":              {"known are aws, azure, gcp, gke", root.Properties["dialects"].Items},
	} {
		_, rest, found := strings.Cut(out.String(), list.text)
		line, _, _ := strings.Cut(rest, "\n")
		if name == "dialects" {
			line = strings.TrimPrefix(list.text, "known are ") + line
		}
		want := strings.Split(line, ", ")
		var got []string
		for _, value := range list.known.(map[string]any)["enum"].([]any) {
			got = append(got, value.(string))
		}
		slices.Sort(want)
		slices.Sort(got)
		if !found || !slices.Equal(got, want) {
			t.Errorf("the schema has the %s\n%v, the product\n%v", name, got, want)
		}
	}
}

func TestTheChartMayBePartOfAnother(t *testing.T) {
	render(t, "global: {imageRegistry: registry.example}")
}
