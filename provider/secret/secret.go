// Package secret holds bytes that must never be printed: values, tokens and
// private keys. A Bytes redacts itself under every fmt verb, in JSON, YAML,
// text and in slog, so that a value that reaches a log line or an error by
// accident shows nothing. The plain bytes are had by Reveal alone, which makes
// every place that uses them easy to find.
package secret

import (
	"fmt"
	"log/slog"
)

// Redacted stands wherever a Bytes is printed.
const Redacted = "[redacted]"

// Bytes is a value, a token or a key. The zero Bytes is empty.
//
// The bytes lie behind two pointers because fmt prints unexported fields, and
// anything under %p or a verb that does not fit, without asking the type. It
// follows one pointer at most, so that what it shows is an address.
type Bytes struct{ plain **[]byte }

// New wraps b, which the caller must not change afterwards.
func New(b []byte) Bytes {
	plain := &b
	return Bytes{plain: &plain}
}

// NewString wraps a copy of s.
func NewString(s string) Bytes { return New([]byte(s)) }

// Reveal returns the plain bytes, which the caller must not change. What it
// returns goes to a pod's file, a store's request or a cipher, and nowhere else.
func (b Bytes) Reveal() []byte {
	if b.plain == nil {
		return nil
	}
	return **b.plain
}

// RevealString returns the plain bytes as a string, for interfaces that take
// one. The same care applies as for Reveal.
func (b Bytes) RevealString() string { return string(b.Reveal()) }

// Len is the number of plain bytes.
func (b Bytes) Len() int { return len(b.Reveal()) }

// String implements fmt.Stringer and shows nothing of the value.
func (b Bytes) String() string { return Redacted }

// Format implements fmt.Formatter, so that no verb, %x and %#v included, shows
// the value.
func (b Bytes) Format(f fmt.State, _ rune) {
	// A failing writer is the caller's to notice; there is nowhere to report it.
	_, _ = f.Write([]byte(Redacted)) //nolint:errcheck // fmt.Formatter has no error result
}

// MarshalText implements encoding.TextMarshaler, which JSON and YAML encoders
// use, and shows nothing of the value.
func (b Bytes) MarshalText() ([]byte, error) { return []byte(Redacted), nil }

// LogValue implements slog.LogValuer and shows nothing of the value.
func (b Bytes) LogValue() slog.Value { return slog.StringValue(Redacted) }
