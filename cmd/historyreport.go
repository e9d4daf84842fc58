package cmd

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/provider/engine"
	"github.com/lanyardhq/lanyard/provider/spec"
	"github.com/lanyardhq/lanyard/provider/store"
)

// historyReport is what is printed, and as --output json has it. Its fields are only
// added to.
type historyReport struct {
	Namespace string          `json:"namespace"`
	Class     string          `json:"class"`
	Provider  string          `json:"provider"`
	Objects   []objectHistory `json:"objects"`
	// Held is what pods and Secrets hold; it is left out where no cluster was asked.
	Held []heldVersion `json:"held,omitempty"`
	// KeyKnown says that the digests of Held could be compared with the store's versions.
	KeyKnown bool `json:"keyKnown"`

	fromCluster bool // a cluster was queried
}

// objectHistory is an object with its versions, or the reason why there are none.
type objectHistory struct {
	Object      string           `json:"object"`
	Store       string           `json:"store,omitempty"`
	Key         string           `json:"key,omitempty"`
	Named       string           `json:"named,omitempty"`
	Versions    []versionSummary `json:"versions"`
	Unversioned string           `json:"unversioned,omitempty"`
	Error       string           `json:"error,omitempty"`
}

// versionSummary is one version of a secret in its store.
type versionSummary struct {
	Version string             `json:"version"`
	Made    *time.Time         `json:"made,omitempty"`
	Ends    *time.Time         `json:"ends,omitempty"`
	State   store.VersionState `json:"state"`
	Labels  []string           `json:"labels"`
	Chosen  bool               `json:"chosen"`
}

// heldVersion is what some pods and Secrets hold of an object.
type heldVersion struct {
	Object string `json:"object"`
	// Digest is Lanyard's version, and Version the store's; empty if it is not known.
	Digest  string   `json:"digest"`
	Version string   `json:"version,omitempty"`
	Chosen  bool     `json:"chosen"`
	Pods    []string `json:"pods"`
	Secrets []string `json:"secrets"`
}

func newHistoryReport(class classManifest, namespace string, found []engine.ObjectHistory) *historyReport {
	report := &historyReport{Namespace: namespace, Class: class.name, Provider: class.provider, Objects: []objectHistory{}}
	for _, one := range found {
		object := objectHistory{
			Object: one.Object.ID(), Store: one.Object.Store, Key: one.Object.Key, Named: pins[class.provider].NamedBy(one.Object),
			Versions: []versionSummary{}, Unversioned: one.Unversioned, Error: one.Failure,
		}
		for _, v := range one.Versions {
			object.Versions = append(object.Versions, versionSummary{v.Version, someTime(v.Made), someTime(v.Ends), v.State, append([]string{}, v.Labels...), v.Chosen})
		}
		report.Objects = append(report.Objects, object)
	}
	return report
}

func someTime(at time.Time) *time.Time {
	if at.IsZero() {
		return nil
	}
	at = at.UTC()
	return &at
}

// hold adds what pods and Secrets hold of the objects.
func (r *historyReport) hold(found []engine.ObjectHistory, holders []holder, keyKnown bool) {
	r.fromCluster, r.KeyKnown = true, keyKnown
	groups := map[[2]string]*heldVersion{}
	for _, h := range holders {
		for _, one := range found {
			digest := h.of(one.Object)
			if digest == "" {
				continue
			}
			key := [2]string{one.Object.ID(), digest}
			group := groups[key]
			if group == nil {
				group = &heldVersion{Object: one.Object.ID(), Digest: digest, Pods: []string{}, Secrets: []string{}}
				for _, v := range one.Versions {
					if v.Version == digest || slices.Contains(v.Published, digest) {
						group.Version, group.Chosen = v.Version, v.Chosen
					}
				}
				groups[key] = group
			}
			if h.isSecret {
				group.Secrets = append(group.Secrets, h.name)
			} else {
				group.Pods = append(group.Pods, h.name)
			}
		}
	}
	place := map[string]int{}
	for i, one := range found {
		place[one.Object.ID()] = i
	}
	for _, group := range groups {
		slices.Sort(group.Pods)
		slices.Sort(group.Secrets)
		r.Held = append(r.Held, *group)
	}
	slices.SortFunc(r.Held, func(a, b heldVersion) int {
		holding := func(g heldVersion) int { return len(g.Pods) + len(g.Secrets) }
		return cmp.Or(place[a.Object]-place[b.Object], holding(b)-holding(a), strings.Compare(a.Digest, b.Digest))
	})
}

func (r *historyReport) failed() (n int) {
	for _, object := range r.Objects {
		if object.Error != "" {
			n++
		}
	}
	return n
}

func (r *historyReport) print(w io.Writer, format string) error {
	if format == "json" {
		return printJSON(w, r)
	}
	var rows [][]string
	section := func(title ...string) {
		if len(rows) > 0 {
			rows = append(rows, []string{})
		}
		rows = append(rows, title)
	}
	for _, object := range r.Objects {
		for i, v := range object.Versions {
			if i == 0 && len(rows) == 0 {
				section("OBJECT", "VERSION", "MADE", "STATE", "LABELS", "CLASS")
			}
			made, state, reads := "-", string(v.State), "-"
			if v.Made != nil {
				made = v.Made.Format(time.RFC3339)
			}
			if v.Ends != nil {
				state += ", ends " + v.Ends.Format(time.RFC3339)
			}
			if v.Chosen {
				reads = "reads this"
			}
			rows = append(rows, []string{message.Printable(object.Object), message.Printable(v.Version), made, state, cmp.Or(printableList(v.Labels), "-"), reads})
		}
		if len(object.Versions) == store.MaxVersions {
			rows = append(rows, []string{message.Printable(object.Object), fmt.Sprintf("only the newest %d are listed", store.MaxVersions)})
		}
	}
	for _, reason := range []struct {
		title string
		of    func(objectHistory) string
	}{{"NO VERSIONS", func(o objectHistory) string { return o.Unversioned }}, {"NOT LISTED", func(o objectHistory) string { return o.Error }}} {
		begun := false
		for _, object := range r.Objects {
			if text := reason.of(object); text != "" {
				if !begun {
					section("OBJECT", reason.title)
					begun = true
				}
				rows = append(rows, []string{message.Printable(object.Object), text})
			}
		}
	}
	if err := printTables(w, rows); err != nil || !r.fromCluster {
		return err
	}
	return r.printHeld(w)
}

func (r *historyReport) printHeld(w io.Writer) error {
	if len(r.Held) == 0 {
		_, err := fmt.Fprintln(w, "\nNo pod or Secret shows a version of these objects.")
		return err
	}
	rows := [][]string{{}, {"OBJECT", "HELD NOW", "DIGEST", "PODS", "SECRETS"}}
	for _, held := range r.Held {
		version := "not known"
		if held.Version != "" {
			version = "version " + message.Printable(held.Version)
		}
		if held.Chosen {
			version += ", as the class says"
		}
		rows = append(rows, []string{message.Printable(held.Object), version, message.Printable(held.Digest), some(held.Pods), some(held.Secrets)})
	}
	if err := printTable(w, rows); err != nil {
		return err
	}
	text := "Who has one digest holds one value. Which version of the store a digest is of can only be seen with the\ninstallation's key of versions (--version-key)."
	if r.KeyKnown {
		text = "A digest that is not known is of an older version, or of the class as it was before."
	}
	_, err := fmt.Fprintln(w, "\n"+text)
	return err
}

// some names the first few of many.
func some(names []string) string {
	const shown = 5
	text := cmp.Or(printableList(names[:min(len(names), shown)]), "-")
	if more := len(names) - shown; more > 0 {
		text += " and " + strconv.Itoa(more) + " more"
	}
	return text
}

func printableList(names []string) string {
	printable := make([]string, len(names))
	for i, name := range names {
		printable[i] = message.Printable(name)
	}
	return strings.Join(printable, ", ")
}

// printTables prints tables that are divided by rows without columns, each aligned by
// itself.
func printTables(w io.Writer, rows [][]string) error {
	for len(rows) > 0 {
		end := slices.IndexFunc(rows[1:], func(row []string) bool { return len(row) == 0 }) + 1
		if end == 0 {
			end = len(rows)
		}
		if err := printTable(w, rows[:end]); err != nil {
			return err
		}
		rows = rows[end:]
	}
	return nil
}

// hasFile says whether an object makes the file of this path.
func hasFile(o spec.Object, path string) bool {
	return path == o.Path && path != "" || o.Expand && strings.HasPrefix(path, o.Path+"/")
}

// of is what the holder shows for an object; empty if nothing.
func (h holder) of(o spec.Object) string {
	if !h.isSecret {
		return h.versions[o.ID()]
	}
	for path, version := range h.versions {
		if hasFile(o, path) {
			return version
		}
	}
	return ""
}
