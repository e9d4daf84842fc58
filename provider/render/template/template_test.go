package template

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/lanyardhq/lanyard/provider/render"
	"github.com/lanyardhq/lanyard/provider/render/rendertest"
)

var values0 = map[string]string{
	"user":        "app",
	"db/password": "planted-p@ss \"word\"",
	"port":        "5432",
	"config":      `{"host":"db","port":1000000,"big":12345678901234567890,"list":["b","a"],"nothing":null,"ok":true,"f":1.5}`,
	"b64":         "aGVsbG8=",
	"empty":       "",
	"lines":       "a\nb",
}

func execute(text string, values map[string]string) (string, error) {
	t, err := Parse(text)
	if err != nil {
		return "", fmt.Errorf("parse: %w", err)
	}
	got, err := t.Execute(values, render.Hooks{})
	return string(got), err
}

func TestTemplate(t *testing.T) {
	for text, want := range map[string]string{
		"":           "",
		"plain text": "plain text",
		`url=postgres://{{ .user }}:{{ index . "db/password" | urlquery }}@db/app`:                           "url=postgres://app:planted-p%40ss+%22word%22@db/app",
		`{{ "a b+c" | urlquery | replace "+" "%20" }}`:                                                       "a%20b%2Bc",
		`{{ "it's" | replace "'" "'\\''" | squote }}`:                                                        `'it'\''s'`,
		`{{ " a\\b" | replace "\\" "\\\\" | replace " " "\\ " }}`:                                            `\ a\\b`,
		`{{ $p := .port }}{{ $.user }}:{{ $p }}`:                                                             "app:5432",
		"{{ if .empty }}a{{ else }}b{{ end }}":                                                               "b",
		"{{ with .user }}{{ . }}{{ end }}{{ with .empty }}x{{ else with .port }}{{ . }}{{ end }}":            "app5432",
		"{{ range $name, $value := . }}{{ $name }},{{ end }}":                                                "b64,config,db/password,empty,lines,port,user,",
		`{{ if hasKey . "other" }}{{ .other }}{{ else }}none{{ end }}`:                                       "none",
		`{{ range splitList "," "a,b,c" }}{{ if eq . "b" }}{{ continue }}{{ end }}{{ . }}{{ end }}`:          "ac",
		`{{ range 3 }}{{ . }}{{ end }}{{ range 0 }}x{{ else }}none{{ end }}`:                                 "012none",
		`{{ range $i := 9 }}{{ if eq $i 2 }}{{ break }}{{ end }}{{ $i }}{{ end }}`:                           "01",
		`{{- /* a comment */ -}} {{- "x" -}} `:                                                               "x",
		`{{ and .user .port }}{{ or .empty .user }}{{ not .empty }}`:                                         "5432apptrue",
		`{{ .user | upper | quote }}`:                                                                        `"APP"`,
		`{{ "<a href='x'>&" | html }}`:                                                                       "&lt;a href=&#39;x&#39;&gt;&amp;",
		`{{ len .user }}{{ slice .user 1 }}{{ slice .user 0 1 }}`:                                            "3ppa",
		`{{ print 1 2 "x" true }}{{ println "a" 1 }}`:                                                        "1 2xtrue" + "a 1\n",
		`{{ printf "%s:%q %5d|%-5s|%05.1f %x %X %t %v %%" .user .user 42 "a" 2.25 "hi" 255 true 1 }}`:        `app:"app"    42|a    |002.2 6869 FF true 1 %`,
		`{{ printf "%d" (int .port) }}`:                                                                      "5432",
		`{{ 1000000.0 }} {{ 1.5 }} {{ 'a' }} {{ true }} {{ 0x10 }}`:                                          "1000000 1.5 97 true 16",
		`{{ eq .user "app" }}{{ eq .user "x" "app" }}{{ ne 1 2 }}{{ lt 1 2 }}{{ le "a" "a" }}{{ gt 2.5 2 }}`: "truetruetruetruetruetrue",

		`{{ "  x " | trim }}|{{ trimPrefix "a" "ab" }}|{{ trimSuffix "b" "ab" }}`:               "x|b|a",
		`{{ upper "aé" }}{{ lower "AÉ" }}{{ title "a élan" }}`:                                  "AÉaéA Élan",
		`{{ contains "p" .user }}{{ hasPrefix "a" .user }}{{ hasSuffix "a" .user }}`:            "truetruefalse",
		`{{ indent 2 .lines }}{{ nindent 1 .lines }}`:                                           "  a\n  b\n a\n b",
		`{{ replace "p" "q" .user }}`:                                                           "aqq",
		`{{ join "-" (list "a" 1 true) }}{{ squote "a" 1 }}{{ quote 1 "a\n" }}{{ toString 5 }}`: "a-1-true'a' '1'\"1\" \"a\\n\"5",
		`{{ $p := split ":" "a:b" }}{{ $p._0 }}{{ $p._1 }}`:                                     "ab",

		`{{ b64enc .user }}{{ b64dec .b64 }}`:                                                                                    "YXBwhello",
		`{{ $c := fromJson .config }}{{ $c.host }}:{{ $c.port }} {{ $c.big }} {{ $c.f }}`:                                        "db:1000000 12345678901234567890 1.5",
		`{{ (fromJson .config).list | join "," }}{{ index (fromJson .config) "list" 1 }}`:                                        "b,aa",
		`{{ toJson (fromJson .config) }}`:                                                                                        `{"big":12345678901234567890,"f":1.5,"host":"db","list":["b","a"],"nothing":null,"ok":true,"port":1000000}`,
		`{{ toJson (dict "p" (index . "db/password") "n" 1 "l" (list "<&>")) }}`:                                                 `{"l":["<&>"],"n":1,"p":"planted-p@ss \"word\""}`,
		`{{ eq (fromJson .config).port 1000000 }}{{ gt (fromJson .config).f 1 }}`:                                                "truetrue",
		`{{ add 1 2 3 }} {{ add .port 1 }} {{ sub 5 3 }} {{ add 0 }} {{ sub 1 0 }} {{ sub 1 -2 }} {{ int "42" }} {{ int 42.0 }}`: "6 5433 2 0 1 3 42 42",

		`{{ default "x" .empty }}{{ .user | default "x" }}`: "xapp",
		`{{ (fromJson .config).nothing | default "none" }}`: "none",
	} {
		if got, err := execute(text, values0); err != nil || got != want {
			t.Errorf("%s\n = %q, %v\nwant %q", text, got, err, want)
		}
	}
}

func TestTemplateThatDoesNotParse(t *testing.T) {
	for text, says := range map[string]string{
		"a\n{{ .user":                           "line 2: unclosed action",
		"{{ .db-pass }}":                        `bad character U+002D '-'; write {{ index . "db-pass" }}`,
		"{{ .db/user }}":                        `write {{ index . "db/user" }}`,
		"a\n{{ .user }}{{ $.db-pass | quote }}": `line 2: bad character U+002D '-'; write {{ index $ "db-pass" }}`,
		"{{ .config/tls.crt }}":                 `write {{ index . "config/tls.crt" }}`,
		"{{ printf \"%s\" .a@b }}":              `write {{ index . "a@b" }}`,
		"{{ (.a-b) }}":                          `write {{ index . "a-b" }}`,
		"{{if .a-b}}x{{end}}":                   `write {{ index . "a-b" }}`,
		"{{ $x := .a-b }}":                      `write {{ index . "a-b" }}`,
		"{{ nope .user }}":                      `function "nope" not defined`,
		"{{ $x }}":                              "undefined variable",
		"{{ if }}x{{ end }}":                    "line 1: ",
		"{{ end }}":                             "unexpected {{end}}",
		`{{ define "x" }}y{{ end }}`:            "define and block are not supported",
		`{{ block "x" . }}y{{ end }}`:           "not supported",
		`{{ template "x" }}`:                    "template is not supported",
		`{{ template "template" . }}`:           "template is not supported",
		"{{ break }}":                           "outside",
		"{{ env \"HOME\" }}":                    `function "env" not defined`,
		"{{ expandenv \"$HOME\" }}":             "not defined",
		"{{ getHostByName \"db\" }}":            "not defined",
		"{{ now }}":                             "not defined",
		"{{ randAlphaNum 8 }}":                  "not defined",
		"{{ uuidv4 }}":                          "not defined",
		"{{ genPrivateKey \"rsa\" }}":           "not defined",
		"{{ bcrypt .user }}":                    "not defined",
		"{{ call .user }}":                      "not defined",
		"{{ set . \"a\" 1 }}":                   "not defined",
		"{{ until 9 }}":                         "not defined",
		"{{ regexMatch \"a\" .user }}":          "not defined",
		"{{ repeat 9 .user }}":                  "not defined",
		"{{ _step 1 }}":                         "not defined",
		"{{ _print .user }}":                    "not defined",
		strings.Repeat("x", 64<<10+1):           "65537 bytes",
		strings.Repeat("{{ if .a }}", 300) + strings.Repeat("{{ end }}", 300):      "nested deeper",
		"{{ " + strings.Repeat("(", 300) + ".a" + strings.Repeat(")", 300) + " }}": "nested deeper",
	} {
		_, err := Parse(text)
		if err == nil || !strings.Contains(err.Error(), says) || len(err.Error()) > 400 {
			t.Errorf("Parse(%.60q) = %v; want an error that says %q", text, err, says)
		}
	}
}

// Bytes that are no text pass unchanged or not at all.
func TestTemplateRefusesBytesThatAreNoText(t *testing.T) {
	values := map[string]string{"b": "a\xffb", "e": "\xc3\x28", "s": "\xed\xa0\x80", "é": "é", "nul": "a\x00b"}
	for name, f := range functions() {
		if f.bytes {
			continue
		}
		text, ok := map[string]string{
			"replace": `{{ replace "a" .b "c" }}`, "split": `{{ split "a" .b }}`, "splitList": `{{ splitList .b "a" | join "" }}`, "join": `{{ join "," (list .b "c") }}`,
			"printf": `{{ printf "%s" .b }}`, "indent": `{{ indent 2 .b }}`, "nindent": `{{ nindent 2 .b }}`, "contains": `{{ contains "a" .b }}`,
			"hasPrefix": `{{ hasPrefix "a" .b }}`, "hasSuffix": `{{ hasSuffix "b" .b }}`, "trimPrefix": `{{ trimPrefix "a" .b }}`, "trimSuffix": `{{ trimSuffix "a" .b }}`,
			"add": `{{ add .b 1 }}`, "sub": `{{ sub .b 1 }}`,
		}[name]
		if !ok {
			text = "{{ " + name + " .b }}"
		}
		for _, text := range []string{text, strings.ReplaceAll(text, ".b", ".e"), strings.ReplaceAll(text, ".b", ".s"), strings.ReplaceAll(text, ".b", `"\xff"`)} {
			if got, err := execute(text, values); err == nil || got != "" || !strings.Contains(err.Error(), name+": the value holds bytes that are not UTF-8") {
				t.Errorf("%s = %q, %v", text, got, err)
			}
		}
	}
	for text, want := range map[string]string{
		"{{ .b }}": values["b"], "{{ print .b .e }}": "a\xffb\xc3(", "{{ println .b }}": "a\xffb\n", "{{ toString .b }}": "a\xffb", "{{ .b | b64enc }}": "Yf9i",
		"{{ .b | b64enc | b64dec }}": "a\xffb", "{{ len .b }}": "3", `{{ slice .b 1 2 }}`: "\xff", "{{ eq .b .b }}{{ ne .b .e }}{{ lt .b .e }}": "truetruetrue",
		`{{ index (list .b) 0 }}{{ (dict "x" .e).x }}`: "a\xffb\xc3(", `{{ default .b "" }}`: "a\xffb", `{{ hasKey . .b }}`: "false", "{{ slice .é 0 2 }}": "é", "{{ print .nul }}": "a\x00b",
		`{{ range list .b }}{{ . }}{{ end }}`: "a\xffb",
	} {
		if got, err := execute(text, values); err != nil || got != want {
			t.Errorf("%s = %q, %v; want %q", text, got, err, want)
		}
	}
	for text, says := range map[string]string{
		"{{ .b | lower }}": "lower: the value holds bytes", `{{ toJson (dict "a" .b) }}`: "not UTF-8", `{{ toJson (dict .b "a") }}`: "not UTF-8", "{{ slice .é 1 }}": "inside a character",
		"{{ html .nul }}": "U+0000", `{{ printf "%c" 1114112 }}`: "number of a character", `{{ printf "%c" 55296 }}`: "number of a character", `{{ printf "%c" 4294967361 }}`: "number of a character",
	} {
		if got, err := execute(text, values); err == nil || got != "" || !strings.Contains(err.Error(), says) {
			t.Errorf("%s = %q, %v; want %q", text, got, err, says)
		}
	}
}

// Numbers of JSON keep their digits, and compare by all of them.
func TestTemplateIsExact(t *testing.T) {
	values := map[string]string{"j": `{"a":9007199254740993,"b":9007199254740992,"c":1.10,"d":1e2,"e":1e400,"f":0.1,"g":-0,"h":3.141592653589793238,"i":5.0,"k":0.30000000000000001}`}
	const j = "{{ $j := fromJson .j }}"
	for text, want := range map[string]string{
		"{{ eq $j.a $j.b }}{{ gt $j.a $j.b }}": "falsetrue", "{{ eq $j.a 9007199254740993 }}": "true", "{{ eq $j.a 9007199254740992 }}": "false",
		"{{ $j.a }} {{ $j.c }} {{ $j.d }} {{ $j.e }} {{ $j.g }}": "9007199254740993 1.10 1e2 1e400 -0", "{{ toJson $j.c }}{{ toJson (list $j.d) }}": "1.10[1e2]",
		"{{ eq $j.d 100 }}{{ eq $j.d 100.0 }}{{ eq $j.g 0 }}": "truetruetrue", "{{ lt 100 $j.e }}": "true", "{{ eq $j.f 0.1 }}": "true", "{{ eq $j.k 0.3 }}": "false",
		`{{ printf "%.2f" $j.c }}`: "1.10", `{{ printf "%d" $j.a }}`: "9007199254740993", "{{ int $j.i }}{{ int $j.d }}": "5100", "{{ add $j.a 1 }}": "9007199254740994",
		`{{ printf "%s %v %q" $j.a $j.c $j.d }}`: `9007199254740993 1.10 "1e2"`, `{{ toString $j.e | quote }}`: `"1e400"`, "{{ eq 1 1.0 }}": "true", "{{ 1e3 }}": "1000",
		"{{ eq 0x1F 31 }}{{ eq 1_000 1000 }}": "truetrue",
	} {
		if got, err := execute(j+text, values); err != nil || got != want {
			t.Errorf("%s = %q, %v; want %q", text, got, err, want)
		}
	}
	for text, says := range map[string]string{
		`{{ printf "%.2f" $j.a }}`: "more digits", `{{ printf "%.2f" $j.h }}`: "more digits", `{{ printf "%e" $j.e }}`: "more digits", "{{ int $j.c }}": "whole numbers", "{{ int $j.e }}": "whole numbers",
		"{{ 9007199254740993.0 }}": "template line 1: the number 9007199254740993.0", "\n{{ if eq $j.a 0.30000000000000001 }}{{ end }}": "template line 2: the number", "{{ 1i }}": "not decimal",
		"{{ 0x1p-2 }}": "not decimal", "{{ 12345678901234567890 }}": "more digits", `{{ range 9007199254740993.0 }}{{ end }}`: "more digits",
	} {
		if got, err := execute(j+text, values); err == nil || got != "" || !strings.Contains(err.Error(), says) {
			t.Errorf("%s = %q, %v; want %q", text, got, err, says)
		}
	}
}

// Every way to fail names the place, and none shows a value.
func TestTemplateThatCannotBeExecuted(t *testing.T) {
	for text, says := range map[string]string{
		"a\n  {{ .other }}":                         `line 2, column 6: nothing is named "other" here; the template may use the objects "b64", "config", "db/password"`,
		"{{ $.other }}":                             `nothing is named "other"`,
		`{{ index . "other" }}`:                     `nothing is named "other"`,
		`{{ index . (index . "db/password") }}`:     "index: there is no such key",
		"{{ (fromJson .config).other }}":            `nothing is named "other"`,
		`{{ index (fromJson .config).list 2 }}`:     "no place 2",
		`{{ index (fromJson .config).list -1 }}`:    "no place -1",
		`{{ index .user "a" }}`:                     "it takes an object",
		`{{ index .user 0 }}`:                       "it takes a list",
		`{{ (index . "db/password").x }}`:           "has no field x",
		`{{ (fromJson .config).host.x }}`:           "has no field x",
		`{{ (fromJson .config).nothing.x }}`:        "template line 1",
		`{{ (fromJson .config).nothing }}`:          "null or missing",
		"{{ . }}":                                   "an object cannot be printed",
		"{{ list 1 2 }}":                            "a list cannot be printed",
		`{{ print (list "planted") }}`:              "a list cannot be printed",
		`{{ quote (list 1) }}`:                      "quote: a list cannot",
		`{{ join "," (list (list 1)) }}`:            "join: a list cannot",
		`{{ join "," .user }}`:                      "join: it takes a list",
		`{{ range index . "db/password" }}{{end}}`:  "range takes a list",
		`{{ range $a, $b := 5 }}{{end}}`:            "range takes a list",
		`{{ range (fromJson .config).f }}{{end}}`:   "range takes a list",
		`{{ indent .user .user }}`:                  "text where a number is needed",
		`{{ indent "x" .user }}`:                    "a number is needed",
		`{{ upper 5 }}`:                             "text is needed",
		`{{ upper (fromJson .config).port }}`:       "a number from JSON (see int and toString) where text is needed",
		`{{ upper .user .user }}`:                   "upper: wrong number of arguments: want 1 got 2",
		`{{ hasKey .user "x" }}`:                    "text where an object is needed",
		`{{ b64dec (index . "db/password") }}`:      "b64dec: the value is not base64",
		`{{ fromJson (index . "db/password") }}`:    "fromJson: the value is not JSON",
		`{{ int (index . "db/password") }}`:         "int: it takes whole numbers",
		`{{ int "1.5" }}`:                           "int: it takes whole numbers",
		`{{ add .user 1 }}`:                         "add: it takes whole numbers",
		`{{ add 9223372036854775807 1 }}`:           "does not fit 64 bits",
		`{{ sub -9223372036854775807 2 }}`:          "does not fit 64 bits",
		`{{ eq .user 5 }}`:                          "eq: it compares",
		`{{ lt true false }}`:                       "lt: it compares",
		`{{ eq (list 1) (list 1) }}`:                "eq: it compares",
		`{{ printf "%d" (index . "db/password") }}`: "%d takes a number",
		`{{ printf "%s" }}`:                         "more verbs than the 0 argument",
		`{{ printf "%s" 1 2 }}`:                     "1 verb(s) for 2",
		`{{ printf "%[1]s" .user }}`:                "verb that is not known",
		`{{ printf "%*d" 5 5 }}`:                    "verb that is not known",
		`{{ printf "%w" .user }}`:                   "verb that is not known",
		`{{ printf "%" }}`:                          "verb that is not known",
		`{{ printf "%99999d" 5 }}`:                  "width is over 1000",
		`{{ printf "%.99999f" 5.0 }}`:               "precision is over 1000",
		`{{ printf "%t" .user }}`:                   "%t takes true or false",
		`{{ dict "a" }}`:                            "last name has no value",
		`{{ dict 1 2 }}`:                            "a name must be text",
		`{{ slice .user 2 1 }}`:                     "not in order",
		`{{ slice .user 0 99 }}`:                    "not in order",
		`{{ indent -1 .user }}`:                     "indent: it does not take",
		`{{ (fromJson .config).f.Int64 }}`:          "does not take these arguments",
		`{{ nil }}`:                                 "template line 1",
		`{{ .user.x.y }}`:                           "has no field x",
		`{{ .user "x" }}`:                           "template line 1",
	} {
		got, err := execute(text, values0)
		if err == nil || got != "" || !strings.Contains(err.Error(), says) {
			t.Errorf("%s\n = %q, %v\nwant an error that says %q", text, got, err, says)
			continue
		}
		for _, part := range []string{"planted", "aGVsbG8", "1.5\""} {
			if strings.Contains(strings.ReplaceAll(err.Error(), `"planted"`, ""), part) {
				t.Errorf("%s: error %q shows a value", text, err)
			}
		}
	}
}

// A value that reads like one of text/template's messages is still not shown.
func TestTemplateErrorsAreNotFooledByValues(t *testing.T) {
	for _, value := range []string{
		`>: map has no entry for key "planted"`, `can't evaluate field planted in type string`,
		`wrong type for value; expected planted; got planted`, `wrong number of args for planted: want 1 got 2`,
		`template: template:1:1: executing "template" at <planted>: x`, `expected integer; found planted`,
	} {
		for _, text := range []string{
			"{{ range .v }}{{ end }}", "{{ .v.x }}", `{{ index . .v }}`, `{{ fromJson .v }}`, `{{ int .v }}`, `{{ indent .v "x" }}`,
			`{{ printf .v }}`, `{{ printf "%d" .v }}`, `{{ .v 1 }}`, `{{ (dict "a" .v).b }}`, `{{ eq .v 1 }}`, `{{ range $a, $b := .v }}{{ end }}`,
		} {
			if got, err := execute(text, map[string]string{"v": value}); err != nil && strings.Contains(err.Error(), "planted") || got != "" && text != "{{ printf .v }}" {
				t.Errorf("%s of %q = %q, %v", text, value, got, err)
			}
		}
	}
}

func TestTemplateListsTheFirstNamesOnly(t *testing.T) {
	values := map[string]string{}
	for i := range 100 {
		values[fmt.Sprintf("n%03d", i)] = ""
	}
	_, err := execute("{{ .x }}", values)
	if err == nil || !strings.Contains(err.Error(), `"n019" and 80 more`) {
		t.Errorf("error %v", err)
	}
	if _, err = execute("{{ .x }}", nil); err == nil || !strings.Contains(err.Error(), "there are none") {
		t.Errorf("error %v", err)
	}
}

func TestTemplateNames(t *testing.T) {
	for text, want := range map[string][]string{
		"text":                                   {},
		"{{ .b }}{{ .a.x }}{{ $.c }}":            {"a", "b", "c"},
		`{{ index . "d/e" }}{{ index $ "f" 1 }}`: {"d/e", "f"},
		"{{ if .a }}{{ .b }}{{ else }}{{ .c }}{{ end }}":                       {"a", "b", "c"},
		"{{ range .a }}{{ .b }}{{ $.c }}{{ else }}{{ .d }}{{ end }}":           {"a", "c", "d"},
		"{{ with .a }}{{ .b }}{{ index $ \"c\" }}{{ index . \"d\" }}{{ end }}": {"a", "c"},
		"{{ $x := .a }}{{ $x.b }}{{ (fromJson .c).d }}":                        {"a", "c"},
		"{{ upper (trim .a) | printf \"%s%s\" .b }}":                           {"a", "b"},
	} {
		parsed, err := Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := parsed.Names(); !slices.Equal(got, want) {
			t.Errorf("%s: names %q, want %q", text, got, want)
		}
	}
}

func TestTemplateMisnamed(t *testing.T) {
	known := func(name string) bool { return name == "tls.crt" || name == "a.b.c" || name == "plain" }
	for text, want := range map[string]string{
		"{{ .tls.crt }}": "tls.crt", "{{ $.tls.crt }}": "tls.crt", "{{ .tls.crt.x }}": "tls.crt", "{{ .tls.key }}": "", "{{ .tls }}": "", "{{ .a.b.c }}": "a.b.c", "{{ range .l }}{{ .tls.crt }}{{ end }}": "",
	} {
		parsed, err := Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, name := range parsed.Names() {
			got += parsed.Misnamed(name, known)
		}
		if got != want {
			t.Errorf("%s means %q, want %q", text, got, want)
		}
	}
}

func TestTemplateIsSafeForConcurrentUse(t *testing.T) {
	parsed, err := Parse(`{{ range 20 }}{{ .| printf "%d" }}{{ end }}{{ .a | upper }}`)
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for i := range 16 {
		all.Go(func() {
			got, err := parsed.Execute(map[string]string{"a": fmt.Sprintf("x%d", i)}, render.Hooks{})
			if want := fmt.Sprintf("X%d", i); err != nil || !strings.HasSuffix(string(got), want) {
				t.Errorf("Execute = %q, %v", got, err)
			}
		})
	}
	all.Wait()
}

func TestTemplateDoesNotChangeItsValues(t *testing.T) {
	values := map[string]string{"a": "x", "b": "y"}
	if _, err := execute(`{{ $o := dict "a" .b }}{{ $o.a }}{{ range $k, $v := . }}{{ $v }}{{ end }}`, values); err != nil {
		t.Fatal(err)
	}
	if len(values) != 2 || values["a"] != "x" {
		t.Errorf("values are %v", values)
	}
}

// Templates that make much of little. Each must end at a bound.
func TestTemplateAttacksEndAtABound(t *testing.T) {
	megabyte := strings.Repeat("x", 1<<20)
	for name, text := range map[string]string{
		"endless loop":                 "{{ range 9223372036854775807 }}{{ end }}",
		"endless loop of text":         "{{ range 9223372036854775807 }}x{{ end }}",
		"loops in loops":               strings.Repeat("{{ range 1000 }}", 50) + strings.Repeat("{{ end }}", 50),
		"loop over a large body":       "{{ range 100000 }}" + strings.Repeat("{{ if $ }}{{ end }}", 1000) + "{{ end }}",
		"loop with continue":           "{{ range 9223372036854775807 }}{{ continue }}{{ end }}",
		"prints a megabyte often":      strings.Repeat("{{ .m }}", 10),
		"doubles text":                 "{{ $a := \"xx\" }}{{ range 100 }}{{ $a = print $a $a }}{{ end }}",
		"doubles with printf":          "{{ $a := \"xx\" }}{{ range 100 }}{{ $a = printf \"%s%s\" $a $a }}{{ end }}",
		"doubles a list":               "{{ $a := list 1 1 }}{{ range 100 }}{{ $a = list $a $a }}{{ end }}",
		"doubles an object":            "{{ $a := dict }}{{ range 100 }}{{ $a = dict \"a\" $a \"b\" $a }}{{ end }}",
		"doubles by join":              "{{ $a := \"xx\" }}{{ range 100 }}{{ $a = join $a (list $a $a $a) }}{{ end }}",
		"doubles by replace":           "{{ $a := \"xx\" }}{{ range 100 }}{{ $a = replace \"x\" \"xx\" $a }}{{ end }}",
		"doubles by replacing nothing": "{{ $a := \"xx\" }}{{ range 100 }}{{ $a = replace \"\" $a $a }}{{ end }}",
		"escapes again and again":      "{{ $a := \"\\\"\" }}{{ range 100 }}{{ $a = quote $a }}{{ end }}",
		"escapes for HTML":             "{{ $a := \"&\" }}{{ range 4000000 }}{{ $a = html $a }}{{ end }}",
		"escapes for URLs":             "{{ $a := \"%\" }}{{ range 4000000 }}{{ $a = urlquery $a }}{{ end }}",
		"JSON of JSON":                 "{{ $a := \"\\\"\" }}{{ range 100 }}{{ $a = toJson $a }}{{ end }}",
		"base64 of base64":             "{{ $a := \"x\" }}{{ range 1000 }}{{ $a = b64enc $a }}{{ end }}",
		"quotes in a pipeline":         "{{ \"\\\"\" | quote" + strings.Repeat(" | quote", 100) + " }}",
		"indents":                      "{{ indent 9223372036854775807 .m }}",
		"indents many lines":           "{{ indent 1000000 (replace \"x\" \"\\n\" (slice .m 0 1000)) }}",
		"wide verbs":                   "{{ range 100 }}{{ printf \"" + strings.Repeat("%1000d", 50) + "\"" + strings.Repeat(" 1", 50) + " }}{{ end }}",
		"splits by nothing":            "{{ splitList \"\" .m | len }}",
		"splits into an object":        "{{ split \"\" .m | len }}",
		"parses many values":           "{{ fromJson (print \"[\" (replace \"x\" \"0,\" (slice .m 0 500000)) \"0]\") | len }}",
		"compares long text often":     "{{ range 100000 }}{{ if eq $.m $.n }}{{ end }}{{ end }}",
		"searches long text often":     "{{ range 100000 }}{{ if contains \"y\" $.m }}{{ end }}{{ end }}",
		"looks into a large object":    "{{ $o := fromJson .o }}{{ range 100000 }}{{ $x := index $o \"k1\" }}{{ end }}",
		"reads places often":           "{{ range 100000 }}{{ $x := slice $.m 1 }}{{ end }}",
		"keeps what it makes":          "{{ $a := list }}{{ range 100000 }}{{ $a = list $a (upper $.m) }}{{ end }}",
	} {
		t.Run(name, func(t *testing.T) {
			var object strings.Builder
			for i := range 5000 {
				fmt.Fprintf(&object, `,"k%d":"v"`, i)
			}
			values := map[string]string{"m": megabyte, "n": megabyte[1:] + "x", "o": "{" + object.String()[1:] + "}"}
			used := rendertest.Allocated(func() {
				if got, err := execute(text, values); !errors.Is(err, render.ErrTooLarge) || got != "" {
					t.Errorf("%d bytes, %v; want render.ErrTooLarge", len(got), err)
				} else if strings.Contains(err.Error(), "xxxx") {
					t.Errorf("error %q shows a value", err)
				}
			})
			if limit := uint64(200 << 20); used > limit {
				t.Errorf("%d MiB were allocated on the way", used>>20)
			}
		})
	}
}

func TestTemplateTakesWhatIsLargeButWithinBounds(t *testing.T) {
	large := strings.Repeat("x", 3<<20)
	var lines strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&lines, "key%d=value%d\n", i, i)
	}
	for name, text := range map[string]string{
		"prints three megabytes": "{{ .large }}",
		"as JSON":                "{{ toJson .large }}",
		"as base64":              "{{ slice .large 0 3000000 | b64enc }}",
		"a thousand lines": `{{ range splitList "\n" .lines }}{{ if . }}{{ $p := splitList "=" . }}export {{ index $p 0 | upper }}={{ index $p 1 | quote }}
{{ end }}{{ end }}`,
	} {
		if _, err := execute(text, map[string]string{"large": large, "lines": lines.String()}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzTemplate(f *testing.F) {
	for _, text := range []string{
		"{{ .a }}", `{{ index . "b/c" | quote }}`, "{{ range 5 }}{{ . }}{{ end }}", "{{ range $k, $v := . }}{{ $k }}{{ end }}",
		`{{ printf "%5d %s" 5 .a }}`, "{{ $x := list .a }}{{ range 9 }}{{ $x = list $x $x }}{{ end }}", "{{ fromJson .j | toJson }}",
		`{{ with dict "a" .a }}{{ .a }}{{ end }}`, `{{ .a | b64enc | b64dec | indent 3 }}`, `{{ define "x" }}{{ end }}`, "{{ index .a .j }}", "{{ slice .a 1 2 }}",
	} {
		f.Add(text)
	}
	const planted = "planted-7d1c3"
	values := map[string]string{"a": planted, "b/c": "x" + planted, "j": `{"k":["` + planted + `",1,null,{"m":2.5}]}`}
	f.Fuzz(func(t *testing.T, text string) {
		parsed, err := Parse(text)
		if err != nil {
			return
		}
		var got []byte
		if used := rendertest.Allocated(func() { got, err = parsed.Execute(values, render.Hooks{}) }); used > 256<<20 {
			t.Errorf("%d MiB were allocated", used>>20)
		}
		if err != nil && (got != nil || strings.Contains(err.Error(), planted)) {
			t.Errorf("%q, %v", got, err)
		}
		if len(got) > render.MaxBytes {
			t.Errorf("%d bytes", len(got))
		}
		if again, _ := parsed.Execute(values, render.Hooks{}); string(again) != string(got) {
			t.Errorf("%q and then %q", got, again)
		}
	})
}
