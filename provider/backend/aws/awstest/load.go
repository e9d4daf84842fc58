package awstest

import (
	"os"
	"testing"

	"sigs.k8s.io/yaml"
)

// entry is a secret or a parameter as a file describes it.
type entry struct {
	Region    string         `json:"region"`
	Secret    string         `json:"secret"`
	Parameter string         `json:"parameter"`
	Type      string         `json:"type"`   // of a parameter
	Values    []string       `json:"values"` // its versions, the oldest first
	Base64    []byte         `json:"base64"` // of a binary secret
	Labels    map[string]int `json:"labels"` // of versions, counted from one
}

// Load puts what a YAML file lists: secrets and parameters with their versions
// and labels.
func (s *Server) Load(t testing.TB, path string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var entries []entry
	if err := yaml.UnmarshalStrict(text, &entries); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	for _, e := range entries {
		s.load(e)
	}
}

func (s *Server) load(e entry) {
	if e.Base64 != nil {
		s.PutBinarySecret(e.Region, e.Secret, e.Base64)
	}
	for _, value := range e.Values {
		if e.Secret != "" {
			s.PutSecret(e.Region, e.Secret, value)
		} else {
			s.PutParameter(e.Region, e.Parameter, e.Type, value)
		}
	}
	for label, number := range e.Labels {
		if e.Secret != "" {
			s.Stage(e.Region, e.Secret, idOfVersion(e.Secret, number), label)
		} else {
			s.Label(e.Region, e.Parameter, label, number)
		}
	}
}
