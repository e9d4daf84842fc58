package webhook

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	admission "k8s.io/api/admission/v1"

	"github.com/lanyardhq/lanyard/server/inject"
)

func server() *Server {
	return New(Options{
		Inject: inject.Options{
			Image: "lanyard", Audiences: []string{"vault"}, Resources: inject.DefaultResources(), Dialects: inject.Dialects(),
			Vault: inject.Vault{Address: "https://vault.example.com", AuthPath: "kubernetes"}, Exempt: []string{"lanyard"}, AKVClass: "akv2k8s",
		},
		Certificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, http.ErrAbortHandler },
		Metrics:     prometheus.NewRegistry(), Now: time.Now,
	})
}

// review is a review of a pod as API servers send it.
func review(pod, more string) string {
	return `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"1","operation":"CREATE","namespace":"shop",` +
		`"resource":{"group":"","version":"v1","resource":"pods"},` + more + `"object":` + pod + `}}`
}

const aPod = `{"metadata":{"generateName":"web-","annotations":{"lanyard.dev/inject":"files","lanyard.dev/class":"web"}},"spec":{"containers":[{"name":"web","image":"web","later":true}]}}`

func ask(t *testing.T, s *Server, body string) (int, *admission.AdmissionResponse) {
	t.Helper()
	w := httptest.NewRecorder()
	s.http.Handler.ServeHTTP(w, httptest.NewRequest(http.MethodPost, Path, strings.NewReader(body)))
	if w.Code != http.StatusOK {
		return w.Code, nil
	}
	var answered admission.AdmissionReview
	if err := json.Unmarshal(w.Body.Bytes(), &answered); err != nil || answered.Response == nil || answered.APIVersion != "admission.k8s.io/v1" || answered.Kind != "AdmissionReview" || answered.Response.UID != "1" {
		t.Fatalf("%v: %s", err, w.Body)
	}
	return w.Code, answered.Response
}

func TestAPodGetsWhatItAsksFor(t *testing.T) {
	_, r := ask(t, server(), review(aPod, ""))
	var patch []inject.Operation
	if err := json.Unmarshal(r.Patch, &patch); err != nil || !r.Allowed || *r.PatchType != admission.PatchTypeJSONPatch {
		t.Fatalf("%v, %v", err, r)
	}
	var pod any
	if err := json.Unmarshal([]byte(aPod), &pod); err != nil {
		t.Fatal(err)
	}
	got, err := json.Marshal(inject.Apply(pod, patch))
	const want = `{"metadata":{"annotations":{"lanyard.dev/class":"web","lanyard.dev/inject":"files","lanyard.dev/injected":"lanyard"},"generateName":"web-"},` +
		`"spec":{"containers":[{"image":"web","later":true,"name":"web","volumeMounts":[{"mountPath":"/secrets","name":"lanyard-secrets","readOnly":true}]}],` +
		`"volumes":[{"csi":{"driver":"secrets-store.csi.k8s.io","readOnly":true,"volumeAttributes":{"secretProviderClass":"web"}},"name":"lanyard-secrets"}]}}`
	if err != nil || string(got) != want {
		t.Errorf("%v\n%s\nwant\n%s", err, got, want)
	}
}

func TestAnswers(t *testing.T) {
	s := server()
	refused := strings.ReplaceAll(aPod, `"lanyard.dev/class":"web"`, `"lanyard.dev/class":"Web!","lanyard.dev/mode":"x"`)
	for name, c := range map[string]struct {
		body    string
		code    int
		allowed bool
		text    string // of the refusal or the warning
	}{
		"not asked":       {review(`{"metadata":{"name":"web"},"spec":{"containers":[{"name":"web"}]}}`, ""), 200, true, ""},
		"refused":         {review(refused, ""), 200, false, "lanyard.dev/class: Web! is no name of a SecretProviderClass; lanyard.dev/mode: must be volume or agent, not x"},
		"warned":          {review(`{"metadata":{"annotations":{"vault.security.banzaicloud.io/vault-role":"web","vault.security.banzaicloud.io/log-level":"debug"}},"spec":{"containers":[{"name":"web","command":["/a"],"env":[{"name":"A","value":"vault:a#b"}]}]}}`, ""), 200, true, "lanyard: vault.security.banzaicloud.io/log-level: has no effect"},
		"an update":       {strings.Replace(review(refused, ""), "CREATE", "UPDATE", 1), 200, true, ""},
		"a subresource":   {review(refused, `"subResource":"ephemeralcontainers",`), 200, true, ""},
		"something else":  {strings.Replace(review(refused, ""), `"pods"`, `"secrets"`, 1), 200, true, ""},
		"our namespace":   {strings.Replace(review(refused, ""), "shop", "lanyard", 1), 200, true, ""},
		"no pod":          {review(`{"spec":[]}`, ""), 200, false, "the pod cannot be read"},
		"no JSON":         {"x", 400, false, ""},
		"no request":      {`{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview"}`, 400, false, ""},
		"another version": {strings.Replace(review(aPod, ""), "k8s.io/v1", "k8s.io/v1beta1", 1), 400, false, ""},
		"too large":       {review(`"`+strings.Repeat("x", maxBody)+`"`, ""), 400, false, ""},
		"too many values": {review(`{"a":[`+strings.Repeat("1,", maxValues)+`1]}`, ""), 400, false, ""},
		"many containers": {review(`{"spec":{"containers":[`+strings.Repeat(`{"name":"a"},`, maxContainers)+`{"name":"b"}]}}`, ""), 200, false, "the pod has 201 containers"},
	} {
		t.Run(name, func(t *testing.T) {
			code, r := ask(t, s, c.body)
			if code != c.code {
				t.Fatalf("status %d, want %d", code, c.code)
			}
			if r == nil {
				return
			}
			told := strings.Join(r.Warnings, "\n")
			if r.Result != nil {
				told += r.Result.Message
			}
			if r.Allowed != c.allowed || !strings.Contains(told, c.text) || c.text == "" && told != "" {
				t.Errorf("allowed %v, told %q; want %v, %q", r.Allowed, told, c.allowed, c.text)
			}
		})
	}
	got := map[string]float64{}
	for _, result := range []string{resultChanged, resultUnchanged, resultRefused, resultInvalid} {
		got[result] = testutil.ToFloat64(s.answers.WithLabelValues(result))
	}
	if want := map[string]float64{resultChanged: 1, resultUnchanged: 5, resultRefused: 1, resultInvalid: 7}; !reflect.DeepEqual(got, want) {
		t.Errorf("metrics %v, want %v", got, want)
	}
}

// A text with @azurekeyvault may mean something else where no label says so.
func TestReferencesOfAKVAreMeantWhereANamespaceSaysSo(t *testing.T) {
	for path, want := range map[string]bool{Path: false, PathReferences: true} {
		w := httptest.NewRecorder()
		body := review(`{"spec":{"containers":[{"name":"web","command":["/a"],"env":[{"name":"A","value":"a@azurekeyvault"}]}]}}`, "")
		server().http.Handler.ServeHTTP(w, httptest.NewRequest(http.MethodPost, path, strings.NewReader(body)))
		if got := strings.Contains(w.Body.String(), `"patch"`); got != want {
			t.Errorf("%s: %s", path, w.Body)
		}
	}
}

func TestOtherPathsAndMethodsAreNotServed(t *testing.T) {
	for _, r := range []*http.Request{httptest.NewRequest(http.MethodGet, Path, nil), httptest.NewRequest(http.MethodPost, "/metrics", nil)} {
		w := httptest.NewRecorder()
		if server().http.Handler.ServeHTTP(w, r); w.Code < 400 {
			t.Errorf("%s %s: %d", r.Method, r.URL, w.Code)
		}
	}
}

// 100 pods a second with their answers: see docs/inject.md.
func BenchmarkReview(b *testing.B) {
	s := server()
	body := []byte(review(aPod, ""))
	for b.Loop() {
		w := httptest.NewRecorder()
		s.http.Handler.ServeHTTP(w, httptest.NewRequest(http.MethodPost, Path, bytes.NewReader(body)))
		if w.Code != http.StatusOK {
			b.Fatal(w.Code)
		}
	}
}

// Who sends a review slowly keeps nobody waiting, and who sends too much at a time is
// refused until it is done.
func TestSlowSendersKeepNobodyWaiting(t *testing.T) {
	s := server()
	var ended sync.WaitGroup
	var senders []*io.PipeWriter
	slow := func() {
		reader, writer := io.Pipe()
		senders = append(senders, writer)
		ended.Go(func() {
			s.http.Handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), http.MethodPost, Path, reader))
		})
		if _, err := io.WriteString(writer, "{"); err != nil {
			t.Error(err)
		}
	}
	for range 10 * maxReviews {
		slow()
	}
	if code, r := ask(t, s, review(aPod, "")); code != 200 || !r.Allowed || len(r.Patch) == 0 {
		t.Errorf("beside slow senders: %d, %+v", code, r)
	}
	for range maxReading/chunk - 10*maxReviews {
		slow()
	}
	if code, _ := ask(t, s, review(aPod, "")); code != 400 {
		t.Errorf("status %d where all memory is taken", code)
	}
	for _, sender := range senders {
		if err := sender.CloseWithError(io.ErrUnexpectedEOF); err != nil {
			t.Error(err)
		}
	}
	ended.Wait()
	if code, _ := ask(t, s, review(aPod, "")); code != 200 {
		t.Errorf("status %d after all have ended", code)
	}
}
