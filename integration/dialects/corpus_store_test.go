package dialects

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/lanyardhq/lanyard/integration/issuer"
	"github.com/lanyardhq/lanyard/provider/backend/azure/azuretest"
	"github.com/lanyardhq/lanyard/provider/backend/gcp/gcptest"
	"github.com/lanyardhq/lanyard/provider/dialect/aws"
	"github.com/lanyardhq/lanyard/provider/dialect/azure"
	"github.com/lanyardhq/lanyard/provider/dialect/gcp"
	"github.com/lanyardhq/lanyard/provider/dialect/openbao"
	"github.com/lanyardhq/lanyard/provider/dialect/vault"
	"github.com/lanyardhq/lanyard/provider/spec"
)

// corpusDialect is a dialect with a corpus.
type corpusDialect struct {
	least int // cases that there must be
	parse spec.Dialect
	store func(t *testing.T) corpusStore
}

// corpusStore is what the classes of a corpus read from.
type corpusStore struct {
	config    string            // of the operator
	variables map[string]string // what cases write as ${NAME}
	issuer    *issuer.Issuer
	audiences []string // of the pods' tokens
}

func corpusDialects() map[string]corpusDialect {
	return map[string]corpusDialect{
		vault.Name:   {least: 290, parse: vault.Parse, store: vaultCorpus},
		openbao.Name: {least: 40, parse: openbao.Parse, store: openbaoCorpus},
		aws.Name:     {least: 216, parse: aws.Parse, store: awsCorpus},
		azure.Name:   {least: 222, parse: azure.Parse, store: azureCorpus},
		gcp.Name:     {least: 218, parse: gcp.Parse, store: gcpCorpus},
	}
}

// vaultCorpus is a Vault whose auth mounts take the tokens of the pods as the auth methods
// kubernetes and jwt both do.
func vaultCorpus(t *testing.T) corpusStore {
	server, from := vaultOf(t, filepath.Join(corpusDir(vault.Name), "store.yaml"), "kubernetes", "jwt", "clusters/eu")
	return corpusStore{
		config: fmt.Sprintf(`
stores:
  vault:
    type: vault
    address: %s
    auth: {method: kubernetes}
    override: {auth.mount: ["*", "clusters/*"]}
    ignore: [address, tls]
`, server.Address),
		variables: map[string]string{"VAULT": server.Address, "VAULT_HOST": strings.TrimPrefix(server.Address, "http://")},
		issuer:    from, audiences: []string{"vault", "vault-custom"},
	}
}

// openbaoCorpus is the Vault of vaultCorpus, which speaks OpenBao's API.
func openbaoCorpus(t *testing.T) corpusStore {
	server, from := vaultOf(t, filepath.Join(corpusDir(vault.Name), "store.yaml"), "kubernetes", "jwt", "clusters/eu")
	return corpusStore{
		config: fmt.Sprintf(`
stores:
  openbao:
    type: vault
    address: %s
    auth: {method: kubernetes, audience: openbao}
    override: {auth.mount: ["*", "*/*"], auth.audience: ["*"]}
    ignore: [address, tls]
`, server.Address),
		variables: map[string]string{"BAO": server.Address},
		issuer:    from, audiences: []string{"openbao", "vault-custom"},
	}
}

func awsCorpus(t *testing.T) corpusStore {
	server, from, role := awsOf(t, filepath.Join(corpusDir(aws.Name), "store.yaml"))
	return corpusStore{config: awsConfig(server, role), issuer: from, audiences: []string{"sts.amazonaws.com"}}
}

func azureCorpus(t *testing.T) corpusStore {
	text, err := os.ReadFile(filepath.Join(corpusDir(azure.Name), "store.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var vaults map[string]any
	unmarshal(t, string(text), &vaults)
	contents := map[string][]byte{}
	for name, vault := range vaults {
		if contents[name], err = yaml.Marshal(vault); err != nil {
			t.Fatal(err)
		}
	}
	server, from := azureOf(t, contents)
	return corpusStore{config: azureConfig(t, server), variables: map[string]string{"TENANT": azuretest.Tenant}, issuer: from, audiences: []string{azureAudience}}
}

func gcpCorpus(t *testing.T) corpusStore {
	server, from := gcpOf(t, filepath.Join(corpusDir(gcp.Name), "store.yaml"))
	return corpusStore{
		config: gcpConfig(server), variables: map[string]string{"NUMBER": gcptest.Number("shop")},
		issuer: from, audiences: []string{gcpPool},
	}
}
