package gcp

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/lanyardhq/lanyard/provider/backend/remote"
	"github.com/lanyardhq/lanyard/provider/fault"
)

// Another tenant's calls may take all that one address is allowed, for longer
// than one call may take.
func TestWaitingForOtherCallsIsNotBlamedOnGoogle(t *testing.T) {
	calls := remote.NewCalls(1)
	link, giveBack, err := NewLinks("google", &Options{Calls: calls}).Acquire(Way{})
	if err != nil {
		t.Fatal(err)
	}
	defer giveBack()
	conn, err := link.Connect("https://secretmanager.example.com", remote.Network{}, MaxAnswerBytes)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	s := &Login{LoginOptions: LoginOptions{Link: link, Timeout: 20 * time.Millisecond}}
	for name, test := range map[string]struct {
		address string
		make    func(context.Context) error
	}{
		"a login": {"sts.example.com", func(ctx context.Context) error {
			return s.call(ctx, callOf{what: "what is asked"}, func(ctx context.Context, client *http.Client) error {
				req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://sts.example.com/v1/token", http.NoBody)
				if err != nil {
					return err
				}
				return sendJSON(client, req, nil)
			})
		}},
		"a call": {"secretmanager.example.com", func(ctx context.Context) error {
			return conn.Call(ctx, Request{
				Resource: "what is asked", Timeout: 20 * time.Millisecond,
				Do: func(context.Context) error { return errors.New("it was made") },
			})
		}},
	} {
		t.Run(name, func(t *testing.T) {
			release, err := calls.Acquire(t.Context(), test.address+":443")
			if err != nil {
				t.Fatal(err)
			}
			defer release()
			ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
			defer cancel()
			err = test.make(ctx)
			if !errors.Is(err, fault.ErrUnavailable) || !errors.Is(err, remote.ErrNoSlot) || !strings.HasPrefix(err.Error(), "what is asked: "+test.address+":443: concurrency limit of 1 calls reached") {
				t.Errorf("error %v", err)
			}
		})
	}
}
