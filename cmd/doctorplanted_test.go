package cmd

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"unicode/utf16"
)

// plantedSecret is a secret in the form and at the place in which it stands.
type plantedSecret struct {
	secret string
	// line is the line of a log it stands in; empty if it stands elsewhere.
	line string
}

// plantedLines are secrets in logs, which nothing but the line itself tells of.
var plantedLines = []plantedSecret{
	{"correct horse battery staple", "password=correct horse battery staple"},
	{"sesam,offne dich", "password: sesam,offne dich"},
	{`pa\"ss,word9x`, `{"password": "pa\"ss,word9x", "a": "b"}`},
	{"my secret phrase", `level=info msg="login" passphrase="my secret phrase"`},
	{"p/ss@w0rd", "https://user:p/ss@w0rd@vault.example.com/v1"},
	{"ua:ub/uc", "redis://ua:ub/uc@10.0.0.1:6379/0"},
	{"proxypass", "proxy admin:proxypass@proxy.example.com:3128 refused"},
	{"T024BE7LH", "POST https://hooks.slack.com/services/T024BE7LH/B024BE7LI/abcdefghijklmnopqrstuvwx"},
	{"abcdefghijklmnopqrstuvwx", "POST https://hooks.slack.com/services/T024BE7LH/B024BE7LI/abcdefghijklmnopqrstuvwx"},
	{"x8Kq2-Zz91", "GET https://hooks.example.com/in/x8Kq2-Zz91 failed"},
	{"6ba7b810-9dad-11d1-80b4-00c04fd430c8", "secret_id 6ba7b810-9dad-11d1-80b4-00c04fd430c8 refused"},
	{"0c8f8e5d-30f2-4a3b-b6ac-1f0b6b6f7d1a", "login with 0c8f8e5d-30f2-4a3b-b6ac-1f0b6b6f7d1a"},
	{"sid=31d4d96e407aad42", "Cookie: sid=31d4d96e407aad42; theme=dark"},
	{"theme=dark", "Cookie: sid=31d4d96e407aad42; theme=dark"},
	{"SID=abcd1234", "Set-Cookie: SID=abcd1234; Path=/"},
	{"dXNlcjpwYXNz", "Authorization: Basic dXNlcjpwYXNz"},
	{"opaque-bearer-x", "authorization: Bearer opaque-bearer-x"},
	{"hvs.CAESIJlU9JMYEhOPYv4igdhm9PnZDrabYTobQ4Ymnlq", "token hvs.CAESIJlU9JMYEhOPYv4igdhm9PnZDrabYTobQ4Ymnlq is bad"},
	{"s.iyNUhq8Ov4hIAx6snw5mB2nL", "renewed s.iyNUhq8Ov4hIAx6snw5mB2nL"},
	{"eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJrdWJlIn0.c2lnbmF0dXJl", "jwt eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJrdWJlIn0.c2lnbmF0dXJl"},
	{"AKIAIOSFODNN7EXAMPLE", "as AKIAIOSFODNN7EXAMPLE"},
	{"wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "with wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"},
	{"ghp_16C7e42F292c6912E7710c838347Ae178B4a", "clone ghp_16C7e42F292c6912E7710c838347Ae178B4a"},
	{"deadbeefcafe0123456789abcdef0123", "digest deadbeefcafe0123456789abcdef0123"},
	{"MIIEvQIBADANBgkqhk", "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhk\n-----END PRIVATE KEY-----"},
	{"hunterTwo", "pwd = hunterTwo"},
	{"flagvalue one", "run --client-secret flagvalue one"},
	{"belowTheName", "password:\n  belowTheName"},
	{"sv=2024&sig=abc%2Bdef", "https://x.blob.core.windows.net/c/b?sv=2024&sig=abc%2Bdef"},
	{"987654", "otp=987654"},
	{"qqunknown", `{"time":"2026-01-01T00:00:00Z","level":"INFO","msg":"m","custom":"qqunknown"}`},
	{"qqnested", `{"time":"2026-01-01T00:00:00Z","level":"INFO","msg":"m","pod":{"name":"p","more":"qqnested"}}`},
	{"qqklog", `I1129 07:35:26.000000       1 mount.go:1] "Mounted" custom="qqklog"`},
	{"s3cr3t-in-cause", `E1129 07:35:26.000000       1 mount.go:1] "Mount failed" cause="answered: password=s3cr3t-in-cause"`},
	{"binaryline", "abc\x00binaryline"},
	{"7f3ec1a0b9d84e55", "request 7f3ec1a0b9d84e55 sent"},
}

// knownSecret stands in the environment of a container; what it becomes stands in logs.
const knownSecret = `Tr0ub4dor & "3" <b>/\ü ${x} %41-_q`

// knownForms are the forms in which a value that is known must be found.
func knownForms(value string) map[string]string {
	quoted := func(value string) string {
		text, _ := json.Marshal(value) //nolint:errchkjson // a text
		return string(text[1 : len(text)-1])
	}
	ascii := func(value string) string {
		var text strings.Builder
		for _, unit := range utf16.Encode([]rune(value)) {
			fmt.Fprintf(&text, `\u%04x`, unit)
		}
		return text.String()
	}
	var percent strings.Builder
	for i := range len(value) {
		fmt.Fprintf(&percent, "%%%02X", value[i])
	}
	return map[string]string{
		"plain": value, "json": quoted(value), "json in json": quoted(quoted(value)), "json three deep": quoted(quoted(quoted(value))), "json, all escaped": ascii(value), "slashes": strings.ReplaceAll(quoted(value), "/", `\/`),
		"query": url.QueryEscape(value), "path": url.PathEscape(value), "percent": percent.String(), "percent in json": quoted(url.QueryEscape(value)),
		"base64": base64.StdEncoding.EncodeToString([]byte(value)), "base64url": base64.URLEncoding.EncodeToString([]byte(value)), "raw base64": base64.RawURLEncoding.EncodeToString([]byte(value)),
		"base64 with a line's end": base64.StdEncoding.EncodeToString([]byte(value + "\n")),
		"base64 behind one":        base64.StdEncoding.EncodeToString([]byte(":" + value)), "base64 behind two": base64.StdEncoding.EncodeToString([]byte("u:" + value + "!")),
		"hex": hex.EncodeToString([]byte(value)), "HEX": strings.ToUpper(hex.EncodeToString([]byte(value))),
		"folded": strings.Join(strings.Fields(value), "\n      "), "single quotes": strings.ReplaceAll(value, "'", "''"),
		"html": strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&#34;").Replace(value), "go": fmt.Sprintf("%q", value), "%+q": fmt.Sprintf("%+q", value),
		"cut": value[:len(value)-3] + "…",
	}
}

// plain reads a text as whoever looks for a value would: without what breaks it up.
func plainOf(text string) string { return string(asMapped(text).unescape().squeeze().text) }

// What is planted in every form and place is not in the archive, and what helps is.
func TestTheBundleHoldsNothingPlanted(t *testing.T) {
	a := newDoctorAPI(t)
	var log strings.Builder
	for _, one := range plantedLines {
		log.WriteString(one.line + "\n")
	}
	for form, text := range knownForms(knownSecret) {
		if form != "cut" { // the end of a line is what it is cut at
			fmt.Fprintf(&log, "form %s <%s>\n", strings.ReplaceAll(form, " ", ""), text)
		}
	}
	log.WriteString(`I1129 07:35:26.000000       1 mount.go:1] "Mounted" pod="shop/web-0" class="shop/web" dialect="lanyard" files=2 took="12ms"` + "\n")
	log.WriteString(`{"time":"2026-11-29T07:35:26Z","level":"ERROR","msg":"Mount failed","pod":{"name":"web-0","namespace":"shop"},"code":"Unavailable","took":0.5,"cause":"vault.example.com:8200 does not answer"}` + "\n")
	a.log = log.String()
	a.metrics = "lanyard_store_up{store=\"vault\"} 1\n# HELP x planted-help\nother_metric{a=\"plantedmetric\"} 1\nlanyard_x{a=\"planted in label\",le=\"0.5\"} 2\nplanted free line\n"
	pod := a.find("Pod", "lanyard-a")
	container := pod["spec"].(map[string]any)["containers"].([]any)[0].(map[string]any)
	container["env"] = []any{map[string]any{"name": "PASSWORD", "value": knownSecret}, map[string]any{"name": "plantedName with space", "value": "x"}}
	container["args"] = []any{"serve", "--config=/etc/lanyard/config/lanyard.yaml", "--unknown=plantedArgument", "--socket-dir=planted argument of a known flag", "plantedPositional"}
	pod["metadata"].(map[string]any)["annotations"] = map[string]any{"a": "plantedAnnotation"}
	pod["metadata"].(map[string]any)["labels"].(map[string]any)["team"] = "plantedLabel"
	places := []string{
		"plantedhelp", "plantedmetric", "plantedinlabel", "plantedfreeline", "plantedName", "plantedArgument", "plantedargument", "plantedPositional", "plantedAnnotation", "plantedLabel",
		"plantedComment", "plantedTemplate", "plantedKey", "plantedTag", "plantedAnchor", "plantedAlias", "Pl4ntedPath9Zq8", "plantedproxy", "plantedQuery", "plantedUnknown", "plantedBool", "plantedNumber",
		"plantedDuration", "plantedInside", "plantedRoleID", "plantedDeep", "plantedOption", "plantedSealed", "plantedStore", "plantedParameter", "plantedEvent", "plantedMode",
	}
	a.configure(`# plantedComment
proxy: {url: 'plantedproxy:x@proxy.example.com:3128', caCertFile: 'plantedDeep not a path'}
cache: {refresh: plantedDuration, bytes: plantedNumber, plantedKey: 1}
policy: {readObjects: !!bool plantedBool}
cluster: !plantedTag 'x y z'
stores:
  vault:
    type: vault
    address: 'https://vault.example.com/?a=plantedQuery'
    tls: {caCertFile: &plantedAnchor /etc/lanyard/secrets/ca/Pl4ntedPath9Zq8, insecureSkipVerify: plantedBool}
    auth: {method: approle, roleID: plantedRoleID, secretIDCredential: id, ? {plantedKey: 1} : plantedDeep}
    custom: {address: plantedDeep.example.com}
    namespace: *plantedAnchor
  'plantedStore with a space': {type: vault}
plantedUnknown: [plantedUnknown, {a: plantedUnknown}]
`)
	parameters := a.find("SecretProviderClass", "web")["spec"].(map[string]any)["parameters"].(map[string]any)
	parameters["objects"] = "- {path: password, store: vault, key: secret/data/shop/db, mode: plantedMode, optional: plantedBool, options: {x: plantedOption}}\n" +
		"- {path: t, template: 'plantedTemplate and more'}\n- {path: s, sealed: lanyard.v1.plantedSealed}\n- {path: p, secretKey: 'plantedInside out'}\n"
	parameters["plantedParameter"] = "plantedParameter"
	parameters["stores"] = "vault: {auth: {role: web, password: plantedInside}}\n"
	a.waits("shop", "web-0", "desc = denied: token=plantedEvent of it")

	path := filepath.Join(t.TempDir(), "support.tar.gz")
	if code, stdout, stderr := runLanyard("doctor", "--bundle", path, "--kubeconfig", a.start()); code != exitFailed {
		t.Fatalf("exit code %d:\n%s%s", code, stdout, stderr)
	}
	files := unpacked(t, path)
	var all strings.Builder
	for name, text := range files {
		all.WriteString(text)
		plain := plainOf(text)
		for _, one := range plantedLines {
			if strings.Contains(text, one.secret) || strings.Contains(plain, plainOf(one.secret)) {
				t.Errorf("%s holds %q of %q", name, one.secret, one.line)
			}
		}
		for form, value := range knownForms(knownSecret) {
			if strings.Contains(plain, plainOf(value)) {
				t.Errorf("%s holds the known value as %s", name, form)
			}
		}
		for _, place := range places {
			if at := strings.Index(plain, place); at >= 0 {
				t.Errorf("%s holds %s: %s", name, place, plain[max(0, at-40):min(len(plain), at+60)])
			}
		}
	}
	for _, stays := range []string{
		`"Mounted" pod="shop/web-0" class="shop/web" dialect="lanyard" files="2" took="12ms"`, `"cause":"vault.example.com:8200 does not answer"`, `"pod":{"name":"web-0","namespace":"shop"}`,
		"key: secret/data/shop/db", "role: web", "method: approle", "--config=/etc/lanyard/config/lanyard.yaml", `lanyard_store_up{store="vault"} 1`, `le="0.5"`, "secretIDCredential: id",
	} {
		if !strings.Contains(all.String(), stays) {
			t.Errorf("it has lost %s", stays)
		}
	}
	if t.Failed() {
		for name, text := range files {
			if strings.Contains(name, "lanyard-a-") || strings.HasSuffix(name, ".yaml") {
				t.Logf("%s:\n%s", name, text)
			}
		}
	}
}

// A known value is in no text that comes out, in none of the forms, whatever stands around.
func FuzzARedactedTextHoldsNoKnownValue(f *testing.F) {
	f.Add("correct horse", "before ", " after")
	f.Add(knownSecret, `{"a":"`, `"}`)
	f.Add("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab", "aaaaaaaa", "aaaa")
	f.Add("line one\nline two of it", "-----BEGIN", "\\")
	f.Add(`C:\new\temp%41`, "%", "u0041")
	f.Add("&amp;&lt;x&gt;", "&", ";")
	f.Fuzz(func(t *testing.T, value, before, after string) {
		if value = strings.TrimSpace(strings.ToValidUTF8(value, "")); len(plainOf(value)) < minTaken || len(asMapped(value).squeeze().text) < minTaken || len(value) > 4096 || strings.ContainsAny(value, "\x00") {
			return
		}
		r := newRedactor()
		r.take("another value of the same")
		r.take(value)
		for form, text := range knownForms(value) {
			if form == "cut" {
				continue
			}
			for _, clean := range []string{r.values(before + " " + text + " " + after), r.text(before + " " + text + " " + after), r.log(before + "\n" + text + "\n" + after)} {
				if strings.Contains(clean, text) && !strings.Contains(before+after, text) {
					t.Errorf("%s of %q is in %q", form, value, clean)
				}
			}
		}
	})
}

// An archive is bounded in each part and in the sum, says what was cut, and is made in time
// whatever was chosen to make it slow.
func TestTheBundleIsBounded(t *testing.T) {
	t.Parallel()
	a := newDoctorAPI(t)
	a.log = strings.Repeat(strings.Repeat("a", 200)+"\n", 20000)
	a.metrics = strings.Repeat("lanyard_x{a=\"b\"} 1\n", 100000)
	for i := range 40 {
		pod := map[string]any{}
		text, err := json.Marshal(a.find("Pod", "lanyard-a"))
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal([]byte(strings.ReplaceAll(string(text), "lanyard-a", fmt.Sprintf("lanyard-more-%d", i))), &pod); err != nil {
			t.Fatal(err)
		}
		a.objects = append(a.objects, pod)
	}
	parameters := a.find("SecretProviderClass", "web")["spec"].(map[string]any)["parameters"].(map[string]any)
	for i := range 200 { // each begins as the log's lines do
		parameters[fmt.Sprintf("p%d", i)] = strings.Repeat("a", 150) + strconv.Itoa(i)
	}
	path := filepath.Join(t.TempDir(), "support.tar.gz")
	if code, stdout, stderr := runLanyard("doctor", "--bundle", path, "--kubeconfig", a.start()); code != exitFailed {
		t.Fatalf("exit code %d:\n%s%s", code, stdout, stderr)
	}
	files, sum := unpacked(t, path), 0
	for name, text := range files {
		sum += len(text)
		if len(text) > 2*maxBundlePart {
			t.Errorf("%s has %d bytes", name, len(text))
		}
	}
	if sum > 2*maxBundleBytes || !strings.Contains(files["cut.txt"], "further pods are left out") || !strings.Contains(files["cut.txt"], "the archive has") {
		t.Errorf("%d bytes; cut.txt:\n%s", sum, files["cut.txt"])
	}
}

// More values than can be looked for leave free texts out, and never show one.
func TestARedactorThatIsFullLeavesTextsOut(t *testing.T) {
	r := newRedactor()
	for i := range 2 * maxKnownBytes / 1000 {
		r.take(strconv.Itoa(i) + strings.Repeat("x", 1000))
	}
	if clean := r.text("something\n"); clean != uncleanText {
		t.Error(clean)
	}
}
