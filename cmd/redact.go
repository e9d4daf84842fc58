package cmd

import (
	"regexp"
	"strings"

	"github.com/lanyardhq/lanyard/provider/secret"
)

// redactor takes out of texts what could be a secret. What it took out of one place, it
// takes out of all others too, in every form. Where the structure of a text is known, only
// what is known to be plain stays; free text is searched.
type redactor struct {
	taken map[string]bool
	bytes int             // of taken
	plain map[string]bool // names of objects, which stay
	known *knownValues    // nil while it is not made of taken
	// crowded says that there are more values than can be looked for.
	crowded bool
}

func newRedactor() *redactor {
	return &redactor{taken: map[string]bool{}, plain: map[string]bool{}}
}

// minTaken is the length from which a value that was taken out of one place is taken out
// of all texts. Shorter ones are words that stand everywhere, unless they have digits among
// letters.
const minTaken = 8

// sealedBegin is how sealed values begin.
const sealedBegin = "lanyard.v1."

var shortSecret = regexp.MustCompile(`^[!-~]*([A-Za-z][!-~]*[0-9]|[0-9][!-~]*[A-Za-z])[!-~]*$`)

// take returns what stands in place of a value.
func (r *redactor) take(value string) string {
	if value == "" {
		return ""
	}
	note := func(part string) {
		part = strings.TrimSpace(part)
		if strings.HasPrefix(part, sealedBegin) {
			return // no text keeps a sealed value
		}
		if r.taken[part] || len(part) < minTaken && (len(part) < minForm || !shortSecret.MatchString(part)) {
			return
		}
		if r.bytes += len(part); r.bytes > maxKnownBytes {
			r.crowded = true
			return
		}
		r.taken[part], r.known = true, nil
	}
	note(value)
	if strings.Contains(value, "\n") {
		for line := range strings.Lines(value) {
			note(line)
		}
	}
	return secret.Redacted
}

// keep notes the name of an object, which stays though it is a value elsewhere.
func (r *redactor) keep(name string) {
	if isName(name) {
		r.plain[name] = true
		r.known = nil
	}
}

// name is a name of an object, if it can be one.
func (r *redactor) name(name string) string {
	if name == "" || r.plain[name] || isName(name) {
		return name
	}
	return r.take(name)
}

// values takes out what was taken out elsewhere.
func (r *redactor) values(text string) string {
	if r.known == nil {
		r.known = newKnownValues()
		for value := range r.taken {
			if !r.plain[value] {
				r.known.add(value)
			}
		}
	}
	return r.known.remove(text)
}

// Notes that stand in place of what could not be cleaned.
const (
	uncleanText = "[left out: there are more values to look for than can be]\n"
	uncleanLine = "[left out: a line that cannot be cleaned]"
)

// text takes out of a free text the values that were taken out elsewhere, and then what
// says or looks like that it is a secret. What it cannot clean it leaves out.
func (r *redactor) text(text string) string { return r.lines(text, r.phrase) }

// log does that for a log, of whose lines only known fields stay.
func (r *redactor) log(text string) string { return r.lines(text, r.logLine) }

// lines cleans a text line by line, after values were taken out of all of it.
func (r *redactor) lines(text string, clean func(line string) string) string {
	text = r.values(strings.ToValidUTF8(text, "\x00"))
	if r.crowded {
		return uncleanText
	}
	text = pemBlock.ReplaceAllString(text, secret.Redacted)
	var out strings.Builder
	below := false // the line before ends with the name of a secret
	for line := range strings.Lines(text) {
		end := line[len(strings.TrimRight(line, "\r\n")):]
		line = strings.TrimSuffix(line, end)
		switch {
		case len(line) > maxCleanLine || strings.Contains(line, "\x00"):
			out.WriteString(uncleanLine)
		case below && strings.TrimSpace(line) != "":
			out.WriteString(secret.Redacted)
		default:
			out.WriteString(printableLine(clean(line)))
		}
		below = secretBelow.MatchString(line) || below && strings.TrimSpace(line) == ""
		if end != "" {
			out.WriteByte('\n')
		}
	}
	return out.String()
}

// maxCleanLine is more than the longest line of a log, in bytes.
const maxCleanLine = 32 << 10

// printableLine shows what terminals would act on as question marks.
func printableLine(line string) string {
	return strings.Map(func(r rune) rune {
		if r != '\t' && !isShown(r) {
			return '?'
		}
		return r
	}, line)
}
