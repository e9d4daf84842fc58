package consultemplate

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io/fs"
	"maps"
	"reflect"
	"strings"
	"testing"
)

// issued is what a PKI engine answers.
const issued = `{"lease_id":"","lease_duration":0,"renewable":false,"data":{"certificate":"PEM of web","issuing_ca":"PEM of the issuer\n","ca_chain":["PEM of the issuer","PEM of the root"],"private_key":"planted key","private_key_type":"ec","serial_number":"1:2","expiration":1900000000}}`

func TestWhatATemplateAsksVaultFor(t *testing.T) {
	for text, want := range map[string]Read{
		`{{ secret "/secret/data/web/" }}`:                                     {Path: "secret/data/web"},
		`{{ secret "secret/data/web?version=2&x=" }}`:                          {Path: "secret/data/web", Query: map[string]string{"version": "2", "x": ""}},
		`{{ secret "pki/issue/web" "common_name=web" "ttl = 2h" "" "a=b=c" }}`: {Path: "pki/issue/web", Body: map[string]string{"common_name": "web", "ttl": "2h", "a": "b=c"}},
		`{{ secret "transit/random" "" }}`:                                     {Path: "transit/random"},
		`{{ pkiCert "pki/issue/web" }}`:                                        {Path: "pki/issue/web", Body: map[string]string{}},
		`{{ pkiCert "pki/issue/web" "common_name=web" "common_name=api" }}`:    {Path: "pki/issue/web", Body: map[string]string{"common_name": "api"}},
	} {
		made, err := Parse(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got := made.Reads(); len(got) != 1 || !reflect.DeepEqual(got[0], want) {
			t.Errorf("%s: %+v, want %+v", text, got, want)
		}
	}
	// One request for all that ask the same, and no more.
	made, err := Parse(`{{ with pkiCert "pki/issue/web" "a=1" "b=2" }}{{ end }}{{ with pkiCert "pki/issue/web" "b=2" "a=1" }}{{ end }}{{ with secret "pki/issue/web" "a=1" "b=2" }}{{ end }}{{ with secret "pki/issue/web" }}{{ end }}{{ with secret "pki/issue/web" "a=1" }}{{ end }}`)
	if err != nil || len(made.Reads()) != 3 {
		t.Errorf("%+v, %v", made, err)
	}
}

func TestCertificatesAndFurtherFiles(t *testing.T) {
	const with = `{{- with pkiCert "pki/issue/web" "common_name=web.example.com" "ttl=2h" -}}`
	for name, c := range map[string]struct {
		text, want string
		files      map[string]string
	}{
		"as the injector's page has it": {
			text: with + `
{{ .Cert }}{{ .CA }}{{ .Key }}
{{ .Key | writeToFile "/vault/secrets/cert.key" "vault" "vault" "0600" }}
{{ .CA | writeToFile "/vault/secrets/cert.pem" "vault" "vault" "0644" }}
{{ .Cert | writeToFile "/vault/secrets/cert.pem" "vault" "vault" "0644" "append" }}
{{- end -}}`,
			want:  "PEM of web\nPEM of the issuer\nplanted key\n\n\n\n",
			files: map[string]string{"/vault/secrets/cert.key 0600": "planted key\n", "/vault/secrets/cert.pem 0644": "PEM of the issuer\nPEM of web\n"},
		},
		"below Data":                    {text: with + `{{ .Data.Cert }}{{ .Data.CA }}{{ .Data.Key }}{{ end }}`, want: "PEM of web\nPEM of the issuer\nplanted key\n"},
		"the chain":                     {text: with + `{{ range .CAChain }}{{ . }}{{ end }}{{ .Data.CAChain | join "" | trimSpace }}{{ end }}`, want: "PEM of the issuer\nPEM of the root\nPEM of the issuer\nPEM of the root"},
		"a secret with fields":          {text: `{{ with secret "pki/issue/web" "common_name=web.example.com" "ttl=2h" }}{{ .Data.certificate }}/{{ .Data.serial_number }}{{ end }}`, want: "PEM of web/1:2"},
		"a text of its own":             {text: `{{ writeToFile "/s/a" "" "" "0400" "x" }}{{ writeToFile "/s/b" "" "" "0440" "newline" "x" }}{{ range split "," "1,2" }}{{ . | writeToFile "/s/c" "" "" "0444" "append,newline" }}{{ end }}`, files: map[string]string{"/s/a 0400": "x", "/s/b 0440": "x\n", "/s/c 0444": "1\n2\n"}},
		"written again":                 {text: `{{ "first" | writeToFile "/s/a" "" "" "0400" }}{{ "second" | writeToFile "/s/a" "" "" "0440" }}`, files: map[string]string{"/s/a 0440": "second"}},
		"in a branch that is not taken": {text: `{{ if false }}{{ "x" | writeToFile "/s/a" "" "" "0400" }}{{ end }}`},
	} {
		t.Run(name, func(t *testing.T) {
			made, err := Parse(c.text)
			if err != nil {
				t.Fatal(err)
			}
			answers := map[string][]byte{}
			for _, read := range made.Reads() {
				answers[read.Key()] = []byte(issued)
			}
			for range 2 {
				got, files, err := made.Render(answers)
				held := map[string]string{}
				for _, f := range files {
					held[fmt.Sprintf("%s %04o", f.Path, f.Mode)] = string(f.Contents)
				}
				if err != nil || string(got) != c.want || !maps.Equal(held, c.files) {
					t.Errorf("%q, %v, %v; want %q and %v", got, held, err, c.want, c.files)
				}
			}
		})
	}
}

func TestAnswersThatAreNoCertificate(t *testing.T) {
	made, err := Parse(`{{ with pkiCert "pki/issue/web" "common_name=x" }}{{ .Cert }}{{ .Key }}{{ .CA }}{{ end }}`)
	if err != nil {
		t.Fatal(err)
	}
	key := made.Reads()[0].Key()
	for _, answer := range []string{``, `[]`, `null`, `{}`, `{"data":null}`, `{"data":{"certificate":""}}`, `{"data":{"certificate":["planted"]}}`, `{"data":{"private_key":"planted"}}`} {
		if got, files, err := made.Render(map[string][]byte{key: []byte(answer)}); err == nil || got != nil || files != nil || strings.Contains(err.Error(), "planted") || !strings.Contains(err.Error(), "secret pki/issue/web: ") {
			t.Errorf("%s: %q, %v", answer, got, err)
		}
	}
	// With the format pem_bundle the key and who signed stand in the certificate's text.
	block := func(kind, text string) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: []byte(text)}))
	}
	bundle, err := json.Marshal(map[string]any{"data": map[string]any{
		"certificate": block("EC PRIVATE KEY", "planted") + block("CERTIFICATE", "web") + block("CERTIFICATE", "issuer"), "private_key": block("EC PRIVATE KEY", "planted"), "issuing_ca": block("CERTIFICATE", "issuer"),
	}})
	if err != nil {
		t.Fatal(err)
	}
	if got, _, err := made.Render(map[string][]byte{key: bundle}); err != nil || string(got) != block("CERTIFICATE", "web")+block("EC PRIVATE KEY", "planted")+block("CERTIFICATE", "issuer") {
		t.Errorf("%q, %v", got, err)
	}
	// What signs a request of one's own gives no key, and a root no chain.
	got, _, err := made.Render(map[string][]byte{key: []byte(`{"data":{"certificate":"PEM","ca_chain":["",7]}}`)})
	if err != nil || string(got) != "PEM\n" {
		t.Errorf("%q, %v", got, err)
	}
}

// However often a file is written, what it holds is bounded.
func TestFurtherFilesAreBounded(t *testing.T) {
	for text, want := range map[string]string{
		`{{ $x := printf "%999s" "x" }}{{ range 100000 }}{{ $x | writeToFile "/s/a" "" "" "0600" "append" }}{{ end }}`:                                                                                                    "the files have more than 1048576 bytes together",
		`{{ $x := printf "%999s" "x" }}{{ range 100000 }}{{ $x | writeToFile "/s/a" "" "" "0600" }}{{ end }}`:                                                                                                             "handle more than 67108864 bytes in all",
		`{{ range 100000 }}{{ "" | writeToFile "/s/` + strings.Repeat("a", 60_000) + `" "" "" "0600" }}{{ end }}`:                                                                                                         "handle more than 67108864 bytes in all",
		`{{ $x := printf "%999s" "x" }}` + strings.Repeat(`{{ $x = print $x $x }}`, 9) + `{{ $x | writeToFile "/s/a" "" "" "0600" }}{{ $x | writeToFile "/s/b" "" "" "0600" }}{{ $x | writeToFile "/s/c" "" "" "0600" }}`: "the files have more than 1048576 bytes together",
	} {
		made, err := Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if got, files, err := made.Render(nil); err == nil || got != nil || files != nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.80s: %d files, %v; want %s", text, len(files), err, want)
		}
	}
	const mode fs.FileMode = 0o600
	made, err := Parse(`{{ range 100 }}{{ "x" | writeToFile "/s/a" "" "" "0600" "append" }}{{ end }}`)
	if err != nil {
		t.Fatal(err)
	}
	if _, files, err := made.Render(nil); err != nil || len(files) != 1 || len(files[0].Contents) != 100 || files[0].Mode != mode {
		t.Errorf("%v, %v", files, err)
	}
}
