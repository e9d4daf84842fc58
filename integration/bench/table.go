package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
)

// columns are the heads of both tables.
func columns() []string { return []string{"", "measured", "floor", "target", "", "calls to the store"} }

// cells are a figure's columns.
func (f figure) cells() []string {
	measured := withUnit(f.Value, f.Unit)
	if f.Note != "" {
		measured += " (" + f.Note + ")"
	}
	verdict := ""
	if f.Met != nil {
		verdict = "met"
		if !*f.Met {
			verdict = "MISSED"
		}
	}
	seen := ""
	if f.Calls != nil {
		seen = f.Calls.String()
	}
	return []string{f.What, measured, f.floor(), f.target(), verdict, seen}
}

func withUnit(v float64, unit string) string { return strings.TrimSpace(number(v) + " " + unit) }

// floor is empty if the figure has none.
func (f figure) floor() string {
	if f.Floor == 0 {
		return ""
	}
	return withUnit(f.Floor, f.Unit)
}

// target says what the figure is held to, and where that comes from.
func (f figure) target() string {
	if f.Bound == "" {
		return ""
	}
	if f.Bound == exactly {
		return f.Rule
	}
	sign := "≤ "
	if f.Bound == atLeast {
		sign = "≥ "
	}
	own := withUnit(f.Target, f.Unit)
	if own == f.Rule {
		return sign + own
	}
	return fmt.Sprintf("%s%s = %s", sign, f.Rule, own)
}

func (c calls) String() string {
	switch {
	case c == calls{}:
		return "none"
	case c.Logins == 0:
		return plural(c.Reads, "read")
	case c.Reads == 0:
		return plural(c.Logins, "login")
	}
	return plural(c.Logins, "login") + ", " + plural(c.Reads, "read")
}

func plural(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%s %s", number(float64(n)), what)
}

// number writes three digits that matter, and whole thousands with commas.
func number(v float64) string {
	switch {
	case v == float64(int64(v)) || v >= 100:
		digits := strconv.FormatFloat(v, 'f', 0, 64)
		for i := len(digits) - 3; i > 0; i -= 3 {
			digits = digits[:i] + "," + digits[i:]
		}
		return digits
	case v >= 10:
		return strconv.FormatFloat(v, 'f', 1, 64)
	case v >= 1:
		return strconv.FormatFloat(v, 'f', 2, 64)
	}
	return strconv.FormatFloat(v, 'f', 3, 64)
}

// printTable is for the terminal.
func printTable(w io.Writer, r *result) {
	fmt.Fprintf(w, "%s\n\n", r.Machine)
	table := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(table, strings.Join(columns(), "\t"))
	for _, f := range r.Figures {
		fmt.Fprintln(table, strings.Join(f.cells(), "\t"))
	}
	if len(r.Parts) > 0 {
		fmt.Fprintln(table, "\nwhat makes up the binary\tMB")
		for _, p := range r.shownParts() {
			fmt.Fprintf(table, "%s\t%.2f\n", p.Name, float64(p.Bytes)/megabyte)
		}
	}
	_ = table.Flush() //nolint:errcheck // a terminal that is gone shows no table
	if missed := r.missed(); len(missed) > 0 {
		fmt.Fprintf(w, "\nmissed: %d of the targets\n", len(missed))
	}
}

// shownParts are the largest parts, and the others together.
func (r *result) shownParts() []part {
	const maxParts = 10
	if len(r.Parts) <= maxParts {
		return r.Parts
	}
	rest := part{Name: fmt.Sprintf("%d other modules", len(r.Parts)-maxParts)}
	for _, p := range r.Parts[maxParts:] {
		rest.Bytes += p.Bytes
	}
	return append(append([]part(nil), r.Parts[:maxParts]...), rest)
}
