package remote

import "context"

// storeKey is the context's key for the name of WithStore.
type storeKey struct{}

// WithStore gives the calls that are made with ctx the name of a store, for who
// observes them.
func WithStore(ctx context.Context, name string) context.Context {
	return context.WithValue(ctx, storeKey{}, name)
}

// StoreOf is the name that WithStore gave; empty for a call that is made for several
// stores, such as a login that they share.
func StoreOf(ctx context.Context) string {
	name, _ := ctx.Value(storeKey{}).(string)
	return name
}
