package status

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	_ "embed" // the page's parts
	"encoding/hex"
	"fmt"
	"html/template"
	"slices"
	"strings"
	"time"

	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/provider/engine"
)

//go:embed page.css
var style string

//go:embed page.js
var script string

//go:embed page.html
var markup string

// pages has the page, and each part of it that changes.
var pages = template.Must(template.New("page").Funcs(template.FuncMap{
	"time":    timeText,
	"bytes":   bytesText,
	"level":   levelOf,
	"objects": objectRows,
	"ms":      func(seconds float64) string { return fmt.Sprintf("%.3g ms", seconds*1000) },
	"join":    func(all []string) string { return strings.Join(all, ", ") },
	"old":     func(v engine.VolumeFacts) int { return count(v, func(o *engine.ObjectFacts) bool { return o.Stale }) },
	"behind": func(v engine.VolumeFacts) int {
		return count(v, func(o *engine.ObjectFacts) bool { return o.Behind })
	},
}).Parse(markup))

func count(v engine.VolumeFacts, counts func(*engine.ObjectFacts) bool) (n int) {
	for i := range v.Objects {
		if counts(&v.Objects[i]) {
			n++
		}
	}
	return n
}

// timeText is a time as the page shows it without a script, which makes it relative.
func timeText(at time.Time) template.HTML {
	if at.IsZero() {
		return "–"
	}
	text := at.UTC().Format(time.RFC3339)
	return template.HTML(`<time datetime="` + text + `">` + strings.Replace(text, "T", " ", 1) + `</time>`) //nolint:gosec // digits
}

// objectRows are the rows of a volume's objects. A node has thousands, and as a template
// they would take most of a tenth of a second.
func objectRows(objects []engine.ObjectFacts) template.HTML {
	var text strings.Builder
	add := func(escaped ...string) {
		for _, one := range escaped {
			text.WriteString(one)
		}
	}
	escape := template.HTMLEscapeString
	for i := range objects {
		o := &objects[i]
		add(`<tr><th scope="row">`, escape(o.Object))
		for _, mark := range []struct {
			holds bool
			word  string
		}{{o.Stale, "old"}, {o.Behind, "behind"}, {o.Lagging, "store lags"}} {
			if mark.holds {
				add(` <span class="state warn">`, mark.word, `</span>`)
			}
		}
		add(`</th><td>`)
		switch {
		case o.StoreVersion != "":
			add(escape(o.StoreVersion))
		case o.Version != "":
			add(`<code>`, escape(o.Version), `</code>`)
		default:
			add("–")
		}
		add(`</td><td>`)
		switch {
		case o.Store == "":
			add(o.Source)
		case o.Source == engine.FromStore:
			add(escape(o.Store))
		default:
			add(escape(o.Store), ` <small>(`, o.Source, `)</small>`)
		}
		for _, at := range []time.Time{o.Read, o.Due, o.LeaseEnd} {
			add(`</td><td>`, string(timeText(at)))
		}
		add("</td></tr>")
	}
	return template.HTML(text.String()) //nolint:gosec // escaped
}

func bytesText(n int64) string {
	switch {
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	case n >= 1<<10:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%d B", n)
}

// levels are how bad each state is, as the page shows and sorts it.
var levels = map[string]string{
	engine.VolumeFailed: "bad", engine.StoreDown: "bad", engine.LeaseEnded: "bad",
	engine.VolumeStale: "warn", engine.LeaseEnding: "warn", "behind": "warn",
	engine.StoreUnasked: "idle", SyncedWaiting: "idle", "retired": "idle",
}

func levelOf(state string) string { return cmp.Or(levels[state], "ok") }

// rank is the place of a level in its table: the worst first.
func rank(level string) string {
	return map[string]string{"bad": "0", "warn": "1", "ok": "2", "idle": "3"}[level]
}

// part is a part of the page that changes: the element of an ID, in a table or alone.
type part struct {
	id, table, name string // name is the template's
	level, sort     string
	of              any
}

// Attributes are those of the part's element.
func (p part) Attributes() template.HTMLAttr {
	return template.HTMLAttr(fmt.Sprintf(`id="%s" data-level="%s" data-sort="%s"`, p.id, p.level, template.HTMLEscapeString(p.sort))) //nolint:gosec // escaped
}

// Of are the facts that the part shows.
func (p part) Of() any { return p.of }

func (p part) html() string {
	var text bytes.Buffer
	if err := pages.ExecuteTemplate(&text, p.name, p); err != nil {
		panic(err) // the templates fit the facts
	}
	return text.String()
}

// HTML is the part for the page as a whole.
func (p part) HTML() template.HTML { return template.HTML(p.html()) } //nolint:gosec // of a template

// inTable is a row of a table, with the texts that make it that one.
func inTable(table, state string, of any, key ...string) part {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %q", table, key))
	level := levelOf(state)
	return part{
		id: table + "-" + hex.EncodeToString(sum[:8]), table: table, name: table, of: of,
		level: level, sort: rank(level) + " " + strings.Join(key, " "),
	}
}

// class is a class with what became of its volumes.
type class struct {
	Namespace, Name, Dialect     string
	State                        string
	Volumes, Failed, Old, Behind int
}

// summary is what the page's head says.
type summary struct {
	Program, Version, Node string
	Started                time.Time
	Bad, Warn              int
	Forgotten              int // volumes
	Problems               []Problem
}

// partsOf are the parts of the page that facts have.
func partsOf(f *Facts) []part {
	var all []part
	if f.Facts != nil {
		all = append(all, engineParts(f.Facts)...)
	}
	if f.Ring != nil {
		all = append(all, ringParts(f.Ring)...)
	}
	for i := range f.Synced {
		o := &f.Synced[i]
		all = append(all, inTable("synced", o.State, *o, o.Namespace, o.Kind, o.Name))
	}
	slices.SortFunc(all, func(a, b part) int { return cmp.Or(cmp.Compare(a.sort, b.sort), cmp.Compare(a.id, b.id)) })
	head := summary{Program: f.Program, Version: f.Version, Node: f.Node, Started: f.Started, Bad: len(f.Problems), Problems: f.Problems}
	if f.Facts != nil {
		head.Forgotten = f.VolumesForgotten
	}
	for i := range all {
		switch {
		case all[i].table == "classes": // their volumes count
		case all[i].level == "bad":
			head.Bad++
		case all[i].level == "warn":
			head.Warn++
		}
	}
	return append([]part{{id: "summary", name: "summary", of: head}}, all...)
}

func engineParts(f *engine.Facts) []part {
	var all []part
	for _, s := range f.Stores {
		all = append(all, inTable("stores", s.State, s, s.Name))
	}
	classes := map[[3]string]*class{}
	for i := range f.Volumes {
		v := &f.Volumes[i]
		key := [3]string{v.Namespace, v.Class, v.Dialect}
		c := classes[key]
		if c == nil {
			c = &class{Namespace: v.Namespace, Name: v.Class, Dialect: v.Dialect, State: engine.VolumeOK}
			classes[key] = c
		}
		state := v.State
		c.Volumes++
		behind := count(*v, func(o *engine.ObjectFacts) bool { return o.Behind }) > 0
		switch {
		case state == engine.VolumeFailed:
			c.Failed++
		case state == engine.VolumeStale:
			c.Old++
		case behind:
			c.Behind++
			state = "behind"
		}
		if rank(levelOf(state)) < rank(levelOf(c.State)) {
			c.State = state
		}
		all = append(all, inTable("volumes", state, *v, v.Namespace, v.Pod, v.PodUID, v.Class, v.Dialect))
	}
	for key, c := range classes {
		all = append(all, inTable("classes", c.State, *c, key[:]...))
	}
	for i, l := range f.Leases {
		key := []string{l.Expires.UTC().Format(time.RFC3339), l.Namespace, l.PodUID, l.Store, strings.Join(l.Objects, " ")}
		if i > 0 && len(l.Objects) == 0 {
			key = append(key, fmt.Sprint(i)) // of a pod that is not listed
		}
		all = append(all, inTable("leases", l.State, l, key...))
	}
	for i, s := range f.Cache.Shares {
		share := inTable("shares", "", s, s.Namespace)
		share.sort = fmt.Sprintf("%06d", i) // those with most first
		all = append(all, share)
	}
	totals := f.Cache
	totals.Shares = nil
	return append(all, part{id: "cache", name: "cache", of: totals})
}

func ringParts(r *Ring) []part {
	var all []part
	for i, k := range r.Keys {
		state := k.State
		if k.Use == "retired" {
			state = k.Use
		}
		one := inTable("keys", state, k, k.Name)
		one.sort = fmt.Sprintf("%04d", i) // as in the ring's file
		all = append(all, one)
	}
	head := *r
	head.Keys = nil
	level := "ok"
	switch {
	case r.Stale:
		level = "warn"
	case !r.Healthy:
		level = "bad"
	}
	return append(all, part{id: "ring", name: "ring", level: level, of: head})
}

// table is a table of the page.
type table struct {
	ID, Title, Empty string
	Columns          []column
	Rows             []part
}

// column is a column, with the classes of its cells.
type column struct{ Name, Class string }

// columns reads names of columns: a star marks one that is left out on a narrow screen, and
// a plus one of numbers.
func columns(names ...string) (all []column) {
	for _, name := range names {
		shown, number := strings.CutPrefix(name, "+")
		shown, wide := strings.CutPrefix(shown, "*")
		c := column{Name: shown}
		if number {
			c.Class = "n"
		}
		if wide {
			c.Class = strings.TrimSpace(c.Class + " wide")
		}
		all = append(all, c)
	}
	return all
}

// pageOf is the whole page.
func pageOf(f *Facts) []byte {
	var tables []*table
	if f.Ring != nil {
		tables = append(tables, &table{ID: "keys", Title: "Keys of the ring", Empty: "The ring has no key.", Columns: columns("State", "Key", "Use", "*Service", "Encrypted", "Decrypted", "+*Calls", "+Failed calls", "Last failure")})
	}
	if f.Synced != nil {
		tables = append(tables, &table{ID: "synced", Title: "Synced objects", Empty: "No object asks for Secrets.", Columns: columns("State", "Object", "Since", "*Last success", "Secrets")})
	}
	if f.Facts != nil {
		tables = append(tables,
			&table{ID: "stores", Title: "Stores", Empty: "The configuration names no store.", Columns: columns("State", "Store", "*Type", "+Calls", "+*Reads", "+Failed reads", "+Latency", "Last failure")},
			&table{ID: "volumes", Title: "Volumes", Empty: "No pod has mounted a volume since this process started.", Columns: columns("State", "Pod", "*Service account", "Class", "*Mounted", "Last poll", "Objects")},
			&table{ID: "classes", Title: "Classes", Empty: "No class is in use.", Columns: columns("State", "Class", "*Provider", "+Volumes", "+Failed", "+With old values", "+*Behind")},
			&table{ID: "leases", Title: "Leases", Empty: "No value has a lease.", Columns: columns("State", "Pod", "Objects", "*Store", "Ends", "*Renewed")},
			&table{ID: "shares", Title: "Cache by namespace", Empty: "The cache is empty.", Columns: columns("Namespace", "+Bytes")})
	}
	data := struct {
		Style   template.CSS
		Script  template.JS
		Title   string
		Made    time.Time
		Singles map[string]part
		Tables  []*table
	}{template.CSS(style), template.JS(script), message.Printable(f.Program), f.Made, map[string]part{}, tables} //nolint:gosec // the program's own
	for _, p := range partsOf(f) {
		if p.table == "" {
			data.Singles[p.id] = p
			continue
		}
		for _, t := range tables {
			if t.ID == p.table {
				t.Rows = append(t.Rows, p)
			}
		}
	}
	var text bytes.Buffer
	if err := pages.Execute(&text, data); err != nil {
		panic(err) // the templates fit the facts
	}
	return text.Bytes()
}
