package cmd

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A configuration is judged with the real stores: what only a class can know
// may be missing, everything else may not be wrong.
func TestConfigurationsAreJudgedWithTheStoresThatTheyName(t *testing.T) {
	for name, c := range map[string]struct {
		config string
		want   string // part of the error; empty for none
	}{
		"a vault whose role the classes give": {`stores: {vault: {type: vault, address: "https://vault:8200", auth: {method: kubernetes}}}`, ""},
		"a vault at no address":               {`stores: {vault: {type: vault, auth: {method: kubernetes}}}`, "stores.vault.address: is missing"},
		"a setting that is misspelt":          {`stores: {vault: {type: vault, adress: "https://vault:8200"}}`, "stores.vault.adress: unknown field"},
		"files for nobody in particular":      {`stores: {agent: {type: file, root: /srv}}`, "stores.agent.allow: missing"},
		"files for one service account":       {`stores: {agent: {type: file, root: /srv, allow: [prod/web]}}`, ""},
		"the node's token for all":            {`stores: {vault: {type: vault, address: "https://vault:8200", auth: {method: tokenFile, tokenFile: /run/token}}}`, "stores.vault.allow: missing"},
		"an unknown type":                     {`stores: {x: {type: valt}}`, "stores.x.type: unknown type; give one of "},
		"a key ring that is not there":        {`stores: {sealed: {type: sealed, keyRing: /nonexistent}}`, "stores.sealed.keyRing"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "lanyard.yaml")
			if err := os.WriteFile(path, []byte(c.config), 0o600); err != nil {
				t.Fatal(err)
			}
			e, err := loadEngine(path)
			if err == nil {
				defer e.Close()
			}
			switch {
			case c.want == "" && err != nil:
				t.Errorf("refused: %v", err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), path+":1: "+c.want)):
				t.Errorf("error %v, want %q with its line", err, c.want)
			}
		})
	}
}
