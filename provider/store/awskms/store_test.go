package awskms_test

import (
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/lanyardhq/lanyard/provider/backend/aws"
	"github.com/lanyardhq/lanyard/provider/backend/aws/awstest"
	"github.com/lanyardhq/lanyard/provider/backend/backendtest"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/identity/identitytest"
	"github.com/lanyardhq/lanyard/provider/secret"
	"github.com/lanyardhq/lanyard/provider/store"
	"github.com/lanyardhq/lanyard/provider/store/awskms"
	"github.com/lanyardhq/lanyard/provider/store/storetest"
)

func TestMain(m *testing.M) { backendtest.Main(m) }

const (
	ireland   = "eu-west-1"
	frankfurt = "eu-central-1"
)

// fixture is an AWS with a multi-Region key that prod/web may use.
type fixture struct {
	*awstest.Server
	kms    *awstest.KMS
	issuer *identitytest.Issuer
	typ    *awskms.Type
	role   string
	key    string
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	server := awstest.New(t)
	platform := aws.New(aws.Options{})
	t.Cleanup(platform.Close)
	f := &fixture{
		Server: server, kms: server.NewKMS(), issuer: server.NewIssuer(t), typ: awskms.NewType(platform),
		role: server.PutRole("web", awstest.Role{Accounts: []string{"prod/web"}, Reads: []string{"*"}}),
	}
	f.key = f.kms.Create(t, ireland, true)
	return f
}

func (f *fixture) pod(t *testing.T, account string) identity.Identity {
	t.Helper()
	namespace, name, _ := strings.Cut(account, "/")
	token := f.issuer.Token(t, account, "sts.amazonaws.com", time.Now().Add(time.Hour))
	return identity.Identity{Namespace: namespace, ServiceAccount: name, Tokens: map[string]identity.Token{"sts.amazonaws.com": {JWT: secret.NewString(token)}}}
}

func (f *fixture) settings(change func(map[string]any)) store.Settings {
	fields := map[string]any{"region": ireland, "endpoint": f.URL, "retries": 1, "timeout": "1m", "auth": map[string]any{"role": f.role, "stsEndpoint": f.URL}}
	if change != nil {
		change(fields)
	}
	return store.Settings{Fields: fields}
}

func (f *fixture) open(t *testing.T, change func(map[string]any)) store.Store {
	t.Helper()
	opened, err := f.typ.Open(f.settings(change))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(opened.Close)
	return opened
}

// encrypt is what a class's author does with aws kms encrypt.
func (f *fixture) encrypt(t *testing.T, value string, context map[string]string) string {
	t.Helper()
	return base64.StdEncoding.EncodeToString(f.kms.Encrypt(t, f.key, []byte(value), context))
}

func TestKMSMeetsTheStoreContract(t *testing.T) {
	storetest.Run(t, contract)
}

func FuzzAnswers(f *testing.F) { storetest.Fuzz(f, contract) }

// contract is the store under test.
func contract(t *testing.T) *storetest.Fixture {
	t.Helper()
	f := newFixture(t)
	stranger := f.pod(t, "prod/stranger")
	return &storetest.Fixture{
		Type: f.typ, Settings: f.settings(nil), Identity: f.pod(t, "prod/web"), Stranger: &stranger,
		Put: func(t *testing.T, _, value string) store.Reference {
			return store.Reference{Key: f.encrypt(t, value, nil)}
		},
		Answers: &storetest.Answers{
			Settings: f.settings(func(fields map[string]any) { fields["retries"] = 0 }),
			Rewrite:  f.Rewrite, Values: []string{"Plaintext"},
			Throttled: f.Throttling("kms:Decrypt", "sts:AssumeRoleWithWebIdentity"),
		},
		Invalid: map[string]store.Reference{
			"no key":                  {},
			"no base64":               {Key: "secret/data"},
			"a ciphertext too large":  {Key: base64.StdEncoding.EncodeToString(make([]byte, 7000))},
			"a version":               {Key: "AAAA", Version: "1"},
			"an unknown option":       {Key: "AAAA", Options: map[string]any{"contxt": map[string]any{}}},
			"a context that is text":  {Key: "AAAA", Options: map[string]any{"context": "app=web"}},
			"a context with a number": {Key: "AAAA", Options: map[string]any{"context": map[string]any{"n": 1}}},
			"a context too large":     {Key: "AAAA", Options: map[string]any{"context": map[string]any{"a": strings.Repeat("x", 9000)}}},
		},
		InvalidSettings: map[string]store.Settings{
			"key":    f.settings(func(fields map[string]any) { fields["key"] = "alias/secrets" }),
			"region": f.settings(func(fields map[string]any) { fields["region"] = "x" }),
			"kye":    f.settings(func(fields map[string]any) { fields["kye"] = f.key }),
		},
		Fail: func(*testing.T) { f.Add(awstest.Fault{Drop: true}) },
	}
}

func read(t *testing.T, f *fixture, s store.Store, ref store.Reference) (string, error) {
	t.Helper()
	if err := s.Check(ref); err != nil {
		t.Fatal(err)
	}
	value, err := s.Read(t.Context(), f.pod(t, "prod/web"), ref)
	return value.Data.RevealString(), err
}

func TestACiphertextIsBoundToItsContextAndItsKey(t *testing.T) {
	f := newFixture(t)
	other := f.kms.Create(t, ireland, false)
	ciphertext := f.encrypt(t, "value", map[string]string{"app": "web"})
	bound := map[string]any{"context": map[string]any{"app": "web"}}
	if got, err := read(t, f, f.open(t, func(fields map[string]any) { fields["key"] = f.key }), store.Reference{Key: ciphertext, Options: bound}); err != nil || got != "value" {
		t.Errorf("= %q, %v", got, err)
	}
	// As YAML folds it over lines.
	if got, err := read(t, f, f.open(t, nil), store.Reference{Key: ciphertext[:20] + "\n  " + ciphertext[20:] + "\n", Options: bound}); err != nil || got != "value" {
		t.Errorf("over lines = %q, %v", got, err)
	}
	for name, test := range map[string]struct {
		key string
		ref store.Reference
	}{
		"another context": {f.key, store.Reference{Key: ciphertext, Options: map[string]any{"context": map[string]any{"app": "api"}}}},
		"no context":      {f.key, store.Reference{Key: ciphertext}},
		"another key":     {other, store.Reference{Key: ciphertext, Options: bound}},
		"damaged":         {f.key, store.Reference{Key: "AAAA" + ciphertext[4:], Options: bound}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := read(t, f, f.open(t, func(fields map[string]any) { fields["key"] = test.key }), test.ref)
			if !errors.Is(err, fault.ErrInvalid) || !strings.Contains(err.Error(), "in eu-west-1: the ciphertext is damaged, of another key, or was made with another encryption context") {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestWhatTheKeyIsInTheWayOf(t *testing.T) {
	for code, test := range map[string]struct {
		kind error
		text string
	}{
		"DisabledException":        {fault.ErrDenied, "enable the key"},
		"KMSInvalidStateException": {fault.ErrDenied, "cancel its deletion"},
		"KeyUnavailableException":  {fault.ErrUnavailable, "KeyUnavailableException"},
		"NotFoundException":        {fault.ErrInvalid, "check the store's key and region"},
		"AccessDeniedException":    {fault.ErrDenied, "kms:Decrypt"},
		"KMSInternalException":     {fault.ErrUnavailable, "KMSInternalException"},
	} {
		t.Run(code, func(t *testing.T) {
			f := newFixture(t)
			ref := store.Reference{Key: f.encrypt(t, "planted-value", nil)}
			f.kms.Fail(f.key, code)
			_, err := read(t, f, f.open(t, nil), ref)
			if !errors.Is(err, test.kind) || !strings.Contains(err.Error(), test.text) {
				t.Errorf("error %v, want %v with %q", err, test.kind, test.text)
			}
		})
	}
}

func TestAMultiRegionKeyDecryptsWhereItIsReplicated(t *testing.T) {
	f := newFixture(t)
	f.kms.Replicate(f.key, frankfurt)
	f.Add(awstest.Fault{Region: ireland, Drop: true})
	s := f.open(t, func(fields map[string]any) { fields["failoverRegions"] = []any{frankfurt} })
	if got, err := read(t, f, s, store.Reference{Key: f.encrypt(t, "value", nil)}); err != nil || got != "value" {
		t.Errorf("= %q, %v", got, err)
	}
}

func TestTheVersionFollowsTheCiphertext(t *testing.T) {
	f := newFixture(t)
	s := f.open(t, nil)
	one, two := store.Reference{Key: f.encrypt(t, "same", nil)}, store.Reference{Key: f.encrypt(t, "same", nil)}
	versions := map[string]bool{}
	for _, ref := range []store.Reference{one, one, two} {
		value, err := s.Read(t.Context(), f.pod(t, "prod/web"), ref)
		if err != nil {
			t.Fatal(err)
		}
		versions[value.Version] = true
	}
	if len(versions) != 2 || versions[""] {
		t.Errorf("versions %v, want one for each ciphertext", versions)
	}
}
