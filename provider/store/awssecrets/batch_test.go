package awssecrets_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/lanyardhq/lanyard/provider/backend/aws/awstest"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/store"
)

func tokenFor(t *testing.T, f *fixture, account, audience string) identity.Token {
	t.Helper()
	return identity.Token{JWT: secretOf(f.issuer.Token(t, account, audience, time.Now().Add(time.Hour)))}
}

// twenty are the references of twenty secrets.
func twenty(f *fixture, size int) (refs []store.Reference) {
	for i := range 20 {
		name := fmt.Sprintf("s%02d", i)
		f.PutSecret(ireland, name, name+strings.Repeat("x", size))
		refs = append(refs, store.Reference{Key: name})
	}
	return refs
}

func wantAll(t *testing.T, refs []store.Reference, results []store.Result) {
	t.Helper()
	for i, result := range results {
		if result.Err != nil || !strings.HasPrefix(result.Value.Data.RevealString(), refs[i].Key) {
			t.Errorf("%s: %v, %.10q", refs[i].Key, result.Err, result.Value.Data.RevealString())
		}
	}
}

func TestTwentySecretsAreOneCall(t *testing.T) {
	f := newFixture(t)
	s, web := f.open(t, nil), f.pod(t, "prod/web")
	refs := twenty(f, 1)
	wantAll(t, refs, s.ReadBatch(t.Context(), web, refs))
	if batches, alone := f.Calls("secretsmanager:BatchGetSecretValue"), f.Calls("secretsmanager:GetSecretValue"); batches != 1 || alone != 0 {
		t.Errorf("%d batches and %d single reads, want 1 and 0", batches, alone)
	}
}

func TestABatchOfLargeSecretsGoesOnOverPages(t *testing.T) {
	f := newFixture(t)
	s, web := f.open(t, nil), f.pod(t, "prod/web")
	refs := twenty(f, 64<<10-4)
	wantAll(t, refs, s.ReadBatch(t.Context(), web, refs))
	if batches, alone := f.Calls("secretsmanager:BatchGetSecretValue"), f.Calls("secretsmanager:GetSecretValue"); batches != 2 || alone != 0 {
		t.Errorf("%d pages and %d single reads, want 2 and 0", batches, alone)
	}
}

func TestNamesAndARNsOfOneSecretInOneBatchAllGetTheirAnswer(t *testing.T) {
	f := newFixture(t)
	s, web := f.open(t, nil), f.pod(t, "prod/web")
	_, arn := f.PutSecret(ireland, "s", "s")
	other := store.Reference{Key: "s", Options: map[string]any{"failover": map[string]any{"key": "x"}}}
	for _, result := range s.ReadBatch(t.Context(), web, []store.Reference{{Key: "s"}, {Key: arn}, {Key: strings.TrimSuffix(arn, "-AbCdEf")}, other}) {
		if result.Err != nil || result.Value.Data.RevealString() != "s" {
			t.Errorf("%v, %q", result.Err, result.Value.Data.RevealString())
		}
	}
	if n := f.Calls("secretsmanager:GetSecretValue"); n != 0 {
		t.Errorf("%d single reads", n)
	}
}

func TestARoleWithoutTheRightToBatchesReadsEachAlone(t *testing.T) {
	f := newFixture(t)
	f.PutRole("web", awstest.Role{Accounts: []string{"prod/web"}, Reads: []string{"*"}, Without: []string{"secretsmanager:BatchGetSecretValue"}})
	s, web := f.open(t, nil), f.pod(t, "prod/web")
	refs := twenty(f, 1)
	wantAll(t, refs, s.ReadBatch(t.Context(), web, refs))
	if size := s.BatchSize(web, refs[0]); size != 1 {
		t.Errorf("after the refusal a batch takes %d, want 1", size)
	}
	if size := s.BatchSize(f.pod(t, "prod/api"), refs[0]); size != 20 {
		t.Errorf("another identity's batch takes %d, want 20", size)
	}
}

// Each secret is then read by itself, from the region that answers.
func TestARoleWithoutTheRightToBatchesFailsOver(t *testing.T) {
	f := newFixture(t)
	f.PutRole("web", awstest.Role{Accounts: []string{"prod/web"}, Reads: []string{"*"}, Without: []string{"secretsmanager:BatchGetSecretValue"}})
	s, web := f.open(t, twoRegions), f.pod(t, "prod/web")
	refs := twenty(f, 1)
	for _, ref := range refs {
		f.PutSecret(frankfurt, ref.Key, ref.Key)
	}
	f.Add(awstest.Fault{Region: ireland, Drop: true})
	wantAll(t, refs, s.ReadBatch(t.Context(), web, refs))
	if size := s.BatchSize(web, refs[0]); size != 1 {
		t.Errorf("after the refusal a batch takes %d, want 1", size)
	}
	if n := f.CallsIn(frankfurt, "secretsmanager:GetSecretValue"); n != len(refs) {
		t.Errorf("%d single reads in the second region, want %d", n, len(refs))
	}
}

// Batches do not reach secrets of another account; single reads do.
func TestASecretOfAnotherAccountIsReadByItself(t *testing.T) {
	f := newFixture(t)
	s, web := f.open(t, nil), f.pod(t, "prod/web")
	f.PutSecret(ireland, "own", "own")
	shared := f.PutOthersSecret(ireland, "444455556666", "shared", "another account's")
	missing := "arn:aws:secretsmanager:eu-west-1:444455556666:secret:none-AbCdEf"
	refs := []store.Reference{{Key: "own"}, {Key: shared}, {Key: missing}}
	results := s.ReadBatch(t.Context(), web, refs)
	for i, want := range []string{"own", "another account's"} {
		if got := results[i].Value.Data.RevealString(); results[i].Err != nil || got != want {
			t.Errorf("%s: %q, %v; want %q", refs[i].Key, got, results[i].Err, want)
		}
	}
	wantFailure(t, results[2].Err, fault.ErrNotFound, "none-AbCdEf in eu-west-1")
	if batches, alone := f.Calls("secretsmanager:BatchGetSecretValue"), f.Calls("secretsmanager:GetSecretValue"); batches != 1 || alone != 2 {
		t.Errorf("%d batches and %d single reads, want 1 and 2", batches, alone)
	}
	// What was found out is known for a while.
	for i, want := range []int{20, 1, 20} {
		if size := s.BatchSize(web, refs[i]); size != want {
			t.Errorf("a batch with %s takes %d, want %d", refs[i].Key, size, want)
		}
	}
}

func TestEachFailureOfABatchIsToldByItself(t *testing.T) {
	f := newFixture(t)
	f.PutRole("web", awstest.Role{Accounts: []string{"prod/web"}, Reads: []string{"s*", "gone"}})
	s, web := f.open(t, nil), f.pod(t, "prod/web")
	f.PutSecret(ireland, "s", "s")
	f.PutSecret(ireland, "s-deleted", "x")
	f.DeleteSecret(ireland, "s-deleted", false)
	f.PutSecret(ireland, "others", "x")
	results := s.ReadBatch(t.Context(), web, []store.Reference{{Key: "s"}, {Key: "gone"}, {Key: "s-deleted"}, {Key: "others"}})
	if results[0].Err != nil || results[0].Value.Data.RevealString() != "s" {
		t.Errorf("s: %v", results[0].Err)
	}
	wantFailure(t, results[1].Err, fault.ErrNotFound, "gone in eu-west-1")
	wantFailure(t, results[2].Err, fault.ErrNotFound, "s-deleted", "restore")
	wantFailure(t, results[3].Err, fault.ErrDenied, "others", "secretsmanager:GetSecretValue")
	if n := f.Calls("secretsmanager:GetSecretValue"); n != 0 {
		t.Errorf("%d single reads", n)
	}
}

func TestABatchIsReadFromTheNextRegion(t *testing.T) {
	f := newFixture(t)
	s, web := f.open(t, twoRegions), f.pod(t, "prod/web")
	refs := twenty(f, 1)
	for _, ref := range refs {
		f.PutSecret(frankfurt, ref.Key, ref.Key)
	}
	f.Add(awstest.Fault{Region: ireland, Drop: true})
	wantAll(t, refs, s.ReadBatch(t.Context(), web, refs))
	if n := f.CallsIn(frankfurt, "secretsmanager:BatchGetSecretValue"); n != 1 {
		t.Errorf("%d batches in the second region, want 1", n)
	}
}
