package manifest

import (
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

func TestInsidePlacesTheTextOfAnyScalar(t *testing.T) {
	// The scalar's text is two lines of YAML; what is looked for is the x.
	tests := map[string]string{
		"literal":                  "a:\n  b: |\n    - path: p\n      mode: x\n",
		"literal, indented more":   "a:\n        b: |\n                   - path: p\n                     mode: x\n",
		"literal with blank lines": "b: |\n\n\n  - path: p\n\n    mode: x\n",
		"literal, indent given":    "b: |2\n  - path: p\n    mode: x\n",
		"literal, stripped":        "b: |- # a comment\n  - path: p\n    mode: x",
		"literal, first in a list": "- |\n  - path: p\n    mode: x\n",
		"literal with an anchor":   "b: &it |\n  - path: p\n    mode: x\n",
		"literal, not ASCII":       "b: |\n  - päth: ☃\n    mode: x\n",
		"literal, CRLF":            "b: |\r\n  - path: p\r\n    mode: x\r\n",
		"folded":                   "b: >\n  - {path: p,\n  mode: x}\n",
		"folded, indented more":    "b: >-\n  - path: p\n\n    mode: x\n",
		"double quotes":            `b: "- path: p\n  mode: x\n"`,
		"double quotes, escapes":   `b: "- p\u0061th: \"p\"\t\x41\n  mode: x"`,
		"double quotes, two lines": "b: \"- path: p\\n\\\n  \\  mode: x\"",
		"single quotes":            "b: '- {path: ''p'',\n  mode: x}'",
		"plain":                    "b: path p\n   mode x\n",
		"JSON":                     `{"a": {"b": "- path: p\n  mode: x"}}`,
	}
	for name, text := range tests {
		t.Run(name, func(t *testing.T) {
			var root yaml.Node
			if err := yaml.Unmarshal([]byte(text), &root); err != nil {
				t.Fatal(err)
			}
			scalar := lastScalar(&root)
			line, column := position(scalar.Value)
			wantLine, wantColumn := position(text)
			f := file{lines: runes([]byte(text))}
			gotLine, gotColumn := f.inside(scalar, line, column)
			if gotLine != wantLine || gotColumn != wantColumn {
				t.Errorf("inside(%d, %d) = %d:%d, want %d:%d", line, column, gotLine, gotColumn, wantLine, wantColumn)
			}
		})
	}
}

// position is the line and column of the last x.
func position(text string) (line, column int) {
	before := text[:strings.LastIndex(text, "x")]
	return strings.Count(before, "\n") + 1, len([]rune(before[strings.LastIndex(before, "\n")+1:])) + 1
}

func lastScalar(node *yaml.Node) *yaml.Node {
	for len(node.Content) > 0 {
		node = node.Content[len(node.Content)-1]
	}
	return node
}

func TestInsideStaysInTheScalar(t *testing.T) {
	const text = "a: |\n  x\n  y\nb: z\n"
	var root yaml.Node
	if err := yaml.Unmarshal([]byte(text), &root); err != nil {
		t.Fatal(err)
	}
	f := file{lines: runes([]byte(text))}
	scalar := root.Content[0].Content[1]
	if line, _ := f.inside(scalar, 99, 1); line > 4 {
		t.Errorf("line %d for a place after the text's end", line)
	}
}

func FuzzFile(f *testing.F) {
	for _, seed := range []string{
		"apiVersion: secrets-store.csi.x-k8s.io/v1\nkind: SecretProviderClass\nmetadata: {name: a}\nspec:\n  provider: lanyard\n  parameters:\n    objects: |\n      - path: ../a\n        sealed: x\n",
		"kind: List\nitems:\n- kind: SecretProviderClass\n  spec: {provider: lanyrad, parameters: {objects: \"- \\x41\"}}\n",
		"kind: SecretProviderClass\nspec: {provider: lanyard, parameters: {objects: '- ''', stores: 'a: *b'}, secretObjects: [{data: [{}]}]}\n---\n",
		"\"\r\r",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 1<<16 {
			return
		}
		c := newChecker(t)
		c.File("f", data)
		lines := strings.Count(string(data), "\n") + 1
		for _, finding := range c.Findings {
			if finding.Line < 1 || finding.Line > lines || finding.Column < 1 || finding.Message == "" || strings.ContainsAny(finding.String(), "\n\r") {
				t.Errorf("finding %+v in %d lines", finding, lines)
			}
		}
	})
}
