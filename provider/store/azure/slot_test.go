package azure_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/lanyardhq/lanyard/provider/backend/azure/azuretest"
	"github.com/lanyardhq/lanyard/provider/backend/remote"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/store/azure"
)

// Another tenant's calls may take all that one address is allowed, for longer
// than one call may take.
func TestWaitingForOtherCallsIsNotBlamedOnAzure(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.vault.Put("db", "hunter2")
	calls := remote.NewCalls(1)
	s, err := azure.NewType(azure.Options{Calls: calls}).Open(f.settings(map[string]any{"timeout": "1s", "retries": 0}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	f.text(s, db)
	release, err := calls.Acquire(t.Context(), f.azure.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Read(within(t, 1500*time.Millisecond), f.pod("prod/web"), db)
	if !errors.Is(err, fault.ErrUnavailable) || !errors.Is(err, remote.ErrNoSlot) || !strings.HasPrefix(err.Error(), "secrets/db: "+f.azure.Endpoint+": concurrency limit of 1 calls reached (bounds.storeCalls)") {
		t.Errorf("error %v", err)
	}
	release()
	f.text(s, db)
}

func TestACallThatTakesTooLongNamesTheSetting(t *testing.T) {
	for _, action := range []string{"get secrets", "token"} {
		t.Run(action, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			f.vault.Put("db", "hunter2")
			f.azure.Add(azuretest.Fault{Action: action, Delay: time.Minute})
			s := f.open(map[string]any{"timeout": "1s", "retries": 0})
			_, err := s.Read(within(t, 2*time.Minute), f.pod("prod/web"), db)
			if !errors.Is(err, fault.ErrUnavailable) || !strings.Contains(err.Error(), "did not answer in time; see the setting timeout") {
				t.Errorf("error %v", err)
			}
		})
	}
}
