package audit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/provider/config"
	"github.com/lanyardhq/lanyard/provider/fault"
)

// maxPending bounds the records that wait to be written, in bytes. One alone may be larger.
const maxPending = 8 << 20

// Options are what a Log is made of.
type Options struct {
	// Settings are the operator's, and Proxy is that of the webhook.
	Settings config.Audit
	Proxy    config.Proxy
	// Node stands in each record; empty means the host's name.
	Node string
	// Stdout is where records go that are for standard output; nil means os.Stdout.
	Stdout io.Writer
	// Metrics is where the log's metrics are registered; nil for nowhere.
	Metrics prometheus.Registerer
	// Now tells the time; nil means time.Now.
	Now func() time.Time
}

// Log writes records where the operator wants them. A nil Log writes none. It is safe for
// concurrent use.
type Log struct {
	now     func() time.Time
	node    string
	stdout  io.Writer
	metrics *metrics

	on       atomic.Bool  // current is not nil
	required atomic.Bool  // of the settings
	swapping sync.RWMutex // for writing while current is replaced, so that no record is lost then
	settings settings
	current  *writer // nil while there is no trail
}

// settings are what a writer is made of.
type settings struct {
	audit config.Audit
	proxy config.Proxy
}

// New returns a Log that runs until Close.
func New(options Options) (*Log, error) {
	l := &Log{now: options.Now, node: options.Node, stdout: options.Stdout}
	if l.now == nil {
		l.now = time.Now
	}
	if l.stdout == nil {
		l.stdout = os.Stdout
	}
	if l.node == "" {
		l.node, _ = os.Hostname() //nolint:errcheck // the field is left out then
	}
	l.metrics = newMetrics(options.Metrics)
	if err := l.Configure(options.Settings, options.Proxy); err != nil {
		return nil, err
	}
	return l, nil
}

// Configure makes other settings hold. After an error those before still do.
func (l *Log) Configure(audit config.Audit, proxy config.Proxy) error {
	l.swapping.Lock()
	defer l.swapping.Unlock()
	next := settings{audit, proxy}
	if next == l.settings {
		return nil
	}
	if l.current != nil {
		l.current.stop() // it has the file
	}
	started, err := l.start(next)
	if err != nil {
		if l.current != nil {
			again, failed := l.start(l.settings)
			if failed != nil { // the writer that has stopped writes nothing and says so
				return errors.Join(err, failed)
			}
			l.current = again
		}
		return err
	}
	l.settings, l.current = next, started
	l.on.Store(started != nil)
	l.required.Store(started != nil && audit.Required)
	return nil
}

// start starts a writer; nil if the settings want none.
func (l *Log) start(s settings) (*writer, error) {
	if !s.audit.On() {
		return nil, nil //nolint:nilnil // which Log.current has then
	}
	w, err := newWriter(l, s)
	if err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	go w.run()
	return w, nil
}

// On says that there is a trail, so that records are worth making.
func (l *Log) On() bool { return l != nil && l.on.Load() }

// Stdout says that records go to standard output.
func (l *Log) Stdout() bool {
	if !l.On() {
		return false
	}
	l.swapping.RLock()
	defer l.swapping.RUnlock()
	return l.current != nil && l.current.stdout != nil
}

// Required says that what has no record must not happen, so that Record waits for it.
func (l *Log) Required() bool { return l != nil && l.required.Load() }

// Note adds a record of what cannot be undone any more, or gives nothing out, and does not
// wait. One that cannot be written is counted as lost.
func (l *Log) Note(record *Record) {
	if l.On() {
		_, _, _ = l.put(record, false) //nolint:errcheck // it is counted
	}
}

// Record adds a record of what is about to be given out. Where the operator requires
// records, it waits until this one is written, and an error says that it was not: then
// nothing may be given out. It wraps fault.ErrUnavailable.
func (l *Log) Record(ctx context.Context, record *Record) error {
	if !l.On() {
		return nil
	}
	written, required, err := l.put(record, true)
	if err == nil && written != nil {
		select {
		case <-written.done:
			err = written.err
		case <-ctx.Done():
			err = fmt.Errorf("it took too long (%w)", ctx.Err())
		}
	}
	if err != nil && required {
		return fault.Fail(fault.ErrUnavailable, fmt.Errorf("the audit record could not be written, and without one nothing is given out (audit.required): %s", message.Excerpt(err.Error())))
	}
	return nil
}

// put adds a record and returns what it is written with, if records are required and wait
// asks for it.
func (l *Log) put(record *Record, wait bool) (written *group, required bool, err error) {
	l.swapping.RLock()
	defer l.swapping.RUnlock()
	if l.current == nil {
		return nil, false, nil
	}
	required = l.current.settings.audit.Required
	written, err = l.current.put(record, wait && required)
	return written, required, err
}

// Reopen opens the file anew with the next record, as after it was moved away.
func (l *Log) Reopen() {
	if !l.On() {
		return
	}
	l.swapping.RLock()
	defer l.swapping.RUnlock()
	if l.current != nil {
		l.current.reopen.Store(true)
	}
}

// Close writes what waits and ends. Records that come later are lost.
func (l *Log) Close() {
	if l == nil {
		return
	}
	l.swapping.Lock()
	defer l.swapping.Unlock()
	if l.current != nil {
		l.current.stop()
	}
}
