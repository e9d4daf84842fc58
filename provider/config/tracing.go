package config

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/lanyardhq/lanyard/internal/nodefile"
	"github.com/lanyardhq/lanyard/internal/strict"
	"github.com/lanyardhq/lanyard/provider/spec"
)

// LoadTracing reads a file that holds what stands below tracing in the operator's
// configuration, for commands that have none. The error is an *Error.
func LoadTracing(path string) (Tracing, error) {
	tracing := DefaultTracing()
	data, err := read(path, nodefile.ReadTrusted)
	if err != nil {
		return Tracing{}, err
	}
	problems := strict.Unmarshal(data, &tracing)
	if len(problems) == 0 {
		for _, p := range tracing.Validate("") {
			problems = append(problems, strict.Problem{Field: strings.TrimPrefix(p.Field, "."), Text: p.Text})
		}
		if !tracing.On() && len(problems) == 0 {
			problems = strict.Problems{{Field: "url", Text: "missing; say where spans are sent"}}
		}
	}
	if len(problems) > 0 {
		return Tracing{}, &Error{Path: path, Problems: problems}
	}
	return tracing, nil
}

// Validate says what is wrong with the values themselves; prefix is the field that has
// them.
func (t Tracing) Validate(prefix string) (problems spec.Problems) {
	wrong := func(field, format string, args ...any) {
		problems = append(problems, spec.Problem{Field: prefix + "." + field, Text: fmt.Sprintf(format, args...)})
	}
	for _, file := range []struct{ field, path string }{
		{"tokenFile", t.TokenFile}, {"headersFile", t.HeadersFile}, {"caCertFile", t.CACertFile}, {"clientCertFile", t.ClientCertFile}, {"clientKeyFile", t.ClientKeyFile},
	} {
		if file.path != "" && !filepath.IsAbs(file.path) {
			wrong(file.field, "must be an absolute path")
		}
	}
	switch {
	case t.URL == "":
		if t != (Tracing{SampleRatio: t.SampleRatio, Propagate: t.Propagate}) {
			wrong("url", "missing; say where spans are sent")
		}
	case !isEndpoint(t.URL):
		wrong("url", "must be a URL such as https://collector.example.com:4318/v1/traces, without user, password and fragment")
	}
	if (t.ClientCertFile == "") != (t.ClientKeyFile == "") {
		wrong("clientCertFile", "give clientCertFile and clientKeyFile together")
	}
	if !(t.SampleRatio >= 0 && t.SampleRatio <= 1) { // NaN is neither
		wrong("sampleRatio", "is %v and must be from 0 to 1", t.SampleRatio)
	}
	return problems
}
