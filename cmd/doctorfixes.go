package cmd

import (
	"strings"
	"unicode"
)

// doctorFix is what an operator is told to run or to change. It is made by fixWith alone,
// so that no text of the cluster's becomes a part of a command unquoted.
type doctorFix struct{ text string }

// fixedText is text of this program's. A string that is only known when it runs is none:
// the compiler takes constants alone.
type fixedText string

// noFix is for what needs no command.
var noFix doctorFix

// noCommand is for a name that cannot stand in a command.
var noCommand = doctorFix{"no command is shown: a name that it needs cannot stand in one"}

// maxFixWord is more than the longest name, address and patch, in bytes.
const maxFixWord = 4096

// fixWith makes a command, or an advice, of the words of a form. Each %s is replaced by the
// next of given, and the word it stands in is quoted for a shell as a whole. What cannot
// stand in a command gives none: an option where a name belongs, and what cannot be shown
// as it is.
func fixWith(form fixedText, given ...string) doctorFix {
	words := strings.Split(string(form), " ")
	for i, word := range words {
		before, after, holds := strings.Cut(word, "%s")
		if !holds {
			continue
		}
		// A sentence has marks behind a word, which are no part of it.
		mark := after[len(strings.TrimRight(after, ",;:")):]
		after = strings.TrimSuffix(after, mark)
		if len(given) == 0 || strings.Contains(after, "%s") {
			return noCommand
		}
		value := given[0]
		given = given[1:]
		if !fitsCommand(value) || before == "" && strings.HasPrefix(value, "-") {
			return noCommand
		}
		words[i] = shellWord(before+value+after) + mark
	}
	return doctorFix{strings.Join(words, " ")}
}

// and appends a further command or advice.
func (m doctorFix) and(further doctorFix) doctorFix {
	return doctorFix{m.text + "; " + further.text}
}

func fitsCommand(value string) bool {
	return value != "" && len(value) <= maxFixWord && !strings.ContainsFunc(value, func(r rune) bool {
		return !unicode.IsPrint(r) || r == unicode.ReplacementChar
	})
}

// shellWord quotes a word for a POSIX shell, if it has more than letters, digits and marks
// that no shell reads.
func shellWord(word string) string {
	if word != "" && !strings.ContainsFunc(word, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("_@%+=:,./-", r)
	}) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// helmValue escapes what helm reads in --set.
func helmValue(value string) string {
	return strings.NewReplacer(`\`, `\\`, `,`, `\,`, `{`, `\{`, `}`, `\}`).Replace(value)
}
