package remote

import (
	"fmt"
	"io"
	"net/http"
)

// TooLargeError ends the reading of an answer whose body is larger than Max bytes.
type TooLargeError struct{ Max int64 }

// Error implements error.
func (e *TooLargeError) Error() string {
	if e.Max >= 1<<20 && e.Max%(1<<20) == 0 {
		return fmt.Sprintf("the answer is larger than %d MiB", e.Max>>20)
	}
	return fmt.Sprintf("the answer is larger than %d KiB", e.Max>>10)
}

// boundedBody reads at most max bytes of an answer, and then fails with a
// *TooLargeError if there are more.
type boundedBody struct {
	io.ReadCloser
	left, max int64
}

// bound bounds the body of the answer. One that announces too much is not read at
// all.
func bound(resp *http.Response, limit int64) {
	body := &boundedBody{ReadCloser: resp.Body, left: limit, max: limit}
	if resp.ContentLength > limit {
		body.left = -1
	}
	resp.Body = body
}

// Read implements io.Reader.
func (b *boundedBody) Read(into []byte) (int, error) {
	if b.left < 0 {
		return 0, &TooLargeError{b.max}
	}
	if int64(len(into)) > b.left+1 {
		into = into[:b.left+1]
	}
	n, err := b.ReadCloser.Read(into)
	if int64(n) > b.left {
		n, b.left = int(b.left), -1
		return n, &TooLargeError{b.max}
	}
	b.left -= int64(n)
	return n, err
}
