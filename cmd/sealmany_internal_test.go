package cmd

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lanyardhq/lanyard/provider/seal"
	"github.com/lanyardhq/lanyard/provider/seal/source"
	"github.com/lanyardhq/lanyard/provider/secret"
)

func valuesOf(n int) ([]source.Value, []seal.Scope) {
	values := make([]source.Value, n)
	for i := range values {
		values[i] = source.Value{Line: i + 1, Data: secret.NewString(fmt.Sprint("v", i))}
	}
	return values, make([]seal.Scope, n)
}

func TestManyValuesAreSealedAFewAtATimeInOrder(t *testing.T) {
	values, scopes := valuesOf(100)
	var together sync.WaitGroup
	together.Add(sealsAtOnce)
	var calls, inFlight, most atomic.Int64
	texts, _, err := sealAll(values, scopes, func(_ seal.Scope, value secret.Bytes) (string, error) {
		if n := inFlight.Add(1); n > most.Load() {
			most.Store(n)
		}
		defer inFlight.Add(-1)
		if calls.Add(1) <= sealsAtOnce {
			together.Done()
			together.Wait() // ends only if so many are in flight at once
		}
		return "sealed " + value.RevealString(), nil
	})
	if err != nil || most.Load() != sealsAtOnce {
		t.Errorf("%d at once, %v", most.Load(), err)
	}
	for i, text := range texts {
		if want := fmt.Sprint("sealed v", i); text != want {
			t.Errorf("value %d is %q, want %q", i, text, want)
		}
	}
}

func TestAfterAFailureNoMoreValuesAreSealed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		values, scopes := valuesOf(1000)
		var calls atomic.Int64
		failing := make(chan struct{})
		_, at, err := sealAll(values, scopes, func(_ seal.Scope, value secret.Bytes) (string, error) {
			calls.Add(1)
			if value.RevealString() == "v3" {
				close(failing)
				return "", errors.New("throttled")
			}
			<-failing
			time.Sleep(time.Second) // the bubble's clock moves once v3's error was noticed
			return "x", nil
		})
		// One more waits for a place while v3 fails, and takes v3's.
		if err == nil || at != 3 || calls.Load() > sealsAtOnce+1 {
			t.Errorf("%v at %d after %d calls", err, at, calls.Load())
		}
	})
}
