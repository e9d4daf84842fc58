package awssecrets_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/lanyardhq/lanyard/provider/backend/aws/awstest"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/store"
)

// below is a reference to all secrets below a path.
func below(key string, recursive bool) store.Reference {
	options := map[string]any{"path": true}
	if recursive {
		options["recursive"] = true
	}
	return store.Reference{Key: key, Options: options}
}

func TestAPathIsAnObjectOfAllSecretsBelowIt(t *testing.T) {
	f := newFixture(t)
	s, web := f.open(t, nil), f.pod(t, "prod/web")
	want := make([]string, 0, 25)
	for i := range 25 { // two pages
		f.PutSecret(ireland, fmt.Sprintf("prod/db/p%02d", i), fmt.Sprint(i))
		want = append(want, fmt.Sprintf(`"p%02d":"%d"`, i, i))
	}
	f.PutBinarySecret(ireland, "prod/db/text", []byte("bytes that are text"))
	f.PutSecret(ireland, "prod/db/deep/er", "d")
	f.PutSecret(ireland, "prod/db", "the path itself")
	f.PutSecret(ireland, "prod/dbs/p", "another path")
	f.PutSecret(ireland, "PROD/DB/p", "in other letters")
	f.PutSecret(ireland, "prod/db/gone", "marked for deletion")
	f.DeleteSecret(ireland, "prod/db/gone", false)
	f.PutSecret(ireland, "/slash/a", "with a slash in front")
	right := "{" + strings.Join(want, ",") + `,"text":"bytes that are text"}`
	for name, test := range map[string]struct {
		ref  store.Reference
		want string
	}{
		"right below":        {below("prod/db", false), right},
		"with a slash":       {below("prod/db/", false), right},
		"further below too":  {below("prod/db", true), `{"deep/er":"d",` + right[1:]},
		"a slash in front":   {below("/slash", false), `{"a":"with a slash in front"}`},
		"from the beginning": {below("/", true), `{"slash/a":"with a slash in front"}`},
	} {
		if got := mustRead(t, s, web, test.ref).Data.RevealString(); got != test.want {
			t.Errorf("%s: %s, want %s", name, got, test.want)
		}
	}
	if n := f.Calls("secretsmanager:GetSecretValue"); n != 0 {
		t.Errorf("%d secrets were read by themselves", n)
	}
	_, err := s.Read(t.Context(), web, below("PROD", false))
	wantFailure(t, err, fault.ErrNotFound, "BatchGetSecretValue below PROD in eu-west-1: there are no secrets right below the path", "further below")
	_, err = s.Read(t.Context(), web, below("none", true))
	wantFailure(t, err, fault.ErrNotFound, "there are no secrets below the path; check it, the account and the region")
	if size := s.BatchSize(web, below("prod/db", false)); size != 1 {
		t.Errorf("a path is read in batches of %d", size)
	}
}

func TestWhatAPathNeedsIsSaid(t *testing.T) {
	const rights = "for a path the role's policies need secretsmanager:ListSecrets and secretsmanager:BatchGetSecretValue, both on *, and secretsmanager:GetSecretValue on the secrets"
	for name, test := range map[string]struct {
		change    func(*fixture)
		recursive bool
		kind      error
		want      []string // empty where the path is read
	}{
		"no right to list":                  {func(f *fixture) { f.putWeb("*", "secretsmanager:ListSecrets") }, true, fault.ErrDenied, []string{rights}},
		"no right to batches":               {func(f *fixture) { f.putWeb("*", "secretsmanager:BatchGetSecretValue") }, true, fault.ErrDenied, []string{rights}},
		"one that is refused":               {func(f *fixture) { f.putWeb("prod/a", "") }, true, fault.ErrDenied, []string{"prod/deep/b: permission denied", "secretsmanager:GetSecretValue on the secret"}},
		"one that is refused and not meant": {func(f *fixture) { f.putWeb("prod/a", "") }, false, nil, nil},
		"two that are refused":              {func(f *fixture) { f.putWeb("other", "") }, true, fault.ErrDenied, []string{"prod/a: permission denied", "prod/deep/b: permission denied"}},
		"a key that is off":                 {func(f *fixture) { f.DisableKey(ireland, "prod/a") }, false, fault.ErrDenied, []string{"prod/a: ", "kms:Decrypt"}},
		"bytes":                             {func(f *fixture) { f.PutBinarySecret(ireland, "prod/a", []byte{0xff, 0xfe}) }, false, fault.ErrInvalid, []string{"prod/a holds bytes that are no text, which cannot be read with others; name it by itself"}},
		"throttled": {func(f *fixture) {
			f.Add(awstest.Fault{Action: "secretsmanager:BatchGetSecretValue", Fail: awstest.Throttled()})
		}, false, fault.ErrUnavailable, []string{"throttling"}},
		"too large": {func(f *fixture) {
			for i := range 70 {
				f.PutSecret(ireland, fmt.Sprint("prod/large", i), strings.Repeat("x", 64<<10))
			}
		}, false, fault.ErrInvalid, []string{"over 4194304 bytes in total, which no volume can hold; name a longer path"}},
		"too many": {func(f *fixture) {
			for i := range 1001 {
				f.PutSecret(ireland, fmt.Sprint("prod/many", i), "v")
			}
		}, false, fault.ErrInvalid, []string{"there are over 1000 names below the path; name a longer path"}},
		"too many to look through": {func(f *fixture) {
			for i := range 2001 {
				f.PutSecret(ireland, fmt.Sprint("prod/further/", i), "v")
			}
		}, false, fault.ErrInvalid, []string{"there are over 100 pages below the path; name a longer path"}},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.PutSecret(ireland, "prod/a", "one")
			f.PutSecret(ireland, "prod/deep/b", "two")
			test.change(f)
			s, web := f.open(t, func(fields, _ map[string]any) { fields["retries"] = 0 }), f.pod(t, "prod/web")
			value, err := s.Read(t.Context(), web, below("prod", test.recursive))
			if test.kind == nil {
				if err != nil || value.Data.RevealString() != `{"a":"one"}` {
					t.Errorf("= %s, %v", value.Data.RevealString(), err)
				}
				return
			}
			wantFailure(t, err, test.kind, append(test.want, "BatchGetSecretValue below prod in eu-west-1")...)
		})
	}
}

// putWeb lets the role read what matches, but never by an action.
func (f *fixture) putWeb(reads, without string) {
	f.PutRole("web", awstest.Role{Accounts: []string{"prod/web"}, Reads: []string{reads}, Without: []string{without}})
}

func TestAPathInAnotherRegion(t *testing.T) {
	f := newFixture(t)
	s, web := f.open(t, func(fields, _ map[string]any) { fields["failoverRegions"] = []any{frankfurt} }), f.pod(t, "prod/web")
	f.PutSecret(frankfurt, "prod/a", "from Frankfurt")
	f.PutSecret(frankfurt, "replica/a", "of another name")
	f.Add(awstest.Fault{Region: ireland, Fail: awstest.Fail(500, "InternalServiceError", "")})
	other := below("prod", false)
	other.Options["failover"] = map[string]any{"key": "replica"}
	for want, ref := range map[string]store.Reference{`{"a":"from Frankfurt"}`: below("prod", false), `{"a":"of another name"}`: other} {
		if got := mustRead(t, s, web, ref).Data.RevealString(); got != want {
			t.Errorf("= %s, want %s", got, want)
		}
	}
	if checker := s.(store.FailoverChecker); checker.ChecksFailover(other) || !checker.ChecksFailover(store.Reference{Key: "a"}) {
		t.Error("a path is looked at in the other region, or a secret is not")
	}
}

func TestPathsThatCannotBeMeantAreRefused(t *testing.T) {
	s := newFixture(t).open(t, nil)
	for name, test := range map[string]struct {
		ref  store.Reference
		want string
	}{
		"no truth value":    {store.Reference{Key: "a", Options: map[string]any{"path": "yes"}}, "options.path: must be true or false"},
		"recursive alone":   {store.Reference{Key: "a", Options: map[string]any{"recursive": true}}, "options.recursive: needs options.path: true"},
		"an ARN":            {below("arn:aws:secretsmanager:eu-west-1:111122223333:secret:prod", false), "key: an ARN names one secret; give the path"},
		"a star":            {below("prod/*", false), "key: must be a secret's ARN, or its name"},
		"a version":         {store.Reference{Key: "a", Version: "a1b2c3d4-5678-90ab-cdef-111122223333", Options: map[string]any{"path": true}}, "options.path: reads the current versions alone"},
		"a stage":           {store.Reference{Key: "a", Options: map[string]any{"path": true, "stage": "AWSPREVIOUS"}}, "options.path: reads the current versions alone"},
		"a stage elsewhere": {store.Reference{Key: "a", Options: map[string]any{"path": true, "failover": map[string]any{"key": "b", "stage": "x"}}}, "options.path: reads the current versions alone"},
		"an ARN elsewhere":  {store.Reference{Key: "a", Options: map[string]any{"path": true, "failover": map[string]any{"key": "arn:aws:secretsmanager:eu-central-1:111122223333:secret:prod"}}}, "options.failover.key: an ARN names one secret"},
		"a path of nothing": {below("", false), "key: is missing"},
	} {
		t.Run(name, func(t *testing.T) { wantFailure(t, s.Check(test.ref), fault.ErrInvalid, test.want) })
	}
}
