package cmd

import (
	"archive/tar"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	surrogates "unicode/utf16"

	"sigs.k8s.io/yaml"
)

// doctorBundle is a support archive. Its texts are kept until all is known that must be
// taken out of them.
type doctorBundle struct {
	path   string
	file   *os.File
	redact *redactor
	parts  map[string]func() string // each makes its text clean
	bytes  int                      // of all texts
	cut    []string                 // what is not whole, and why
	done   bool
}

// createBundle makes the file, which nobody but its owner can read, and which must not
// be there yet.
func createBundle(path string) (*doctorBundle, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	switch {
	case errors.Is(err, fs.ErrExist):
		return nil, usagef("--bundle: %s is there already; give another name, or remove it", path)
	case err != nil:
		return nil, usagef("--bundle: %w", unnamed(path, err))
	}
	return &doctorBundle{path: path, file: file, redact: newRedactor(), parts: map[string]func() string{}}, nil
}

// abandon removes the file unless it is whole.
func (b *doctorBundle) abandon() {
	if b.done {
		return
	}
	_ = b.file.Close()    //nolint:errcheck // it is removed
	_ = os.Remove(b.path) //nolint:errcheck // nothing can be done
}

// The bounds of an archive: what one part of it has, all of them, and how many are told of
// that were cut.
const (
	maxBundlePart  = 1 << 20
	maxBundleBytes = 16 << 20
	maxBundleCut   = 200
)

// full says that an archive has no room for more.
func (b *doctorBundle) full() bool { return b.bytes >= maxBundleBytes }

// note tells of what is not whole.
func (b *doctorBundle) note(format string, args ...any) {
	if len(b.cut) < maxBundleCut {
		b.cut = append(b.cut, fmt.Sprintf(format, args...))
	} else if len(b.cut) == maxBundleCut {
		b.cut = append(b.cut, "further parts are not named here")
	}
}

// add adds a text, which clean makes fit for it at the end.
func (b *doctorBundle) add(name, text string, clean func(text string) string) {
	if len(text) > maxBundlePart {
		text = text[:strings.LastIndexByte(text[:maxBundlePart], '\n')+1]
		b.note("%s: cut after %d bytes", name, len(text))
	}
	if b.bytes+len(text) > maxBundleBytes {
		b.note("%s: left out, because the archive has %d bytes already", name, b.bytes)
		return
	}
	b.bytes += len(text)
	b.parts[name] = func() string { return clean(text) }
}

// addYAML adds a text of which the layout says what stays.
func (b *doctorBundle) addYAML(name, text string, of *layout) {
	b.add(name, b.redact.yaml(text, of), b.redact.values)
}

// freeText is a text in a view that is cleaned as such.
type freeText string

// addView adds a view: maps, lists and texts of what is known to be plain, and free texts.
func (b *doctorBundle) addView(name string, view any) {
	size, err := json.Marshal(view)
	if err != nil || len(size) > maxBundlePart || b.bytes+len(size) > maxBundleBytes {
		b.note("%s: left out, because it has %d bytes", name, len(size))
		return
	}
	b.bytes += len(size)
	b.parts[name] = func() string { return jsonText(b.redact.view(view)) }
}

// view cleans the texts of a view.
func (r *redactor) view(view any) any {
	switch view := view.(type) {
	case freeText:
		return r.text(string(view))
	case string:
		return r.values(view)
	case []any:
		list := make([]any, 0, len(view))
		for _, item := range view {
			list = append(list, r.view(item))
		}
		return list
	case map[string]any:
		fields := make(map[string]any, len(view))
		for name, value := range view {
			fields[name] = r.view(value)
		}
		return fields
	}
	return view
}

// jsonText is a value as JSON that shows in a terminal what it is.
func jsonText(value any) string {
	text, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return err.Error() + "\n"
	}
	return escapeHidden(string(text)) + "\n"
}

// escapeHidden escapes in JSON what terminals act on and people do not see: control
// characters, also those above ASCII, and marks that turn the direction of text.
func escapeHidden(text string) string {
	if !strings.ContainsFunc(text, isHidden) {
		return text
	}
	var clean strings.Builder
	for _, r := range text {
		if !isHidden(r) {
			clean.WriteRune(r)
			continue
		}
		for _, unit := range surrogates.AppendRune(nil, r) {
			fmt.Fprintf(&clean, `\u%04x`, unit)
		}
	}
	return clean.String()
}

func isHidden(r rune) bool { return r > '~' && !unicode.IsPrint(r) }

// finish writes the archive.
func (b *doctorBundle) finish(report *doctorReport) error {
	clean := b.redact.report(report)
	b.parts["doctor.json"] = func() string { return jsonText(clean) }
	b.parts["doctor.txt"] = func() string {
		var text strings.Builder
		_ = clean.printText(&text) //nolint:errcheck // a builder takes all
		return text.String()
	}
	b.parts["version.json"] = func() string { return jsonText(thisBuild()) }
	if b.cut == nil {
		b.cut = []string{"nothing was cut or left out for its size"}
	}
	b.parts["cut.txt"] = func() string { return b.redact.text(strings.Join(b.cut, "\n") + "\n") }
	packed := gzip.NewWriter(b.file)
	archive := tar.NewWriter(packed)
	for _, name := range slices.Sorted(maps.Keys(b.parts)) {
		content := []byte(b.parts[name]())
		header := &tar.Header{Name: "lanyard-support/" + b.redact.values(name), Mode: 0o600, Size: int64(len(content)), ModTime: time.Unix(0, 0)}
		if err := archive.WriteHeader(header); err != nil {
			return err
		}
		if _, err := archive.Write(content); err != nil {
			return err
		}
	}
	for _, end := range []func() error{archive.Close, packed.Close, b.file.Sync, b.file.Close} {
		if err := end(); err != nil {
			return err
		}
	}
	b.done = true
	return nil
}

// maxBundleFindings is more than there are findings of a cluster with a thousand nodes.
const maxBundleFindings = 20000

// report is a report of which every text is cleaned.
func (r *redactor) report(report *doctorReport) *doctorReport {
	clean := *report
	clean.Findings = slices.Clone(report.Findings[:min(len(report.Findings), maxBundleFindings)])
	for i := range clean.Findings {
		finding := &clean.Findings[i]
		finding.Place, finding.Says, finding.Fix = r.text(finding.Place), r.text(finding.Says), r.text(finding.Fix)
	}
	return &clean
}

// addNode adds what was found on one machine.
func (b *doctorBundle) addNode(d *doctorNode) {
	if d.config != "" {
		text, err := readFile(d.config)
		if err != nil {
			b.add("configuration.yaml", err.Error(), b.redact.text)
		} else {
			b.addYAML("configuration.yaml", string(text), configLayout)
		}
	}
	for _, class := range d.classes {
		b.addClass("classes/", class.namespace, class.name, class.provider, class.parameters)
	}
}

// addClass adds a class without what could be a secret.
func (b *doctorBundle) addClass(below, namespace, name, provider string, parameters map[string]string) {
	text, err := yaml.Marshal(map[string]any{
		"metadata": map[string]string{"namespace": namespace, "name": name},
		"spec":     map[string]any{"provider": provider, "parameters": parameters},
	})
	if err != nil || len(text) > maxBundleClass {
		b.note("a class in %s: left out, because it has %d bytes", below, len(text))
		return
	}
	b.addYAML(below+b.fileName(name)+".yaml", string(text), classLayout)
}

// maxBundleClass is more than most classes have, in bytes.
const maxBundleClass = 64 << 10

// fileName is a name of an object as part of a file's name.
func (b *doctorBundle) fileName(name string) string {
	if !isName(name) || strings.ContainsAny(name, `/\:`) || strings.Trim(name, ".") == "" {
		return "unnamed-" + strconv.Itoa(len(b.parts))
	}
	return name
}
