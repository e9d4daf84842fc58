package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// The lines of a page between which the table is written.
const (
	beginMark = "<!-- figures: written by make bench -->"
	endMark   = "<!-- end of figures -->"
)

// publish writes the files that the flags ask for.
func publish(o options, r *result) error {
	if o.out != "" {
		encoded, err := json.MarshalIndent(r, "", "  ")
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(o.out, "results.json"), append(encoded, '\n'), 0o644); err != nil { //nolint:gosec // it is published
			return err
		}
		if err := writePlot(filepath.Join(o.out, "results.svg"), r); err != nil {
			return err
		}
		if err := insert(filepath.Join(o.out, "README.md"), markdown(r)+"\n"+markdownParts(r)); err != nil {
			return err
		}
	}
	if o.readme != "" {
		return insert(o.readme, markdownHeadlines(r))
	}
	return nil
}

// markdownHeadlines is the table of the README: the figures that have a line
// there.
func markdownHeadlines(r *result) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Measured on %s.\n\n||measured|floor|\n|---|---|---|\n", r.Machine)
	for _, f := range r.Figures {
		if f.Headline != "" {
			fmt.Fprintf(&b, "|%s|%s|%s|\n", f.Headline, withUnit(f.Value, f.Unit), f.floor())
		}
	}
	return b.String()
}

// markdown is the table of the figures.
func markdown(r *result) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Measured on %s.\n\n", r.Machine)
	heads := columns()
	fmt.Fprintf(&b, "|%s|\n|%s\n", strings.Join(heads, "|"), strings.Repeat("---|", len(heads)))
	for _, f := range r.Figures {
		fmt.Fprintf(&b, "|%s|\n", strings.Join(f.cells(), "|"))
	}
	return b.String()
}

// markdownParts is the table of what makes up the binary.
func markdownParts(r *result) string {
	var b strings.Builder
	fmt.Fprint(&b, "|what makes up the binary|MB|\n|---|---|\n")
	for _, p := range r.shownParts() {
		fmt.Fprintf(&b, "|%s|%.2f|\n", p.Name, float64(p.Bytes)/megabyte)
	}
	return b.String()
}

// insert replaces what is between the marks in a page.
func insert(path, text string) error {
	page, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	changed, err := between(string(page), text)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return os.WriteFile(path, []byte(changed), 0o644) //nolint:gosec // it is published
}

func between(page, text string) (string, error) {
	before, rest, begins := strings.Cut(page, beginMark+"\n")
	_, after, ends := strings.Cut(rest, endMark)
	if !begins || !ends {
		return "", fmt.Errorf("does not have the lines %s and %s", beginMark, endMark)
	}
	return before + beginMark + "\n\n" + text + "\n" + endMark + after, nil
}
