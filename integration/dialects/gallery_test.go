package dialects

import (
	"crypto/tls"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
	corev1 "k8s.io/api/core/v1"
	secretsstorev1 "sigs.k8s.io/secrets-store-csi-driver/apis/v1"
	"sigs.k8s.io/secrets-store-csi-driver/pkg/util/secretutil"

	"github.com/lanyardhq/lanyard/cmd"
)

// entry is what a class of the gallery makes.
type entry struct {
	// files are those of the volume, byte for byte.
	files map[string]string
	// made are files that are made anew each time, as regular expressions.
	made map[string]string
	// modes are those other than 0644.
	modes map[string]string
	// secrets are the keys of the Secrets that the driver makes, by name.
	secrets map[string][]string
	// more is what the files have to be good for.
	more func(t *testing.T, g *gallery, files map[string]file)
	// runs runs what the file has beside its class, for a pod whose volume has the class's
	// files.
	runs func(t *testing.T, g *gallery, path string, p pod)
	// prepare makes a copy of the class mountable where its text is only an
	// example, such as a ciphertext.
	prepare func(t *testing.T, g *gallery, path string)
}

const certificatePattern = `^-----BEGIN CERTIFICATE-----\n(.+\n)+-----END CERTIFICATE-----`

// galleryEntries are all classes of docs/gallery, by the names of their files.
func galleryEntries() map[string]entry {
	const private = `^-----BEGIN (EC |RSA )?PRIVATE KEY-----\n`
	pair := func(t *testing.T, _ *gallery, files map[string]file) {
		if _, err := tls.X509KeyPair(files["tls.crt"].contents, files["tls.key"].contents); err != nil {
			t.Errorf("certificate and key: %v", err)
		}
	}
	return map[string]entry{
		"kv":       {files: map[string]string{"db-password": galleryPassword}},
		"expand":   {files: map[string]string{"db/user": "app", "db/password": galleryPassword}},
		"jmespath": {files: map[string]string{"primary": "db-0", "replicas": `["db-1","db-2"]`, "tls.crt": "certificate"}},
		"properties-file": {files: map[string]string{
			"application.properties": "spring.datasource.url=jdbc:postgresql://db.shop:5432/shop\nspring.datasource.username=app\nspring.datasource.password=" + `\ it's\ "p\\a:s@s/w+o$rd` + "\n",
		}, more: readsAs(property("application.properties", "spring.datasource.password"))},
		"env-file": {
			files: map[string]string{"app.env": `DB_USER='app'
DB_PASSWORD=' it'\''s "p\a:s@s/w+o$rd'
DB_URL='postgres://app:%20it%27s%20%22p%5Ca%3As%40s%2Fw%2Bo%24rd@db.shop/shop'
`},
			modes: map[string]string{"app.env": "0440"}, more: readsAs(shellVariable("app.env", "DB_PASSWORD"), passwordOfURL(shellVariable("app.env", "DB_URL"))),
		},
		"json-file": {
			files: map[string]string{"config.json": `{"database": {"user": "app", "password": " it's \"p\\a:s@s/w+o$rd"}}` + "\n"},
			more:  readsAs(ofJSON("config.json", "database", "password")),
		},
		"registry-login": {
			files: map[string]string{".docker/config.json": `{"auths": {"registry.example.com": {"auth": "cm9ib3Q6IGl0J3MgInBcYTpzQHMvdytvJHJk"}}}` + "\n"},
			modes: map[string]string{".docker/config.json": "0440"}, more: readsAs(ofLogin(ofJSON(".docker/config.json", "auths", "registry.example.com", "auth"))),
		},
		"nginx-tls": {
			made:  map[string]string{"tls.crt": certificatePattern + `\n-----BEGIN CERTIFICATE`, "tls.key": private},
			modes: map[string]string{"tls.key": "0440"}, more: pair,
		},
		"ingress-tls": {
			made: map[string]string{"tls.crt": certificatePattern, "tls.key": private}, modes: map[string]string{"tls.key": "0440"},
			secrets: map[string][]string{"web-tls": {"tls.crt", "tls.key"}}, more: pair,
		},
		"environment-variables": {
			files:   map[string]string{"user": "app", "password": galleryPassword},
			secrets: map[string][]string{"db": {"DB_PASSWORD", "DB_USER"}},
		},
		"agent":          {files: map[string]string{"db/user": "app", "db/password": galleryPassword}, runs: runsAgent("", map[string]string{"db/user": "app", "db/password": galleryPassword})},
		"agent-env-file": {files: map[string]string{"db-user": "app", "licence": "ABCD-EFGH"}, runs: runsAgent("DB_USER='app'\nLICENCE='ABCD-EFGH'\n", nil)},
		"exec":           {files: map[string]string{"db/user": "app", "db/password": galleryPassword}, runs: runsExec(map[string]string{"PGPASSWORD": galleryPassword, "GREETING": "hello app"})},
		"inject":         {files: map[string]string{"db/user": "app", "db/password": galleryPassword}, runs: runsExec(map[string]string{"PGPASSWORD": galleryPassword, "PGUSER": "app"})},
		"database":       {made: map[string]string{"db/user": `^v-`, "db/password": `^\S{10,}$`}, more: logsIn},
		"ssh-certificate": {made: map[string]string{"id_ed25519-cert.pub": `^ssh-ed25519-cert-v01@openssh.com `}, more: func(t *testing.T, _ *gallery, files map[string]file) {
			key, _, _, _, err := ssh.ParseAuthorizedKey(files["id_ed25519-cert.pub"].contents)
			if certificate, ok := key.(*ssh.Certificate); err != nil || !ok || !slices.Contains(certificate.ValidPrincipals, "deploy") {
				t.Errorf("no certificate for deploy: %v", err)
			}
		}},
		"totp":   {made: map[string]string{"code": `^[0-9]{6}$`}},
		"sealed": {files: map[string]string{"api-token": galleryPassword}, prepare: sealAgain("api-token")},
		"sealed-in-file": {
			files: map[string]string{"pgpass": `db.shop:5432:shop:app: it's "p\\a\:s@s/w+o$rd` + "\n"}, modes: map[string]string{"pgpass": "0400"},
			prepare: sealAgain("password"), more: readsAs(pgpassField("pgpass", 4)),
		},
		"optional":              {files: map[string]string{"password": galleryPassword, "greeting": "no flags\n"}},
		"several-stores":        {files: map[string]string{"db/password": galleryPassword, "payment/token": "second", "host": "db.shop\n"}},
		"rotation-interval":     {files: map[string]string{"password": galleryPassword, "licence": "ABCD-EFGH"}},
		"aws-secrets-manager":   {files: map[string]string{"payment/token": "second", "previous-token": "first", "keystore.jks": "\xfe\xed\xfe\xed"}},
		"aws-parameter-store":   {files: map[string]string{"api-key": "k3y", "config/cache": "redis", "config/queue": "nats"}},
		"aws-kms":               {files: map[string]string{"token": "hunter2"}, prepare: encryptAgain},
		"aws-failover":          {files: map[string]string{"token": "second"}},
		"azure-key-vault":       {files: map[string]string{"db-password": "hunter2"}, made: map[string]string{"signing.pub": `^-----BEGIN PUBLIC KEY-----\n`}},
		"azure-certificate":     {made: map[string]string{"tls/tls.crt": certificatePattern, "tls/tls.key": private}, modes: map[string]string{"tls/tls.crt": "0440", "tls/tls.key": "0440"}},
		"google-secret-manager": {files: map[string]string{"db-password": "hunter2", "previous": "hunter1", "smtp-user": "shop"}},
		"google-regional":       {files: map[string]string{"iban": "DE02120300000000202051"}},
		"dialect-vault":         {files: map[string]string{"user": "app", "password": galleryPassword}, modes: map[string]string{"user": "0440"}},
		"dialect-aws":           {files: map[string]string{"shop_payment": `{"token":"second"}`, "payment-token": "second", "_shop_api-key": "k3y"}},
		"dialect-azure":         {files: map[string]string{"db-password": "hunter2"}, made: map[string]string{"web.pem": private}, modes: map[string]string{"db-password": "0440"}},
		"dialect-gcp":           {files: map[string]string{"db-password": "hunter2", "user": "app"}},
	}
}

// Every class of the gallery is valid under the configuration of its page,
// makes the files that are known here, and stands on the page.
func TestGalleryClassesMakeTheirFiles(t *testing.T) {
	g := newGallery(t)
	entries := galleryEntries()
	page, err := os.ReadFile(filepath.Join(galleryDir(), "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	found, err := filepath.Glob(filepath.Join(galleryDir(), "*"))
	if err != nil {
		t.Fatal(err)
	}
	configuration := g.pageConfiguration(t, string(page))
	for _, path := range found {
		name, isClass := strings.CutSuffix(filepath.Base(path), ".yaml")
		want, known := entries[name]
		delete(entries, name)
		switch {
		case filepath.Base(path) == "README.md":
			continue
		case !isClass || !known:
			t.Errorf("%s: no test mounts it", path)
			continue
		case !strings.Contains(string(page), "]("+name+".yaml)"):
			t.Errorf("%s: the page has no link to it", path)
		}
		t.Run(name, func(t *testing.T) {
			path := g.prepared(t, path, want)
			checked(t, configuration, path)
			g.mounts(t, name, path, want)
		})
	}
	for name := range entries {
		t.Errorf("there is no class %s", name)
	}
}

// checked runs `lanyard check`.
func checked(t *testing.T, configuration, path string) {
	t.Helper()
	var output strings.Builder
	if code := cmd.Execute([]string{"check", "--config", configuration, path}, strings.NewReader(""), &output, &output); code != 0 {
		t.Errorf("check ends with %d: %s", code, output.String())
	}
}

// prepared returns the path of the class as this cluster has it: the page's own
// file, or a copy whose ciphertexts are made with the keys of the test.
func (g *gallery) prepared(t *testing.T, path string, want entry) string {
	t.Helper()
	if want.prepare == nil {
		return path
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	copied := filepath.Join(t.TempDir(), filepath.Base(path))
	if err := os.WriteFile(copied, text, 0o600); err != nil {
		t.Fatal(err)
	}
	want.prepare(t, g, copied)
	return copied
}

func (g *gallery) mounts(t *testing.T, name, path string, want entry) {
	t.Helper()
	class, secrets := readClass(t, path)
	if class.Metadata.Name != name {
		t.Errorf("the class is called %s", class.Metadata.Name)
	}
	p := g.node.pod(t, "shop", "web")
	if err := g.node.mount(t.Context(), p, class); err != nil {
		t.Fatal(err)
	}
	exact := map[string][]byte{}
	for file, contents := range want.files {
		exact[file] = []byte(contents)
	}
	compareFiles(t, p, exact, expectations{Modes: want.modes, Patterns: want.made})
	if want.more != nil && !t.Failed() {
		want.more(t, g, p.files(t))
	}
	if want.runs != nil && !t.Failed() {
		want.runs(t, g, path, p)
	}
	got := map[string][]string{}
	for _, secret := range secrets {
		got[secret.SecretName] = madeSecret(t, p, secret)
	}
	if !maps.EqualFunc(got, want.secrets, slices.Equal) {
		t.Errorf("the driver makes the Secrets %v, want %v", got, want.secrets)
	}
}

// readClass reads the first document of a file.
func readClass(t *testing.T, path string) (manifest, []*secretsstorev1.SecretObject) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	first, _, _ := strings.Cut(string(text), "\n---\n")
	var class manifest
	var copied struct {
		Spec struct {
			SecretObjects []*secretsstorev1.SecretObject `json:"secretObjects"`
		} `json:"spec"`
	}
	unmarshal(t, first, &class)
	unmarshal(t, first, &copied)
	return class, copied.Spec.SecretObjects
}

// madeSecret makes a Secret of the volume's files as the driver's controller
// does, and returns its keys.
func madeSecret(t *testing.T, p pod, secret *secretsstorev1.SecretObject) []string {
	t.Helper()
	if err := secretutil.ValidateSecretObject(*secret); err != nil {
		t.Error(err)
	}
	files := map[string]string{}
	for path := range p.files(t) {
		files[path] = filepath.Join(p.volume, path)
	}
	data, err := secretutil.GetSecretData(secret.Data, corev1.SecretType(secret.Type), files)
	if err != nil {
		t.Error(err)
	}
	return slices.Sorted(maps.Keys(data))
}

// logsIn logs in to PostgreSQL as the user that Vault has made.
func logsIn(t *testing.T, g *gallery, files map[string]file) {
	t.Helper()
	user := string(files["db/user"].contents)
	if who, err := g.postgres.Query(user, string(files["db/password"].contents), "select current_user"); err != nil || strings.TrimSpace(who) != user {
		t.Errorf("a login as %s ends as %q: %v", user, who, err)
	}
}

// sealAgain puts a value that is sealed to the node's key in the place of the
// one that the gallery shows, as its author would.
func sealAgain(object string) func(*testing.T, *gallery, string) {
	return func(t *testing.T, g *gallery, path string) {
		t.Helper()
		args := []string{"seal", "--public", g.public, "--service-account", "web", "--merge-into", path, "--name", object}
		if object == "api-token" {
			args[len(args)-2] = "--path"
		}
		var output strings.Builder
		if code := cmd.Execute(args, strings.NewReader(galleryPassword), &output, &output); code != 0 {
			t.Fatalf("seal ends with %d: %s", code, output.String())
		}
	}
}

var exampleCiphertext = regexp.MustCompile(`key: AQIC\S+`)

// encryptAgain puts a ciphertext of the tests' KMS in the place of the one that
// the gallery shows.
func encryptAgain(t *testing.T, g *gallery, path string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	changed := exampleCiphertext.ReplaceAllString(string(text), "key: "+g.ciphertext)
	if err := os.WriteFile(path, []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
}
