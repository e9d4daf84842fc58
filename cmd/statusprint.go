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
		if p.ailing() {
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
	r.writeProcesses(&text, width, to.color)
	r.writeMissing(&text, width)
	if text.Len() > 0 {
		text.WriteString("\n")
	}
	text.WriteString(r.summary() + "\n")
	_, err := io.WriteString(to, text.String())
	return err
}

// name is how a holder is called in the table.
func (r *statusRow) name() string { return r.Kind + "/" + r.Name }

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
		t.add(string(row.State), row.Namespace, row.name(), row.Class, strconv.Itoa(len(row.Objects)), r.ago(read), r.ahead(due), r.ahead(lease), r.ago(row.Since))
	}
	return t
}

// objectTable has a line for each object of each holder.
func (r *statusReport) objectTable() *columnTable {
	t := newColumnTable("STATE", "NAMESPACE", "NAME", "CLASS", "OBJECT", "STORE", "VERSION", "AGE", "REFRESH", "LEASE", "SINCE", "NODE")
	for i := range r.Holders {
		row := &r.Holders[i]
		holder := []string{row.Namespace, row.name(), row.Class}
		since, node := r.ago(row.Since), cmp.Or(row.Node, "-")
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
		who[row.Cause] = append(who[row.Cause], fmt.Sprintf("%s/%s (%s)", row.Namespace, row.name(), row.Class))
	}
	if len(causes) > 0 {
		fmt.Fprint(w, "\nWHY\n")
	}
	for _, cause := range causes {
		writeIndented(w, message.Names(who[cause], func(name string) string { return name })+": "+cause, width)
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
		who[p.Error] = append(who[p.Error], "pod "+p.Namespace+"/"+p.Pod+" on node "+p.Node)
	}
	for _, cause := range causes {
		missing = append(missing, "not asked: "+message.Names(who[cause], func(name string) string { return name })+": "+cause)
	}
	if len(missing) > 0 {
		fmt.Fprint(w, "\nNOT READ\n")
	}
	for _, text := range missing {
		writeIndented(w, text, width)
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
