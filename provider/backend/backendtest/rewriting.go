package backendtest

import (
	"bytes"
	"net/http"
	"sync"
)

// Rewriting changes the answers of a server that are a success. The zero Rewriting
// changes none. It is safe for concurrent use.
type Rewriting struct {
	mu     sync.Mutex
	change func(body []byte) []byte
}

// Rewrite has every further answer pass through change; nil ends that.
func (r *Rewriting) Rewrite(change func(body []byte) []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.change = change
}

// Rewritten is the body as it is to be answered.
func (r *Rewriting) Rewritten(body []byte) []byte {
	r.mu.Lock()
	change := r.change
	r.mu.Unlock()
	if change == nil {
		return body
	}
	return change(body)
}

// Rewriter returns next with its answers rewritten to the requests that are concerned.
func (r *Rewriting) Rewriter(next http.Handler, concerned func(*http.Request) bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r.mu.Lock()
		idle := r.change == nil
		r.mu.Unlock()
		if idle || !concerned(req) {
			next.ServeHTTP(w, req)
			return
		}
		kept := &keptAnswer{ResponseWriter: w, status: http.StatusOK}
		next.ServeHTTP(kept, req)
		body := kept.body.Bytes()
		if kept.status == http.StatusOK {
			body = r.Rewritten(body)
		}
		w.Header().Del("Content-Length")
		Write(w, kept.status, body)
	})
}

// keptAnswer keeps what is answered.
type keptAnswer struct {
	http.ResponseWriter
	status int
	body   bytes.Buffer
}

// WriteHeader implements http.ResponseWriter.
func (k *keptAnswer) WriteHeader(status int) { k.status = status }

// Write implements http.ResponseWriter.
func (k *keptAnswer) Write(p []byte) (int, error) { return k.body.Write(p) }
