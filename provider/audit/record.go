// Package audit keeps the trail of who read what and when. Everything that reads a store,
// gives out values or uses a key makes a Record of it; a Log writes the records, one JSON
// object on each line, to a file, to standard output and to a webhook. A record has names,
// times and outcomes, and no value, token, key or ciphertext.
//
// With a key the records are a chain: each has a number, the hash of the one before and a
// keyed hash of its own, so that Verify finds the first that is missing or was changed.
//
// Start with New and Log.Record.
package audit

import (
	"encoding/json"
	"strconv"
	"time"
	"unicode"
	"unicode/utf8"
)

// Event is what was done.
type Event string

// The events.
const (
	// Login is one login at a store or a key service.
	Login Event = "login"
	// Probe is the first trial of a key by the KMS plugin, and each whose result is another
	// than that before.
	Probe Event = "probe"
	// Read is one secret read at a store.
	Read Event = "read"
	// Renew is one lease renewed at a store.
	Renew Event = "renew"
	// Delivery is one volume given to a pod, or refused.
	Delivery Event = "delivery"
	// SecretWrite and SecretRemove are a Secret that the sync controller wrote or removed.
	SecretWrite  Event = "secret-write"
	SecretRemove Event = "secret-remove"
	// Encrypt and Decrypt are calls of the API server to the KMS plugin.
	Encrypt Event = "encrypt"
	Decrypt Event = "decrypt"
	// Seal, Unseal and Reseal are one value that a command sealed, opened or sealed again.
	Seal   Event = "seal"
	Unseal Event = "unseal"
	Reseal Event = "reseal"
	// Lost stands where records before it could not be written.
	Lost Event = "lost"
)

// OK is the Result of what was done; other results are the words of package fault.
const OK = "ok"

// Record is one line of the trail. What is empty is left out of it. Names are as others
// chose them; what is not printable in them is escaped.
type Record struct {
	// Time is when it was done, in UTC with microseconds.
	Time time.Time `json:"time"`
	// Event is what was done.
	Event Event `json:"event"`
	// Result is ok, or the kind of failure: invalid, not_found, unauthenticated, denied,
	// unavailable, internal. For lost it is what lost the records: file, or queue.
	Result string `json:"result"`
	// Node is the node, or the machine of a command.
	Node string `json:"node,omitempty"`
	// Cluster is the name of the cluster in the configuration, or in a scope.
	Cluster string `json:"cluster,omitempty"`
	// Namespace, ServiceAccount, Pod and PodUID are for whom it was done. For a read they are
	// the pod whose mount read; others of its service account may share the value. Synced
	// Secrets have no Pod, and the UID of the object that they belong to. For seal, unseal
	// and reseal they are the scope.
	Namespace      string `json:"namespace,omitempty"`
	ServiceAccount string `json:"serviceAccount,omitempty"`
	Pod            string `json:"pod,omitempty"`
	PodUID         string `json:"podUID,omitempty"`
	// User is who ran a command, as the operating system calls them, with their number.
	User string `json:"user,omitempty"`
	// Class is the SecretProviderClass, or the kind and name of the object that the Secret
	// is synced for.
	Class string `json:"class,omitempty"`
	// Dialect is the provider that the class names.
	Dialect string `json:"dialect,omitempty"`
	// Store is what the class calls the store, and StoreType its kind.
	Store     string `json:"store,omitempty"`
	StoreType string `json:"storeType,omitempty"`
	// Method is how a login is made: the auth.method of the store, or of the key.
	Method string `json:"method,omitempty"`
	// Key is the key at the store; for encrypt, decrypt and probe the name of the key in the ring.
	// A sealed value has none.
	Key string `json:"key,omitempty"`
	// Version is the version that the class asks for, and StoreVersion the one that the
	// store answered with.
	Version      string `json:"version,omitempty"`
	StoreVersion string `json:"storeVersion,omitempty"`
	// KeyID is the ID of the key that encrypted or sealed.
	KeyID string `json:"keyID,omitempty"`
	// UID is that of the API server's request, which its own log has.
	UID string `json:"uid,omitempty"`
	// Object is the object of a sealed value's scope.
	Object string `json:"object,omitempty"`
	// Secret is the Secret that was written or removed, and Change what that was: created,
	// changed, same or removed.
	Secret string `json:"secret,omitempty"`
	Change string `json:"change,omitempty"`
	// File is the file of a command.
	File string `json:"file,omitempty"`
	// Count is how many records were lost, First and Last their numbers in the chain.
	Count uint64 `json:"count,omitempty"`
	First uint64 `json:"first,omitempty"`
	Last  uint64 `json:"last,omitempty"`
	// Cause is why it failed, as the pod's event tells it.
	Cause string `json:"cause,omitempty"`
	// Objects are what a delivery consists of, in the class's order: see Object.
	Objects Objects `json:"objects,omitempty"`
	// Seq is the record's number, Prev the hash of the record before it, and Hash its own:
	// an HMAC-SHA256, in hexadecimal digits, of the line up to the comma before the field
	// hash. Only a chain has them.
	Seq  uint64 `json:"seq,omitempty"`
	Prev string `json:"prev,omitempty"`
	Hash string `json:"hash,omitempty"`
}

// Object is one object of a delivery.
type Object struct {
	// Object is the object's path, or its name if it has no path.
	Object string `json:"object"`
	// Store, Key, Version and StoreVersion are as in Record. A template has none of them.
	Store        string `json:"store,omitempty"`
	Key          string `json:"key,omitempty"`
	Version      string `json:"version,omitempty"`
	StoreVersion string `json:"storeVersion,omitempty"`
	// FileVersion is the version that the pod's status shows, where the store tells none.
	FileVersion string `json:"fileVersion,omitempty"`
	// From is store if this mount read the value, cache if it was in memory or another
	// mount read it, template for what is made of other objects, and absent for an optional
	// object without a value.
	From string `json:"from"`
}

// The values of Object.From.
const (
	FromStore    = "store"
	FromCache    = "cache"
	FromTemplate = "template"
	FromAbsent   = "absent"
)

// Objects are the objects of a delivery as JSON, made once for many records.
type Objects = json.RawMessage

// ObjectsOf makes Objects.
func ObjectsOf(all []Object) Objects {
	const each = 160
	line := make([]byte, 0, 2+each*len(all))
	line = append(line, '[')
	for i := range all {
		if i > 0 {
			line = append(line, ',')
		}
		o := &all[i]
		line = append(line, '{')
		line = field(line, "object", o.Object)
		line = field(line, "store", o.Store)
		line = field(line, "key", o.Key)
		line = field(line, "version", o.Version)
		line = field(line, "storeVersion", o.StoreVersion)
		line = field(line, "fileVersion", o.FileVersion)
		line = field(line, "from", o.From)
		line = append(line, '}')
	}
	return append(line, ']')
}

// appendTime adds a time in RFC 3339 with as many digits in each record, so that lines sort
// by time. AppendFormat is fast with the layout without digits.
func appendTime(line []byte, t time.Time) []byte {
	t = t.UTC()
	line = t.AppendFormat(line, time.RFC3339)
	line[len(line)-1] = '.' // in place of the Z
	for micros, unit := t.Nanosecond()/1000, 100_000; unit > 0; unit /= 10 {
		line = append(line, byte('0'+micros/unit%10))
	}
	return append(line, 'Z')
}

// head adds the front of the record's line of JSON: neither its objects, nor the fields of
// the chain, the bracket and the newline. It is json.Marshal without reflection.
func (r *Record) head(line []byte) []byte {
	line = append(line, `{"time":"`...)
	line = append(appendTime(line, r.Time), '"')
	line = field(line, "event", string(r.Event))
	line = field(line, "result", r.Result)
	line = field(line, "node", r.Node)
	line = field(line, "cluster", r.Cluster)
	line = field(line, "namespace", r.Namespace)
	line = field(line, "serviceAccount", r.ServiceAccount)
	line = field(line, "pod", r.Pod)
	line = field(line, "podUID", r.PodUID)
	line = field(line, "user", r.User)
	line = field(line, "class", r.Class)
	line = field(line, "dialect", r.Dialect)
	line = field(line, "store", r.Store)
	line = field(line, "storeType", r.StoreType)
	line = field(line, "method", r.Method)
	line = field(line, "key", r.Key)
	line = field(line, "version", r.Version)
	line = field(line, "storeVersion", r.StoreVersion)
	line = field(line, "keyID", r.KeyID)
	line = field(line, "uid", r.UID)
	line = field(line, "object", r.Object)
	line = field(line, "secret", r.Secret)
	line = field(line, "change", r.Change)
	line = field(line, "file", r.File)
	line = number(line, "count", r.Count)
	line = number(line, "first", r.First)
	line = number(line, "last", r.Last)
	return field(line, "cause", r.Cause)
}

// number adds a field unless it is zero.
func number(line []byte, name string, value uint64) []byte {
	if value == 0 {
		return line
	}
	return strconv.AppendUint(append(append(append(line, `,"`...), name...), `":`...), value, 10)
}

// field adds a field unless it is empty.
func field(line []byte, name, value string) []byte {
	if value == "" {
		return line
	}
	if line[len(line)-1] != '{' {
		line = append(line, ',')
	}
	line = append(append(append(line, '"'), name...), `":"`...)
	return append(escape(line, value), '"')
}

// escape adds a text in which everything that is not printable is escaped as JSON has it.
func escape(line []byte, text string) []byte {
	plain := 0 // where what needs no escape began
	for i := 0; i < len(text); {
		c := text[i]
		if c >= ' ' && c < utf8.RuneSelf && c != '"' && c != '\\' && c != 0x7f {
			i++
			continue
		}
		r, size := utf8.DecodeRuneInString(text[i:])
		if r >= utf8.RuneSelf && r != utf8.RuneError && unicode.IsPrint(r) {
			i += size
			continue
		}
		line = append(line, text[plain:i]...)
		switch {
		case c == '"' || c == '\\':
			line = append(line, '\\', c)
		case r > 0xffff: // as a pair of surrogates
			r -= 0x10000
			line = unit(unit(line, 0xd800+(r>>10)), 0xdc00+(r&0x3ff))
		default:
			line = unit(line, r)
		}
		i += size
		plain = i
	}
	return append(line, text[plain:]...)
}

// unit adds one unit of UTF-16 as an escape.
func unit(line []byte, r rune) []byte {
	const digits = "0123456789abcdef"
	return append(line, '\\', 'u', digits[r>>12&15], digits[r>>8&15], digits[r>>4&15], digits[r&15])
}
