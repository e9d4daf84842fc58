package audit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lanyardhq/lanyard/provider/outbox"
)

// group is what was put before one write.
type group struct {
	done chan struct{}
	err  error
}

// batch are records that wait to be written.
type batch struct {
	heads   []byte // of all
	records []pending
	bytes   int    // of the heads and the objects
	lost    uint64 // for which there was no room
	waiting *group // nil if nobody waits
}

// pending is one record of a batch: where its head is, and its objects.
type pending struct {
	start, end int
	objects    Objects
}

// The sinks, as metrics and the log call them. The queue is what records wait in.
const (
	sinkQueue   = "queue"
	sinkFile    = "file"
	sinkStdout  = "stdout"
	sinkWebhook = "webhook"
)

// writer writes records under one set of settings. Its run is the only one that touches
// the chain and the sinks.
type writer struct {
	log      *Log
	settings settings
	reopen   atomic.Bool

	mu     sync.Mutex
	next   batch
	closed bool
	wake   chan struct{}
	end    chan struct{} // closed with wake

	ended   chan struct{}
	lines   []byte // of the last write
	chain   chain
	file    *file // nil for none
	missing gap   // in the file
	stdout  io.Writer
	webhook *outbox.Box // nil for none
}

// gap are the records that a failing file has not got since the last that it has.
type gap struct{ count, first, last uint64 }

func newWriter(l *Log, s settings) (_ *writer, err error) {
	w := &writer{log: l, settings: s, wake: make(chan struct{}, 1), end: make(chan struct{}), ended: make(chan struct{})}
	defer func() {
		if err != nil && w.file != nil {
			w.file.close()
		}
	}()
	if s.audit.ChainKeyFile != "" {
		if w.chain.mac, err = readKey(s.audit.ChainKeyFile); err != nil {
			return nil, err
		}
	}
	if s.audit.File.Path != "" {
		if w.file, err = openFile(context.Background(), s.audit.File); err != nil {
			return nil, err
		}
		if w.chain.mac != nil {
			line, err := w.file.last()
			if err == nil && line != nil {
				err = w.chain.resume(line)
			}
			if err != nil {
				return nil, fmt.Errorf("%s: %w", s.audit.File.Path, err)
			}
		}
	}
	if s.audit.Stdout {
		w.stdout = l.stdout
	}
	if s.audit.Webhook.URL != "" {
		if w.webhook, err = newWebhook(l, s); err != nil {
			return nil, err
		}
	}
	return w, nil
}

// put adds a record to what is written next. wait asks for the group that it is written
// with.
func (w *writer) put(record *Record, wait bool) (*group, error) {
	record.Node = cmp.Or(record.Node, w.log.node)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		w.log.metrics.records.WithLabelValues(sinkQueue, "lost").Inc()
		return nil, errors.New("the audit log is closed")
	}
	next := &w.next
	if next.bytes > maxPending {
		next.lost++
		return nil, fmt.Errorf("%d MiB of records wait to be written", maxPending>>20)
	}
	if record.Time.IsZero() {
		record.Time = w.log.now() // under the lock, so that records are in the order of time
	}
	start := len(next.heads)
	next.heads = record.head(next.heads)
	next.records = append(next.records, pending{start, len(next.heads), record.Objects})
	next.bytes += len(next.heads) - start + len(record.Objects)
	if wait && next.waiting == nil {
		next.waiting = &group{done: make(chan struct{})}
	}
	select {
	case w.wake <- struct{}{}:
	default:
	}
	if !wait {
		return nil, nil //nolint:nilnil // nobody waits
	}
	return next.waiting, nil
}

// stop writes what is pending and gives the sinks back.
func (w *writer) stop() {
	w.mu.Lock()
	if !w.closed {
		w.closed = true
		close(w.wake)
		close(w.end)
	}
	w.mu.Unlock()
	<-w.ended
}

// run writes until stop.
func (w *writer) run() {
	defer close(w.ended)
	var empty batch
	for range w.wake {
		if w.settings.audit.Required {
			// Whoever is ready to run adds its record first: one write is for all of them.
			runtime.Gosched()
		} else {
			w.gather()
		}
		empty = w.round(empty)
	}
	w.round(empty)
	if w.webhook != nil {
		w.webhook.Close()
	}
	if w.file != nil {
		w.file.close()
	}
}

// gatherTime is how long records for which nobody waits are gathered: a write for each
// costs more than its record.
const gatherTime = 10 * time.Millisecond

func (w *writer) gather() {
	timer := time.NewTimer(gatherTime)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-w.end:
	}
}

// keepBytes is how much room is kept for the next records.
const keepBytes = 1 << 20

// writeBytes is about how much is written at a time. What is copied to the system is then
// still in the processor's cache.
const writeBytes = 128 << 10

// round writes what is pending, and has the next records take the room of an empty batch.
// It returns the room that is free now.
func (w *writer) round(empty batch) batch {
	w.mu.Lock()
	all := w.next
	w.next = empty
	w.mu.Unlock()

	limit := writeBytes
	if all.waiting != nil {
		limit = math.MaxInt // who waits learns of one write that all is in the file, or nothing
	}
	var failed error
	lost := all.lost
	for rest := all.records; len(rest) > 0 || lost > 0; lost = 0 {
		var err error
		if rest, err = w.write(all.heads, rest, lost, limit); failed == nil {
			failed = err
		}
	}
	if all.waiting != nil {
		all.waiting.err = failed
		close(all.waiting.done)
	}
	if cap(all.heads) > keepBytes {
		return batch{}
	}
	clear(all.records) // which would keep their objects
	return batch{heads: all.heads[:0], records: all.records[:0]}
}

// write writes records to each sink, about most bytes of them, and returns the rest. The
// error is that of the file or of standard output.
func (w *writer) write(heads []byte, records []pending, lost uint64, limit int) (rest []pending, failed error) {
	now := w.log.now()
	lines := w.lines[:0]
	before := w.chain.seq
	var written uint64
	add := func(head []byte, objects Objects) {
		start := len(lines)
		lines = append(lines, head...)
		if len(objects) > 0 {
			lines = append(append(lines, `,"objects":`...), objects...)
		}
		lines = w.chain.end(lines, start)
		written++
	}
	// What was lost before is told where it was lost: ahead of what is written now. What the
	// file lacks comes first, so that nothing else stands at the gap.
	if w.missing.count > 0 {
		add((&Record{Time: now, Event: Lost, Result: sinkFile, Node: w.log.node, Count: w.missing.count, First: w.missing.first, Last: w.missing.last}).head(nil), nil)
	}
	if lost > 0 {
		w.log.metrics.lost(sinkQueue, lost)
		w.log.metrics.down(sinkQueue, now, fmt.Errorf("%d MiB of records waited to be written", maxPending>>20))
		add((&Record{Time: now, Event: Lost, Result: sinkQueue, Node: w.log.node, Count: lost}).head(nil), nil)
	} else {
		w.log.metrics.up(sinkQueue, now)
	}
	reported := written
	rest = records
	for ; len(rest) > 0 && len(lines) < limit; rest = rest[1:] {
		add(heads[rest[0].start:rest[0].end], rest[0].objects)
	}
	w.log.metrics.sequence.Set(float64(w.chain.seq))
	if cap(lines) <= keepBytes {
		w.lines = lines
	}

	if w.file != nil {
		if w.reopen.Swap(false) {
			w.file.closeOut()
		}
		err := w.file.add(lines)
		w.log.metrics.wrote(sinkFile, now, written, err)
		switch {
		case err == nil:
			w.missing = gap{}
		case w.chain.mac == nil:
			w.missing.count += written - reported + lost
		default:
			w.missing.count += written
			w.missing.first, w.missing.last = cmp.Or(w.missing.first, before+1), w.chain.seq
		}
		failed = err
	}
	if w.stdout != nil {
		n, err := w.stdout.Write(lines)
		if err == nil && n < len(lines) {
			err = io.ErrShortWrite
		}
		w.log.metrics.wrote(sinkStdout, now, written, err)
		failed = errors.Join(failed, err)
	}
	if w.webhook != nil {
		w.webhook.Add(lines)
	}
	return rest, failed
}
