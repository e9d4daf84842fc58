package dialect

import (
	"encoding/json"
	"regexp"
	"strings"
)

// plainKey is a key that needs no quotes in a JMESPath expression.
var plainKey = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// Property returns the JMESPath expression that selects exactly this key.
// https://jmespath.org/specification.html#identifiers
func Property(key string) string {
	if plainKey.MatchString(key) && key != "let" && key != "in" {
		return key
	}
	var b strings.Builder
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(key); err != nil {
		return key // text always encodes
	}
	return strings.TrimSuffix(b.String(), "\n")
}
