package consultemplate

import (
	"runtime"
	"slices"
	"strings"
	"testing"
)

// kv is what Vault answers for a secret of KV version 2.
const kv = `{"lease_id":"","lease_duration":0,"renewable":false,"data":{"data":{"user":"app","password":"planted<1>","port":5432,"b64":"aGVsbG8=","json":"{\"a\":[1,2]}","list":["x","y"]},"metadata":{"version":3}}}`

const creds = `{"lease_id":"database/creds/web/1","lease_duration":3600,"renewable":true,"data":{"username":"v-web","password":"planted"}}`

func TestTemplatesOfTheInjectorsPages(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"a value":                 {`{{ with secret "secret/data/web" }}postgres://{{ .Data.data.user }}:{{ .Data.data.password }}@db:{{ .Data.data.port }}/app{{ end }}`, "postgres://app:planted<1>@db:5432/app"},
		"all values":              {"{{- with secret \"secret/data/web\" -}}\n{{- range $k, $v := .Data.metadata -}}\n{{ $k }}={{ $v }}\n{{- end }}{{ end }}", "version=3"},
		"a dynamic credential":    {`{{- with secret "database/creds/web" -}}user={{ .Data.username }} lease={{ .LeaseID }} for {{ .LeaseDuration }}s {{ .Renewable }}{{- end }}`, "user=v-web lease=database/creds/web/1 for 3600s true"},
		"as JSON":                 {`{{ with secret "secret/data/web" }}{{ .Data.data.list | toJSON }}{{ .Data.data.password | toJSON }}{{ .Data.data.password | toUnescapedJSON }}{{ end }}`, `["x","y"]"planted\u003c1\u003e""planted<1>"`},
		"as pretty JSON":          {`{{ with secret "secret/data/web" }}{{ .Data.metadata | toJSONPretty }}{{ end }}`, "{\n  \"version\": 3\n}"},
		"as YAML":                 {`{{ with secret "secret/data/web" }}{{ .Data.metadata | toYAML }}{{ end }}`, "version: 3"},
		"base64":                  {`{{ with secret "secret/data/web" }}{{ base64Decode .Data.data.b64 }} {{ .Data.data.user | base64Encode }}{{ end }}`, "hello YXBw"},
		"parsed":                  {`{{ with secret "secret/data/web" }}{{ with parseJSON .Data.data.json }}{{ index .a 1 }}{{ end }}{{ end }}`, "2"},
		"two secrets":             {`{{ $a := secret "secret/data/web" }}{{ with secret "database/creds/web" }}{{ .Data.username }}/{{ $a.Data.data.user }}{{ end }}`, "v-web/app"},
		"without with":            {`{{ (secret "secret/data/web").Data.data.user }}`, "app"},
		"an if":                   {`{{ with secret "secret/data/web" }}{{ if .Data.data.none }}a{{ else }}b{{ end }}{{ with .Data.data.none }}c{{ else }}d{{ end }}{{ end }}`, "bd"},
		"texts":                   {`{{ "a-b" | replaceAll "-" "_" | toUpper }} {{ "A" | toLower }} {{ "a bc" | toTitle }} {{ " x " | trimSpace }} {{ "xax" | trim "x" }} {{ "ab" | trimPrefix "a" }} {{ "ab" | trimSuffix "b" }}`, "A_B a A Bc x a b a"},
		"lists":                   {`{{ range split "," "a,b" }}<{{ . }}>{{ end }}{{ split "," "a,b" | join ";" }}{{ if contains "a" (split "," "a,b") }}!{{ end }}`, "<a><b>a;b!"},
		"indented":                {`{{ "a` + `\n\nb" | indent 2 }}`, "  a\n\n  b"},
		"formatted":               {`{{ printf "%s=%05d" "a" 7 }}{{ print "x" 1 2 }}`, "a=00007x1 2"},
		"no secret":               {`plain {{- /* a comment */ -}} text`, "plaintext"},
		"what the default prints": {Default("secret/data/web2"), "data: map[a:1 b:x]\nmetadata: map[version:2]\n"},
	} {
		t.Run(name, func(t *testing.T) {
			made, err := Parse(c.text)
			if err != nil {
				t.Fatal(err)
			}
			for range 2 {
				got, _, err := made.Render(map[string][]byte{
					"secret/data/web": []byte(kv), "database/creds/web": []byte(creds),
					"secret/data/web2": []byte(`{"data":{"data":{"b":"x","a":1},"metadata":{"version":2}}}`),
				})
				if err != nil || string(got) != c.want {
					t.Errorf("%q, %v; want %q", got, err, c.want)
				}
			}
		})
	}
}

// keys are those of a template's reads.
func keys(t *Template) (all []string) {
	for _, read := range t.Reads() {
		all = append(all, read.Key())
	}
	return all
}

func TestSecretsAreKnownBeforeAnythingIsRead(t *testing.T) {
	made, err := Parse(`{{ with secret "a/b" }}{{ range .Data }}{{ if (secret "c").Data }}{{ $x := secret "d" }}{{ $x.Data.y }}{{ end }}{{ else }}{{ secret "a/b" | toJSON }}{{ end }}{{ end }}`)
	if err != nil || !slices.Equal(keys(made), []string{"a/b", "c", "d"}) {
		t.Errorf("%v, %v", made, err)
	}
}

func TestWhatIsNotSupportedIsNamed(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{`{{ with secret .path }}{{ end }}`, "line 1: the path of secret must be written out"},
		{"\n{{ with secret (printf \"a/%s\" \"b\") }}{{ end }}", "line 2: the path of secret must be written out"},
		{`{{ "a/b" | secret }}`, "needs its path as a text right after it"},
		{`{{ with secret "pki/issue/web" "common_name" }}{{ end }}`, "line 1: secret: arguments behind the path must be NAME=VALUE, not common_name"},
		{`{{ with secret "pki/issue/web" "=x" }}{{ end }}`, "must be NAME=VALUE"},
		{`{{ with secret "pki/issue/web" (printf "common_name=%s" "x") }}{{ end }}`, "the path of secret must be written out, and what follows it too"},
		{`{{ with secret "pki/issue/web?a=b" "common_name=x" }}{{ end }}`, "a ? in the path goes with reading alone"},
		{`{{ with pkiCert "pki/issue/web?a=b" }}{{ end }}`, "a ? in the path goes with reading alone"},
		{`{{ with secret "secret/data/web?%zz" }}{{ end }}`, "a ? in the path goes with reading alone"},
		{`{{ "common_name=x" | pkiCert "pki/issue/web" }}`, "pkiCert needs its path as a text right after it"},
		{`{{ with pkiCert .path "common_name=x" }}{{ end }}`, "the path of pkiCert must be"},
		{`{{ "x" | writeToFile "/vault/secrets/a" "" "" }}`, "needs a path, an owner, a group and a mode before the text"},
		{`{{ writeToFile "/vault/secrets/a" "" "" "0600" }}`, "needs a path, an owner, a group and a mode before the text"},
		{`{{ "x" | writeToFile "a" "" "" "0600" }}`, "line 1: writeToFile: the path must be absolute and clean"},
		{`{{ "x" | writeToFile "/vault/../etc/passwd" "" "" "0600" }}`, "the path must be absolute and clean"},
		{`{{ "x" | writeToFile "/" "" "" "0600" }}`, "the path must be absolute and clean"},
		{`{{ "x" | writeToFile "/vault/secrets/a" "" "" "4755" }}`, "the mode must be octal"},
		{`{{ "x" | writeToFile "/vault/secrets/a" "" "" "u=r" }}`, "the mode must be octal"},
		{`{{ "x" | writeToFile "/vault/secrets/a" "" "" "0600" "truncate" }}`, "the flags must be of append and newline, not truncate"},
		{`{{ "x" | writeToFile (print "/a") "" "" "0600" }}`, "must be written out"},
		{`{{ $f := "/a" }}{{ "x" | writeToFile $f "" "" "0600" }}`, "must be written out"},
		{`{{ print writeToFile }}`, "line 1: the arguments of writeToFile"},
		{`{{ secret }}`, "needs its path"},
		{`{{ with caRoots }}{{ end }}`, `function "caRoots" is not supported; supported are base64Decode`},
		{`{{ env "HOME" }}`, `function "env" is not supported`},
		{`{{ key "a" }}`, `function "key" is not supported`},
		{`{{ define "x" }}{{ end }}`, "define and block are not supported"},
		{`{{ template "x" }}`, "line 1: template is not supported"},
		{`{{ if }}`, "line 1: missing value for if"},
		{`{{ call .x }}`, `function "call" is not supported`},
		{strings.Repeat("x", maxText+1), "at most 65536 are allowed"},
	} {
		text, want := c.text, c.want
		if made, err := Parse(text); err == nil || !strings.Contains(err.Error(), want) || made != nil {
			t.Errorf("%.80s: %v, want %s", text, err, want)
		}
	}
}

func TestARenderingThatFailsSaysWhereAndNoValue(t *testing.T) {
	for text, want := range map[string]string{
		`{{ with secret "s" }}{{ .Data.data.none }}{{ end }}`:                                       "line 1, column 24: there is no such key",
		"\n\n{{ (secret \"s\").Data.data.none.more }}":                                              "line 3",
		`{{ with secret "s" }}{{ .Data.data.user.more }}{{ end }}`:                                  "cannot be executed",
		`{{ with secret "s" }}{{ parseJSON .Data.data.password }}{{ end }}`:                         "parseJSON: the value is not JSON",
		`{{ with secret "s" }}{{ base64Decode .Data.data.password }}{{ end }}`:                      "is not base64",
		`{{ with secret "s" }}{{ index .Data.data.list 9 }}{{ end }}`:                               "cannot be executed",
		`{{ with secret "s" }}{{ toUpper .Data.data }}{{ end }}`:                                    "cannot be executed",
		`{{ with secret "s" }}{{ eq .Data.data 1 }}{{ end }}`:                                       "cannot be executed",
		`{{ printf "%99999d" 1 }}`:                                                                  "widths are below 1000",
		`{{ printf "%*d" 9999 1 }}`:                                                                 "widths are below 1000",
		`{{ printf "%.99999f" 1.0 }}`:                                                               "widths are below 1000",
		`{{ $x := "aaaaaaaaaaaaaaaa" }}` + strings.Repeat(`{{ $x = print $x $x }}`, 40):             "makes more than 1048576 bytes",
		`{{ $x := "aaaaaaaaaaaaaaaa" }}` + strings.Repeat(`{{ $x = replaceAll "a" "aaaa" $x }}`, 9): "makes more than 1048576 bytes",
		`{{ $x := "\"" }}` + strings.Repeat(`{{ $x = toJSON $x }}`, 40):                             "makes more than 1048576 bytes",
		`{{ $x := "abcd" }}` + strings.Repeat(`{{ $x = printf "%s%s%s" $x $x $x }}`, 40):            "makes more than 1048576 bytes",
		`{{ $x := "abcd" }}` + strings.Repeat(`{{ $x = base64Encode $x }}`, 99):                     "makes more than 1048576 bytes",
		`{{ range $a := . }}{{ end }}{{ range split "" (printf "%999s" "x") }}{{ range split "" (printf "%999s" "x") }}{{ range split "" (printf "%999s" "x") }}{{ end }}{{ end }}{{ end }}`: "more than 100000 iterations",
		`{{ range split "" (printf "%999s" "x") }}{{ printf "%999s%999s" "x" "x" }}{{ end }}`:                                                                                                "makes more than 1048576 bytes",
		`{{ indent 100000 "x" }}`: "from 0 to 1000 spaces",
	} {
		made, err := Parse(text)
		if err != nil {
			t.Errorf("%.80s: %v", text, err)
			continue
		}
		got, _, err := made.Render(map[string][]byte{"s": []byte(kv)})
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "planted") || got != nil {
			t.Errorf("%.80s: %.40q, %v; want %s", text, got, err, want)
		}
	}
	made, err := Parse(`{{ secret "s" | toJSON }}`)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := made.Render(map[string][]byte{"s": []byte(`planted`)}); err == nil || strings.Contains(err.Error(), "planted") {
		t.Errorf("%v", err)
	}
}

// Whatever a template does, it is stopped before it has made much.
func TestAStepIsBounded(t *testing.T) {
	deep := func(inside string) string { return strings.Repeat("[", 9000) + inside + strings.Repeat("]", 9000) }
	ones := strings.TrimSuffix(strings.Repeat("1,", 200_000), ",")
	many := func(n int, text string) string { return strings.Repeat(text, n) }
	loops := `{{ $d := (secret "s").Data }}{{ range 100000 }}`
	with := func(call, arg string) string {
		return `{{ $d := (secret "s").Data }}{{ $x := ` + call + many(1000, arg) + ` }}`
	}
	for text, value := range map[string]string{
		with("print", " $d.v"):                           "text",
		with("println", " $d.v"):                         "text",
		with(`printf "`+many(1000, "%s")+`"`, " $d.v"):   "text",
		with(`html`, " $d.v"):                            "text",
		with(`js`, " $d.v"):                              "text",
		with(`urlquery`, " $d.v"):                        "text",
		with(`print`, " $d"):                             "text",
		`{{ $x := printf "%999v" (secret "s").Data.v }}`: "list",
		`{{ $x := printf "%#v" (secret "s").Data.v }}`:   "list",
		`{{ $x := toJSONPretty (secret "s").Data.v }}`:   "deep",
		`{{ $x := toYAML (secret "s").Data.v }}`:         "deep",
		`{{ $x := toYAML (secret "s").Data.v }}` + " ":   "lines",
		loops + `{{ $x := toUpper $d.v }}{{ end }}`:      "text",
		loops + `{{ $x := split "" $d.v }}{{ end }}`:     "text",
		loops + `{{ $x := parseJSON "[[],[],[]]" }}` + many(99, `{{ $x = trimSpace " x " }}`) + `{{ end }}`: "text",
		loops + many(4000, `{{ $d = 1 }}`) + `{{ end }}`:                                                    "text",
		loops + `{{ if eq "x"` + many(1000, " $d.v") + ` }}{{ end }}{{ end }}`:                              "text",
		loops + `{{ $x := toYAML $d.v }}{{ end }}`:                                                          "objects",
		loops + `{{ $x := parseJSON (toJSON $d.v) }}{{ end }}`:                                              "objects",
		loops + `{{ if $d.v | eq $d.v }}{{ end }}{{ end }}`:                                                 "text",
		loops + `{{ range $d.v }}{{ break }}{{ end }}{{ end }}`:                                             "list",
	} {
		data := map[string]string{"text": `"` + many(500_000, "x") + `"`, "list": "[" + ones + "]", "objects": "[{}" + many(9999, ",{}") + "]", "deep": deep(ones), "lines": deep(`"` + many(100_000, `a\n`) + `"`)}[value]
		made, err := Parse(text)
		if err != nil {
			t.Errorf("%.120s: %v", text, err)
			continue
		}
		answer := []byte(`{"data":{"v":` + data + `}}`)
		if _, err := secretOf(answer); err != nil {
			t.Fatal(err)
		}
		measured := func(f func()) uint64 {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			f()
			runtime.ReadMemStats(&after)
			return after.TotalAlloc - before.TotalAlloc
		}
		read := measured(func() { _, _ = secretOf(answer) })
		var got []byte
		all := measured(func() { got, _, err = made.Render(map[string][]byte{"s": answer}) })
		if err == nil || got != nil || !strings.Contains(err.Error(), "handle more than 67108864 bytes in all") && !strings.Contains(err.Error(), "makes more than 1048576 bytes") {
			t.Errorf("%.120s: %.40q, %v", text, got, err)
		}
		if all-read > 3*maxWork {
			t.Errorf("%.120s: %d MiB", text, (all-read)>>20)
		}
	}
}

// What configuration files take is far from any bound.
func TestLargeSecretsAreRendered(t *testing.T) {
	value := strings.Repeat("certificate\\n", 25_000)
	answer := []byte(`{"data":{"v":"` + value + `","m":{"a":{"b":[1,2,{"c":"` + value + `"}]}}}}`)
	for _, text := range []string{
		`{{ (secret "s").Data.v | toJSON }}`, `{{ (secret "s").Data.m | toJSONPretty }}`, `{{ (secret "s").Data.m | toYAML }}`, `{{ printf "%s" (secret "s").Data.v }}`,
		`{{ range split "\n" (secret "s").Data.v }}{{ . | trimSpace | printf "%s\n" }}{{ end }}`,
		`{{ range $k, $v := (secret "s").Data }}{{ if eq $k "v" }}{{ if $k | ne "m" }}{{ $v | indent 2 }}{{ end }}{{ end }}{{ if eq $v nil }}x{{ end }}{{ end }}`,
		`{{ with secret "s" }}{{ if not (index .Data "none") }}{{ html .Data.v }}{{ end }}{{ range .Data.none }}x{{ else }}y{{ end }}{{ end }}`,
	} {
		made, err := Parse(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got, _, err := made.Render(map[string][]byte{"s": answer}); err != nil || len(got) < 200_000 {
			t.Errorf("%s: %d bytes, %v", text, len(got), err)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{Default("a"), `{{ with secret "a" }}{{ range $k, $v := .Data }}{{ $k | toJSON }}{{ break }}{{ end }}{{ else with .x }}{{ end }}`, `{{ (secret "a").Data.x | printf "%s" }}`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		made, err := Parse(text)
		if err != nil {
			return
		}
		secrets := map[string][]byte{}
		for _, path := range keys(made) {
			secrets[path] = []byte(kv)
		}
		if out, _, err := made.Render(secrets); err == nil && (len(out) > maxOutput || strings.Contains(string(out), "<no value>") && !strings.Contains(text, "no value")) {
			t.Errorf("%d bytes: %.200s", len(out), out)
		}
	})
}
