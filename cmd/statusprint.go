package cmd

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"k8s.io/apimachinery/pkg/util/duration"

	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/provider/engine"
)

// verdict is the error of a report in which something is not as it should be, or missing.
func (r *statusReport) verdict() error {
	for i := range r.Holders {
		if r.Holders[i].State.wrong() {
			return exitCodeError{code: exitNotOK}
		}
	}
	unreached := 0
	for i := range r.Providers {
		p := &r.Providers[i]
		if slices.ContainsFunc(p.Stores, func(s engine.StoreFacts) bool { return s.State == engine.StoreDown }) {
			return exitCodeError{code: exitNotOK}
		}
		if p.Error != "" {
			unreached++
		}
	}
	var missing []string
	if n := len(r.NotRead); n > 0 {
		missing = append(missing, count(n, "list")+" could not be read")
	}
	if unreached > 0 {
		missing = append(missing, count(unreached, "provider")+" could not be asked")
	}
	if len(missing) > 0 {
		return errors.New(strings.Join(missing, " and "))
	}
	return nil
}

// print prints the report: as JSON, as a table of holders, or wide with their objects.
func (r *statusReport) print(to *screen, format string) error {
	if format == "json" {
		return printJSON(to, r)
	}
	width := to.width()
	holders := r.holderTable()
	if format == "wide" {
		holders = r.objectTable()
		width = 0
	}
	var text strings.Builder
	if len(r.Holders) > 0 {
		holders.write(&text, width, to.color)
	}
	r.writeCauses(&text, width)
	r.writeStores(&text, width, to.color, format == "wide")
	r.writeMissing(&text, width)
	if text.Len() > 0 {
		text.WriteString("\n")
	}
	text.WriteString(r.summary() + "\n")
	_, err := io.WriteString(to, text.String())
	return err
}

// name is how a holder is called in the table.
func (r *statusRow) name() string { return r.Kind + "/" + message.Printable(r.Name) }

// holderTable has a line for each holder.
func (r *statusReport) holderTable() *columnTable {
	t := newColumnTable("STATE", "NAMESPACE", "NAME", "CLASS", "OBJECTS", "AGE", "REFRESH", "LEASE", "SINCE")
	t.spare = []string{"OBJECTS", "SINCE", "LEASE", "REFRESH", "AGE", "CLASS", "NAMESPACE"}
	for i := range r.Holders {
		row := &r.Holders[i]
		var read, due, lease time.Time
		for j := range row.Objects {
			object := &row.Objects[j]
			read, due, lease = earlier(read, object.Read), earlier(due, object.Due), earlier(lease, object.LeaseEnd)
		}
		t.add(string(row.State), message.Printable(row.Namespace), row.name(), message.Printable(row.Class), strconv.Itoa(len(row.Objects)), r.ago(read), r.ahead(due), r.ahead(lease), r.ago(row.Since))
	}
	return t
}

// objectTable has a line for each object of each holder.
func (r *statusReport) objectTable() *columnTable {
	t := newColumnTable("STATE", "NAMESPACE", "NAME", "CLASS", "OBJECT", "STORE", "VERSION", "AGE", "REFRESH", "LEASE", "SINCE", "NODE")
	for i := range r.Holders {
		row := &r.Holders[i]
		holder := []string{message.Printable(row.Namespace), row.name(), message.Printable(row.Class)}
		since, node := r.ago(row.Since), cmp.Or(message.Printable(row.Node), "-")
		if len(row.Objects) == 0 {
			t.add(slices.Concat([]string{string(row.State)}, holder, []string{"-", "-", "-", "-", "-", "-", since, node})...)
		}
		for j := range row.Objects {
			o := &row.Objects[j]
			state := cmp.Or(o.State, string(row.State))
			if row.State == holdingFailed {
				state = string(row.State)
			}
			t.add(slices.Concat([]string{state}, holder, []string{
				o.Object, cmp.Or(o.Store, "-"), cmp.Or(o.Version, "-"), r.ago(o.Read), r.ahead(o.Due), r.ahead(o.LeaseEnd), since, node,
			})...)
		}
	}
	return t
}

func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// ago is how long ago something was, and ahead in how long it will be.
func (r *statusReport) ago(at time.Time) string {
	if at.IsZero() {
		return "-"
	}
	return duration.HumanDuration(max(0, r.Time.Sub(at)))
}

func (r *statusReport) ahead(at time.Time) string {
	switch {
	case at.IsZero():
		return "-"
	case !at.After(r.Time):
		return "now"
	}
	return duration.HumanDuration(at.Sub(r.Time))
}

// writeCauses tells why holders are not as they should be; those with one cause together.
func (r *statusReport) writeCauses(w io.Writer, width int) {
	var causes []string
	who := map[string][]string{}
	for i := range r.Holders {
		row := &r.Holders[i]
		if row.Cause == "" {
			continue
		}
		if who[row.Cause] == nil {
			causes = append(causes, row.Cause)
		}
		who[row.Cause] = append(who[row.Cause], fmt.Sprintf("%s/%s (%s)", message.Printable(row.Namespace), row.name(), message.Printable(row.Class)))
	}
	if len(causes) > 0 {
		fmt.Fprint(w, "\nWHY\n")
	}
	for _, cause := range causes {
		writeIndented(w, message.Names(who[cause], func(name string) string { return name })+": "+cause, width)
	}
}

// writeStores tells which stores are down; with all, of the others too.
func (r *statusReport) writeStores(w io.Writer, width int, color, all bool) {
	t := newColumnTable("STORE", "TYPE", "STATE", "SEEN BY", "SINCE", "CALLS", "FAILURES", "LATENCY")
	t.spare = []string{"LATENCY", "TYPE", "CALLS", "FAILURES"}
	type group struct {
		store, kind, state string
	}
	sums := map[group]*engine.StoreFacts{}
	nodes := map[group]int{}
	var groups []group
	for _, p := range r.Providers {
		for i := range p.Stores {
			s := &p.Stores[i]
			if s.State != engine.StoreDown && (!all || s.Calls == 0 && s.Reads == 0) {
				continue
			}
			key := group{s.Name, s.Type, s.State}
			sum := sums[key]
			if sum == nil {
				sum = &engine.StoreFacts{}
				sums[key], groups = sum, append(groups, key)
			}
			nodes[key]++
			sum.Since = earlier(sum.Since, s.Since)
			sum.Calls, sum.Failures = sum.Calls+s.Calls, sum.Failures+s.Failures
			sum.LatencySeconds = max(sum.LatencySeconds, s.LatencySeconds)
			if s.LastFailure.After(sum.LastFailure) {
				sum.LastFailure, sum.Error = s.LastFailure, s.Error
			}
		}
	}
	slices.SortFunc(groups, func(a, b group) int {
		return cmp.Or(cmp.Compare(a.state, b.state), strings.Compare(a.store, b.store), strings.Compare(a.kind, b.kind))
	})
	for _, g := range groups {
		sum := sums[g]
		t.add(message.Printable(g.store), cmp.Or(message.Printable(g.kind), "-"), g.state, fmt.Sprintf("%d of %d", nodes[g], len(r.Providers)), r.ago(sum.Since),
			strconv.FormatUint(sum.Calls, 10), strconv.FormatUint(sum.Failures, 10), (time.Duration(sum.LatencySeconds*1000) * time.Millisecond).String())
	}
	if len(groups) == 0 {
		return
	}
	fmt.Fprintln(w)
	t.write(w, width, color)
	for _, g := range groups {
		if g.state == engine.StoreDown && sums[g].Error != "" {
			writeIndented(w, message.Printable(g.store)+": "+message.Passage(sums[g].Error), width)
		}
	}
}

// writeMissing tells what could not be read, and which providers could not be asked; those
// with one cause together.
func (r *statusReport) writeMissing(w io.Writer, width int) {
	missing := slices.Clone(r.NotRead)
	var causes []string
	who := map[string][]string{}
	for _, p := range r.Providers {
		if p.Error == "" {
			continue
		}
		if who[p.Error] == nil {
			causes = append(causes, p.Error)
		}
		who[p.Error] = append(who[p.Error], "pod "+message.Printable(p.Namespace)+"/"+message.Printable(p.Pod)+" on node "+message.Printable(p.Node))
	}
	for _, cause := range causes {
		missing = append(missing, "not asked: "+message.Names(who[cause], func(name string) string { return name })+": "+cause)
	}
	if len(missing) > 0 {
		fmt.Fprint(w, "\nNOT READ\n")
	}
	for _, text := range missing {
		writeIndented(w, message.Passage(text), width)
	}
}

// summary counts the holders by state.
func (r *statusReport) summary() string {
	if len(r.Holders) == 0 {
		return "No pod or synced Secret is shown."
	}
	byState := map[holdingState]int{}
	byKind := map[string]int{}
	for i := range r.Holders {
		byState[r.Holders[i].State]++
		byKind[r.Holders[i].Kind]++
	}
	var states []string
	for _, state := range holdingStates {
		if n := byState[state]; n > 0 {
			states = append(states, fmt.Sprintf("%d %s", n, state))
		}
	}
	return fmt.Sprintf("%s, %s: %s", count(byKind[kindPod], "pod volume"), count(byKind[kindSecret], "Secret"), strings.Join(states, ", "))
}

// columnTable is a table whose columns can be left out where the screen is narrow.
type columnTable struct {
	rows [][]string
	// spare are the columns that are left out, the first one first.
	spare []string
}

func newColumnTable(titles ...string) *columnTable { return &columnTable{rows: [][]string{titles}} }

func (t *columnTable) add(cells ...string) { t.rows = append(t.rows, cells) }

// columnGap is the space between two columns.
const columnGap = 2

// write writes the table in at most width columns, 0 for any, if that can be.
func (t *columnTable) write(w io.Writer, width int, color bool) {
	widths := make([]int, len(t.rows[0]))
	for _, row := range t.rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	total := func() (sum int) {
		for _, n := range widths {
			if n > 0 {
				sum += n + columnGap
			}
		}
		return sum - columnGap
	}
	for _, title := range t.spare {
		if width <= 0 || total() <= width {
			break
		}
		widths[slices.Index(t.rows[0], title)] = 0
	}
	last := len(widths) - 1
	for last > 0 && widths[last] == 0 {
		last--
	}
	for n, row := range t.rows {
		var line strings.Builder
		for i, cell := range row {
			if widths[i] == 0 {
				continue
			}
			painted := cell
			if n > 0 && color && t.rows[0][i] == "STATE" {
				painted = paint(cell)
			}
			line.WriteString(painted)
			if i < last {
				line.WriteString(strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)+columnGap))
			}
		}
		fmt.Fprintln(w, line.String())
	}
}

// paint colours a state: red for what is wrong, yellow for what waits or is old, green for
// what is right.
func paint(state string) string {
	color := "32"
	switch state {
	case string(holdingFailed), objectEnded, engine.StoreDown:
		color = "31"
	case string(holdingStale), string(holdingBehind), string(holdingWaiting), objectLagging:
		color = "33"
	case string(holdingMounted), engine.StoreUnasked, engine.FromAbsent:
		return state
	}
	return "\x1b[" + color + "m" + state + "\x1b[0m"
}

// writeIndented writes a text in lines of at most width columns, 0 for one line.
func writeIndented(w io.Writer, text string, width int) {
	line, indent := "  ", "    "
	empty := true
	for word := range strings.FieldsSeq(text) {
		if !empty && width > 0 && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > width {
			fmt.Fprintln(w, line)
			line, empty = indent, true
		}
		if !empty {
			line += " "
		}
		line += word
		empty = false
	}
	fmt.Fprintln(w, line)
}
