package kmsring

import (
	"maps"
	"reflect"
	"sync"

	"golang.org/x/sync/semaphore"

	"github.com/lanyardhq/lanyard/provider/key"
)

// opened is an open key. Rings that follow each other share it as long as its
// settings stay the same, so that logins and connections are kept; calls hold
// it too, so that it is closed under nobody's hands.
type opened struct {
	key      key.Key
	settings map[string]any
	nameOnly bool // the key can do nothing: it is retired
	// decrypts has a slot for each Decrypt that is in flight.
	decrypts *semaphore.Weighted

	mu    sync.Mutex
	users int // rings and calls
}

func newOpened(k key.Key, settings map[string]any, nameOnly bool) *opened {
	return &opened{key: k, settings: maps.Clone(settings), nameOnly: nameOnly, decrypts: semaphore.NewWeighted(maxDecrypts), users: 1}
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

// opens says whether the key is what these settings open.
func (o *opened) opens(settings map[string]any, nameOnly bool) bool {
	return o.nameOnly == nameOnly && reflect.DeepEqual(o.settings, settings)
}
