package remote

import (
	"context"
	"fmt"
	"io"
	"net/http"

	"github.com/lanyardhq/lanyard/internal/jsonsize"
)

// maxValues bounds the values of an answer in JSON. Each costs a hundred bytes and
// more once it is decoded, so that a few MiB of `{},{},...` would become a GiB.
const maxValues = 1 << 16

// What an answer costs in memory until it has become values: its bytes are kept while
// they are read, copied when they are decoded, and copied again for who asked.
const (
	costOfByte  = 4
	costOfValue = jsonsize.CostOfValue
)

// TooLargeError ends the reading of an answer whose body is larger than Max bytes, or
// that has more than so many values in JSON.
type TooLargeError struct {
	Max    int64
	Values bool
}

// Error implements error.
func (e *TooLargeError) Error() string {
	switch {
	case e.Values:
		return fmt.Sprintf("the answer has more than %d values", e.Max)
	case e.Max >= 1<<20 && e.Max%(1<<20) == 0:
		return fmt.Sprintf("the answer is larger than %d MiB", e.Max>>20)
	}
	return fmt.Sprintf("the answer is larger than %d KiB", e.Max>>10)
}

type reserveKey struct{}

// WithReserve returns a context whose calls call reserve with the bytes of memory that
// each piece of an answer will cost, before the next piece is read. An error ends the
// answer.
func WithReserve(ctx context.Context, reserve func(bytes int64) error) context.Context {
	return context.WithValue(ctx, reserveKey{}, reserve)
}

// boundedBody reads at most max bytes of an answer and at most maxValues values of JSON,
// and then fails with a *TooLargeError if there are more.
type boundedBody struct {
	io.ReadCloser
	left, max int64
	values    jsonsize.Counter
	reserve   func(bytes int64) error
	failed    error
}

// bound bounds the body of the answer. One that announces too much is not read at
// all.
func bound(ctx context.Context, resp *http.Response, limit int64) {
	if isLogin(ctx) {
		limit = min(limit, maxLogin)
	}
	body := &boundedBody{ReadCloser: resp.Body, left: limit, max: limit}
	body.reserve, _ = ctx.Value(reserveKey{}).(func(int64) error)
	if resp.ContentLength > limit {
		body.failed = &TooLargeError{Max: limit}
	}
	resp.Body = body
}

// Read implements io.Reader.
func (b *boundedBody) Read(into []byte) (int, error) {
	if b.failed != nil {
		return 0, b.failed
	}
	if int64(len(into)) > b.left+1 {
		into = into[:b.left+1]
	}
	n, err := b.ReadCloser.Read(into)
	if int64(n) > b.left {
		n, err = int(b.left), &TooLargeError{Max: b.max}
	}
	b.left -= int64(n)
	before := b.values.Values
	b.values.Add(into[:n])
	switch {
	case b.values.Values > maxValues:
		err = &TooLargeError{Max: maxValues, Values: true}
	case b.reserve != nil && n > 0:
		if refused := b.reserve(int64(n)*costOfByte + (b.values.Values-before)*costOfValue); refused != nil {
			err = refused
		}
	}
	if err != nil {
		b.failed = err
	}
	return n, err
}
