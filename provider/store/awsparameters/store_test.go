package awsparameters_test

import (
	"errors"
	"fmt"
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
	"github.com/lanyardhq/lanyard/provider/store/awsparameters"
	"github.com/lanyardhq/lanyard/provider/store/storetest"
)

func TestMain(m *testing.M) { backendtest.Main(m) }

const (
	ireland   = "eu-west-1"
	frankfurt = "eu-central-1"
)

// fixture is an AWS with a role for the service account prod/web, and the type
// over it.
type fixture struct {
	*awstest.Server
	issuer *identitytest.Issuer
	typ    *awsparameters.Type
	role   string
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	server := awstest.New(t)
	platform := aws.New(aws.Options{})
	t.Cleanup(platform.Close)
	return &fixture{
		Server: server, issuer: server.NewIssuer(t), typ: awsparameters.NewType(platform),
		role: server.PutRole("web", awstest.Role{Accounts: []string{"prod/web"}, Reads: []string{"*"}}),
	}
}

func (f *fixture) pod(t *testing.T, account string) identity.Identity {
	t.Helper()
	namespace, name, _ := strings.Cut(account, "/")
	token := f.issuer.Token(t, account, "sts.amazonaws.com", time.Now().Add(time.Hour))
	return identity.Identity{
		Cluster: "test", Namespace: namespace, ServiceAccount: name, Pod: name + "-0", PodUID: "uid-" + name,
		Tokens: map[string]identity.Token{"sts.amazonaws.com": {JWT: secret.NewString(token)}},
	}
}

func (f *fixture) settings(change func(map[string]any)) store.Settings {
	fields := map[string]any{"region": ireland, "endpoint": f.URL, "retries": 1, "timeout": "1m", "auth": map[string]any{"role": f.role, "stsEndpoint": f.URL}}
	if change != nil {
		change(fields)
	}
	return store.Settings{Fields: fields}
}

func (f *fixture) open(t *testing.T, change func(map[string]any)) store.BatchReader {
	t.Helper()
	opened, err := f.typ.Open(f.settings(change))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(opened.Close)
	return opened.(store.BatchReader)
}

func mustRead(t *testing.T, s store.Store, as identity.Identity, ref store.Reference) store.Value {
	t.Helper()
	if err := s.Check(ref); err != nil {
		t.Fatalf("Check: %v", err)
	}
	value, err := s.Read(t.Context(), as, ref)
	if err != nil {
		t.Fatalf("Read: %v", err)
	}
	return value
}

func wantFailure(t *testing.T, err, kind error, texts ...string) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Errorf("error %v, want the kind %q", err, kind)
		return
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("error %q does not say %q", err, text)
		}
	}
}

func option(name string, value any) map[string]any { return map[string]any{name: value} }

func TestTheParameterStoreMeetsTheStoreContract(t *testing.T) {
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
		Put: func(_ *testing.T, name, value string) store.Reference {
			f.PutParameter(ireland, "/prod/"+name, "SecureString", value)
			return store.Reference{Key: "/prod/" + name}
		},
		Answers: &storetest.Answers{
			Settings: f.settings(func(fields map[string]any) { fields["retries"] = 0 }),
			Rewrite:  f.Rewrite, Values: []string{"Parameters.*.Value"},
			Throttled: f.Throttling("ssm:GetParameters", "sts:AssumeRoleWithWebIdentity"),
		},
		Missing: store.Reference{Key: "/prod/missing"},
		Pinned:  []store.Reference{{Key: "/prod/db", Version: "3"}},
		Invalid: map[string]store.Reference{
			"no key":                  {},
			"a colon":                 {Key: "/prod/db:3"},
			"another service's ARN":   {Key: "arn:aws:secretsmanager:eu-west-1:111122223333:secret:x-AbCdEf"},
			"another region's ARN":    {Key: "arn:aws:ssm:us-east-1:111122223333:parameter/x"},
			"version zero":            {Key: "db", Version: "0"},
			"label as version":        {Key: "db", Version: "prod"},
			"number as label":         {Key: "db", Options: option("label", "3")},
			"version and label":       {Key: "db", Version: "3", Options: option("label", "prod")},
			"unknown option":          {Key: "db", Options: option("lable", "prod")},
			"path without a slash":    {Key: "db", Options: option("path", true)},
			"path with a version":     {Key: "/db", Version: "1", Options: option("path", true)},
			"path that is a text":     {Key: "/db", Options: option("path", "true")},
			"path with a label":       {Key: "/db", Options: map[string]any{"path": true, "label": "prod"}},
			"path that is an ARN":     {Key: "arn:aws:ssm:eu-west-1:111122223333:parameter/db", Options: option("path", true)},
			"recursive without path":  {Key: "/db", Options: option("recursive", true)},
			"failover without a key":  {Key: "db", Options: option("failover", map[string]any{"label": "x"})},
			"failover that is a text": {Key: "db", Options: option("failover", "db")},
		},
		InvalidSettings: map[string]store.Settings{
			"region": f.settings(func(fields map[string]any) { fields["region"] = "Ireland" }),
			"regoin": f.settings(func(fields map[string]any) { fields["regoin"] = ireland }),
		},
		Fail: func(*testing.T) { f.Add(awstest.Fault{Drop: true}) },
	}
}

func TestVersionsLabelsTypesAndARNs(t *testing.T) {
	f := newFixture(t)
	s, web := f.open(t, nil), f.pod(t, "prod/web")
	f.PutParameter(ireland, "/prod/db", "SecureString", "one")
	f.PutParameter(ireland, "/prod/db", "SecureString", "two")
	f.PutParameter(ireland, "plain", "String", "text")
	f.PutParameter(ireland, "list", "StringList", "a,b")
	f.Label(ireland, "/prod/db", "blue", 1)
	large := strings.Repeat("0123456789abcdef", 4096) // AWS takes 8 KB, emulators more
	f.PutParameter(ireland, "/large", "SecureString", large)
	for name, test := range map[string]struct {
		ref  store.Reference
		want string
	}{
		"current, decrypted": {store.Reference{Key: "/prod/db"}, "two"},
		"version":            {store.Reference{Key: "/prod/db", Version: "1"}, "one"},
		"label":              {store.Reference{Key: "/prod/db", Options: option("label", "blue")}, "one"},
		"text":               {store.Reference{Key: "plain"}, "text"},
		"of 64 KiB":          {store.Reference{Key: "/large"}, large},
		"list":               {store.Reference{Key: "list"}, "a,b"},
		"ARN":                {store.Reference{Key: "arn:aws:ssm:eu-west-1:111122223333:parameter/prod/db"}, "two"},
		"ARN and version":    {store.Reference{Key: "arn:aws:ssm:eu-west-1:111122223333:parameter/prod/db", Version: "1"}, "one"},
		"ARN without path":   {store.Reference{Key: "arn:aws:ssm:eu-west-1:111122223333:parameter/plain"}, "text"},
	} {
		t.Run(name, func(t *testing.T) {
			value := mustRead(t, s, web, test.ref)
			if got := value.Data.RevealString(); got != test.want {
				t.Errorf("= %q, want %q", got, test.want)
			}
			// A version or label is asked for by name, and has no order.
			if current := test.ref.Version == "" && test.ref.Options == nil; (value.Order > 0) != current || value.Made.IsZero() == current {
				t.Errorf("order %d, made %v", value.Order, value.Made)
			}
		})
	}
	for _, ref := range []store.Reference{{Key: "/prod/db", Version: "3"}, {Key: "/prod/db", Options: option("label", "green")}} {
		_, err := s.Read(t.Context(), web, ref)
		wantFailure(t, err, fault.ErrNotFound, "/prod/db:", "in eu-west-1", "no such parameter, version or label")
	}
}

func TestAParameterThatWasMadeAnewHasAnotherVersion(t *testing.T) {
	f := newFixture(t)
	s, web := f.open(t, nil), f.pod(t, "prod/web")
	f.PutParameter(ireland, "db", "String", "one")
	before := mustRead(t, s, web, store.Reference{Key: "db"}).Version
	f.DeleteParameter(ireland, "db")
	f.PutParameter(ireland, "db", "String", "two")
	if after := mustRead(t, s, web, store.Reference{Key: "db"}).Version; after == before || !strings.HasPrefix(after, "1-") {
		t.Errorf("version %s, and before it was deleted %s", after, before)
	}
}

func TestTenParametersAreOneCall(t *testing.T) {
	f := newFixture(t)
	s, web := f.open(t, nil), f.pod(t, "prod/web")
	var refs []store.Reference
	for i := range 10 {
		name := fmt.Sprintf("/prod/p%d", i)
		f.PutParameter(ireland, name, "SecureString", name)
		refs = append(refs, store.Reference{Key: name})
	}
	for i, result := range s.ReadBatch(t.Context(), web, refs) {
		if result.Err != nil || result.Value.Data.RevealString() != refs[i].Key {
			t.Errorf("%s: %v, %q", refs[i].Key, result.Err, result.Value.Data.RevealString())
		}
	}
	if n := f.Calls("ssm:GetParameters"); n != 1 {
		t.Errorf("%d calls, want 1", n)
	}
}

func TestTwoVersionsOfOneParameterAreNotMixedUp(t *testing.T) {
	f := newFixture(t)
	s, web := f.open(t, nil), f.pod(t, "prod/web")
	f.PutParameter(ireland, "/db", "String", "one")
	f.PutParameter(ireland, "/db", "String", "two")
	f.PutParameter(ireland, "/db", "String", "three")
	f.Label(ireland, "/db", "blue", 2)
	refs := []store.Reference{
		{Key: "/db"}, {Key: "/db", Version: "1"}, {Key: "/db", Options: option("label", "blue")},
		{Key: "arn:aws:ssm:eu-west-1:111122223333:parameter/db", Version: "1"}, {Key: "/db", Version: "9"},
	}
	results := s.ReadBatch(t.Context(), web, refs)
	for i, want := range []string{"three", "one", "two", "one"} {
		if got := results[i].Value.Data.RevealString(); results[i].Err != nil || got != want {
			t.Errorf("%d: %v, %q, want %q", i, results[i].Err, got, want)
		}
	}
	wantFailure(t, results[4].Err, fault.ErrNotFound, "/db:9")
}

func TestOneParameterThatIsDeniedDoesNotFailTheOthers(t *testing.T) {
	f := newFixture(t)
	f.PutRole("web", awstest.Role{Accounts: []string{"prod/web"}, Reads: []string{"/mine/*"}})
	s, web := f.open(t, nil), f.pod(t, "prod/web")
	f.PutParameter(ireland, "/mine/a", "String", "a")
	f.PutParameter(ireland, "/others/b", "String", "planted-value")
	results := s.ReadBatch(t.Context(), web, []store.Reference{{Key: "/mine/a"}, {Key: "/others/b"}, {Key: "/mine/none"}})
	if results[0].Err != nil || results[0].Value.Data.RevealString() != "a" {
		t.Errorf("/mine/a: %v", results[0].Err)
	}
	wantFailure(t, results[1].Err, fault.ErrDenied, "/others/b in eu-west-1", "ssm:GetParameters")
	wantFailure(t, results[2].Err, fault.ErrNotFound, "/mine/none in eu-west-1")
}

func TestAPathIsAnObjectOfAllBelowIt(t *testing.T) {
	f := newFixture(t)
	s, web := f.open(t, nil), f.pod(t, "prod/web")
	want := make([]string, 0, 25)
	for i := range 25 { // three pages
		f.PutParameter(ireland, fmt.Sprintf("/app/p%02d", i), "SecureString", fmt.Sprint(i))
		want = append(want, fmt.Sprintf(`"p%02d":"%d"`, i, i))
	}
	f.PutParameter(ireland, "/app/deep/er", "String", "d")
	f.PutParameter(ireland, "/apple", "String", "no")
	object := "{" + strings.Join(want, ",") + "}"
	if got := mustRead(t, s, web, store.Reference{Key: "/app", Options: option("path", true)}).Data.RevealString(); got != object {
		t.Errorf("= %s, want %s", got, object)
	}
	if n := f.Calls("ssm:GetParametersByPath"); n != 3 {
		t.Errorf("%d calls, want 3", n)
	}
	deep := mustRead(t, s, web, store.Reference{Key: "/app/", Options: map[string]any{"path": true, "recursive": true}}).Data.RevealString()
	if !strings.HasPrefix(deep, `{"deep/er":"d","p00":"0"`) {
		t.Errorf("recursive = %s", deep)
	}
	f.PutParameter(ireland, "/root", "String", "r")
	if got := mustRead(t, s, web, store.Reference{Key: "/", Options: option("path", true)}).Data.RevealString(); got != `{"apple":"no","root":"r"}` {
		t.Errorf("the root = %s", got)
	}
	_, err := s.Read(t.Context(), web, store.Reference{Key: "/none", Options: option("path", true)})
	wantFailure(t, err, fault.ErrNotFound, "GetParametersByPath /none in eu-west-1")
	if size := s.BatchSize(web, store.Reference{Key: "/app", Options: option("path", true)}); size != 1 {
		t.Errorf("a path is read in batches of %d", size)
	}
}

func TestParametersFailOverToTheNextRegion(t *testing.T) {
	f := newFixture(t)
	s, web := f.open(t, func(fields map[string]any) { fields["failoverRegions"] = []any{frankfurt} }), f.pod(t, "prod/web")
	f.PutParameter(frankfurt, "/db", "String", "from Frankfurt")
	f.PutParameter(frankfurt, "/other", "String", "another name")
	f.PutParameter(frankfurt, "/app/a", "String", "1")
	f.Add(awstest.Fault{Region: ireland, Fail: awstest.Fail(500, "InternalServerError", "")})
	for want, ref := range map[string]store.Reference{
		"from Frankfurt": {Key: "/db"},
		"another name":   {Key: "/db", Version: "7", Options: option("failover", map[string]any{"key": "/other"})},
		`{"a":"1"}`:      {Key: "/app", Options: option("path", true)},
	} {
		if got := mustRead(t, s, web, ref).Data.RevealString(); got != want {
			t.Errorf("%s = %q, want %q", ref.Key, got, want)
		}
	}
	if got := mustRead(t, s, web, store.Reference{Key: "arn:aws:ssm:eu-west-1:111122223333:parameter/db"}).Data.RevealString(); got != "from Frankfurt" {
		t.Errorf("the ARN = %q", got)
	}
	results := s.ReadBatch(t.Context(), web, []store.Reference{{Key: "/db"}, {Key: "/none"}})
	if results[0].Err != nil || results[0].Value.Order != 0 {
		t.Errorf("%v, order %d of another region's versions", results[0].Err, results[0].Value.Order)
	}
	// That the second region lacks it says nothing of the first.
	wantFailure(t, results[1].Err, fault.ErrUnavailable, "/none", ireland)
}

// One parameter that the role may not read fails the whole call, in the second
// region too.
func TestParametersOfWhichOneIsDeniedFailOver(t *testing.T) {
	f := newFixture(t)
	f.PutRole("web", awstest.Role{Accounts: []string{"prod/web"}, Reads: []string{"/mine/*"}})
	s, web := f.open(t, func(fields map[string]any) { fields["failoverRegions"] = []any{frankfurt} }), f.pod(t, "prod/web")
	f.PutParameter(frankfurt, "/mine/a", "String", "from Frankfurt")
	f.Add(awstest.Fault{Region: ireland, Drop: true})
	results := s.ReadBatch(t.Context(), web, []store.Reference{{Key: "/mine/a"}, {Key: "/others/b"}})
	if got := results[0].Value.Data.RevealString(); results[0].Err != nil || got != "from Frankfurt" {
		t.Errorf("/mine/a: %q, %v", got, results[0].Err)
	}
	wantFailure(t, results[1].Err, fault.ErrUnavailable, "/others/b", ireland, "permission denied")
}

func TestFailuresNameTheParameterTheRegionAndTheRemedy(t *testing.T) {
	for name, test := range map[string]struct {
		fail  *awstest.Error
		kind  error
		texts []string
	}{
		"throttled": {awstest.Throttled(), fault.ErrUnavailable, []string{"throttling"}},
		"failing":   {awstest.Fail(500, "InternalServerError", ""), fault.ErrUnavailable, []string{"InternalServerError"}},
		"key":       {awstest.Fail(400, "InvalidKeyId", "The query key ID isn't valid."), fault.ErrDenied, []string{"kms:Decrypt"}},
		"invalid":   {awstest.Fail(400, "ValidationException", "no"), fault.ErrInvalid, []string{"ValidationException"}},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			s, web := f.open(t, nil), f.pod(t, "prod/web")
			f.Add(awstest.Fault{Action: "ssm:GetParameters", Fail: test.fail})
			_, err := s.Read(t.Context(), web, store.Reference{Key: "/prod/db"})
			wantFailure(t, err, test.kind, append(test.texts, "GetParameters /prod/db", "in eu-west-1")...)
		})
	}
}
