package sync

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	core "k8s.io/api/core/v1"
	events "k8s.io/api/events/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/lanyardhq/lanyard/provider/engine"
	"github.com/lanyardhq/lanyard/server/sync/settings"
)

var noon = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

// rig is a Reconciler of one object, whose engine and API server the test plays.
type rig struct {
	*testing.T
	want    *Want
	volume  *engine.Volume
	failure error
	asked   []engine.Request
	now     time.Time

	secrets  map[string]*core.Secret // that are there
	writes   int
	refusal  error
	refused  string // the name of a Secret that cannot be written
	report   error  // of what the object is told
	outcomes []*Outcome
	told     map[string]map[string]string

	events     []string
	reconciler *Reconciler
}

func newRig(t *testing.T) *rig {
	g := &rig{T: t, now: noon, secrets: map[string]*core.Secret{}, told: map[string]map[string]string{}}
	g.want = &Want{
		Object: &core.ConfigMap{}, Owner: meta.OwnerReference{APIVersion: "v1", Kind: "Class", Name: "web", UID: "class-1"}, Namespace: "shop", ServiceAccount: "web",
		Provider: "lanyard", Parameters: map[string]string{"objects": "[]"},
		Secrets: []Secret{{Name: "db", Type: "Opaque", Data: []Item{{"password", "db/password"}}}},
	}
	g.volume = volume("db/password", "1")
	g.begin()
	return g
}

// begin is the start of a controller.
func (g *rig) begin() {
	account := &core.ServiceAccount{ObjectMeta: meta.ObjectMeta{Namespace: "shop", Name: "web", UID: "account-1"}}
	now := func() time.Time { return g.now }
	g.reconciler = NewReconciler(g, &Shared{
		Settings: settings.Settings{Engine: g, Interval: 30 * time.Second, DriftInterval: 10 * time.Minute, Workers: 4, SecretTypes: settings.DefaultSecretTypes()},
		Accounts: fake.NewClientBuilder().WithObjects(account).Build(), Writer: g, Events: g, Metrics: NewMetrics(prometheus.NewRegistry(), now), Now: now,
		Changed: func(_, secret string, versions map[string]string) { g.told[secret] = versions },
	})
}

func volume(path, value string) *engine.Volume {
	return &engine.Volume{
		Files:    []engine.File{{Path: path, Contents: []byte("planted-" + value)}},
		Versions: []engine.Version{{ID: path, Version: "version-" + value}},
	}
}

// Create notes an Event.
func (g *rig) Create(_ context.Context, object client.Object, _ ...client.CreateOption) error {
	e, ok := object.(*events.Event)
	if !ok || e.Regarding.Kind != "Class" || e.Regarding.Name != "web" || !strings.HasPrefix(string(e.Regarding.UID), "class-") || e.Namespace != "shop" || !e.EventTime.Equal(&meta.MicroTime{Time: g.now}) {
		g.Errorf("event %+v", object)
		return nil
	}
	g.events = append(g.events, e.Type+" "+e.Reason+" "+e.Note)
	return nil
}

func (g *rig) Kind() string { return "class" }

func (g *rig) Want(context.Context, types.NamespacedName) (*Want, error) {
	if g.want == nil {
		return nil, nil //nolint:nilnil // there is no object
	}
	want := *g.want
	return &want, nil
}

func (g *rig) Report(_ context.Context, _ *Want, outcome *Outcome) error {
	g.outcomes = append(g.outcomes, outcome)
	return g.report
}

func (g *rig) Mount(_ context.Context, req engine.Request) (*engine.Volume, error) {
	g.asked = append(g.asked, req)
	return g.volume, g.failure
}

func (g *rig) Write(_ context.Context, s *core.Secret, _ types.UID, _ bool, _ []Sign) (types.UID, bool, error) {
	g.writes++
	if g.refusal != nil {
		return "", false, g.refusal
	}
	if s.Name == g.refused {
		return "", false, errors.New("refused")
	}
	before := g.secrets[s.Name]
	if before != nil && before.Labels[OwnerLabel] != s.Labels[OwnerLabel] {
		return "", false, errForeign
	}
	g.secrets[s.Name] = s
	return types.UID("uid-" + s.Name), before == nil, nil
}

func (g *rig) Remove(_ context.Context, _, name string, owner types.UID) (bool, error) {
	if s := g.secrets[name]; s != nil && s.Labels[OwnerLabel] == string(owner) {
		delete(g.secrets, name)
		return true, g.refusal
	}
	return false, g.refusal
}

// run reconciles once and returns when it is to be done again, and what became of it.
func (g *rig) run() (time.Duration, *Outcome) {
	g.Helper()
	g.outcomes = nil
	result, err := g.reconciler.Reconcile(g.Context(), reconcile.Request{NamespacedName: types.NamespacedName{Namespace: "shop", Name: "web"}})
	if err != nil {
		g.Fatal(err)
	}
	if len(g.outcomes) == 0 {
		return result.RequeueAfter, nil
	}
	return result.RequeueAfter, g.outcomes[0]
}

func (g *rig) wantValue(secret, key, value string) {
	g.Helper()
	if s := g.secrets[secret]; s == nil || string(s.Data[key]) != value {
		g.Errorf("Secret %s is %v, want %s under %s", secret, s, value, key)
	}
}

func (g *rig) wantProblem(o *Outcome, reason Reason, text string) {
	g.Helper()
	if o == nil || o.Problem == nil || o.Problem.Reason != reason || !strings.Contains(o.Problem.Text, text) {
		g.Errorf("outcome %+v, want %s with %q", o, reason, text)
	}
}

// wantEvents compares the Events since the last call.
func (g *rig) wantEvents(want ...string) {
	g.Helper()
	got := g.events
	g.events = nil
	if !slices.Equal(got, want) {
		g.Errorf("events\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestASecretIsMadeAndFollows(t *testing.T) {
	g := newRig(t)
	again, outcome := g.run()
	g.wantValue("db", "password", "planted-1")
	made := g.secrets["db"]
	if made.Labels[OwnerLabel] != "class-1" || made.Annotations[VersionsAnnotation] != `{"db/password":"version-1"}` || len(made.OwnerReferences) != 1 || made.Type != "Opaque" {
		t.Errorf("%+v", made)
	}
	if again < 24*time.Second || again > 30*time.Second {
		t.Errorf("again after %v", again)
	}
	if outcome.Problem != nil || !slices.Equal(outcome.Created, []string{"db"}) || !outcome.Since.Equal(noon) || !maps.Equal(g.told["db"], map[string]string{"db/password": "version-1"}) {
		t.Errorf("%+v, told %v", outcome, g.told)
	}
	asked := g.asked[0]
	if !asked.Repeated || !asked.NotBefore.IsZero() || asked.Identity.ServiceAccount != "web" || asked.Identity.ServiceAccountUID != "account-1" || asked.Identity.PodUID != "class-1" {
		t.Errorf("asked as %+v", asked)
	}
	g.wantEvents("Normal SecretCreated Made: db")

	g.run()
	if g.writes != 1 {
		t.Errorf("%d writes of what has not changed", g.writes)
	}
	g.volume = volume("db/password", "2")
	g.volume.Made = noon.Add(time.Minute)
	g.now = noon.Add(3 * time.Minute)
	_, outcome = g.run()
	g.wantValue("db", "password", "planted-2")
	var change dto.Metric
	if err := g.reconciler.shared.Metrics.change.Write(&change); err != nil || change.GetHistogram().GetSampleCount() != 1 || change.GetHistogram().GetSampleSum() != 120 {
		t.Errorf("%v, %v", err, &change)
	}
	if !slices.Equal(outcome.Changed, []string{"db"}) || !outcome.Since.Equal(noon) {
		t.Errorf("%+v", outcome)
	}
	g.wantEvents("Normal SecretChanged Changed: db")
	g.now = g.now.Add(11 * time.Minute)
	_, outcome = g.run()
	if g.writes != 3 || len(outcome.Changed)+len(outcome.Created) > 0 {
		t.Errorf("%d writes, %+v", g.writes, outcome)
	}
	g.wantEvents()
}

func TestAProblemLeavesTheSecretAndIsToldOnce(t *testing.T) {
	g := newRig(t)
	g.run()
	g.wantEvents("Normal SecretCreated Made: db")
	g.now = noon.Add(time.Minute)
	g.failure = errors.New("store vault: denied")
	var pauses []time.Duration
	for range 8 {
		again, outcome := g.run()
		pauses = append(pauses, again.Round(time.Second))
		g.wantProblem(outcome, ReasonProvider, "store vault: denied")
		if !outcome.Since.Equal(noon.Add(time.Minute)) || outcome.Written["db"].Digest == "" {
			t.Errorf("%+v", outcome)
		}
		g.now = g.now.Add(again)
	}
	if pauses[0] > 2*time.Second || pauses[7] < 24*time.Second || pauses[7] > 30*time.Second {
		t.Errorf("pauses %v", pauses)
	}
	g.wantValue("db", "password", "planted-1")
	g.wantEvents("Warning ProviderError store vault: denied")
	g.failure = nil
	_, outcome := g.run()
	if outcome.Problem != nil || !outcome.Since.Equal(g.now) {
		t.Errorf("%+v", outcome)
	}
	g.wantEvents("Normal Synced All Secrets are as their stores have them")
}

func TestWhatASecretCannotBe(t *testing.T) {
	for name, c := range map[string]struct {
		change func(g *rig)
		reason Reason
		text   string
	}{
		"no such file":     {func(g *rig) { g.want.Secrets[0].Data[0].File = "db/user" }, ReasonInput, "Secret db: key password: the class makes no file db/user; it makes db/password"},
		"a forbidden type": {func(g *rig) { g.want.Secrets[0].Type = "kubernetes.io/service-account-token" }, ReasonPolicy, "may not write the type kubernetes.io/service-account-token"},
		"no account":       {func(g *rig) { g.want.ServiceAccount = "api" }, ReasonInput, "there is no service account api in namespace shop"},
		"a problem of its": {func(g *rig) { g.want.Problem = &Problem{ReasonClass, "there is no class"} }, ReasonClass, "there is no class"},
		"somebody else's":  {func(g *rig) { g.secrets["db"] = &core.Secret{} }, ReasonForeign, "Secret db is there already and is somebody else's"},
		"no certificate":   {func(g *rig) { g.want.Secrets[0].Type, g.want.Secrets[0].Data[0].Key = "kubernetes.io/tls", "tls.crt" }, ReasonInput, "has no certificate"},
		"the API server's": {func(g *rig) { g.refusal = errors.New("ValidatingAdmissionPolicy 'lanyard' denied request") }, ReasonPolicy, "denied request"},
		"nothing but gaps": {func(g *rig) { g.volume = &engine.Volume{Absent: []engine.Absence{{ID: "db/password"}}} }, ReasonInput, "no object of the Secret exists"},
		"two, one of which": {func(g *rig) {
			g.want.Secrets = append([]Secret{{Name: "api", Type: "Opaque", Data: []Item{{"a", "none"}}}}, g.want.Secrets...)
		}, ReasonInput, "Secret api: key a"},
	} {
		t.Run(name, func(t *testing.T) {
			g := newRig(t)
			c.change(g)
			_, outcome := g.run()
			g.wantProblem(outcome, c.reason, c.text)
			if strings.Contains(fmt.Sprint(outcome.Problem), "planted") {
				t.Errorf("a value in %v", outcome.Problem)
			}
			if made := g.secrets["db"]; name != "two, one of which" && made != nil && made.Data != nil {
				t.Errorf("made %v", made)
			} else if name == "two, one of which" {
				g.wantValue("db", "password", "planted-1")
			}
		})
	}
}

func TestAnOptionalObjectThatIsAbsentHasNoKey(t *testing.T) {
	g := newRig(t)
	g.want.Secrets[0].Data = append(g.want.Secrets[0].Data, Item{"extra", "extra"})
	g.volume.Absent = []engine.Absence{{ID: "extra"}}
	if _, outcome := g.run(); outcome.Problem != nil || len(g.secrets["db"].Data) != 1 {
		t.Errorf("%+v, %v", outcome, g.secrets["db"])
	}
}

func TestWhatIsNotAskedForAnyMoreIsRemoved(t *testing.T) {
	g := newRig(t)
	g.want.Secrets = append(g.want.Secrets, Secret{Name: "api", Type: "Opaque", Data: []Item{{"a", "db/password"}}})
	g.secrets["foreign"] = &core.Secret{}
	g.run()
	g.want.Secrets = g.want.Secrets[:1]
	_, outcome := g.run()
	if g.secrets["api"] != nil || g.secrets["db"] == nil {
		t.Error("api should be gone, and db not")
	}
	// The next controller knows from the object's status.
	g.want.Known = outcome.Written
	g.want.Known["foreign"] = Written{Digest: "x"}
	g.want.Secrets = nil
	g.begin()
	again, outcome := g.run()
	if g.secrets["db"] != nil || g.secrets["foreign"] == nil || again != 0 || len(outcome.Written) != 0 {
		t.Errorf("%v, again after %v, %+v", g.secrets, again, outcome)
	}
	g.want = nil
	if again, outcome := g.run(); again != 0 || outcome != nil {
		t.Error("there is nothing to do")
	}
	g.wantEvents("Normal SecretCreated Made: db, api", "Normal SecretRemoved Removed, because nothing asks for it any more: api",
		"Normal SecretRemoved Removed, because nothing asks for it any more: db")
}

// A Secret of an object that is gone is nobody's, whoever makes one of its name later.
func TestSecretsOfAnObjectThatIsGoneAreForgotten(t *testing.T) {
	g := newRig(t)
	g.run()
	if len(g.told["db"]) != 1 {
		t.Errorf("told %v", g.told)
	}
	g.want = nil
	g.run()
	if versions, told := g.told["db"]; versions != nil || !told {
		t.Errorf("told %v", g.told)
	}
}

// An object may be made anew with other Secrets before anybody has seen that it was gone.
func TestSecretsOfAnObjectThatIsMadeAnewAreForgotten(t *testing.T) {
	g := newRig(t)
	g.run()
	anew := *g.want
	anew.Owner.UID = "class-2"
	anew.Secrets = []Secret{{Name: "other", Type: "Opaque", Data: []Item{{"password", "db/password"}}}}
	g.want = &anew
	g.run()
	if versions, told := g.told["db"]; versions != nil || !told || len(g.told["other"]) != 1 {
		t.Errorf("told %v", g.told)
	}
}

func TestAnotherControllerWritesNothingThatIsAsItShouldBe(t *testing.T) {
	g := newRig(t)
	_, outcome := g.run()
	g.want.Known, g.want.Since = outcome.Written, outcome.Since
	g.now = noon.Add(time.Hour)
	g.begin()
	if _, outcome = g.run(); g.writes != 1 || !outcome.Since.Equal(noon) || outcome.Problem != nil || len(g.told) != 1 {
		t.Errorf("%d writes, %+v", g.writes, outcome)
	}
	g.volume = volume("db/password", "2")
	if _, outcome = g.run(); g.writes != 2 || !slices.Equal(outcome.Changed, []string{"db"}) {
		t.Errorf("%d writes, %+v", g.writes, outcome)
	}
}

// The values of a refresh are those of the time when it was asked for, or later: one
// that fails in part is not read again for the rest, and not written again where it went well.
func TestARefreshReadsValuesOfItsTime(t *testing.T) {
	g := newRig(t)
	g.want.Secrets = append(g.want.Secrets, Secret{Name: "api", Type: "Opaque", Data: []Item{{"a", "db/password"}}})
	step := func(writes int, notBefore time.Time, refreshed ...string) *Outcome {
		g.Helper()
		g.writes = 0
		_, outcome := g.run()
		if got := g.asked[len(g.asked)-1].NotBefore; g.writes != writes || !got.Equal(notBefore) {
			g.Errorf("%s: %d writes, want %d; values of %v, want %v", g.want.Refresh, g.writes, writes, got, notBefore)
		}
		for _, name := range refreshed {
			if got := outcome.Written[name].Refresh; got != g.want.Refresh {
				g.Errorf("%s was written for %q, want %q", name, got, g.want.Refresh)
			}
		}
		g.now = g.now.Add(time.Minute)
		return outcome
	}
	g.want.Refresh = "1"
	outcome := step(2, time.Time{}, "db", "api")

	g.want.Refresh = "2"
	asked := g.now
	g.failure = errors.New("down")
	step(0, asked)
	g.failure, g.refused = nil, "api"
	if outcome := step(2, asked, "db"); outcome.Written["api"].Refresh != "1" {
		t.Errorf("%+v", outcome)
	}
	step(1, asked, "db") // api again, and db not
	g.refused = ""
	step(1, asked, "db", "api")
	step(0, asked)

	g.want.Known, g.want.Refresh = outcome.Written, "3"
	g.begin() // asked for while no controller ran
	step(2, g.now, "db", "api")
}

func TestAnObjectHasRoomForItsSecretsOnly(t *testing.T) {
	g := newRig(t)
	g.refused = "stays"
	for round := range 4 {
		g.want.Secrets = []Secret{{Name: "stays", Type: "Opaque", Data: []Item{{"a", "db/password"}}}}
		for i := range MaxSecrets - 1 {
			g.want.Secrets = append(g.want.Secrets, Secret{Name: fmt.Sprint("db-", round, "-", i), Type: "Opaque", Data: []Item{{"a", "db/password"}}})
		}
		_, outcome := g.run()
		if round >= 2 {
			g.wantProblem(outcome, ReasonInput, "it may have 128")
		}
	}
	if len(g.secrets) > MaxHeld {
		t.Errorf("%d Secrets", len(g.secrets))
	}
	g.want.Secrets = g.want.Secrets[:0]
	if _, outcome := g.run(); outcome.Problem != nil || len(g.secrets) > 0 {
		t.Errorf("%+v, %d Secrets are left", outcome, len(g.secrets))
	}
}

func TestRefreshOf(t *testing.T) {
	for _, c := range [][2][]string{{{"a"}, {"b"}}, {{"a"}, {"a", "a"}}, {{"a", ""}, {"", "a"}}, {{`a" "b`}, {"a", "b"}}, {{""}, {"a"}}} {
		if RefreshOf(c[0]...) == RefreshOf(c[1]...) {
			t.Errorf("%q and %q are equal", c[0], c[1])
		}
	}
	if got := RefreshOf("", ""); got != "" || len(RefreshOf(strings.Repeat("x", 1<<18))) != 16 {
		t.Errorf("%q", got)
	}
}

func TestTLSHasTheParts(t *testing.T) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	private := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("c")})
	both := slices.Concat(private, certificate, certificate)
	for _, c := range []struct {
		secretType, key string
		content, want   []byte
	}{
		{"kubernetes.io/tls", "tls.crt", both, slices.Concat(certificate, certificate)},
		{"kubernetes.io/tls", "tls.key", both, private},
		{"kubernetes.io/tls", "ca.crt", both, both},
		{"Opaque", "tls.crt", both, both},
		{"kubernetes.io/tls", "tls.key", certificate, nil},
		{"kubernetes.io/tls", "tls.crt", private, nil},
		{"kubernetes.io/tls", "tls.key", []byte("planted"), nil},
	} {
		got, err := part(c.secretType, c.key, c.content)
		if string(got) != string(c.want) || (err == nil) != (c.want != nil) {
			t.Errorf("%s %s: %q, %v; want %q", c.secretType, c.key, got, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), "planted") {
			t.Errorf("a value in %v", err)
		}
	}
}

func TestAFileInADirectoryHasItsObjectsVersion(t *testing.T) {
	files := filesOf(&engine.Volume{Versions: []engine.Version{{ID: "db", Version: "1"}, {ID: "db/user", Version: "2"}}})
	for file, want := range map[string]string{"db": "1", "db/user": "2", "db/password": "1", "db/a/b": "1", "other": ""} {
		if got := files.version(file); got != want {
			t.Errorf("%s: %q, want %q", file, got, want)
		}
	}
}

func TestNamespacesShareTheWorkers(t *testing.T) {
	var b busy
	again := map[string]int{}
	take := func(namespace string) (done []func()) {
		for i := range 100 {
			for range 2 { // an object that waits already waits once
				if d, free := b.begin(namespace, 32, fmt.Sprint(namespace, i), func() { again[namespace]++ }); free {
					done = append(done, d)
					break
				}
			}
		}
		return done
	}
	x, y, z := take("a"), take("b"), take("c")
	if len(x) != 16 || len(y) != 8 || len(z) != 4 {
		t.Errorf("%d, %d and %d workers", len(x), len(y), len(z))
	}
	x[0]()
	if again["a"] != 1 || len(again) != 1 {
		t.Errorf("%v are tried again", again)
	}
	for _, done := range slices.Concat(x[1:], y, z) {
		done()
	}
	// Each that waited is tried again, once.
	if again["a"] != 84 || again["b"] != 92 || again["c"] != 96 || b.all != 0 || len(b.taken)+len(b.waiting)+len(b.waits) != 0 {
		t.Errorf("%v are tried again; %+v is left", again, b.taken)
	}
}

func TestReservedNames(t *testing.T) {
	for name, want := range map[string]Reason{
		"app": "", "lanyard.dev/x": ReasonLabel, "secrets-store.sync.x-k8s.io": ReasonLabel, "a.secrets-store.sync.x-k8s.io/b": ReasonLabel, "notlanyard.dev/x": "",
	} {
		var got Reason
		if p := (Secret{Labels: map[string]string{name: "v"}}).Check(); p != nil {
			got = p.Reason
		}
		if got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if p := (Secret{Annotations: map[string]string{VersionsAnnotation: "v"}}).Check(); p == nil || p.Reason != ReasonAnnotation {
		t.Error(p)
	}
}
