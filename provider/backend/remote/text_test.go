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
