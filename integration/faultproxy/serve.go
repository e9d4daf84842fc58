package faultproxy

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"time"
)

// serve lets one request through, or does to it what the fault says.
func (p *Proxy) serve(w http.ResponseWriter, r *http.Request) {
	record := Request{
		Method: r.Method, Path: strings.TrimPrefix(r.URL.Path, "/v1/"), Query: r.URL.RawQuery,
		Header: r.Header.Clone(), At: time.Now(),
	}
	p.entered(record)
	left := sync.OnceFunc(func() { p.left(record) })
	defer left()
	w = &statusWriter{ResponseWriter: w, status: &record.Status, left: left}

	fault, delay := p.take(record.Method, record.Path)
	if !wait(r.Context(), delay) {
		panic(http.ErrAbortHandler)
	}
	if fault == nil {
		p.target.ServeHTTP(w, r)
		return
	}
	if fault.Refuse {
		panic(http.ErrAbortHandler)
	}
	if fault.Status != 0 {
		maps.Copy(w.Header(), fault.Header)
		w.WriteHeader(fault.Status)
		w.Write([]byte(fault.Body)) //nolint:errcheck,gosec // the client may be gone
		return
	}
	p.answerBroken(w, r, fault)
}

// answerBroken asks the server and spoils the answer.
func (p *Proxy) answerBroken(w http.ResponseWriter, r *http.Request, fault *Fault) {
	answer := httptest.NewRecorder()
	p.target.ServeHTTP(answer, r)
	body := answer.Body.Bytes()
	if fault.Hangup {
		panic(http.ErrAbortHandler)
	}
	maps.Copy(w.Header(), answer.Header())
	switch {
	case fault.EmptyBody:
		w.Header().Set("Content-Length", "0")
		w.WriteHeader(answer.Code)
	case fault.HalfBody:
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		w.WriteHeader(answer.Code)
		w.Write(body[:len(body)/2])           //nolint:errcheck,gosec // the client may be gone
		http.NewResponseController(w).Flush() //nolint:errcheck,gosec // the client may be gone
		panic(http.ErrAbortHandler)
	default:
		if fault.Rewrite != nil && answer.Code == http.StatusOK {
			body = fault.Rewrite(body)
			w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		}
		w.WriteHeader(answer.Code)
		w.Write(body) //nolint:errcheck,gosec // the client may be gone
	}
}

// statusWriter notes the status that is answered, just before it is.
type statusWriter struct {
	http.ResponseWriter
	status *int
	left   func()
}

// WriteHeader implements http.ResponseWriter.
func (w *statusWriter) WriteHeader(status int) {
	*w.status = status
	w.left()
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap lets http.ResponseController find the writer's other abilities.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
