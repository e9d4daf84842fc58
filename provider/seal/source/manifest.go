package source

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"regexp"
	"strings"
	"sync"

	"go.yaml.in/yaml/v3"

	"github.com/lanyardhq/lanyard/internal/strict"
)

// Secrets reads native Secret manifests: YAML or JSON documents of kind Secret,
// and lists of them. Documents of other kinds are passed over. A value's path is
// its key, or what programs look for where the Secret's type says what it is:
// "config.json" for an image registry's credentials. Where a file holds several
// Secrets, each has a folder of its name. namespace is the one that they all
// name; empty if none does. The error is a strict.Problems.
func Secrets(data []byte) (values []Value, namespace string, err error) {
	c := newCollector(data, "")
	if len(c.problems) > 0 {
		return nil, "", c.problems
	}
	m := &manifestReader{collector: c}
	secrets := m.secrets(data)
	for i, s := range secrets {
		namespace := text(s, "metadata.namespace")
		if i > 0 && namespace != m.namespace {
			m.wrong(s.Line, "metadata.namespace", "is another one than that of the Secret before, and one class is in one namespace; divide the file")
		}
		m.namespace = namespace
		folder := ""
		if len(secrets) > 1 {
			folder = text(s, "metadata.name") + "/"
			if folder == "/" {
				m.wrong(s.Line, "metadata.name", "is missing; it is the Secret's folder where a file holds several")
			}
		}
		m.secret(s, folder)
	}
	if len(secrets) == 0 && len(m.problems) == 0 {
		m.wrong(0, "", "holds no document of kind Secret")
	}
	values, err = m.result()
	return values, m.namespace, err
}

type manifestReader struct {
	*collector
	namespace string
}

// secrets are the documents of kind Secret.
func (m *manifestReader) secrets(data []byte) []*yaml.Node {
	var found []*yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	for {
		document, err := strict.Next(decoder)
		if errors.Is(err, io.EOF) {
			return found
		}
		var problems strict.Problems
		if errors.As(err, &problems) {
			m.problems = append(m.problems, problems...)
			return nil
		}
		if len(document.Content) > 0 {
			found = append(found, m.unfold(document.Content[0])...)
		}
	}
}

// unfold returns a Secret, or the Secrets of a list.
func (m *manifestReader) unfold(node *yaml.Node) []*yaml.Node {
	switch kind, version := text(node, "kind"), text(node, "apiVersion"); {
	case kind == "Secret" && version != "v1":
		m.wrong(node.Line, "apiVersion", "must be v1")
	case kind == "Secret":
		return []*yaml.Node{node}
	case (kind == "List" || kind == "SecretList") && version == "v1":
		var found []*yaml.Node
		if _, items, ok := strict.Find(node, "items"); ok && items.Kind == yaml.SequenceNode {
			for _, item := range items.Content {
				found = append(found, m.unfold(item)...)
			}
		}
		return found
	}
	return nil
}

// secret adds the values of one Secret.
func (m *manifestReader) secret(s *yaml.Node, folder string) {
	before := len(m.values)
	kind := text(s, "type")
	had, keys := map[string]bool{}, map[string]bool{}
	for i := 0; s.Kind == yaml.MappingNode && i+1 < len(s.Content); i += 2 {
		field, value := s.Content[i], s.Content[i+1]
		if field.Value != "data" && field.Value != "stringData" {
			continue
		}
		if had[field.Value] {
			m.wrong(field.Line, field.Value, "stands twice in the Secret; write all values below one of them")
		}
		had[field.Value] = true
		m.entries(field.Value, value, kind, folder)
		for j := 0; value.Kind == yaml.MappingNode && j < len(value.Content); j += 2 {
			keys[value.Content[j].Value] = true
		}
	}
	for _, key := range neededKeys(kind) {
		if !keys[key] {
			m.wrong(s.Line, "data", "has no %s, which a Secret of type %s must have", key, kind)
		}
	}
	if len(m.values) == before && len(m.problems) == 0 {
		m.wrong(s.Line, "data", "holds no values")
	}
}

// entries adds the values of data or stringData.
func (m *manifestReader) entries(field string, entries *yaml.Node, kind, folder string) {
	if entries.Kind == yaml.ScalarNode && entries.Tag == "!!null" {
		return
	}
	if entries.Kind != yaml.MappingNode {
		m.wrong(entries.Line, field, "must be a map of keys and values, without anchors and aliases")
		return
	}
	for i := 0; i+1 < len(entries.Content); i += 2 {
		key, value := entries.Content[i], entries.Content[i+1]
		at := field + "." + key.Value
		switch {
		case !isKey(key):
			m.wrong(key.Line, field, "has a key that is none of a Secret: letters, digits, '-', '_' and '.', at most 253, and neither . nor ..")
		case value.Kind != yaml.ScalarNode || value.Tag != "!!str":
			m.wrong(key.Line, at, "must be text; put a number or a truth value between quotes")
		case field == "stringData":
			m.add(key.Line, at, folder+pathOf(kind, key.Value), []byte(value.Value))
		default:
			// As the API server does: line breaks within base64 mean nothing.
			decoded, err := base64.StdEncoding.DecodeString(value.Value)
			if err != nil {
				m.wrong(key.Line, at, "is not base64 with padding; write plain text below stringData")
				continue
			}
			m.add(key.Line, at, folder+pathOf(kind, key.Value), decoded)
		}
	}
}

// keyForm is that of a Secret's keys at the API server, which refuses "." and what
// begins with ".." besides.
var keyForm = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[-._a-zA-Z0-9]{1,253}$`) })

func isKey(key *yaml.Node) bool {
	return key.Kind == yaml.ScalarNode && keyForm().MatchString(key.Value) && key.Value != "." && !strings.HasPrefix(key.Value, "..")
}

// The types of Secrets whose keys are fixed.
// https://kubernetes.io/docs/concepts/configuration/secret/#secret-types
const (
	typeTLS          = "kubernetes.io/tls"
	typeSSH          = "kubernetes.io/ssh-auth"
	typeDockerConfig = "kubernetes.io/dockerconfigjson"
	typeDockerLegacy = "kubernetes.io/dockercfg"
	dockerConfigKey  = ".dockerconfigjson"
)

// neededKeys are those without which the API server refuses the type.
func neededKeys(kind string) []string {
	switch kind {
	case typeTLS:
		return []string{"tls.crt", "tls.key"}
	case typeSSH:
		return []string{"ssh-privatekey"}
	case typeDockerConfig:
		return []string{dockerConfigKey}
	case typeDockerLegacy:
		return []string{".dockercfg"}
	}
	return nil
}

// pathOf is the file of a key: what programs look for in a folder. Docker and its
// kin read config.json; all other types have such names for keys already.
func pathOf(kind, key string) string {
	if kind == typeDockerConfig && key == dockerConfigKey {
		return "config.json"
	}
	return key
}

// text is the text of a scalar below node; empty for anything else.
func text(node *yaml.Node, field string) string {
	_, value, ok := strict.Find(node, field)
	if !ok || value.Kind != yaml.ScalarNode {
		return ""
	}
	return value.Value
}
