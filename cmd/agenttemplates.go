package cmd

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/internal/nodefile"
	"github.com/lanyardhq/lanyard/provider/dialect/lanyard"
	"github.com/lanyardhq/lanyard/provider/engine"
	"github.com/lanyardhq/lanyard/server/agent"
	"github.com/lanyardhq/lanyard/server/agent/consultemplate"
)

// agentTemplates are files that are made of secrets of Vault by templates of Vault Agent.
type agentTemplates struct {
	files []agentTemplate
	// reads are what all templates ask Vault for, each once; templateObject is the object of
	// the class that stands for one.
	reads    []consultemplate.Read
	commands []agent.Notification
	target   string // where the files go
}

type agentTemplate struct {
	path     string
	mode     fs.FileMode
	template *consultemplate.Template
}

// templateStore is the store that templates read from, in the class or the configuration.
const templateStore = "vault"

// templateObject is the path of the object with the answer to the nth read, which is no file
// in the end.
func templateObject(n int) string { return fmt.Sprintf("lanyard.dev-secret-%d", n) }

// maxTemplates bounds the file of templates in bytes.
const maxTemplates = 1 << 20

// readAgentTemplates reads a list of templates, whose files go to target. The error tells all
// that is wrong.
func readAgentTemplates(path, target string) (*agentTemplates, error) {
	text, err := nodefile.Read(path, maxTemplates)
	if err != nil {
		return nil, err
	}
	var written []struct {
		Path     string `json:"path"`
		Mode     string `json:"mode"`
		Secret   string `json:"secret"`
		Template string `json:"template"`
		Command  string `json:"command"`
	}
	if err := yaml.UnmarshalStrict(text, &written); err != nil {
		return nil, fmt.Errorf("%s is no list of {path, mode, secret, template, command}: %w", path, err)
	}
	t := &agentTemplates{target: target}
	var problems []error
	writers := map[string]int{} // the first template that makes a file
	for i, w := range written {
		wrong := func(format string, args ...any) {
			problems = append(problems, fmt.Errorf("template %d (%s): %s", i+1, message.Printable(w.Path), fmt.Sprintf(format, args...)))
		}
		file := agentTemplate{path: w.Path, mode: 0o644}
		if !filepath.IsLocal(w.Path) || filepath.Clean(w.Path) != w.Path || strings.HasPrefix(w.Path, "..") {
			wrong("path: must be a file below the target")
		}
		if first, ok := writers[w.Path]; ok {
			wrong("path: template %d makes the same file", first)
		}
		writers[w.Path] = i + 1
		if w.Mode != "" {
			mode, err := strconv.ParseUint(w.Mode, 8, 9)
			if err != nil {
				wrong(`mode: must be an octal mode such as "0400"`)
			}
			file.mode = fs.FileMode(mode)
		}
		switch {
		case w.Template == "" && w.Secret == "":
			wrong("template: missing; or give the secret that is printed whole")
		case w.Template == "":
			w.Template = consultemplate.Default(w.Secret)
		}
		if w.Template != "" {
			if file.template, err = consultemplate.Parse(w.Template); err != nil {
				wrong("template: %v", err)
				continue
			}
			for _, read := range file.template.Reads() {
				if t.indexOf(read.Key()) < 0 {
					t.reads = append(t.reads, read)
				}
			}
			for _, more := range file.template.Files() {
				within, below := t.below(more)
				switch first, taken := writers[within]; {
				case !below:
					wrong("template: writeToFile: %s does not lie below the folder of the files, which is all that is written: %s", message.Printable(more), message.Printable(cmp.Or(target, "none without --target")))
				case taken:
					wrong("template: writeToFile: template %d makes the file %s; give it another name, or write both in one template", first, message.Printable(within))
				default:
					writers[within] = i + 1
				}
			}
		}
		if w.Command != "" {
			// As in Vault Agent a shell runs it.
			n, err := agent.ByCommand("/bin/sh -c " + quoteWord(w.Command))
			if err != nil {
				wrong("command: %v", err)
			}
			n.File = w.Path
			t.commands = append(t.commands, n)
		}
		t.files = append(t.files, file)
	}
	if len(written) == 0 {
		problems = append(problems, fmt.Errorf("%s has no template", path))
	}
	return t, errors.Join(problems...)
}

// indexOf is the place of a read, or -1.
func (t *agentTemplates) indexOf(key string) int {
	return slices.IndexFunc(t.reads, func(r consultemplate.Read) bool { return r.Key() == key })
}

// below is a file of writeToFile relative to the target, and whether it lies there.
func (t *agentTemplates) below(file string) (relative string, ok bool) {
	dir, err := filepath.Abs(t.target)
	if err != nil || t.target == "" {
		return "", false
	}
	relative, err = filepath.Rel(dir, file)
	return relative, err == nil && filepath.IsLocal(relative) && relative != "." && !strings.HasPrefix(relative, "..")
}

// quoteWord makes one word of a text.
func quoteWord(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }

// addTo returns the class with an object for each read.
func (t *agentTemplates) addTo(class classManifest) (classManifest, error) {
	if class.provider != lanyard.Name {
		return class, usagef("--templates: the class must be of provider %s, and is of %s; run lanyard convert, or leave the class out", lanyard.Name, message.Printable(class.provider))
	}
	var objects []any
	if err := yaml.Unmarshal([]byte(class.parameters["objects"]), &objects); err != nil {
		return class, usagef("--templates: the objects of the class are no list")
	}
	for i, read := range t.reads {
		options := map[string]any{"whole": true}
		if read.Query != nil {
			options["query"] = read.Query
		}
		if read.Body != nil {
			options["method"], options["body"] = http.MethodPut, read.Body
		}
		objects = append(objects, map[string]any{"path": templateObject(i), "store": templateStore, "key": read.Path, "options": options})
	}
	text, err := json.Marshal(objects)
	if err != nil {
		return class, err
	}
	class.parameters = maps.Clone(class.parameters)
	if class.parameters == nil {
		class.parameters = map[string]string{}
	}
	class.parameters["objects"] = string(text)
	return class, nil
}

// render puts the files of the templates in the place of what they have read.
func (t *agentTemplates) render(volume *engine.Volume) (*engine.Volume, error) {
	made := *volume
	made.Files = nil
	keys := map[string]string{} // by the object with the answer
	for i, read := range t.reads {
		keys[templateObject(i)] = read.Key()
	}
	answers := map[string][]byte{}
	for _, file := range volume.Files {
		if key, ok := keys[file.Path]; ok {
			answers[key] = file.Contents
			continue
		}
		made.Files = append(made.Files, file)
	}
	var problems []error
	for _, file := range t.files {
		text, more, err := file.template.Render(answers)
		if err != nil {
			problems = append(problems, fmt.Errorf("template %s: %w", message.Printable(file.path), err))
			continue
		}
		all := []engine.File{{Path: file.path, Mode: file.mode, Contents: text}}
		for _, f := range more {
			within, _ := t.below(f.Path) // as when it was parsed
			all = append(all, engine.File{Path: within, Mode: f.Mode, Contents: f.Contents})
		}
		for _, f := range all {
			if slices.ContainsFunc(made.Files, func(other engine.File) bool { return other.Path == f.Path }) {
				problems = append(problems, fmt.Errorf("template %s: an object of the class has the same path as its file %s", message.Printable(file.path), message.Printable(f.Path)))
			}
		}
		made.Files = append(made.Files, all...)
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	return &made, nil
}
