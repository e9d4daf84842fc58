package outbox

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// told counts what a Watcher is told.
type told struct{ sent, lost, failed uint64 }

func (t *told) Sent(n uint64) { t.sent += n }
func (t *told) Lost(n uint64) { t.lost += n }
func (t *told) Failed(error)  { t.failed++ }

func TestTheQueueHasABound(t *testing.T) {
	watcher := &told{}
	b := newBox(Service{}, Kind{}, watcher)
	line := append(bytes.Repeat([]byte{'x'}, 1<<20-1), '\n')
	for range 20 {
		b.Add(line)
	}
	if len(b.queue) != maxQueue || watcher.lost != 12 || watcher.failed != 12 {
		t.Errorf("%d bytes wait, and %v", len(b.queue), watcher)
	}
	if n := cut(b.queue, maxBatch); n != 1<<20 {
		t.Errorf("a batch has %d bytes, want the one line", n)
	}
	if n := cut([]byte("a\nb\nc\n"), 5); n != 4 {
		t.Errorf("a batch has %d bytes, want two whole lines", n)
	}
}

// Lines are gathered until there is a batch of them, the time is over, or the Box is closed.
func TestLinesAreGathered(t *testing.T) {
	bodies := make(chan int, 10)
	service := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		bodies <- len(body)
	}))
	defer service.Close()
	watcher := &told{}
	b, err := New(Service{URL: service.URL}, Kind{Name: "test", Gather: time.Hour, Body: func(batch []byte) ([]byte, string, error) { return batch, "text/plain", nil }}, watcher)
	if err != nil {
		t.Fatal(err)
	}
	line := append(bytes.Repeat([]byte{'x'}, maxBatch/4-1), '\n')
	for range 4 {
		b.Add(line)
	}
	if n := <-bodies; n != maxBatch {
		t.Errorf("the first call has %d bytes, want the batch", n)
	}
	b.Add([]byte("a\n"))
	b.Add([]byte("b\n"))
	b.Close()
	if n := <-bodies; n != 4 || watcher.sent != 6 || watcher.lost != 0 {
		t.Errorf("the last call has %d bytes, and %+v", n, watcher)
	}
}

func TestRejectedLinesAreANumberOrText(t *testing.T) {
	for answer, want := range map[string]uint64{
		`{"partialSuccess": {"rejectedSpans": 3}}`:         3,
		`{"partialSuccess": {"rejectedSpans": "12"}}`:      12,
		`{"partialSuccess": {"rejectedLogRecords": "12"}}`: 0,
		`{"partialSuccess": {"rejectedSpans": -1}}`:        0,
		`{}`:                   0,
		`no JSON`:              0,
		`{"partialSuccess":1}`: 0,
	} {
		if got := newBox(Service{}, Kind{Rejected: "rejectedSpans"}, nil).rejected([]byte(answer)); got != want {
			t.Errorf("%s: %d, want %d", answer, got, want)
		}
	}
}
