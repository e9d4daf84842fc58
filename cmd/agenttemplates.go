package cmd

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
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
	// secrets are the paths of all secrets, each once; objects are the files' paths that
	// stand for them in the class.
	secrets  []string
	commands []agent.Notification
}

type agentTemplate struct {
	path     string
	mode     fs.FileMode
	template *consultemplate.Template
}

// templateStore is the store that templates read from, in the class or the configuration.
const templateStore = "vault"

// templateObject is the path of the object with the nth secret, which is no file in the
// end.
func templateObject(n int) string { return fmt.Sprintf("lanyard.dev-secret-%d", n) }

// maxTemplates bounds the file of templates in bytes.
const maxTemplates = 1 << 20

// readAgentTemplates reads a list of templates. The error tells all that is wrong.
func readAgentTemplates(path string) (*agentTemplates, error) {
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
	t := &agentTemplates{}
	var problems []error
	for i, w := range written {
		wrong := func(format string, args ...any) {
			problems = append(problems, fmt.Errorf("template %d (%s): %s", i+1, message.Printable(w.Path), fmt.Sprintf(format, args...)))
		}
		file := agentTemplate{path: w.Path, mode: 0o644}
		if !filepath.IsLocal(w.Path) || filepath.Clean(w.Path) != w.Path || strings.HasPrefix(w.Path, "..") {
			wrong("path: must be a file below the target")
		}
		if slices.ContainsFunc(t.files, func(other agentTemplate) bool { return other.path == w.Path }) {
			wrong("path: another template has the same")
		}
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
			for _, secret := range file.template.Secrets() {
				if !slices.Contains(t.secrets, secret) {
					t.secrets = append(t.secrets, secret)
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

// quoteWord makes one word of a text.
func quoteWord(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }

// addTo returns the class with an object for each secret.
func (t *agentTemplates) addTo(class classManifest) (classManifest, error) {
	if class.provider != lanyard.Name {
		return class, usagef("--templates: the class must be of provider %s, and is of %s; run lanyard convert, or leave the class out", lanyard.Name, message.Printable(class.provider))
	}
	var objects []any
	if err := yaml.Unmarshal([]byte(class.parameters["objects"]), &objects); err != nil {
		return class, usagef("--templates: the objects of the class are no list")
	}
	for i, path := range t.secrets {
		objects = append(objects, map[string]any{
			"path": templateObject(i), "store": templateStore, "key": strings.TrimPrefix(path, "/"), "options": map[string]any{"whole": true},
		})
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

// render puts the files of the templates in the place of their secrets.
func (t *agentTemplates) render(volume *engine.Volume) (*engine.Volume, error) {
	made := *volume
	made.Files = nil
	secrets := map[string][]byte{}
	for _, file := range volume.Files {
		at := slices.IndexFunc(t.secrets, func(path string) bool { return file.Path == templateObject(slices.Index(t.secrets, path)) })
		if at >= 0 {
			secrets[t.secrets[at]] = file.Contents
			continue
		}
		made.Files = append(made.Files, file)
	}
	var problems []error
	for _, file := range t.files {
		if slices.ContainsFunc(made.Files, func(other engine.File) bool { return other.Path == file.path }) {
			problems = append(problems, fmt.Errorf("template %s: an object of the class has the same path", message.Printable(file.path)))
			continue
		}
		text, err := file.template.Render(secrets)
		if err != nil {
			problems = append(problems, fmt.Errorf("template %s: %w", message.Printable(file.path), err))
			continue
		}
		made.Files = append(made.Files, engine.File{Path: file.path, Mode: file.mode, Contents: text})
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	return &made, nil
}
