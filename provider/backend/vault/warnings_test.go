package vault

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/lanyardhq/lanyard/provider/secret"
)

func warningsOf(t *testing.T, answer string) []string {
	t.Helper()
	parsed, err := ParseAnswer("a", []byte(answer))
	if err != nil {
		t.Fatal(err)
	}
	resp := Response{Status: 200, Answer: parsed, sent: []secret.Bytes{secret.NewString("hvs.token")}}
	return resp.Warnings()
}

func TestWarningsAreBoundedAndShowNoValue(t *testing.T) {
	for name, test := range map[string]struct{ warnings, want string }{
		"none":           {`null`, ""},
		"one":            {`["TTL is capped, see metadata"]`, "TTL is capped, see metadata"},
		"empty":          {`["", "b"]`, "b"},
		"a value":        {`["planted-value is weak, so is 987654 and planted-inner"]`, "[redacted] is weak, so is [redacted] and [redacted]"},
		"what was sent":  {`["who sent hvs.token?"]`, "who sent [redacted]?"},
		"several lines":  {`["a\nb\u001b[31m"]`, ""},
		"too long":       {`["` + strings.Repeat("x", 5000) + `"]`, "a text of 5000 bytes"},
		"too many":       {`["a","b","c","d","e","f"]`, "a; b; c; d; and 2 more"},
		"short of value": {`["k is k"]`, "k is k"},
	} {
		t.Run(name, func(t *testing.T) {
			got := warningsOf(t, `{"request_id":"1","data":{"metadata":"planted-value","pin":987654,"k":"k","in":{"b":["planted-inner"]}},"warnings":`+test.warnings+`}`)
			text := strings.Join(got, "; ")
			if test.want != "" && text != test.want || strings.ContainsAny(text, "\n\x1b") || name == "none" && got != nil {
				t.Errorf("warnings %q, want %q", text, test.want)
			}
			for _, one := range got {
				if len(one) > 500 {
					t.Errorf("a warning of %d bytes", len(one))
				}
			}
		})
	}
}

func TestTheWarningsOfALargeAnswerAreNotShown(t *testing.T) {
	for size, want := range map[int]string{
		maxSearched / 2: "a [redacted]",
		maxSearched:     "2 texts, not shown beside an answer of",
	} {
		got := warningsOf(t, `{"request_id":"1","data":{"v":"`+strings.Repeat("x", size)+`","w":"planted"},"warnings":["a planted","b"]}`)
		if len(got) == 0 || !strings.HasPrefix(got[0], want) {
			t.Errorf("%d bytes: %q, want %s", size, got, want)
		}
	}
}

func TestAWarningIsLoggedOnceInAWhile(t *testing.T) {
	var w warned
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	if !w.first("a", false, now) || w.first("a", false, now.Add(warnAgain-1)) || !w.first("a", false, now.Add(warnAgain)) {
		t.Error("a warning is not logged once in an hour")
	}
	for i := range 2 * maxWarned {
		w.first(fmt.Sprint(i), true, now)
	}
	if w.first("b", true, now) || len(w.last[1]) != maxWarned {
		t.Errorf("%d warnings of classes' servers are logged in an hour", len(w.last[1]))
	}
	if !w.first("b", false, now.Add(warnAgain)) {
		t.Error("servers that classes chose silence the operator's")
	}
	if !w.first("c", true, now.Add(warnAgain)) {
		t.Error("nothing is logged after that")
	}
}
