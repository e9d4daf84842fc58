// Package webhook answers the API server's questions whether a pod is admitted, and as
// what. It decides nothing itself: package inject does. Start with New.
package webhook

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/lanyardhq/lanyard/internal/bounded"

	"github.com/prometheus/client_golang/prometheus"
	admission "k8s.io/api/admission/v1"
	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/klog/v2"

	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/server/inject"
)

const (
	// Path is where pods are sent.
	Path = "/mutate"
	// PathReferences is where pods of namespaces are sent whose label says that references
	// of akv2k8s are meant.
	PathReferences = "/mutate-references"

	// maxBody bounds a review: an object of 3 MiB, the most that an API server takes, and
	// what is said about it.
	maxBody = 4 << 20
	// maxReading bounds the bytes of all reviews that are in memory.
	maxReading = 16 << 20
	// chunk is how many bytes of a review are read at a time.
	chunk = 16 << 10
	// maxValues bounds the names and values of a review, each of which takes some hundred
	// bytes while it is answered. A large pod has a few thousand.
	maxValues = 50_000
	// maxContainers bounds those of a pod, which are compared with each other.
	maxContainers = 200
	// maxReviews are answered at a time, in less than a millisecond each, or in a tenth of a
	// second with the most that annotations may hold; others wait for as long as their
	// callers do.
	maxReviews = 4
	// maxConnections bounds those that are open: API servers have a few each.
	maxConnections = 256
	// maxMessage bounds why a pod is refused.
	maxMessage = 4096
	// maxWarning is what API servers show of a warning.
	// https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/#response
	maxWarning = 256
)

// Options are what a Server is made of.
type Options struct {
	// Inject are the options of the pods.
	Inject inject.Options
	// Certificate is that of the listener.
	Certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)
	// Metrics has the server's own metrics.
	Metrics prometheus.Registerer
	// Now is the time, for the duration of answers.
	Now func() time.Time
}

// Server answers reviews.
type Server struct {
	opts    Options
	http    *http.Server
	turns   chan struct{}
	reading *semaphore.Weighted
	answers *prometheus.CounterVec
	seconds prometheus.Histogram
	end     prometheus.Gauge
}

// New returns a Server that waits for Serve.
func New(opts Options) *Server {
	s := &Server{
		opts: opts, turns: make(chan struct{}, maxReviews), reading: semaphore.NewWeighted(maxReading),
		answers: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "lanyard_inject_admissions_total",
			Help: "Pods that the API server asked about, by what became of them.",
		}, []string{"result"}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "lanyard_inject_admission_seconds", Help: "Time to answer the API server.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5},
		}),
		end: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "lanyard_inject_certificate_expiry_timestamp_seconds", Help: "When the certificate that is served ends.",
		}),
	}
	for _, result := range []string{resultChanged, resultUnchanged, resultRefused, resultInvalid} {
		s.answers.WithLabelValues(result)
	}
	opts.Metrics.MustRegister(s.answers, s.seconds, s.end)
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+PathReferences, s.serve(opts.Inject))
	everywhere := opts.Inject
	everywhere.Dialects = slices.DeleteFunc(slices.Clone(everywhere.Dialects), func(dialect string) bool { return dialect == inject.AKV })
	mux.HandleFunc("POST "+Path, s.serve(everywhere))
	s.http = &http.Server{
		Handler:           mux,
		TLSConfig:         &tls.Config{GetCertificate: opts.Certificate, MinVersion: tls.VersionTLS12},
		ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second, IdleTimeout: 2 * time.Minute,
		MaxHeaderBytes: 16 << 10,
		ErrorLog:       log.New(firstLine{}, "", 0),
	}
	return s
}

// CertificateEnds notes when the certificate that is served ends.
func (s *Server) CertificateEnds(end time.Time) { s.end.Set(float64(end.Unix())) }

// Serve answers on l, which it closes, until Stop; then the error is nil.
func (s *Server) Serve(l net.Listener) error {
	if err := s.http.ServeTLS(bounded.New(l, maxConnections), "", ""); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("webhook: %w", err)
	}
	return nil
}

// Stop takes no more connections and returns when the answers in progress are given. When
// ctx ends, they are broken off.
func (s *Server) Stop(ctx context.Context) {
	if s.http.Shutdown(ctx) != nil {
		// There is nobody left to tell.
		_ = s.http.Close() //nolint:errcheck // see above
	}
}

// The results of admissions.
const (
	resultChanged   = "changed"
	resultUnchanged = "unchanged"
	resultRefused   = "refused"
	resultInvalid   = "invalid"
)

func (s *Server) serve(options inject.Options) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { s.review(w, r, options) }
}

func (s *Server) review(w http.ResponseWriter, r *http.Request, options inject.Options) {
	begun := s.opts.Now()
	defer func() { s.seconds.Observe(s.opts.Now().Sub(begun).Seconds()) }()
	// Who sends slowly holds the bytes that were sent, and keeps nobody waiting.
	text, err := s.read(r.Body)
	defer s.reading.Release(int64(cap(text)))
	if err == nil {
		err = checkValues(text)
	}
	var review admission.AdmissionReview
	if err == nil {
		select {
		case s.turns <- struct{}{}:
			defer func() { <-s.turns }()
		case <-r.Context().Done():
			return
		}
		review, err = parse(text)
	}
	if err != nil {
		s.answers.WithLabelValues(resultInvalid).Inc()
		klog.ErrorS(nil, "What the API server sent is no review", "cause", message.Excerpt(err.Error()))
		http.Error(w, message.Excerpt(err.Error()), http.StatusBadRequest)
		return
	}
	response, result := answer(review.Request, options)
	s.answers.WithLabelValues(result).Inc()
	response.UID = review.Request.UID
	w.Header().Set("Content-Type", "application/json")
	// The API server may be gone; that is its own affair.
	_ = json.NewEncoder(w).Encode(admission.AdmissionReview{TypeMeta: review.TypeMeta, Response: response}) //nolint:errcheck,errchkjson // see above
}

// errBusy says that reviews in progress have all the memory that there is for them.
var errBusy = errors.New("too much is sent at a time; try again")

// read reads a body. The capacity of what it returns is held until it is released, also
// with an error.
func (s *Server) read(body io.Reader) ([]byte, error) {
	var text []byte
	for {
		if len(text) == cap(text) {
			if cap(text) >= maxBody {
				return text, fmt.Errorf("is larger than %d bytes", maxBody)
			}
			more := max(chunk, cap(text))
			if !s.reading.TryAcquire(int64(more)) {
				return text, errBusy
			}
			larger := make([]byte, len(text), cap(text)+more)
			copy(larger, text)
			text = larger
		}
		n, err := body.Read(text[len(text):cap(text)])
		text = text[:len(text)+n]
		if errors.Is(err, io.EOF) {
			return text, nil
		}
		if err != nil {
			return text, err
		}
	}
}

// checkValues refuses a text with more names and values than any pod has, before it is
// taken apart.
func checkValues(text []byte) error {
	tokens := json.NewDecoder(bytes.NewReader(text))
	for count := 0; ; count++ {
		_, err := tokens.Token()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("is no AdmissionReview: %w", err)
		case count == maxValues:
			return fmt.Errorf("has more than %d names and values", maxValues)
		}
	}
}

// parse parses a review of the one version that there is.
func parse(text []byte) (admission.AdmissionReview, error) {
	var review admission.AdmissionReview
	if err := json.Unmarshal(text, &review); err != nil {
		return review, fmt.Errorf("is no AdmissionReview: %w", err)
	}
	if review.APIVersion != admission.SchemeGroupVersion.String() || review.Request == nil {
		return review, errors.New("must be an AdmissionReview of " + admission.SchemeGroupVersion.String() + " with a request")
	}
	return review, nil
}

var pods = schema.GroupVersionResource{Version: "v1", Resource: "pods"}

// answer decides on one request. Pods are changed when they are made; later nothing of what
// they need can be added.
func answer(request *admission.AdmissionRequest, options inject.Options) (*admission.AdmissionResponse, string) {
	unchanged := &admission.AdmissionResponse{Allowed: true}
	if request.Operation != admission.Create || request.SubResource != "" || schema.GroupVersionResource(request.Resource) != pods {
		return unchanged, resultUnchanged
	}
	var pod core.Pod
	if err := json.Unmarshal(request.Object.Raw, &pod); err != nil {
		return refuse(http.StatusBadRequest, meta.StatusReasonBadRequest, "the pod cannot be read: "+err.Error()), resultInvalid
	}
	if n := len(pod.Spec.Containers) + len(pod.Spec.InitContainers); n > maxContainers {
		return refuse(http.StatusBadRequest, meta.StatusReasonBadRequest, fmt.Sprintf("the pod has %d containers; one that asks for secrets may have %d", n, maxContainers)), resultInvalid
	}
	result, err := inject.Pod(&pod, request.Namespace, options)
	name := pod.Name
	if name == "" {
		name = pod.GenerateName
	}
	if err != nil {
		klog.ErrorS(nil, "A pod is refused", "namespace", request.Namespace, "pod", message.Printable(name), "cause", message.Excerpt(err.Error()))
		return refuse(http.StatusForbidden, meta.StatusReasonForbidden, err.Error()), resultRefused
	}
	response := &admission.AdmissionResponse{Allowed: true}
	for _, warning := range result.Warnings {
		response.Warnings = append(response.Warnings, cut("lanyard: "+warning, maxWarning))
	}
	patch, err := inject.Patch(&pod, result.Pod)
	if err == nil && len(patch) > 0 {
		response.Patch, err = json.Marshal(patch)
		kind := admission.PatchTypeJSONPatch
		response.PatchType = &kind
	}
	if err != nil {
		return refuse(http.StatusInternalServerError, meta.StatusReasonInternalError, err.Error()), resultInvalid
	}
	if len(patch) == 0 {
		return response, resultUnchanged
	}
	klog.V(2).InfoS("A pod gets its secrets", "namespace", request.Namespace, "pod", message.Printable(name), "asked", result.Pod.Annotations[inject.Injected])
	return response, resultChanged
}

func refuse(code int32, reason meta.StatusReason, text string) *admission.AdmissionResponse {
	return &admission.AdmissionResponse{Result: &meta.Status{Status: meta.StatusFailure, Code: code, Reason: reason, Message: cut(text, maxMessage)}}
}

// cut keeps a text to a number of bytes.
func cut(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	return strings.ToValidUTF8(text[:limit-len("…")], "") + "…"
}

// firstLine logs what the HTTP server has to say, without the stack of a panic.
type firstLine struct{}

func (firstLine) Write(p []byte) (int, error) {
	line, _, _ := strings.Cut(string(p), "\n")
	klog.ErrorS(nil, "Webhook's listener", "cause", message.Excerpt(line))
	return len(p), nil
}
