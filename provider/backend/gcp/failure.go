package gcp

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/secret"
)

const (
	// maxQuoted bounds the text of Google's own that goes into an error, in bytes.
	maxQuoted = 400
	// firstWait is about how long the first repetition of a call waits; each
	// further one waits twice as long. longestWait bounds what a server may
	// ask for.
	firstWait   = 150 * time.Millisecond
	longestWait = 10 * time.Second
)

// fail is an error of one of package fault's kinds.
func fail(kind error, format string, args ...any) error {
	return fault.Fail(kind, fmt.Errorf(format, args...))
}

// Printable makes text that others wrote safe and short enough for an error.
func Printable(text string) string {
	if len(text) > maxQuoted {
		text = strings.ToValidUTF8(text[:maxQuoted], "") + "…"
	}
	quoted := fmt.Sprintf("%q", strings.Join(strings.Fields(text), " "))
	return strings.NewReplacer(`\"`, `"`, `\\`, `\`).Replace(quoted[1 : len(quoted)-1])
}

// Said is what Google gave as its reason, without the secrets that were sent;
// empty if it gave none.
func Said(text string, sent ...secret.Bytes) string {
	if text = redacted(text, sent...); text == "" {
		return ""
	}
	return "; Google says: " + Printable(text)
}

// redacted is text without the secrets that were sent.
func redacted(text string, sent ...secret.Bytes) string {
	for _, s := range sent {
		if s.Len() > 0 {
			text = strings.ReplaceAll(text, s.RevealString(), secret.Redacted)
		}
	}
	return text
}

// TLSRemedy says which setting is about a failed handshake.
func TLSRemedy(text string) string {
	switch {
	case strings.Contains(text, "certificate signed by unknown authority"):
		return "; if a proxy or a private endpoint has a certificate of your own authority, give that in tls.caCert"
	case strings.Contains(text, "first record does not look like a TLS handshake"):
		return "; the server does not speak TLS on this port"
	}
	return ""
}

// wait waits before another try, and is false if there is no time for it.
func wait(ctx context.Context, try int, asked time.Duration) bool {
	backoff := firstWait << try
	delay := max(asked, backoff/2+rand.N(backoff))
	if deadline, ok := ctx.Deadline(); delay > longestWait || ok && time.Until(deadline) <= delay {
		return false
	}
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
