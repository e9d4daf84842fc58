package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
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

// within is the run in a directory with the groups that were measured in place of its own.
// A page says once where and when its figures were measured, so that both runs must be of
// one machine and day.
func (r *result) within(dir string) (*result, error) {
	encoded, err := os.ReadFile(filepath.Join(dir, "results.json"))
	if err != nil {
		return nil, err
	}
	whole := &result{}
	if err := json.Unmarshal(encoded, whole); err != nil {
		return nil, err
	}
	if of, is := whole.Machine.String(), r.Machine.String(); of != is {
		return nil, fmt.Errorf("%s has the figures of %s, and these are of %s: leave out -only", dir, of, is)
	}
	for _, f := range r.Figures {
		at := slices.IndexFunc(whole.Figures, func(old figure) bool { return old.Group == f.Group && old.What == f.What })
		if at < 0 {
			return nil, fmt.Errorf("%s has no figure %q of %s: leave out -only", dir, f.What, f.Group)
		}
		whole.Figures[at] = f
	}
	if len(r.Parts) > 0 {
		whole.Parts = r.Parts
	}
	return whole, nil
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
