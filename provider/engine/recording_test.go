package engine_test

import (
	"context"
	"fmt"
	"time"

	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/store"
)

// recording is a store in memory that tells as whom it is read.
type recording struct {
	*Memory
	seen chan<- identity.Identity
}

func (r recording) Open(settings store.Settings) (store.Store, error) {
	opened, err := r.Memory.Open(settings)
	return recordingStore{opened, r.seen}, err
}

type recordingStore struct {
	store.Store
	seen chan<- identity.Identity
}

func (r recordingStore) Read(ctx context.Context, as identity.Identity, ref store.Reference) (store.Value, error) {
	r.seen <- as
	return r.Store.Read(ctx, as, ref)
}

// needsToken is a store in memory that asks for a token before it reads.
type needsToken struct{ *Memory }

func (n needsToken) Open(settings store.Settings) (store.Store, error) {
	opened, err := n.Memory.Open(settings)
	return needsTokenStore{opened}, err
}

type needsTokenStore struct{ store.Store }

func (n needsTokenStore) Read(ctx context.Context, as identity.Identity, ref store.Reference) (store.Value, error) {
	if _, err := (identity.PodTokens{}).Token(ctx, as, "store"); err != nil {
		return store.Value{}, fmt.Errorf("%w: %w", fault.ErrUnauthenticated, err)
	}
	return n.Store.Read(ctx, as, ref)
}

// slowToClose is a store in memory that takes its time to close, as one does
// that gives back its login to a server that does not answer.
type slowToClose struct{ *Memory }

func (s slowToClose) Open(settings store.Settings) (store.Store, error) {
	opened, err := s.Memory.Open(settings)
	return slowToCloseStore{opened}, err
}

type slowToCloseStore struct{ store.Store }

func (s slowToCloseStore) Close() {
	time.Sleep(2 * time.Second)
	s.Store.Close()
}

// hangsToClose is a store in memory whose connections do not close for a while.
type hangsToClose struct {
	*Memory
	until <-chan struct{}
}

func (h *hangsToClose) Open(settings store.Settings) (store.Store, error) {
	opened, err := h.Memory.Open(settings)
	return hangingStore{opened, h.until}, err
}

type hangingStore struct {
	store.Store
	until <-chan struct{}
}

func (h hangingStore) Close() {
	<-h.until
	h.Store.Close()
}
