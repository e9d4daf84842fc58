package azuretest

import (
	"fmt"

	"sigs.k8s.io/yaml"
)

// content is what a vault holds, as a file says it. Later versions stand below
// earlier ones.
type content struct {
	Secrets []struct {
		Name     string
		Disabled bool
		Secret
	}
	Certificates []struct {
		Name string
		Key  JWK // instead of a Signer
		Certificate
	}
}

// Load puts into the vault what a YAML file says: secrets with name, value,
// contentType, version and disabled; certificates with name, cer in base64, value,
// contentType, version and key, a JSON web key.
func (v *Vault) Load(file []byte) error {
	var c content
	if err := yaml.Unmarshal(file, &c); err != nil {
		return fmt.Errorf("the content of the vault: %w", err)
	}
	for _, secret := range c.Secrets {
		id := v.PutSecret(secret.Name, secret.Secret)
		if secret.Disabled {
			v.Disable("secrets/"+secret.Name, id)
		}
	}
	for _, certificate := range c.Certificates {
		id := v.PutCertificate(certificate.Name, certificate.Certificate)
		v.put("keys/"+certificate.Name, id, certificate.Key)
	}
	return nil
}
