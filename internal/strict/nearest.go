package strict

import "strings"

// Unknown says that name is not one of the known, in words: "unknown field;
// did you mean address?" if what is "field" and one of the known is close, and
// otherwise which there are. It does not repeat name.
func Unknown(what, name string, known []string) string {
	if nearest := Nearest(name, known); nearest != "" {
		return "unknown " + what + "; did you mean " + nearest + "?"
	}
	const maxLength = 30
	switch {
	case len(known) == 0:
		return "unknown " + what + "; none is known here"
	case len(known) > maxLength:
		return "unknown " + what + "; known are " + strings.Join(known[:maxLength], ", ") + " and others"
	}
	return "unknown " + what + "; known are " + strings.Join(known, ", ")
}

// Nearest returns the one of the known that name was most likely meant to be,
// or nothing if none is close. Case, dashes and underscores make no difference.
func Nearest(name string, known []string) string {
	if len(name) > maxName {
		return ""
	}
	wanted := folded(name)
	best, bestEdits := "", 1+max(1, min(3, len(wanted)/3))
	for _, candidate := range known {
		if len(candidate) > maxName {
			continue
		}
		other := folded(candidate)
		n := edits(wanted, other)
		// What one only began to write, or wrote too much of, is one slip.
		const minLength = 3
		if len(wanted) >= minLength && len(other) >= minLength && (strings.HasPrefix(wanted, other) || strings.HasPrefix(other, wanted)) {
			n = min(n, 1)
		}
		if n < bestEdits && n < len(other) {
			best, bestEdits = candidate, n
		}
	}
	return best
}

func folded(name string) string {
	return strings.NewReplacer("-", "", "_", "").Replace(strings.ToLower(name))
}

// edits counts the insertions, deletions, substitutions and swaps of
// neighbours that turn a into b, each place being touched once.
func edits(a, b string) int {
	before := make([]int, len(b)+1) // the row of two characters ago
	last := make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row := make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			substitute := last[j-1]
			if a[i-1] != b[j-1] {
				substitute++
			}
			row[j] = min(last[j]+1, row[j-1]+1, substitute)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}
