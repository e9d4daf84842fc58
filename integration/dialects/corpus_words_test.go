package dialects

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/lanyardhq/lanyard/provider/spec"
)

// foreignWords are the native names of what classes say, which nobody who writes a class
// of another dialect knows.
type foreignWords []*regexp.Regexp

// nativeWords are the words that a message about the class must not have: the native
// fields that any dialect has a name for, without those that are the class's own names.
func nativeWords(class manifest, parse spec.Dialect) foreignWords {
	own := map[string]bool{}
	parsed, _ := parse(class.Spec.Parameters)
	for _, word := range parsed.Words {
		for _, part := range strings.Split(word, ".") {
			own[strings.TrimSuffix(part, "[]")] = true
		}
	}
	for parameter := range class.Spec.Parameters {
		own[parameter] = true
	}
	for store := range parsed.Stores { // whose name stands before what it says
		own[store] = true
	}
	for store := range parsed.Defaults {
		own[store] = true
	}
	fields := map[string]bool{"store": true, "sealed": true, "template": true, "optional": true, "refresh": true}
	for _, d := range corpusDialects() {
		other, _ := d.parse(nil)
		for _, words := range []spec.Words{other.Words, parsed.Words} {
			for field := range words {
				if below, ok := strings.CutPrefix(field, "objects[]."); ok {
					fields[below] = true
				} else if parts := strings.SplitN(field, ".", 3); len(parts) == 3 {
					fields[parts[2]] = true
				}
			}
		}
	}
	var words foreignWords
	for _, field := range slices.Sorted(maps.Keys(fields)) {
		if own[field] {
			continue
		}
		words = append(words, asField(field))
	}
	return words
}

// asField matches a mention of a field in a message: one with a dot, and all beside it,
// or one in backquotes anywhere; and a plain word where a field's name stands, or an
// author is told to change it.
func asField(field string) *regexp.Regexp {
	quoted := regexp.QuoteMeta(field)
	if root, _, dotted := strings.Cut(field, "."); dotted {
		return regexp.MustCompile(`\b` + regexp.QuoteMeta(root) + `\.[a-z][A-Za-z]*\b`)
	}
	return regexp.MustCompile("`" + quoted + "`" + `|(?:^|[:;] |objects\[\d+\]\.)` + quoted + `: |\b(?:set|give|add|remove|drop|without|has no) ` + quoted + `\b(?:[,;:]|$| (?:and|or|to)\b)|\bthe ` + quoted + ` is \S+/`)
}

// reject fails the test if the text, which is that of a command or a mount, has one of
// the words. What is said of the operator's configuration is in the operator's words.
func (w foreignWords) reject(t *testing.T, of, text string) {
	t.Helper()
	for _, clause := range strings.Split(text, "; ") {
		if strings.Contains(clause, "operator's configuration") {
			continue
		}
		for _, word := range w {
			for _, found := range word.FindAllString(clause, -1) {
				if found != "tls.crt" && found != "tls.key" { // what people call files
					t.Errorf("%s says %q, a native name, in: %s", of, found, text)
				}
			}
		}
	}
}
