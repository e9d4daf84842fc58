package awssecrets_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/lanyardhq/lanyard/provider/backend/aws"
	"github.com/lanyardhq/lanyard/provider/backend/aws/awstest"
	"github.com/lanyardhq/lanyard/provider/backend/remote"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/store"
	"github.com/lanyardhq/lanyard/provider/store/awssecrets"
)

// Another tenant's calls may take all that one address is allowed, for longer
// than one call may take.
func TestWaitingForOtherCallsIsNotBlamedOnAWS(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	calls := remote.NewCalls(1)
	platform := aws.New(aws.Options{Calls: calls})
	t.Cleanup(platform.Close)
	f.typ = awssecrets.NewType(platform)
	s, web := f.open(t, func(fields, _ map[string]any) { fields["timeout"], fields["retries"] = "1s", 0 }), f.pod(t, "prod/web")
	f.PutSecret(ireland, "db", "v")
	mustRead(t, s, web, store.Reference{Key: "db"})
	release, err := calls.Acquire(t.Context(), strings.TrimPrefix(f.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
	defer cancel()
	_, err = s.Read(ctx, web, store.Reference{Key: "db"})
	wantFailure(t, err, fault.ErrUnavailable, "GetSecretValue db in eu-west-1: "+strings.TrimPrefix(f.URL, "http://")+": concurrency limit of 1 calls reached (bounds.storeCalls)")
	if !errors.Is(err, remote.ErrNoSlot) {
		t.Errorf("error %v does not wrap ErrNoSlot", err)
	}
	release()
	mustRead(t, s, web, store.Reference{Key: "db"})

	f.Add(awstest.Fault{Delay: time.Hour})
	_, err = s.Read(t.Context(), web, store.Reference{Key: "db"})
	wantFailure(t, err, fault.ErrUnavailable, "did not answer in time")
}
