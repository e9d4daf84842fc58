package deployment

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// schemaNode is as much of a JSON schema as is looked at here.
type schemaNode struct {
	Type                 string
	Ref                  string `json:"$ref"`
	Properties           map[string]schemaNode
	AdditionalProperties any
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
	file, err := Source(strings.Split(path, "/")...)
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
	var compare func(path string, node schemaNode, values map[string]any)
	compare = func(path string, node schemaNode, values map[string]any) {
		node = resolve(root, node)
		if node.Properties == nil {
			return
		}
		if node.AdditionalProperties != false {
			t.Errorf("the schema of %s takes fields that it does not know", path)
		}
		for name, below := range node.Properties {
			value, found := values[name]
			// The configuration's defaults are the provider's, SELinux's the
			// node's, and global is Helm's own.
			if !found && path+"."+name != ".global" && !strings.HasPrefix(path, ".config") && path != ".seLinuxOptions" {
				t.Errorf("values.yaml has no %s.%s", path, name)
			}
			inside, isMap := value.(map[string]any)
			if !isMap {
				inside = nil
			}
			compare(path+"."+name, below, inside)
		}
	}
	compare("", root, values)
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
		"{networkPolicy: {enabled: false, egress: {enabled: true}}, hostNetwork: true}": "host's network",
		"networkPolicy: {egress: {to: []}}":                                             "to",
		"networkPolicy: {egress: {apiServer: {cidrs: [10.0.0.1]}}}":                     "/networkPolicy/egress/apiServer/cidrs/0",
		"config: {policy: {classStores: vault.example.com}}":                            "/config/policy/classStores",
		"config: {proxy: {noProxy: .svc}}":                                              "url",
		"config: {proxy: {url: 'http://user:password@proxy'}}":                          "/config/proxy/url",
		"config: {proxy: {url: 'http://proxy', caCertFile: ca.crt}}":                    "/config/proxy/caCertFile",
		"priorityClass: {create: true}":                                                 "priorityClass.name",
		"priorityClass: {quota: 10}":                                                    "/priorityClass/quota",
		"networkPolicy: {from: [{port: 1}]}":                                            "port",
		"podMonitor: {interval: often}":                                                 "/podMonitor/interval",
		"securityContext: {privileged: true}":                                           "securityContext",
	} {
		_, err := renderOrError(t, values)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("with %s the error is %v, want %s in it", values, err, want)
		}
	}
}

func TestTheChartMayBePartOfAnother(t *testing.T) {
	render(t, "global: {imageRegistry: registry.example}")
}
