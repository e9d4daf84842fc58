package cmd

import (
	"regexp"
	"strings"
	"unicode"

	"github.com/lanyardhq/lanyard/provider/secret"
)

func isShown(r rune) bool { return unicode.IsPrint(r) }

// secretNames are how names of secrets end, but for a number or what stands behind a
// hyphen.
const secretNames = `(?:pass(?:word|wd|phrase|code)?|pwd|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|signing[_-]?key|encryption[_-]?key|account[_-]?key|credential|sas|sig|signature|cookie|authorization|authentication|session|accessor|role[_-]?id|otp|pin|jwt|saml|x-amz-[a-z-]+)`

// behindName is what may follow within the same name.
const behindName = `(?:e?s|\d+|ids?|values?|text|data|string|keys?|hash|[_.-][A-Za-z0-9]+)*`

// What is a secret wherever it stands, or because of what stands before it. The first
// group stays. What follows a name is taken to the line's end: nobody knows where a
// passphrase ends.
var (
	pemBlock    = regexp.MustCompile(`(?s)-----BEGIN [A-Za-z0-9 ]*(?:KEY|MESSAGE|BLOCK)[A-Za-z0-9 ]*-----.*?(?:-----END [A-Za-z0-9 ]*-----|$)`)
	secretBelow = regexp.MustCompile(`(?i)` + secretNames + behindName + `["'\\]*\s*[=:]+\s*[|>"'\\+-]*\s*$`)

	onlySecretName = regexp.MustCompile(`(?i)^` + secretNames + behindName + `$`)

	secretForms = []*regexp.Regexp{
		regexp.MustCompile(`\beyJ[A-Za-z0-9_-]{8,}(\.[A-Za-z0-9_-]*)*`),                                   // JWT, JWE
		regexp.MustCompile(`\b(hv[sbr]|[sbr])\.[A-Za-z0-9_-]{20,}`),                                       // Vault
		regexp.MustCompile(`\b(AKIA|ASIA)[A-Z0-9]{16}\b`),                                                 // AWS
		regexp.MustCompile(`\b(ya29\.[A-Za-z0-9_.-]+|AIza[A-Za-z0-9_-]{30,})`),                            // Google
		regexp.MustCompile(`\b(gh[pousr]_|github_pat_|glpat-|xox[a-z]-|sk-|sk_live_|npm_)[A-Za-z0-9_-]+`), // repositories, chats
		regexp.MustCompile(`\blanyard\.v1\.[A-Za-z0-9_.-]+`),                                              // sealed
		regexp.MustCompile(`\bvault:v\d+:[A-Za-z0-9+/=]+`),                                                // Transit
		regexp.MustCompile(`(?i)\b[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}\b`),    // UUID
	}
	secretPlaces = []struct {
		// with is what a line has that has the place: looking for it is cheap.
		with    string
		pattern *regexp.Regexp
	}{
		// The name itself was taken out, if a value elsewhere is the same word.
		{"=:", regexp.MustCompile(`(\[redacted\]["'\\]*\s*[=:]+\s*).+`)},
		{"-", regexp.MustCompile(`(--?\[redacted\]\s+).+`)},
		{"@", regexp.MustCompile(`(://).*@`)},
		{"@", regexp.MustCompile(`()[^\s"'=(,;]*:[^\s"']*@`)},
		{"=:sS", regexp.MustCompile(`(?i)(` + secretNames + behindName + `[\\"'\]})]*\s*(?:[=:]+>?|\bis\b)\s*).+`)},
		{"-", regexp.MustCompile(`(?i)(--?[a-z0-9-]*` + secretNames + behindName + `\s+).+`)},
		{"rRcCeEdD", regexp.MustCompile(`(?i)(\b(?:bearer|basic|negotiate|password|passphrase|passwd)\s+).+`)},
		{"?&", regexp.MustCompile(`([?&][A-Za-z0-9_.%-]+=)[^\s&"']*`)},
	}
	anyURL   = regexp.MustCompile(`[A-Za-z][A-Za-z0-9+.-]*://[^\s"'<>\\]+`)
	wordPath = regexp.MustCompile(`^(?:[a-z]{1,24}(?:[-_.][a-z0-9]{1,16})*|v\d+[a-z0-9]{0,8}|\d{1,6})?$`)
	longRun  = regexp.MustCompile(`[A-Za-z0-9+/_=~.-]{10,}`)
)

// phrase takes out of a line of free text what says or looks like that it is a secret.
func (r *redactor) phrase(line string) string {
	for _, place := range secretPlaces {
		if strings.ContainsAny(line, place.with) {
			line = place.pattern.ReplaceAllString(line, "${1}"+secret.Redacted)
		}
	}
	for _, form := range secretForms {
		line = form.ReplaceAllString(line, secret.Redacted)
	}
	line = anyURL.ReplaceAllStringFunc(line, cleanURL)
	return longRun.ReplaceAllStringFunc(line, func(run string) string {
		if r.plain[run] || !looksRandom(run) {
			return run
		}
		return secret.Redacted
	})
}

// cleanURL leaves of a URL the server, and of its path what are words: webhooks have their
// token there.
func cleanURL(text string) string {
	scheme, rest, _ := strings.Cut(text, "://")
	if at := strings.LastIndex(rest, "@"); at >= 0 {
		rest = secret.Redacted + rest[at:]
	}
	query := ""
	if at := strings.IndexAny(rest, "?#"); at >= 0 {
		rest, query = rest[:at], "?"+secret.Redacted
	}
	parts := strings.Split(rest, "/")
	for i, part := range parts[1:] {
		if !wordPath.MatchString(strings.TrimRight(part, ":;,.)")) {
			parts = append(parts[:i+1], secret.Redacted) // and what stands below it
			break
		}
	}
	return scheme + "://" + strings.Join(parts, "/") + query
}

// looksRandom tells keys from names: letters of both cases and digits that take turns, long
// hexadecimal numbers, and what is longer than words are.
func looksRandom(run string) bool {
	if kinds := kindsOf(run); len(run) >= 32 && kinds.upper > 2 && kinds.lower > 2 && kinds.digit > 0 && kinds.turns*5 >= len(run) {
		return true
	}
	for piece := range strings.FieldsFuncSeq(run, func(c rune) bool { return strings.ContainsRune("/._:+=~-", c) }) {
		kinds := kindsOf(piece)
		switch {
		case len(piece) >= 8 && kinds.lower == 0 && kinds.upper > 1 && kinds.digit > 1,
			len(piece) >= 10 && kinds.lower > 0 && kinds.upper > 0 && kinds.digit > 0 && kinds.turns*4 >= len(piece),
			len(piece) >= 16 && kinds.digit > 2 && kinds.lower+kinds.upper > 2,
			len(piece) >= 20 && kinds.upper > 0 && kinds.lower > 0 && kinds.turns*5 >= len(piece)*2,
			len(piece) >= 20 && kinds.lower+kinds.upper == 0,
			len(piece) >= 40:
			return true
		}
	}
	return false
}

// kinds counts the letters of a run by their kind, and how often they take turns.
type kinds struct{ upper, lower, digit, turns int }

func kindsOf(run string) (k kinds) {
	last := byte(0)
	for i := range len(run) {
		kind := byte(0)
		switch c := run[i]; {
		case c >= 'A' && c <= 'Z':
			k.upper++
			kind = 'A'
		case c >= 'a' && c <= 'z':
			k.lower++
			kind = 'a'
		case c >= '0' && c <= '9':
			k.digit++
			kind = '0'
		}
		if kind != last && i > 0 {
			k.turns++
		}
		last = kind
	}
	return k
}
