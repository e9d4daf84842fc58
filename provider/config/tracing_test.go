package config

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestMistakesInTracingAreTold(t *testing.T) {
	for want, change := range map[string]func(*Tracing){
		"":                                    func(*Tracing) {},
		"tracing.url: must be a URL":          func(s *Tracing) { s.URL = "grpc://collector:4317" },
		"tracing.url: must be a URL such":     func(s *Tracing) { s.URL = "https://user:password@collector" },
		"tracing.url: missing":                func(s *Tracing) { s.URL, s.CACertFile = "", "/ca.crt" },
		"tracing.tokenFile: must be an absol": func(s *Tracing) { s.TokenFile = "token" },
		"tracing.headersFile: must be an abs": func(s *Tracing) { s.HeadersFile = "headers" },
		"tracing.clientCertFile: give":        func(s *Tracing) { s.ClientCertFile = "/tls.crt" },
		"tracing.sampleRatio: is 1.5 and":     func(s *Tracing) { s.SampleRatio = 1.5 },
		"tracing.sampleRatio: is -0.1 and":    func(s *Tracing) { s.SampleRatio = -0.1 },
		"tracing.sampleRatio: is NaN and":     func(s *Tracing) { s.SampleRatio = math.NaN() },
	} {
		tracing := DefaultTracing()
		tracing.URL = "https://collector.example.com:4318/v1/traces"
		change(&tracing)
		problems := tracing.Validate("tracing")
		if got := problems.Error(); (len(problems) == 0) != (want == "") || !strings.Contains(got, want) {
			t.Errorf("the problems are %q, want %q", got, want)
		}
	}
}

func TestTracingHasAFileOfItsOwn(t *testing.T) {
	for text, want := range map[string]string{
		"url: https://collector.example.com/v1/traces\nsampleRatio: 0.1": "",
		"sampleRatio: 0.1":  "url: missing",
		"url: x\nratio: 1":  "ratio",
		"url: ftp://x.test": "url: must be a URL",
	} {
		file := filepath.Join(t.TempDir(), "tracing.yaml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		tracing, err := LoadTracing(file)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) || err == nil && tracing.SampleRatio != 0.1 {
			t.Errorf("%q: %v, %v", text, tracing, err)
		}
	}
}
