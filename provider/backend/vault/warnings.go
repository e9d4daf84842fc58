package vault

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	"k8s.io/klog/v2"

	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/provider/backend/remote"
	"github.com/lanyardhq/lanyard/provider/secret"
)

const (
	// maxWarnings bounds those of one answer, and maxWarningBytes the text of one.
	maxWarnings     = 4
	maxWarningBytes = 4 << 10
	// maxSearched is the largest answer whose values are looked for in its warnings. Those
	// of a larger one are not shown.
	maxSearched = 64 << 10
	// minValueBytes is the size from which text of an answer is taken for a value that
	// no warning may show.
	minValueBytes = 4
	// warnAgain is how long a warning is not repeated, and maxWarned how many different
	// ones are logged in that time.
	warnAgain = time.Hour
	maxWarned = 256
)

// Warnings are what Vault warns of in an answer that it gives all the same: printable,
// bounded, and without what was sent and what the answer holds.
func (r *Response) Warnings() []string {
	if r.Answer == nil {
		return nil
	}
	var warnings []string
	var values []secret.Bytes
	for i, text := range r.Answer.Warnings {
		switch i {
		case 0:
			if len(r.Answer.Data) > maxSearched {
				return []string{fmt.Sprintf("%d texts, not shown beside an answer of %d bytes", len(r.Answer.Warnings), len(r.Answer.Data))}
			}
			values = slices.Concat(r.sent, valuesOf(r.Answer.Data))
		case maxWarnings:
			return append(warnings, fmt.Sprintf("and %d more", len(r.Answer.Warnings)-i))
		}
		if len(text) > maxWarningBytes {
			text = fmt.Sprintf("a text of %d bytes", len(text))
		}
		if text = message.Excerpt(remote.Redact(text, values...)); text != "" {
			warnings = append(warnings, text)
		}
	}
	return warnings
}

// valuesOf are the texts and numbers in data that may be secret.
func valuesOf(data json.RawMessage) (values []secret.Bytes) {
	var root any
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	if decoder.Decode(&root) != nil {
		return nil
	}
	var walk func(any)
	walk = func(at any) {
		switch at := at.(type) {
		case map[string]any:
			for _, below := range at {
				walk(below)
			}
		case []any:
			for _, below := range at {
				walk(below)
			}
		case string, json.Number:
			if text := fmt.Sprint(at); len(text) >= minValueBytes {
				values = append(values, secret.NewString(text))
			}
		}
	}
	walk(root)
	return values
}

// warned are the warnings that were logged lately. Those of servers that classes chose
// have a share of their own, so that they cannot use up the operator's.
type warned struct {
	mu   sync.Mutex
	last [2]map[string]time.Time
}

// first says whether the warning was not logged lately, and may be now.
func (w *warned) first(warning string, byClass bool, now time.Time) bool {
	share := 0
	if byClass {
		share = 1
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.last[share] == nil {
		w.last[share] = map[string]time.Time{}
	}
	for text, at := range w.last[share] {
		if now.Sub(at) >= warnAgain {
			delete(w.last[share], text)
		}
	}
	if _, known := w.last[share][warning]; known || len(w.last[share]) >= maxWarned {
		return false
	}
	w.last[share][warning] = now
	return true
}

// Warn logs what Vault warns of in the answer to the request that what names, each text
// once in a while for each store.
func (c *Connection) Warn(what string, resp *Response) {
	for _, text := range resp.Warnings() {
		server := message.Printable(c.client.address.Host)
		if c.warned.first(server+" "+c.client.namespace+" "+text, resp.from.Host != "", c.now()) {
			klog.InfoS("Vault warns", "address", server, "request", what, "warning", text)
		}
	}
}
