package remote

import (
	"net"
	"strings"

	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/provider/secret"
)

// Redact returns text without the secrets that were sent: an answer may repeat
// them. They are looked for in text as it is, not in what stands for others, which a
// server that knows the secrets could make grow without end.
func Redact(text string, sent ...secret.Bytes) string {
	var hidden []bool // bytes of text
	for _, s := range sent {
		value := s.RevealString()
		for from := 0; value != ""; {
			at := strings.Index(text[from:], value)
			if at < 0 {
				break
			}
			if hidden == nil {
				hidden = make([]bool, len(text))
			}
			at, from = from+at, from+at+len(value)
			for i := at; i < from; i++ {
				hidden[i] = true
			}
		}
	}
	if hidden == nil {
		return text
	}
	var b strings.Builder
	for i, hide := range hidden {
		switch {
		case !hide:
			b.WriteByte(text[i])
		case i == 0 || !hidden[i-1]:
			b.WriteString(secret.Redacted)
		}
	}
	return b.String()
}

// Speaker is whose words an error quotes.
type Speaker struct {
	// Says introduces the words of a product, at an address that the operator or the
	// product itself chose: "Vault says".
	Says string
	// Host is a server that a class chose, which may be anybody's; else empty.
	Host string
}

// Speaker is who answers at a host, with or without its port. A host below one of the
// product's own domains is the product's, whoever chose it.
func (n Network) Speaker(says, host string, own ...string) Speaker {
	if n.Rule == "" {
		return Speaker{Says: says}
	}
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	for _, domain := range own {
		if strings.HasSuffix(strings.ToLower(name), "."+domain) {
			return Speaker{Says: says}
		}
	}
	return Speaker{Says: says, Host: host}
}

// Said is what the speaker gave as its reason, to stand at the end of an error:
// bounded, and without the secrets that were sent. The words of a server that a class
// chose are marked as such. It is empty if text is.
func (s Speaker) Said(text string, sent ...secret.Bytes) string {
	text = message.Excerpt(Redact(text, sent...))
	switch {
	case text == "":
		return ""
	case s.Host != "":
		return "; " + s.Chosen() + `, says: "` + strings.ReplaceAll(text, `"`, "'") + `"`
	}
	return "; " + s.Says + ": " + text
}

// Chosen names a server that a class chose; empty for the product.
func (s Speaker) Chosen() string {
	if s.Host == "" {
		return ""
	}
	return message.Printable(s.Host) + ", which the class chose"
}
