package mount

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/status"

	"github.com/lanyardhq/lanyard/integration/faultproxy"
	"github.com/lanyardhq/lanyard/integration/issuer"
	"github.com/lanyardhq/lanyard/provider/seal"
	"github.com/lanyardhq/lanyard/provider/tracing/tracingtest"
)

// planted is a node on which everything that is secret is known.
type planted struct {
	*node
	markers markers
	errors  []string // all that mounts have failed with
	shown   []string // the versions of what was mounted, which status objects show
	began   time.Time
	nonce   string // in every marker
	trail   string // the file of audit records
	traces  *tracingtest.Receiver
}

// Every success and every failure there is, with the log as talkative as it
// gets: nothing that is secret leaves by any door but the pod's own volume.
func TestNothingSecretLeavesButToTheVolume(t *testing.T) {
	for _, format := range []string{"text", "json"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			s := quick()
			s.cache = "refresh: 1s, staleOnError: 0s"
			s.bounds = "readTimeout: 2s"
			s.vault = "timeout: 1s"
			s.more = "policy: {classStores: ['*', 127.0.0.0/8]}" // a class has a store at the fault proxy
			trail := filepath.Join(t.TempDir(), "audit.log")
			traces := tracingtest.New(t)
			s.more += fmt.Sprintf("\naudit: {file: {path: %s}}\ntracing: {url: %s, propagate: true}", trail, traces.URL)
			s.flags = []string{"-v=10", "--logging-format=" + format, "--pprof"}
			p := &planted{node: newNode(t, s), markers: markers{}, nonce: randomHex(), began: time.Now(), trail: trail, traces: traces}
			web := p.prepare(t)
			p.succeed(t, web)
			p.failInClasses(t, web)
			p.failInSealedValues(t, web)
			p.failInRequests(t, web)
			p.failInVault(t, web)
			p.failInFiles(t, s)
			p.succeed(t, web)
			p.plantVaultTokens(t)
			p.search(t)
		})
	}
}

func randomHex() string {
	b := make([]byte, 8)
	rand.Read(b) // never fails: https://pkg.go.dev/crypto/rand#Read
	return hex.EncodeToString(b)
}

// marker plants a new secret that stands out, with characters that encodings
// have to do something about.
func (p *planted) marker(what string) string {
	return p.markers.plant(what, fmt.Sprintf("planted/%s+%s=", strings.ReplaceAll(what, " ", "-"), p.nonce))
}

// prepare plants secrets at every store and in a pod.
func (p *planted) prepare(t *testing.T) pod {
	t.Helper()
	web := p.pod(t, "shop", "web")
	p.plantTokens(web)
	p.put(t, "web/db", map[string]any{
		"value": p.marker("value in Vault"), "list": []string{p.marker("listed value")},
		"tree": map[string]any{"leaf": p.marker("value deep down")},
	})
	p.put(t, "web/large", map[string]any{"value": strings.Repeat(p.marker("large value"), 5000)})
	p.write(t, filepath.Join(p.files, "licence"), p.marker("value in a file"))
	p.preparePKI(t)
	ring, err := p.ring.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(ring.RevealString()) {
		if key, ok := strings.CutPrefix(strings.TrimSpace(line), "private: "); ok {
			p.markers.plant("private key", key)
		}
	}

	p.vault.Must(t, http.MethodPost, "sys/auth/approle", map[string]any{"type": "approle"})
	p.vault.Must(t, http.MethodPost, "auth/approle/role/web", map[string]any{"token_policies": []string{"web"}})
	web.credentials = map[string]string{
		"role": p.markers.plant("role ID", "planted-role-"+p.nonce), "secret": p.markers.plant("secret ID", "planted-secret-"+p.nonce),
		"unused": p.marker("unused credential"),
	}
	p.vault.Must(t, http.MethodPost, "auth/approle/role/web/role-id", map[string]any{"role_id": web.credentials["role"]})
	p.vault.Must(t, http.MethodPost, "auth/approle/role/web/custom-secret-id", map[string]any{"secret_id": web.credentials["secret"]})
	return web
}

// plantTokens remembers a pod's tokens by their signatures, which are what
// makes them worth something, and as a whole.
func (p *planted) plantTokens(of pod) {
	for audience, token := range of.tokens {
		what := fmt.Sprintf("token of %s for %s", of.name, audience)
		p.markers.plant(what, token.Token)
		p.markers.plant(what+", its signature", token.Token[strings.LastIndex(token.Token, ".")+1:])
	}
}

// plantVaultTokens remembers the tokens that the provider sent to Vault.
func (p *planted) plantVaultTokens(t *testing.T) {
	t.Helper()
	tokens := map[string]bool{}
	for _, request := range p.proxy.Requests() {
		if token := request.Header.Get("X-Vault-Token"); token != "" {
			tokens[token] = true
			p.markers.plant("Vault token "+token[:4]+fmt.Sprint(len(tokens)), token)
		}
	}
	if len(tokens) < 2 {
		t.Errorf("the provider used %d tokens of Vault; want those of two methods at least", len(tokens))
	}
}

// sealed seals a value of its own and plants its ciphertext too.
func (p *planted) sealed(t *testing.T, to *seal.PublicKey, scope seal.Scope, what string) string {
	t.Helper()
	text := sealTo(t, to, scope, p.marker(what))
	p.markers.plant(what+", its ciphertext", text[len(text)-60:])
	return text
}

func (p *planted) write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// everything is a class that shows every kind of secret to the pod.
func (p *planted) everything(t *testing.T, web pod) class {
	t.Helper()
	return class{
		"stores": "{vault: {auth: {role: web}}, mine: {type: vault, address: '" + p.proxy.Address + "', auth: {method: approle, roleIDCredential: role, secretIDCredential: secret}}}",
		"objects": `
- {path: value, store: vault, key: secret/data/web/db, property: value}
- {path: each, store: vault, key: secret/data/web/db, property: tree, expand: true}
- {path: whole, store: mine, key: secret/data/web/db}
- {path: licence, store: files, key: licence}
- {path: sealed, sealed: ` + p.sealed(t, p.ring.Public(), scopeOf(web, "sealed"), "sealed value") + `}
- {path: tls.key, store: vault, key: pki/issue/web, property: private_key, options: {method: POST, body: {common_name: web.shop.example}}}
- {path: template, template: '{{ .value | quote }} {{ .sealed | upper }}'}
`,
	}
}

// succeed mounts everything, which also shows that the secrets do flow.
func (p *planted) succeed(t *testing.T, web pod) {
	t.Helper()
	p.shown = append(p.shown, mustJSON(p.mounted(t, web, p.everything(t, web))))
	holds := web.holds(t)
	for file, what := range map[string]string{"value": "value in Vault", "each/leaf": "value deep down", "whole": "listed value", "licence": "value in a file", "sealed": "sealed value"} {
		if !slices.Contains(p.markers.find(holds[file]), what) {
			t.Errorf("the file %s does not hold the %s", file, what)
		}
	}
	p.markers.plant("private key of a certificate", holds["tls.key"][40:140])
}

// fail mounts what must fail, and keeps the text.
func (p *planted) fail(t *testing.T, of pod, attributes string) {
	t.Helper()
	_, err := p.mountRaw(t.Context(), of, attributes)
	if err == nil {
		t.Errorf("the mount succeeded with the attributes %.2000s", attributes)
		return
	}
	p.errors = append(p.errors, status.Convert(err).Message(), err.Error())
}

// failInClasses fails where values are looked at: expressions, encodings,
// templates; and where a class's author put a secret into the wrong field.
func (p *planted) failInClasses(t *testing.T, web pod) {
	t.Helper()
	const read = "store: vault, key: secret/data/web/db, "
	pasted := p.marker("secret pasted into a class")
	for _, object := range []string{
		"{path: f, " + read + "property: value, encoding: base64}",
		"{path: f, " + read + "property: value, encoding: hex}",
		"{path: f, " + read + "property: value, expand: true}",
		"{path: f, " + read + "property: list, expand: true}",
		"{path: f, " + read + "property: tree.leaf.more}",
		"{path: f, " + read + "property: 'abs(value)'}",
		"{path: f, " + read + "property: 'sum(list)'}",
		"{path: f, " + read + "property: 'to_number(value)'}",
		"{path: f, " + read + "property: 'sort_by(list, &a)'}",
		"{path: f, " + read + "property: 'from_items(list)'}",
		"{path: f, " + read + "property: 'max(@)'}",
		"{path: f, " + read + "expand: true, encoding: base64}",
		"{path: f, store: files, key: licence, property: a}",
		"{path: f, store: files, key: licence, expand: true}",
		"{path: f, store: files, key: licence/" + "a}",
		"{path: f, store: vault, key: secret/data/web/db, version: 99}",
		"{path: f, store: vault, key: secret/data/other/db}",
		"{path: f, store: vault, key: pki/issue/web, options: {method: POST, body: {common_name: " + pasted[8:20] + "}}}",
		"{path: f, sealed: '" + pasted + "'}",
		"{path: f, " + read + "mode: '" + pasted + "'}",
		"{path: f, " + read + "optional: '" + pasted + "'}",
		"{path: f, " + read + "refresh: '" + pasted + "'}",
		"{path: f, " + read + "encoding: '" + pasted + "'}",
		"{path: f, " + read + "version: '" + pasted + "'}",
		"{path: f, " + read + "options: '" + pasted + "'}",
		"{path: f, " + read + "options: {body: '" + pasted + "'}}",
		"{path: [f, '" + pasted + "']}",
		"'" + pasted + "'",
		"{path: f, template: '{{ index .v 0 }}'}", "{path: f, template: '{{ .v.field }}'}", "{path: f, template: '{{ .v | fromJson }}'}",
		"{path: f, template: '{{ atoi .v }}'}", "{path: f, template: '{{ .v | b64dec }}'}", "{path: f, template: '{{ fail .v }}'}",
		"{path: f, template: '{{ template .v }}'}", "{path: f, template: '{{ printf \"%d\" .v | int }}{{ .none }}'}",
		"{path: f, template: '{{ range 100000000 }}{{ $.v }}{{ end }}'}", "{path: f, template: '{{ required .v .none }}'}",
	} {
		c := asWeb("\n- {name: v, " + read + "property: value}\n- " + object + "\n- {path: no, store: vault, key: secret/data/none}")
		p.fail(t, web, web.attributes(c))
	}
	p.fail(t, web, web.attributes(class{"objects": "[{path: '" + pasted}))
	p.fail(t, web, web.attributes(class{"objects": "[{path: f, store: mine, key: k}]", "stores": "{mine: {type: vault, address: 'http://user:" + pasted + "@127.0.0.1:1', auth: {method: approle, roleID: a, secretID: '" + pasted + "'}}}"}))
	p.fail(t, web, web.attributes(class{"objects": "[]", "refresh": pasted}))

	large := ""
	for i := range 30 {
		large += fmt.Sprintf("\n- {path: large-%d, store: vault, key: secret/data/web/large, property: value}", i)
	}
	p.fail(t, web, web.attributes(asWeb(large)))
}

// failInSealedValues fails in every way in which a sealed value can.
func (p *planted) failInSealedValues(t *testing.T, web pod) {
	t.Helper()
	scope := scopeOf(web, "sealed")
	stranger, err := seal.NewKeyRing(cluster, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	right := p.sealed(t, p.ring.Public(), scope, "sealed value to spoil")
	elsewhere, expired := scope, scope
	elsewhere.Namespace, expired.NotAfter = seal.Exact("bank"), time.Now().Add(-time.Hour)
	for _, text := range []string{
		p.sealed(t, p.ring.Public(), elsewhere, "value sealed for another"),
		p.sealed(t, p.ring.Public(), expired, "value that expired"),
		p.sealed(t, stranger.Public(), scope, "value sealed to another key"),
		flipped(t, right, 8), flipped(t, right, 500), flipped(t, right, -1),
		right[1:], right + "A", right + "==", right[:len(right)-61] + right[len(right)-60:],
		"lanyard.v9." + right[11:], right + " " + right,
	} {
		p.fail(t, web, web.attributes(class{"objects": "[{path: sealed, sealed: '" + text + "'}]"}))
	}
}

// failInRequests fails before a class is looked at.
func (p *planted) failInRequests(t *testing.T, web pod) {
	t.Helper()
	objects := asWeb("[{path: f, store: vault, key: secret/data/web/db}]")
	whole := web.attributes(objects)
	for _, attributes := range []string{
		whole[:len(whole)-1], whole[1:], whole + whole, strings.ReplaceAll(whole, ":", " "), web.tokens["vault"].Token,
		strings.Replace(whole, `\"token\"`, `\"token\":`, 1), strings.Replace(whole, `\"expirationTimestamp\":\"20`, `\"expirationTimestamp\":\"x`, 1),
		strings.Replace(whole, `{\"vault\"`, `[\"vault\"`, 1),
		strings.Replace(whole, `csi.storage.k8s.io/pod.namespace`, `other`, 1),
	} {
		p.fail(t, web, attributes)
	}
	p.fail(t, web, web.attributes(class{"objects": "[{path: f, sealed: '" + strings.Repeat(p.marker("secret in a large request"), 200_000) + "'}]"}))

	for what, change := range map[string]func(*token){
		"expired":      func(k *token) { k.Expires = time.Now().Add(-time.Minute) },
		"not a token":  func(k *token) { k.Token = p.marker("token that is none") },
		"badly signed": func(k *token) { k.Token = k.Token[:len(k.Token)-8] + "AAAAAAAA" },
	} {
		bad := p.pod(t, "shop", "web")
		k := bad.tokens["vault"]
		change(&k)
		bad.tokens = map[string]token{"vault": k}
		bad.name += " " + what
		p.plantTokens(bad)
		p.fail(t, bad, bad.attributes(objects))
	}
	other := p.pod(t, "shop", "web")
	other.tokens = map[string]token{"aws": p.token(t, other, "aws", time.Now().Add(time.Hour))}
	p.plantTokens(other)
	p.fail(t, other, other.attributes(objects))
	wrong := p.pod(t, "shop", "web")
	wrong.credentials = map[string]string{"role": "planted-role-" + p.nonce, "secret": p.marker("wrong secret ID")}
	p.fail(t, wrong, wrong.attributes(p.everything(t, wrong)))
}

// failInVault fails as Vault and what stands before it can, with answers that
// repeat what was sent or hold values where none belong.
func (p *planted) failInVault(t *testing.T, web pod) {
	t.Helper()
	value := p.marker("value in a broken answer")
	// Each of its own connection, and so with a login of its own.
	fresh := func(i int) (pod, class) {
		of := p.pod(t, "shop", "web")
		text, err := p.issuer.Token(issuer.Claims{Audience: "vault", Namespace: "shop", ServiceAccount: "web", UID: fmt.Sprint("another-", i), Pod: of.name})
		if err != nil {
			t.Fatal(err)
		}
		of.tokens = map[string]token{"vault": {text, time.Now().Add(time.Hour)}}
		of.credentials = web.credentials
		p.plantTokens(of)
		return of, asWeb("[{path: f, store: vault, key: secret/data/web/db}]")
	}
	bodies := []string{
		`{"data":{"value":"` + value, `"` + value + `"`, value, `{"data":"` + value + `"}`,
		`{"request_id":"1","lease_duration":"` + value + `","data":{}}`, `{"auth":"` + value + `"}`,
		`{"auth":{"client_token":` + value + `}}`, `{"request_id":"1","auth":{"client_token":"` + value + `"}}`,
		`{"request_id":"1","wrap_info":{"token":"` + value + `"}}`, `{"data":{"data":"` + value + `","metadata":{"version":"` + value + `"}}}`,
	}
	faults := []faultproxy.Fault{{Status: 500, Body: value}, {Refuse: true}, {HalfBody: true}, {EmptyBody: true}, {Delay: time.Minute}}
	for _, body := range bodies {
		faults = append(faults, faultproxy.Fault{Status: 200, Body: body})
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for i, fault := range faults {
		for _, at := range []string{"auth/jwt/login", "secret/data/web/db"} {
			if at == "secret/data/web/db" && fault.Status == 200 && strings.HasPrefix(fault.Body, `{"data":`) {
				fault.Status = 500 // well-formed enough to be a secret
			}
			of, c := fresh(2*i + len(at)%2)
			fault.Prefix = at
			remove := p.proxy.Add(fault)
			// A client with so little time is not told to ask again.
			once, stop := context.WithTimeout(ctx, 1500*time.Millisecond)
			_, err := p.mountRaw(once, of, of.attributes(c))
			stop()
			if err == nil {
				t.Errorf("the mount succeeded with the fault %+v", fault)
			} else {
				p.errors = append(p.errors, err.Error())
			}
			remove()
		}
	}

	// An answer that repeats the credential it was sent.
	of, c := fresh(1000)
	remove := p.proxy.Add(faultproxy.Fault{Prefix: "auth/jwt/login", Status: 400, Body: mustJSON(map[string]any{"errors": []string{"cannot parse " + of.tokens["vault"].Token}})})
	p.fail(t, of, of.attributes(c))
	remove()
	remove = p.proxy.Add(faultproxy.Fault{Prefix: "auth/approle/login", Status: 400, Body: mustJSON(map[string]any{"errors": []string{"invalid secret id: " + web.credentials["secret"] + " for " + web.credentials["role"]}})})
	of, _ = fresh(1001)
	p.fail(t, of, of.attributes(p.everything(t, of)))
	remove()
}

// failInFiles fails where the operator's files cannot be used any more.
func (p *planted) failInFiles(t *testing.T, s setup) {
	t.Helper()
	good, err := os.ReadFile(p.ringFile)
	if err != nil {
		t.Fatal(err)
	}
	secretInConfig := p.marker("secret in the configuration")
	for _, ring := range []string{string(good[:len(good)/2]), strings.Replace(string(good), "private:", "private", 1), strings.Replace(string(good), "state: write", "state: lanyard", 1)} {
		p.write(t, p.ringFile, ring)
		web := p.pod(t, "shop", "web")
		p.mounted(t, web, class{"objects": "[{path: sealed, sealed: '" + p.sealed(t, p.ring.Public(), scopeOf(web, "sealed"), "value sealed meanwhile") + "'}]"})
	}
	p.write(t, p.ringFile, string(good))

	const refused = "cannot be used; the one before still holds"
	for _, config := range []string{
		"cluster: [" + secretInConfig,
		"cluster: test\nstores: {vault: {type: vault, token: '" + secretInConfig + "', address: 'https://user:" + secretInConfig + "@vault'}}",
		"cache: {refresh: '" + secretInConfig + "'}",
	} {
		before := strings.Count(p.provider.Output(), refused)
		if err := p.provider.Configure(config); err != nil {
			t.Fatal(err)
		}
		waitFor(t, "the configuration to be refused", func() bool { return strings.Count(p.provider.Output(), refused) > before })
	}
	before := strings.Count(p.provider.Output(), "holds from now on")
	if err := p.provider.Configure(p.config(s) + "# changed\n"); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the configuration to be read", func() bool { return strings.Count(p.provider.Output(), "holds from now on") > before })
}

// search looks for the planted secrets everywhere but in the volumes.
func (p *planted) search(t *testing.T) {
	t.Helper()
	look := func(place, text string) {
		for _, what := range p.markers.find(text) {
			t.Errorf("%s shows the %s", place, what)
		}
		// Even a part of a marker would be too much.
		if at := strings.Index(text, "planted"); at >= 0 {
			t.Errorf("%s shows part of a secret: …%.200s", place, text[max(0, at-100):])
		}
		if strings.Contains(text, p.nonce) {
			t.Errorf("%s shows the middle of a secret", place)
		}
	}
	if len(p.errors) < 80 {
		t.Errorf("only %d mounts failed", len(p.errors))
	}
	for _, text := range p.errors {
		look("an error: "+text[:min(len(text), 200)], text)
	}
	for _, versions := range p.shown {
		look("the versions", versions)
	}
	for _, page := range []string{
		"/metrics", "/livez", "/readyz", "/debug/pprof/", "/debug/pprof/cmdline", "/debug/pprof/symbol",
		"/debug/pprof/goroutine?debug=1", "/debug/pprof/goroutine?debug=2", "/debug/pprof/heap?debug=1", "/debug/pprof/heap",
		"/debug/pprof/allocs", "/debug/pprof/block?debug=1", "/debug/pprof/mutex?debug=1", "/debug/pprof/threadcreate?debug=1",
		"/debug/pprof/profile?seconds=1", "/debug/pprof/trace?seconds=1",
	} {
		text := p.page(t, page)
		if len(text) == 0 || strings.Contains(text, "404 page not found") {
			t.Errorf("%s is empty or not there: %s", page, text)
		}
		look(page, text+unzipped(t, text))
	}
	p.searchFiles(t)
	p.searchProcess(t, look)
	look("the log", p.provider.Output())
	trail, err := os.ReadFile(p.trail)
	if err != nil || !strings.Contains(string(trail), `"event":"delivery","result":"ok"`) || strings.Count(string(trail), `"cause":`) < 80 {
		t.Errorf("the audit trail lacks deliveries or failures (%v)", err)
	}
	look("the audit trail", string(trail))
	spans := map[string]int{}
	for _, s := range p.traces.Spans() {
		spans[s.Name]++
	}
	if spans["mount"] < 80 || spans["plan"] == 0 || spans["cache"] == 0 || spans["read"] == 0 || spans["login"] == 0 || spans["call"] == 0 {
		t.Errorf("the traces have %v", spans)
	}
	look("the traces", p.traces.Text())
	if !strings.Contains(p.provider.Output(), "Mounted") {
		t.Error("the log is not as talkative as it gets")
	}
}

// searchFiles looks at what the process has written to disk: below its own
// root, where it should be nothing but the socket, and where programs that do
// not ask for the temporary directory put their files.
func (p *planted) searchFiles(t *testing.T) {
	t.Helper()
	own := []string{filepath.Base(p.provider.ConfigFile), "sockets/lanyard.sock"}
	for _, path := range p.left(t, p.provider.Root) {
		if !slices.Contains(own, path) {
			t.Errorf("the provider left the file %s", path)
		}
	}
	for _, dir := range []string{"/", "/tmp", "/var/tmp", "/dev/shm", "/run"} {
		entries, err := os.ReadDir(dir)
		if err != nil {
			continue // not every system has them all
		}
		for _, entry := range entries {
			info, err := entry.Info()
			if err != nil || !info.Mode().IsRegular() || info.ModTime().Before(p.began) {
				continue
			}
			// Another program's file may vanish, or grow beyond any log's size.
			if text, err := os.ReadFile(filepath.Join(dir, entry.Name())); err == nil && len(text) < 64<<20 {
				for _, what := range p.markers.find(string(text)) {
					t.Errorf("%s shows the %s", filepath.Join(dir, entry.Name()), what)
				}
			}
		}
	}
}

// searchProcess looks at what the process shows of itself and may write.
func (p *planted) searchProcess(t *testing.T, look func(place, text string)) {
	t.Helper()
	proc := fmt.Sprintf("/proc/%d/", p.provider.PID())
	open, err := os.ReadDir(proc + "fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range open {
		// Sockets, pipes and the like have no path. The runtime keeps the files
		// open in which it reads its share of the processors. What whoever runs
		// the tests left open is open here too, under the same number.
		target, err := os.Readlink(proc + "fd/" + fd.Name())
		if inherited, _ := os.Readlink("/proc/self/fd/" + fd.Name()); inherited == target {
			continue
		}
		if err == nil && strings.HasPrefix(target, "/") && target != "/dev/null" && target != p.trail && target != p.trail+".lock" && !strings.HasPrefix(target, "/sys/") {
			t.Errorf("the provider has the file %s open", target)
		}
	}
	for _, name := range []string{"cmdline", "environ", "status"} {
		text, err := os.ReadFile(proc + name)
		if err != nil {
			t.Fatal(err)
		}
		look(proc+name, string(text))
	}
	limits, err := os.ReadFile(proc + "limits")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(limits)) {
		if rest, ok := strings.CutPrefix(line, "Max core file size"); ok && !slices.Equal(strings.Fields(rest), []string{"0", "0", "bytes"}) {
			t.Errorf("the provider may dump core: %s", line)
		}
	}
}

// unzipped is the content of a profile, which is compressed; empty if the text
// is none.
func unzipped(t *testing.T, text string) string {
	t.Helper()
	reader, err := gzip.NewReader(bytes.NewReader([]byte(text)))
	if err != nil {
		return ""
	}
	content, err := io.ReadAll(reader)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}
