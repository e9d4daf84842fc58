package kms

import (
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	kmsapi "k8s.io/kms/apis/v2"

	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/kmsring/ringtest"
	"github.com/lanyardhq/lanyard/provider/tracing/tracingtest"
)

// Each call of the API server has a span with the key ID, in the API server's own trace if it says so. A probe, which is
// nobody's, has none.
func TestEachCallIsTraced(t *testing.T) {
	receiver := tracingtest.New(t)
	p := start(t, head+ringKey("a", "write", ""))
	tracer := receiver.Tracer(t, nil)
	p.server.service.tracer = tracer
	p.probe()
	req := p.sealed("planted-seed")
	p.failing(fault.ErrDenied, ringtest.Decrypt)
	const trace = "0af7651916cd43dd8448eb211c80319c"
	ctx := metadata.AppendToOutgoingContext(t.Context(), "traceparent", "00-"+trace+"-b7ad6b7169203331-01")
	_, err := p.serve().Decrypt(ctx, req)
	p.is(err, codes.PermissionDenied)
	_, err = p.decrypt(&kmsapi.DecryptRequest{Ciphertext: []byte("planted"), KeyId: "other", Uid: "u2"})
	p.is(err, codes.FailedPrecondition)
	tracer.Close()
	id := "key_id=" + req.GetKeyId() + " "
	want := "encrypt " + id + "result=ok\ndecrypt " + id + "result=denied FAILED denied\ndecrypt key_id=other result=foreign FAILED foreign\n"
	if got := receiver.Tree(); got != want {
		t.Errorf("the spans are\n%s\nwant\n%s", got, want)
	}
	if strings.Contains(receiver.Text(), "planted") {
		t.Errorf("a seed is in\n%s", receiver.Text())
	}
	if spans := receiver.Spans(); len(spans) == 3 && (spans[1].TraceID != trace || spans[1].ParentID != "b7ad6b7169203331" || spans[0].TraceID == trace) {
		t.Errorf("the spans are %v", spans)
	}
}
