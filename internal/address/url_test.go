package address

import "testing"

func TestURLsOfOneServerAndPathAreTheSame(t *testing.T) {
	for text, same := range map[string][]string{
		"https://v":              {"https://v", "https://v/", "https://v:443", "HTTPS://V:443//", "https://V"},
		"http://v":               {"http://v:80", "HTTP://v/"},
		"https://v:8200/x/y":     {"https://V:8200//x/y/", "https://v:8200/x//y"},
		"https://[2001:db8::1]":  {"https://[2001:DB8::1]:443/"},
		"https://vault-*.e:8200": {"https://Vault-*.e:8200/"},
	} {
		for _, other := range append(same, text) {
			if got := URL(other); got != text || !SameURL(text, other) {
				t.Errorf("%s becomes %s, want %s", other, got, text)
			}
		}
	}
}

func TestOtherTextsAreWhatTheyAre(t *testing.T) {
	for _, pair := range [][2]string{
		{"https://v", "http://v"}, {"https://v", "https://v:80"}, {"https://v", "https://w"}, {"https://v", "https://v/x"},
		{"https://v/x", "https://v/X"}, {"https://v", "https://u@v"}, {"https://v", "https://v?"}, {"https://v", "https://v#a"},
		{"https://v/%2e", "https://v/."}, {"https://v/a/../b", "https://v/b"}, {"V", "v"}, {"a/", "a"}, {"unix:///a", "unix:///a/"},
		{"https://v:x", "https://v"}, {"https://:443", "https://"},
	} {
		if SameURL(pair[0], pair[1]) {
			t.Errorf("%s and %s are the same", pair[0], pair[1])
		}
	}
}
