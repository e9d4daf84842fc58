package azuretest

import (
	"encoding/base64"
	"fmt"

	"go.yaml.in/yaml/v3"
)

// content is what a vault holds, as a file says it. Later versions stand below
// earlier ones.
type content struct {
	Secrets []struct {
		Name        string `yaml:"name"`
		Value       string `yaml:"value"`
		ContentType string `yaml:"contentType"`
		Version     string `yaml:"version"`
		Disabled    bool   `yaml:"disabled"`
	} `yaml:"secrets"`
	Certificates []struct {
		Name        string `yaml:"name"`
		CER         string `yaml:"cer"` // base64
		Value       string `yaml:"value"`
		ContentType string `yaml:"contentType"`
		Version     string `yaml:"version"`
		Key         JWK    `yaml:"key"`
	} `yaml:"certificates"`
}

// Load puts into the vault what a YAML file says: secrets with name, value,
// contentType, version and disabled; certificates with name, cer, value,
// contentType, version and key, a JSON web key.
func (v *Vault) Load(file []byte) error {
	var c content
	if err := yaml.Unmarshal(file, &c); err != nil {
		return fmt.Errorf("the content of the vault: %w", err)
	}
	for _, secret := range c.Secrets {
		id := v.PutSecret(secret.Name, Secret{Value: secret.Value, ContentType: secret.ContentType, Version: secret.Version})
		if secret.Disabled {
			v.Disable("secrets/"+secret.Name, id)
		}
	}
	for _, certificate := range c.Certificates {
		cer, err := base64.StdEncoding.DecodeString(certificate.CER)
		if err != nil {
			return fmt.Errorf("the certificate %s: %w", certificate.Name, err)
		}
		id := v.PutCertificate(certificate.Name, Certificate{CER: cer, Value: certificate.Value, ContentType: certificate.ContentType, Version: certificate.Version})
		v.put("keys/"+certificate.Name, id, certificate.Key)
	}
	return nil
}
