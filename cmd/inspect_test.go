package cmd_test

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestInspectTellsWhatIsPublic(t *testing.T) {
	b := newSealBench(t)
	text := strings.TrimSpace(b.seal("the value"))
	for name, told := range map[string]string{
		"an argument":    b.must("", "inspect", text),
		"standard input": b.must(text+"\n", "inspect"),
		"a file":         b.must("", "inspect", "--file", b.file("text", text)),
	} {
		t.Run(name, func(t *testing.T) {
			for _, want := range []string{"ML-KEM-768", "dev", "prod", "web", "db/password", "does not expire", "9 bytes"} {
				if !strings.Contains(told, want) {
					t.Errorf("%q does not tell %q", told, want)
				}
			}
			if !keyIDPattern.MatchString(told) || strings.Contains(told, text[len(text)-30:]) {
				t.Errorf("told %q", told)
			}
		})
	}
	t.Run("json", func(t *testing.T) {
		var told map[string]any
		if err := json.Unmarshal([]byte(b.in(t).must(text, "inspect", "-o", "json")), &told); err != nil {
			t.Fatal(err)
		}
		if told["suite"] != 1.0 || told["valueBytes"] != 9.0 || told["textBytes"] != float64(len(text)) || told["expired"] != false {
			t.Errorf("told %v", told)
		}
	})
}

func TestInspectRefuses(t *testing.T) {
	b := newSealBench(t)
	text := strings.TrimSpace(b.seal("v"))
	for name, c := range map[string]struct {
		stdin, tells string
		args         []string
	}{
		"what is not sealed": {"hello", "lanyard.v1.", nil},
		"a cut text":         {text[:100], "cut off", nil},
		"white space":        {" " + text, "white space", nil},
		"nothing":            {"", "no sealed text", nil},
		"an unknown output":  {text, "--output", []string{"-o", "yaml"}},
	} {
		t.Run(name, func(t *testing.T) { b.in(t).refused(2, c.tells, c.stdin, append([]string{"inspect"}, c.args...)...) })
	}
}
