package cmd

import (
	"cmp"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	core "k8s.io/api/core/v1"

	"github.com/lanyardhq/lanyard/server/status"
)

// What lanyard status tells of Lanyard's own processes: the KMS plugin's keys, and what keeps
// the sync controller from its work.

// Programs beside serve whose status is asked for, as the argument that starts them.
const (
	programSync = "sync"
	programKMS  = "kms"
)

// adminFlag has the port of the status where a container declares none. The KMS plugin's
// does not: it is on the node's network, where a declared port is taken from all others.
const adminFlag = "--admin-address="

// statusPort is the port of a container's status and the program that runs; 0 for none.
func statusPort(container *core.Container) (port int, program string) {
	if len(container.Args) > 0 {
		program = container.Args[0]
	}
	for _, declared := range container.Ports {
		if declared.Name == adminPort {
			return int(declared.ContainerPort), program
		}
	}
	for _, arg := range container.Args {
		address, ok := strings.CutPrefix(arg, adminFlag)
		_, text, err := net.SplitHostPort(address)
		if !ok || err != nil || program != programKMS {
			continue
		}
		if n, err := strconv.ParseUint(text, 10, 16); err == nil {
			port = int(n)
		}
	}
	return port, program
}

// wholeCluster says that everything is looked at, to which the KMS plugin belongs: its keys
// are nobody's in particular.
func (f *statusFilter) wholeCluster() bool { return *f == statusFilter{problems: f.problems} }

// maxRingKeys and maxProblems bound what is shown of one process.
const (
	maxRingKeys = 64
	maxProblems = 32
)

// cleanRing makes what a KMS plugin tells printable and bounded.
func cleanRing(ring *status.Ring, now time.Time) {
	if ring == nil {
		return
	}
	ring.Problem = printablePassage(ring.Problem)
	for _, text := range []*string{&ring.Named, &ring.KeyID, &ring.Next} {
		*text = printableName(*text)
	}
	dropFuture(now, &ring.Worked)
	ring.Keys = slices.Clone(ring.Keys[:min(len(ring.Keys), maxRingKeys)])
	for i := range ring.Keys {
		key := &ring.Keys[i]
		for _, text := range []*string{&key.Name, &key.Service, &key.Use, &key.State} {
			*text = printableName(*text)
		}
		key.Error = printablePassage(key.Error)
		dropFuture(now, &key.Since, &key.Encrypted, &key.Decrypted, &key.LastFailure)
	}
}

// cleanSynced keeps what is shown of an object of the sync controller, printable.
func cleanSynced(object *status.Synced, now time.Time) {
	for _, text := range []*string{&object.Kind, &object.Namespace, &object.Name} {
		*text = printableName(*text)
	}
	object.Error, object.Reason, object.Secrets = printablePassage(object.Error), "", nil
	dropFuture(now, &object.Since, &object.Worked)
}

// readers is how many of the processes read stores.
func (r *statusReport) readers() (n int) {
	for i := range r.Providers {
		if r.Providers[i].Program != programKMS {
			n++
		}
	}
	return n
}

// ailing says that something keeps the process from its work.
func (p *statusProvider) ailing() bool {
	return len(p.Problems) > 0 || p.Ring != nil && !p.Ring.Healthy
}

// place names the process.
func (p *statusProvider) place() string {
	text := p.Program
	if p.Pod != "" {
		text += " in pod " + p.Namespace + "/" + p.Pod
	}
	if p.Node != "" {
		text += " on node " + p.Node
	}
	return text
}

// writeProcesses tells what keeps processes from their work, and the keys of KMS plugins.
func (r *statusReport) writeProcesses(w io.Writer, width int, color bool) {
	var lines []string
	keys := newColumnTable("KEY", "NODE", "USE", "STATE", "SINCE", "USED", "CALLS", "FAILURES")
	keys.spare = []string{"CALLS", "USED", "FAILURES", "USE"}
	for i := range r.Providers {
		p := &r.Providers[i]
		for _, problem := range p.Problems {
			lines = append(lines, fmt.Sprintf("%s, for %s: %s", p.place(), r.ago(problem.Since), problem.Error))
		}
		if p.Ring == nil {
			continue
		}
		if !p.Ring.Healthy {
			lines = append(lines, p.place()+": "+r.ringProblem(p.Ring))
		}
		for j := range p.Ring.Keys {
			key := &p.Ring.Keys[j]
			state, since := keyState(key)
			keys.add(key.Name, cmp.Or(p.Node, "-"), key.Use, state, r.ago(since),
				r.ago(later(key.Encrypted, key.Decrypted)), strconv.FormatUint(key.Calls, 10), strconv.FormatUint(key.Failures, 10))
		}
	}
	if len(lines) > 0 {
		fmt.Fprint(w, "\nPROCESSES\n")
	}
	for _, line := range lines {
		writeIndented(w, line, width)
	}
	if len(keys.rows) > 1 {
		fmt.Fprintln(w)
		keys.write(w, width, color)
	}
}

// ringProblem is why a plugin is not healthy, and what that means.
func (r *statusReport) ringProblem(ring *status.Ring) string {
	text := cmp.Or(ring.Problem, "it reports to API servers that it is not healthy")
	if ring.Stale {
		return "API servers write on with the seed that they have, for " + r.ahead(ring.Until) + ": " + text
	}
	return text
}

// keyState is the state of a key and since when it is so: failed, if its service answers and
// its last call failed.
func keyState(key *status.Key) (string, time.Time) {
	worked := later(key.Encrypted, key.Decrypted)
	if key.State == status.KeyUp && key.Error != "" && key.LastFailure.After(worked) {
		return string(holdingFailed), worked
	}
	return key.State, key.Since
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// syncedKey is an object that asks the sync controller for Secrets.
type syncedKey struct{ kind, namespace, name string }

// learnSynced takes what a sync controller says of objects that fail.
func (b *statusBuilder) learnSynced(p *statusProvider) {
	if p.Program != programSync {
		return
	}
	for i := range p.synced {
		object := &p.synced[i]
		b.synced[syncedKey{object.Kind, object.Namespace, object.Name}] = object
	}
}

// controllerFails sets the state of a Secret's row if the controller itself says that the
// object fails: of what it may not do any more it cannot tell the object.
func (b *statusBuilder) controllerFails(row *statusRow, kind string, name named) bool {
	object := b.synced[syncedKey{kind, printableName(name.namespace), printableName(name.name)}]
	if object == nil {
		return false
	}
	row.be(holdingFailed, object.Since, object.Error)
	return true
}

// syncedRows are the objects that the sync controller says fail, without a cluster.
func (b *statusBuilder) syncedRows() (rows []statusRow) {
	for _, object := range b.synced {
		row := statusRow{Namespace: object.Namespace, Kind: kindSecret, Name: object.Name, Objects: []statusObject{}}
		if object.Kind == "class" {
			row.Class = object.Name
		}
		if b.controllerFails(&row, object.Kind, named{object.Namespace, object.Name}) {
			rows = append(rows, row)
		}
	}
	return rows
}
