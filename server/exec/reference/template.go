package reference

import (
	"errors"
	"strings"
)

// The delimiters of templates of bank-vaults.
// https://github.com/bank-vaults/vault-sdk/blob/main/utils/templater/template.go
const (
	left  = "${"
	right = "}"
)

// isTemplate says that bank-vaults takes a key for a template.
func isTemplate(key string) bool { return strings.Contains(key, left) && strings.Contains(key, right) }

// translate writes a template with the delimiters of Go's and Lanyard's templates. What it
// says is checked where it is rendered.
func translate(text string) (string, error) {
	var b strings.Builder
	for {
		literal, rest, more := strings.Cut(text, left)
		b.WriteString(strings.ReplaceAll(literal, "{{", `{{ "{{" }}`))
		if !more {
			return b.String(), nil
		}
		end := actionEnd(rest)
		if end < 0 {
			return "", errors.New("it has a ${ without a closing }")
		}
		b.WriteString("{{" + rest[:end] + "}}")
		text = rest[end+len(right):]
	}
}

// actionEnd is where the action ends that text begins within: at the first brace that is
// in no quotes; -1 if there is none.
func actionEnd(text string) int {
	var quote byte
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quote != 0:
			if c == '\\' && quote != '`' {
				i++
			} else if c == quote {
				quote = 0
			}
		case c == '"' || c == '`' || c == '\'':
			quote = c
		case c == right[0]:
			return i
		}
	}
	return -1
}
