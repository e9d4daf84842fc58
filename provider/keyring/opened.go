package keyring

import (
	"maps"
	"reflect"
	"sync"

	"github.com/lanyardhq/lanyard/provider/key"
)

// opened is an open key. Rings that follow each other share it as long as its
// settings stay the same, so that logins and connections are kept; calls hold
// it too, so that it is closed under nobody's hands.
type opened struct {
	key      key.Key
	settings map[string]any

	mu    sync.Mutex
	users int // rings and calls
}

func newOpened(k key.Key, settings map[string]any) *opened {
	return &opened{key: k, settings: maps.Clone(settings), users: 1}
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

// opens says whether the settings are those that the key was opened with.
func (o *opened) opens(settings map[string]any) bool { return reflect.DeepEqual(o.settings, settings) }
