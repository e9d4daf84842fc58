package status

import (
	"bytes"
	"encoding/json"
	"maps"
	"net"
	"net/http"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/lanyardhq/lanyard/internal/bounded"
)

const (
	// maxFollowers is how many connections may follow the facts at a time. One more ends the
	// oldest of the address that has most.
	maxFollowers = 1024
	// followTime is how long somebody elsewhere follows, whose right may end meanwhile.
	followTime = 5 * time.Minute
	// tick is how often the facts are compared with those before, while anyone follows, and
	// beat how often a connection is written to though nothing has changed, which finds those
	// that are gone.
	tick, beat = 2 * time.Second, 15 * time.Second
	// writeTime is how long a follower may take to read what is written to it.
	writeTime = 30 * time.Second
)

// events tell those who follow the facts what changes. Changes are found and written down
// once for all. A follower costs its connection alone: no goroutine and no buffer of its own
// while nothing is written to it.
type events struct {
	collect func() *Facts
	now     func() time.Time

	// making guards what the followers have been told: the rows, and the text that tells
	// all of them, once somebody came. It is locked before mu.
	making sync.Mutex
	sent   rows
	all    []byte

	mu        sync.Mutex
	followers map[*follower]struct{}
	came      uint64 // followers so far
	closed    bool
	stop      chan struct{} // ends run; nil while it does not run
	work      sync.WaitGroup
}

// follower is a connection that follows the facts.
type follower struct {
	conn   net.Conn
	host   string
	number uint64    // counts up
	until  time.Time // zero for one from this pod
	// waiting are the texts to be written; the first is being written by a goroutine of its
	// own, which ends with the last. The texts are shared by all followers.
	waiting [][]byte
}

// maxWaiting is how many texts may wait for a follower, which is given up when there are
// more: its browser begins anew.
const maxWaiting = 8

func newEvents(collect func() *Facts, now func() time.Time) *events {
	return &events{collect: collect, now: now, followers: map[*follower]struct{}{}}
}

// close ends all connections and waits for what is in progress.
func (e *events) close() {
	e.mu.Lock()
	e.closed = true
	for f := range e.followers {
		e.remove(f)
	}
	e.mu.Unlock()
	e.work.Wait()
}

// remove ends a follower. The caller holds mu.
func (e *events) remove(f *follower) {
	if _, there := e.followers[f]; !there {
		return
	}
	delete(e.followers, f)
	_ = f.conn.Close() //nolint:errcheck // its client is told by that
	if len(e.followers) == 0 && e.stop != nil {
		close(e.stop)
		e.stop = nil
	}
}

// follow answers with the rows of the page, and then with those that change, until the
// client goes.
// https://html.spec.whatwg.org/multipage/server-sent-events.html
func (s *Server) follow(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	if r.Method == http.MethodHead {
		return
	}
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, "the status is followed over HTTP/1.1", http.StatusHTTPVersionNotSupported)
		return
	}
	bounded.Unbound(conn)
	// The end of the answer is that of the connection.
	head := "HTTP/1.1 200 OK\r\nConnection: close\r\n"
	for name := range w.Header() {
		head += name + ": " + w.Header().Get(name) + "\r\n"
	}
	f := &follower{conn: conn, host: hostOf(r)}
	if !isLocal(r) {
		f.until = s.opts.Now().Add(followTime)
	}
	s.events.add(f, []byte(head+"\r\n"))
}

// crowd is the oldest follower of the address that has most. The caller holds mu, and there
// is a follower.
func (e *events) crowd() (oldest *follower) {
	from := map[string]int{}
	for f := range e.followers {
		from[f.host]++
	}
	for f := range e.followers {
		if oldest == nil || from[f.host] > from[oldest.host] || from[f.host] == from[oldest.host] && f.number < oldest.number {
			oldest = f
		}
	}
	return oldest
}

// expire ends those whose time is over.
func (e *events) expire(now time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for f := range e.followers {
		if !f.until.IsZero() && !now.Before(f.until) {
			e.remove(f)
		}
	}
}

// add has a connection follow, on which head is written first.
func (e *events) add(f *follower, head []byte) {
	e.making.Lock()
	defer e.making.Unlock()
	e.compare()
	if e.all == nil {
		e.all = eventOf(e.sent, nil)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		_ = f.conn.Close() //nolint:errcheck // its client is told by that
		return
	}
	e.came++
	f.number = e.came
	if len(e.followers) >= maxFollowers {
		e.remove(e.crowd())
	}
	e.followers[f] = struct{}{}
	e.write(f, head)
	e.write(f, e.all)
	if e.stop == nil {
		e.stop = make(chan struct{})
		stop := e.stop
		e.work.Go(func() { e.run(stop) })
	}
}

// write has a text written to a follower. The caller holds mu.
func (e *events) write(f *follower, text []byte) {
	switch f.waiting = append(f.waiting, text); len(f.waiting) {
	case 1:
		e.work.Go(func() { e.writeAll(f) })
	case maxWaiting:
		e.remove(f)
	}
}

// writeAll writes what waits for a follower.
func (e *events) writeAll(f *follower) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for len(f.waiting) > 0 {
		text := f.waiting[0]
		e.mu.Unlock()
		err := f.conn.SetDeadline(time.Now().Add(writeTime))
		if err == nil {
			_, err = f.conn.Write(text)
		}
		e.mu.Lock()
		if err != nil {
			e.remove(f)
			f.waiting = nil
			return
		}
		f.waiting = f.waiting[1:]
	}
	f.waiting = nil
}

// run tells of changes until nobody follows.
func (e *events) run(stop <-chan struct{}) {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for last := time.Now(); ; {
		select {
		case <-stop:
			e.making.Lock()
			defer e.making.Unlock()
			e.forget()
			return
		case now := <-ticker.C:
			e.expire(e.now())
			e.making.Lock()
			changed := e.compare()
			e.making.Unlock()
			if !changed && now.Sub(last) >= beat {
				e.broadcast([]byte(":\n\n"))
				changed = true
			}
			if changed {
				last = now
			}
		}
	}
}

// forget forgets what was told, if nobody follows. The caller holds making.
func (e *events) forget() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.followers) == 0 {
		e.sent, e.all = nil, nil
	}
}

// compare tells the followers what has changed since it was called last. The caller holds
// making.
func (e *events) compare() (changed bool) {
	after := rowsAfter(e.collect(), e.sent)
	if after.sameAs(e.sent) {
		return false
	}
	if e.sent != nil {
		e.broadcast(eventOf(after, e.sent))
	}
	e.sent, e.all = after, nil
	return true
}

// broadcast writes to all followers.
func (e *events) broadcast(text []byte) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for f := range e.followers {
		e.write(f, text)
	}
}

// rows are the parts of the page that change, by the IDs of their elements.
type rows map[string]*row

// row is a part of the page, and the facts that it shows.
type row struct {
	of    any // of the facts; compared by value
	table string
	html  string
}

func (r rows) sameAs(before rows) bool {
	return maps.EqualFunc(r, before, func(a, b *row) bool { return a == b })
}

// rowsAfter are the rows of facts after others: a row whose facts are the same is the very
// same, and is not made again.
func rowsAfter(f *Facts, before rows) rows {
	after := rows{}
	for _, p := range partsOf(f) {
		if known := before[p.id]; known != nil && reflect.DeepEqual(known.of, p.of) {
			after[p.id] = known
			continue
		}
		after[p.id] = &row{of: p.of, table: p.table, html: p.html()}
	}
	return after
}

// change is what an event tells the page.
type change struct {
	// All says that what is not in Rows is gone.
	All bool `json:"all,omitempty"`
	// Rows are the new texts of elements, in the order of their IDs.
	Rows []changedRow `json:"rows,omitempty"`
	// Gone are the IDs of elements that are there no more.
	Gone []string `json:"gone,omitempty"`
}

type changedRow struct {
	ID    string `json:"id"`
	Table string `json:"table,omitempty"`
	HTML  string `json:"html"`
}

// eventOf is the event of rows after those before; nil tells all of them.
func eventOf(after, before rows) []byte {
	c := change{All: before == nil}
	for _, id := range slices.Sorted(maps.Keys(after)) {
		if after[id] != before[id] {
			c.Rows = append(c.Rows, changedRow{id, after[id].table, after[id].html})
		}
	}
	for _, id := range slices.Sorted(maps.Keys(before)) {
		if after[id] == nil {
			c.Gone = append(c.Gone, id)
		}
	}
	text := bytes.NewBufferString("data: ")
	encoder := json.NewEncoder(text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(c); err != nil {
		panic(err) // texts can be written
	}
	// The encoder has ended the line, and JSON has no line breaks.
	text.WriteByte('\n')
	return text.Bytes()
}
