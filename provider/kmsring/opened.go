package kmsring

import (
	"maps"
	"reflect"
	"sync"

	"golang.org/x/sync/semaphore"

	"github.com/lanyardhq/lanyard/internal/proxy"
	"github.com/lanyardhq/lanyard/provider/key"
)

// opened is a reference-counted open key. Consecutive rings with equal settings share
// it, which keeps logins and connections; calls hold a reference too.
type opened struct {
	key      key.Key
	settings map[string]any
	via      proxy.Settings
	nameOnly bool // the key can do nothing: it is retired
	// decrypts is a semaphore of the Decrypt calls in flight.
	decrypts *semaphore.Weighted

	mu    sync.Mutex
	users int // rings and calls
}

func newOpened(k key.Key, settings map[string]any, via proxy.Settings, nameOnly bool) *opened {
	return &opened{key: k, settings: maps.Clone(settings), via: via, nameOnly: nameOnly, decrypts: semaphore.NewWeighted(maxDecrypts), users: 1}
}

func (o *opened) retain() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.users++
}

func (o *opened) release() {
	o.mu.Lock()
	o.users--
	last := o.users == 0
	o.mu.Unlock()
	if last {
		o.key.Close()
	}
}

// opens reports whether the key has these settings and goes through this proxy.
func (o *opened) opens(settings map[string]any, via proxy.Settings, nameOnly bool) bool {
	return o.nameOnly == nameOnly && (nameOnly || o.via == via) && reflect.DeepEqual(o.settings, settings)
}
