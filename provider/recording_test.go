package provider_test

import (
	"context"

	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/store"
	"github.com/lanyardhq/lanyard/provider/store/storetest"
)

// recording is a store in memory that tells as whom it is read.
type recording struct {
	*storetest.Memory
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
