package remote

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/lanyardhq/lanyard/provider/share"
)

func TestAnAnswerToALoginTakesItsOwnMemory(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		size := 100 << 10
		if r.URL.Path == "/large" {
			size = maxLogin + 1
		}
		_, _ = io.WriteString(w, strings.Repeat("x", size))
	}))
	defer server.Close()
	calls := NewCalls(1)
	transport, release, err := NewTransports(Options{Calls: calls, MaxAnswer: 1 << 20}).Acquire(Route{})
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	ask := func(login bool, path string) (held int64, err error) {
		ctx := share.With(t.Context(), "prod")
		if login {
			ctx = ForLogin(t.Context(), "prod")
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := transport.Client("test").Do(req)
		if err != nil {
			return 0, err
		}
		defer resp.Body.Close()
		free := func() (units int64) {
			for probe, ok := calls.Answers.TryAcquire("prod", maxLogin); ok; probe, ok = calls.Answers.TryAcquire("prod", maxLogin) {
				defer probe.Release()
				units += maxLogin
			}
			return units
		}()
		_, err = io.ReadAll(resp.Body)
		return calls.Answers.Limit() - free, err
	}
	for name, test := range map[string]struct {
		login    bool
		path     string
		held     int64
		tooLarge bool
	}{
		"a read":         {false, "/", 0, false},
		"a large read":   {false, "/large", 0, false},
		"a login":        {true, "/", maxLogin, false},
		"a larger login": {true, "/large", maxLogin, true},
	} {
		t.Run(name, func(t *testing.T) {
			for range 2 { // the second after the first has given all back
				held, err := ask(test.login, test.path)
				var large *TooLargeError
				if errors.As(err, &large) != test.tooLarge || err != nil && !test.tooLarge || held != test.held {
					t.Errorf("%d bytes are held, error %v", held, err)
				}
			}
		})
	}

	// A login that gets no memory gives its slot back.
	all, _ := calls.Answers.TryAcquire("greedy", calls.Answers.Limit())
	defer all.Release()
	calls.Answers.SetLimits(share.Limits{Capacity: maxLogin - 1})
	if _, err := ask(true, "/"); !errors.Is(err, ErrNoSlot) {
		t.Errorf("error %v, want %v", err, ErrNoSlot)
	}
	if _, err := ask(false, "/"); err != nil {
		t.Error(err)
	}
}
