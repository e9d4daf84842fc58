package remote

import (
	"strings"

	"github.com/lanyardhq/lanyard/provider/secret"
)

// Redact returns text without the secrets that were sent: an answer may repeat
// them.
func Redact(text string, sent ...secret.Bytes) string {
	for _, s := range sent {
		if s.Len() > 0 {
			text = strings.ReplaceAll(text, s.RevealString(), secret.Redacted)
		}
	}
	return text
}
