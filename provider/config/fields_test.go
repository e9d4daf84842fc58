package config

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"
)

// What a field means is written once, as the comment of the Go field. What
// users see of it is made from there:
// LANYARD_UPDATE_GOLDEN=1 writes fields.go and docs/configuration.md anew.
const (
	source = "types.go"
	manual = "../../docs/configuration.md"
	begin  = "<!-- fields: made from provider/config/types.go by make golden -->\n"
	end    = "<!-- end of fields -->\n"
)

func TestFieldsFollowTheirComments(t *testing.T) {
	written := fieldsOf(t, comments(t), reflect.TypeFor[Config](), "")
	for _, file := range []struct {
		path string
		make func(before []byte) []byte
	}{
		{"fields.go", func([]byte) []byte { return generated(t, written) }},
		{manual, func(before []byte) []byte { return reference(t, before, written) }},
	} {
		before, err := os.ReadFile(file.path)
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		after := file.make(before)
		if bytes.Equal(before, after) {
			continue
		}
		if os.Getenv("LANYARD_UPDATE_GOLDEN") == "" {
			t.Errorf("%s is not what the comments in %s say; run make golden", file.path, source)
			continue
		}
		if err := os.WriteFile(file.path, after, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// comments are those of the struct fields in the source, by "Type.Field".
func comments(t *testing.T) map[string]string {
	parsed, err := parser.ParseFile(token.NewFileSet(), source, nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	ast.Inspect(parsed, func(node ast.Node) bool {
		spec, ok := node.(*ast.TypeSpec)
		if !ok {
			return true
		}
		if structure, ok := spec.Type.(*ast.StructType); ok {
			for _, field := range structure.Fields.List {
				for _, name := range field.Names {
					found[spec.Name.Name+"."+name.Name] = strings.Join(strings.Fields(field.Doc.Text()), " ")
				}
			}
		}
		return true
	})
	return found
}

// fieldsOf walks a type as the printer does.
func fieldsOf(t *testing.T, docs map[string]string, structure reflect.Type, prefix string) []Field {
	var all []Field
	for _, field := range reflect.VisibleFields(structure) {
		name, _, _ := strings.Cut(field.Tag.Get("yaml"), ",")
		doc := docs[structure.Name()+"."+field.Name]
		if doc == "" {
			t.Errorf("%s.%s has no comment in %s", structure.Name(), field.Name, source)
		}
		if name == "" {
			name = "…" // the fields that only a type of store knows
		}
		all = append(all, Field{Path: prefix + name, Doc: doc})
		switch {
		case field.Type.Kind() == reflect.Struct:
			all = append(all, fieldsOf(t, docs, field.Type, prefix+name+".")...)
		case field.Type.Kind() == reflect.Map && field.Type.Elem().Kind() == reflect.Struct:
			all = append(all, fieldsOf(t, docs, field.Type.Elem(), prefix+name+".<name>.")...)
		}
	}
	return all
}

func generated(t *testing.T, written []Field) []byte {
	var b bytes.Buffer
	b.WriteString("// Code generated from the comments in provider/config/types.go by make golden; DO NOT EDIT.\n\npackage config\n\nvar fields = []Field{\n")
	for _, field := range written {
		fmt.Fprintf(&b, "\t{%q, %q},\n", field.Path, field.Doc)
	}
	b.WriteString("}\n")
	code, err := format.Source(b.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	return code
}

// reference replaces the table of fields in the manual.
func reference(t *testing.T, page []byte, written []Field) []byte {
	before, rest, ok := strings.Cut(string(page), begin)
	_, after, closed := strings.Cut(rest, end)
	if !ok || !closed {
		t.Fatalf("%s does not have the lines between which the fields belong: %s%s", manual, begin, end)
	}
	var b strings.Builder
	b.WriteString(before + begin + "\n| field | default | meaning |\n|---|---|---|\n")
	for _, field := range written {
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", field.Path, defaultOf(field.Path), field.Doc)
	}
	b.WriteString("\n" + end + after)
	return []byte(b.String())
}

// defaultOf is the default of the field at path as the manual shows it.
func defaultOf(path string) string {
	value := reflect.ValueOf(Default())
	for name := range strings.SplitSeq(path, ".") {
		if value.Kind() != reflect.Struct {
			return ""
		}
		for _, field := range reflect.VisibleFields(value.Type()) {
			if tag, _, _ := strings.Cut(field.Tag.Get("yaml"), ","); tag == name {
				value = value.FieldByIndex(field.Index)
				break
			}
		}
	}
	switch v := value.Interface().(type) {
	case time.Duration:
		return "`" + v.String() + "`"
	case string, map[string]Store:
		return "none"
	}
	if value.Kind() == reflect.Struct {
		return ""
	}
	return fmt.Sprintf("`%v`", value.Interface())
}

func TestPrintedConfigurationHasEveryFieldWithItsMeaning(t *testing.T) {
	var b strings.Builder
	if err := Print(&b, Default()); err != nil {
		t.Fatal(err)
	}
	text := b.String()
	flowing := strings.Join(strings.Fields(strings.ReplaceAll(text, "#", " ")), " ")
	for _, field := range Fields() {
		name := field.Path[strings.LastIndex(field.Path, ".")+1:]
		if !strings.Contains(text, name+":") {
			t.Errorf("%s is not printed", field.Path)
		}
		if !strings.Contains(flowing, field.Doc) {
			t.Errorf("the meaning of %s is not printed: %s", field.Path, field.Doc)
		}
	}
	for line := range strings.Lines(text) {
		if len(line) > 90 {
			t.Errorf("a long line: %s", line)
		}
	}
}
