package remote

import (
	"strings"
	"testing"

	"github.com/lanyardhq/lanyard/provider/secret"
)

func TestTheWordsOfAServerThatAClassChoseAreMarked(t *testing.T) {
	ruled := Network{Rule: NewDialRule([]string{"*"})}
	for _, c := range []struct {
		from       Speaker
		text, want string
	}{
		{Network{}.Speaker("Vault says", "vault.example.com"), "no\n way", "; Vault says: no way"},
		{Network{}.Speaker("Vault says", "vault.example.com"), "", ""},
		{ruled.Speaker("Vault says", "evil.example.com:8200"), "no \"way\", says Lanyard", "; evil.example.com:8200, which the class chose, says: \"no 'way', says Lanyard\""},
		{ruled.Speaker("Vault says", "evil.example.com"), "", ""},
		{ruled.Speaker("Vault says", "evil.example.com"), "the token", `; evil.example.com, which the class chose, says: "the [redacted]"`},
		{ruled.Speaker("Key Vault says", "web.vault.azure.net", "vault.azure.net"), "no", "; Key Vault says: no"},
		{ruled.Speaker("Key Vault says", "evilvault.azure.net:443", "vault.azure.net"), "no", `; evilvault.azure.net:443, which the class chose, says: "no"`},
	} {
		if got := c.from.Said(c.text, secret.NewString("token")); got != c.want {
			t.Errorf("%q of %+v: %s, want %s", c.text, c.from, got, c.want)
		}
	}
	if got := ruled.Speaker("Vault says", "evil.example.com").Said(strings.Repeat("a\"\x1b", 10000)); len(got) > 1200 || strings.ContainsAny(got, "\x1b") {
		t.Errorf("%d bytes are told", len(got))
	}
}

func TestRedactLooksForSecretsInTheTextAlone(t *testing.T) {
	for _, c := range []struct {
		text string
		sent []string
		want string
	}{
		{"a token and a key", []string{"token", "key"}, "a [redacted] and a [redacted]"},
		{"tokenkey, key", []string{"token", "key", "", "none"}, "[redacted], [redacted]"},
		{"overlapping-secrets-here", []string{"overlapping-sec", "secrets"}, "[redacted]-here"},
		{"redacted", []string{"reda", "cted", "reda", "cted"}, "[redacted]"},
		{"nothing", nil, "nothing"},
	} {
		var sent []secret.Bytes
		for _, text := range c.sent {
			sent = append(sent, secret.NewString(text))
		}
		if got := Redact(c.text, sent...); got != c.want {
			t.Errorf("%q without %q: %q, want %q", c.text, c.sent, got, c.want)
		}
	}
	// A server that knows what stands for its values makes nothing grow.
	var sent []secret.Bytes
	for range 100 {
		sent = append(sent, secret.NewString("reda"), secret.NewString("cted"))
	}
	if got := Redact(strings.Repeat("redacted ", 400), sent...); got != strings.Repeat("[redacted] ", 400) {
		t.Errorf("%d bytes", len(got))
	}
}
