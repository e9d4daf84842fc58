package manifest

import (
	"errors"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/lanyardhq/lanyard/internal/strict"
	"github.com/lanyardhq/lanyard/provider/dialect/lanyard"
	"github.com/lanyardhq/lanyard/provider/spec"
)

var errBraces = errors.New("is written in braces; write spec in YAML's block style, one field a line, as kubectl's -o yaml does")

// rewrite returns the edits that give a class the native provider and these
// parameters, below the remarks.
func rewrite(root *yaml.Node, lines []string, parameters map[string]string, remarks []string) ([]edit, error) {
	_, classSpec, _ := strict.Find(root, "spec")
	if root.Style&yaml.FlowStyle != 0 || classSpec.Style&yaml.FlowStyle != 0 {
		return nil, errBraces
	}
	_, name, _ := strict.Find(classSpec, "provider")
	key, value, ok := strict.Find(classSpec, "parameters")
	if !ok || value.Kind != yaml.MappingNode || name.Kind != yaml.ScalarNode {
		return nil, errors.New("has no parameters to convert")
	}
	// YAML knows more characters that end a line than are looked for here.
	if name.Line > len(lines) || key.Line > len(lines) || !strings.Contains(lines[key.Line-1], "parameters") {
		return nil, errBraces
	}
	line, ok := replaced(lines[name.Line-1], name)
	if !ok {
		return nil, errBraces
	}
	indent := strings.Repeat(" ", key.Column-1)
	return []edit{
		{first: name.Line - 1, after: name.Line, lines: []string{line}},
		{first: key.Line - 1, after: endOf(lines, key), lines: block(indent, parameters, remarks), parameters: parameters},
	}, nil
}

// replaced puts the native provider's name in the place of a scalar.
func replaced(line string, scalar *yaml.Node) (string, bool) {
	runes := []rune(line)
	at := scalar.Column - 1
	if at < 0 || at > len(runes) {
		return "", false
	}
	before, rest := string(runes[:at]), string(runes[at:])
	token := scalar.Value
	switch {
	case scalar.Style&yaml.DoubleQuotedStyle != 0:
		token = `"` + token + `"`
	case scalar.Style&yaml.SingleQuotedStyle != 0:
		token = "'" + token + "'"
	}
	rest, ok := strings.CutPrefix(rest, token)
	return before + lanyard.Name + rest, ok
}

// endOf is the line after the last that belongs to a field in block style:
// before the first that is not indented more, and before the blank ones above.
func endOf(lines []string, key *yaml.Node) int {
	end := key.Line
	for i := key.Line; i < len(lines); i++ {
		text := strings.TrimLeft(lines[i], " ")
		switch {
		case strings.TrimSpace(text) == "":
			continue
		case len(lines[i])-len(text) < key.Column:
			return end
		}
		end = i + 1
	}
	return end
}

// block writes the parameters as the documentation does.
func block(indent string, parameters map[string]string, remarks []string) []string {
	out := []string{indent + "parameters:"}
	for _, remark := range remarks {
		out = append(out, indent+"  # "+remark)
	}
	for _, name := range []string{"stores", "objects", "refresh"} {
		text, given := parameters[name]
		if !given {
			continue
		}
		if !strings.Contains(text, "\n") {
			out = append(out, indent+"  "+name+": "+text)
			continue
		}
		out = append(out, indent+"  "+name+": |")
		for line := range strings.SplitSeq(strings.TrimSuffix(text, "\n"), "\n") {
			if line != "" {
				line = indent + "    " + line
			}
			out = append(out, line)
		}
	}
	return out
}

// remarks are the comments that go along when a class is converted.
type remarks struct {
	parameters []string // one line each
	objects    []string // by the object's place, of several lines perhaps
}

// remarksOf collects the comments on a class's parameters and on the entries of
// its list of objects, whatever the list is called and however it is nested.
func remarksOf(root *yaml.Node, class *spec.Class) remarks {
	var found remarks
	_, parameters, _ := strict.Find(root, "spec.parameters")
	for i := 0; i+1 < len(parameters.Content); i += 2 {
		key, value := parameters.Content[i], parameters.Content[i+1]
		for _, comment := range []string{key.HeadComment, key.LineComment, value.LineComment} {
			found.parameters = append(found.parameters, commentLines(comment)...)
		}
		if key.Value != class.Words.Of("objects") {
			continue
		}
		inner, err := strict.Next(yaml.NewDecoder(strings.NewReader(value.Value)))
		if err != nil || len(inner.Content) == 0 {
			continue
		}
		entries := entriesOf(inner.Content[0])
		for j, o := range class.Objects {
			place := j
			if o.Entry > 0 {
				place = o.Entry - 1
			}
			comment := ""
			// Of several objects made of one entry the first has the comment.
			if place < len(entries) && (j == 0 || o.Entry == 0 || class.Objects[j-1].Entry != o.Entry) {
				comment = strings.Join(comments(entries[place]), "\n")
			}
			found.objects = append(found.objects, comment)
		}
	}
	return found
}

// entriesOf is the list in a parameter: the text itself, or the one field of it
// that is a list.
func entriesOf(node *yaml.Node) []*yaml.Node {
	if node.Kind == yaml.MappingNode && len(node.Content) == 2 {
		node = node.Content[1]
	}
	if node.Kind != yaml.SequenceNode {
		return nil
	}
	return node.Content
}

// comments are those of an entry and of all that is in it, of the YAML in its
// text too.
func comments(node *yaml.Node) []string {
	lines := commentLines(node.HeadComment)
	if node.Kind == yaml.ScalarNode && strings.Contains(node.Value, "\n") {
		if inner, err := strict.Next(yaml.NewDecoder(strings.NewReader(node.Value))); err == nil && len(inner.Content) > 0 {
			lines = append(lines, comments(inner.Content[0])...)
		}
	}
	for _, below := range node.Content {
		lines = append(lines, comments(below)...)
	}
	return append(lines, commentLines(node.LineComment)...)
}

// commentLines are a comment's lines without what marks them as one.
func commentLines(comment string) []string {
	var lines []string
	for line := range strings.SplitSeq(comment, "\n") {
		if line = strings.TrimSpace(strings.TrimLeft(strings.TrimSpace(line), "#")); line != "" {
			lines = append(lines, line)
		}
	}
	return lines
}
