package cmd

import (
	"bytes"

	"go.yaml.in/yaml/v3"

	"github.com/lanyardhq/lanyard/provider/secret"
)

// encryptedForms are what encrypted text begins with, and what it is.
var encryptedForms = []struct{ begin, what string }{
	{"lanyard.v1.", "sealed already"},
	{"ENC[AES256_GCM,", "a value that sops has encrypted"},
	{"-----BEGIN AGE ENCRYPTED FILE-----", "an age file"},
	{"age-encryption.org/v1", "an age file"},
	{"-----BEGIN PGP MESSAGE-----", "a PGP message"},
	{"$ANSIBLE_VAULT;", "a file of ansible-vault"},
	{"vault:v", "a ciphertext of Vault's transit engine"},
}

// encryptedAs says what an encrypted value is; empty if it does not look like one.
func encryptedAs(value secret.Bytes) string {
	text := bytes.TrimLeft(bytes.TrimPrefix(value.Reveal(), []byte("\xef\xbb\xbf")), " \t\r\n")
	for _, form := range encryptedForms {
		if bytes.HasPrefix(text, []byte(form.begin)) {
			return form.what
		}
	}
	// Only what has one of these words is worth parsing.
	if !bytes.Contains(text, []byte("sops")) && !bytes.Contains(text, []byte("SealedSecret")) {
		return ""
	}
	var document struct {
		Kind string         `yaml:"kind"`
		Sops map[string]any `yaml:"sops"`
	}
	if yaml.Unmarshal(text, &document) != nil {
		return ""
	}
	switch {
	case len(document.Sops) > 0:
		return "a file that sops has encrypted"
	case document.Kind == "SealedSecret":
		return "a SealedSecret"
	}
	return ""
}
