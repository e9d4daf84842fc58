package gcp

import (
	"time"

	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/provider/backend/remote"
	"github.com/lanyardhq/lanyard/provider/secret"
)

const (
	// The mean of the first pause before a retry, and the longest.
	firstPause = 150 * time.Millisecond
	maxPause   = 10 * time.Second
)

// Said is what Google gave as its reason, without the secrets that were sent;
// empty if it gave none.
func Said(text string, sent ...secret.Bytes) string {
	if text = remote.Redact(text, sent...); text == "" {
		return ""
	}
	return "; Google says: " + message.Excerpt(text)
}
