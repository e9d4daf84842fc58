package sealed

import (
	"context"
	"errors"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"

	"github.com/lanyardhq/lanyard/internal/proxy"
	"github.com/lanyardhq/lanyard/internal/strict"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/key"
	"github.com/lanyardhq/lanyard/provider/secret"
)

// The placeholders of settings: one configuration gives each namespace its own role
// or key. Their values are letters, digits, dashes and dots only.
const (
	namespacePlaceholder = "{namespace}"
	accountPlaceholder   = "{serviceAccount}"
)

// maxWorkloads is the maximum number of workloads whose keys, with their logins, stay
// open between calls. A node runs some hundred pods.
const maxWorkloads = 1024

// openService opens the key: one for all workloads or, with placeholders, one for
// each.
func openService(types []key.Type, service map[string]any, via proxy.Settings, at string) (key.Key, strict.Problems) {
	if !hasPlaceholder(service) {
		return key.Open(types, service, via, at)
	}
	k := &workloadKey{types: types, service: service, via: via, opened: map[workload]*workloadEntry{}}
	// A problem of the settings affects every workload.
	sample, problems := key.Open(types, k.settingsOf(workload{namespace: "default", account: "default"}), via, at)
	if len(problems) > 0 {
		return nil, problems
	}
	k.name = sample.Name()
	user, knows := sample.(key.NodeUser)
	forNode := knows && user.UsesNode()
	sample.Close()
	if forNode {
		return nil, strict.Problems{{Field: at, Text: "has a placeholder for the pod's namespace or service account, but logs in as the node or reads the node's files; use settings that log in as the pod"}}
	}
	return k, nil
}

// workload holds the values of the placeholders.
type workload struct{ namespace, account string }

// workloadKey is a key.Key for pods whose settings depend on the workload.
type workloadKey struct {
	types   []key.Type
	service map[string]any
	via     proxy.Settings
	name    string

	mu     sync.Mutex
	opened map[workload]*workloadEntry
	calls  uint64 // so far, to tell which key was used last
}

// workloadEntry is the key of one workload, guarded by the workloadKey's mu.
type workloadEntry struct {
	key.Key
	users int    // calls under way
	used  uint64 // the number of the call that used it last
}

// Name implements key.Key: the name for the service account default.
func (k *workloadKey) Name() string { return k.name }

// Encrypt implements key.Key.
func (k *workloadKey) Encrypt(ctx context.Context, as identity.Identity, plaintext secret.Bytes, bound key.Context) (key.Ciphertext, error) {
	own, release, err := k.acquire(as)
	if err != nil {
		return key.Ciphertext{}, err
	}
	defer release()
	return own.Encrypt(ctx, as, plaintext, bound)
}

// Decrypt implements key.Key.
func (k *workloadKey) Decrypt(ctx context.Context, as identity.Identity, ciphertext key.Ciphertext, bound key.Context) (secret.Bytes, error) {
	own, release, err := k.acquire(as)
	if err != nil {
		return secret.Bytes{}, err
	}
	defer release()
	return own.Decrypt(ctx, as, ciphertext, bound)
}

// Current implements key.Key.
func (k *workloadKey) Current(ctx context.Context, as identity.Identity) (string, error) {
	own, release, err := k.acquire(as)
	if err != nil {
		return "", err
	}
	defer release()
	return own.Current(ctx, as)
}

// Close implements key.Key.
func (k *workloadKey) Close() {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, own := range k.opened {
		own.Close()
	}
	clear(k.opened)
}

// acquire returns the workload's key, which it opens on first use. The key stays open
// until release, and afterwards while there is room.
func (k *workloadKey) acquire(as identity.Identity) (own key.Key, release func(), err error) {
	who := workload{as.Namespace, as.ServiceAccount}
	if who.namespace == "" || who.account == "" || strings.ContainsFunc(who.namespace+who.account, notNameText) {
		return nil, nil, fault.Fail(fault.ErrDenied, errors.New("the key is for pods, by their namespace and service account"))
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	found := k.opened[who]
	if found == nil {
		made, problems := key.Open(k.types, k.settingsOf(who), k.via, "service")
		if len(problems) > 0 {
			return nil, nil, fault.Fail(fault.ErrInvalid, problems)
		}
		k.makeRoom()
		found = &workloadEntry{Key: made}
		k.opened[who] = found
	}
	k.calls++
	found.users, found.used = found.users+1, k.calls
	return found.Key, func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		found.users--
	}, nil
}

// makeRoom closes the least recently used key if there are too many and it is idle.
// k.mu is held.
func (k *workloadKey) makeRoom() {
	if len(k.opened) < maxWorkloads {
		return
	}
	var oldest workload
	for who, own := range k.opened {
		if own.users == 0 && (k.opened[oldest] == nil || own.used < k.opened[oldest].used) {
			oldest = who
		}
	}
	if own := k.opened[oldest]; own != nil {
		own.Close()
		delete(k.opened, oldest)
	}
}

// notNameText matches runes outside names of namespaces and service accounts.
func notNameText(r rune) bool {
	return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' && r != '.'
}

// settingsOf replaces the placeholders in the settings.
func (k *workloadKey) settingsOf(who workload) map[string]any {
	replaced := strings.NewReplacer(namespacePlaceholder, who.namespace, accountPlaceholder, who.account)
	return replaceIn(k.service, replaced).(map[string]any) //nolint:forcetypeassert // a map stays one
}

// replaceIn returns a copy of settings with every text replaced.
func replaceIn(value any, replacer *strings.Replacer) any {
	switch value := value.(type) {
	case string:
		return replacer.Replace(value)
	case map[string]any:
		replaced := maps.Clone(value)
		for name, field := range replaced {
			replaced[name] = replaceIn(field, replacer)
		}
		return replaced
	case []any:
		replaced := slices.Clone(value)
		for i, item := range replaced {
			replaced[i] = replaceIn(item, replacer)
		}
		return replaced
	}
	return value
}

// hasPlaceholder reports whether any text of the settings has one.
func hasPlaceholder(settings map[string]any) bool {
	without := replaceIn(settings, strings.NewReplacer(namespacePlaceholder, "", accountPlaceholder, ""))
	return !reflect.DeepEqual(without, any(settings))
}
