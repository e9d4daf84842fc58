package spec

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Words maps native field names to the dialect's: "objects" for
// the parameter that lists them, "objects[].key" for a field of each object,
// and "stores.vault.address" for a setting of a store. A name also
// covers all fields below it; a field without a name here keeps its native one.
type Words map[string]string

// Of returns the dialect's name for a field, such as "objects[2].key".
func (w Words) Of(field string) string {
	const list = "objects"
	rest, isObject := strings.CutPrefix(field, list+"[")
	if !isObject {
		return w.longest("", field)
	}
	index, below, _ := strings.Cut(rest, "]")
	name := w.longest("", list) + "[" + index + "]"
	if below = strings.TrimPrefix(below, "."); below == "" {
		return name
	}
	return name + "." + w.longest(list+"[].", below)
}

// longest replaces the longest leading part of the field that has a name under the
// prefix.
func (w Words) longest(prefix, field string) string {
	for at := len(field); at > 0; at = strings.LastIndexAny(field[:at], ".[") {
		if word, ok := w[prefix+field[:at]]; ok {
			return word + field[at:]
		}
	}
	return field
}

// mentioned are the native fields that a message mentions: those in backquotes, and
// those with a dot, which are no words of a sentence. What stands under ignore is the
// operator's, in every dialect.
var mentioned = regexp.MustCompile("ignore: \\[[A-Za-z.]+\\]|`[A-Za-z]+(?:\\.[A-Za-z]+)*`|\\b(?:auth|tls|options)\\.[A-Za-z]+\\b")

// InText returns a message with the dialect's name of each native field that it
// mentions, such as `version` or `auth.role`, and without the backquotes. A setting
// that the dialect has no name for is the operator's to give, which is said in each clause
// that has one. store is the store whose settings are meant.
func (w Words) InText(text, store string) string {
	clauses := strings.SplitAfter(text, ";")
	for i, clause := range clauses {
		clauses[i] = w.inClause(clause, store)
	}
	return strings.Join(clauses, "")
}

func (w Words) inClause(text, store string) string {
	return mentioned.ReplaceAllStringFunc(text, func(found string) string {
		if strings.HasPrefix(found, "ignore: ") {
			return found
		}
		field := strings.Trim(found, "`")
		if name := w.longest("objects[].", field); name != field {
			return name
		}
		prefix := "stores." + store + "."
		name := strings.TrimPrefix(w.longest("", prefix+field), prefix)
		isSetting := strings.HasPrefix(field, "auth.") || strings.HasPrefix(field, "tls.") && field != "tls.crt" && field != "tls.key"
		if len(w) > 0 && name == field && isSetting && !strings.Contains(text, "operator's configuration") {
			name += " of the store in the operator's configuration"
		}
		return name
	})
}

// Number is the number that messages give object i: the place of its entry in the
// class.
func (c *Class) Number(i int) int {
	if entry := c.Objects[i].Entry; entry > 0 {
		return entry
	}
	return i + 1
}

// InDialect returns the problems with the dialect's names of fields, those that the
// texts mention included, and the numbers of the class's entries, each once.
func (c *Class) InDialect(problems Problems) Problems {
	for i, p := range problems {
		store := p.Store
		if p.Object > 0 && p.Object <= len(c.Objects) {
			if store == "" {
				store = c.Objects[p.Object-1].Store
			}
			number := c.Number(p.Object - 1)
			p.Field = strings.Replace(p.Field, fmt.Sprintf("objects[%d]", p.Object-1), fmt.Sprintf("objects[%d]", number-1), 1)
			p.Object = number
		}
		if rest, ok := strings.CutPrefix(p.Field, "stores."); ok && store == "" {
			store, _, _ = strings.Cut(rest, ".")
		}
		p.Text = c.Words.InText(p.Text, store)
		p.Field = c.Words.Of(p.Field)
		problems[i] = p
	}
	// What is wrong with several stores of a class has one field of the dialect.
	seen := make(map[string]bool, len(problems))
	return slices.DeleteFunc(problems, func(p Problem) bool {
		text := p.String()
		before := seen[text]
		seen[text] = true
		return before
	})
}
