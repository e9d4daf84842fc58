package csi

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"k8s.io/klog/v2"
	"sigs.k8s.io/secrets-store-csi-driver/provider/v1alpha1"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/lanyardhq/lanyard/provider/backend/remote"
	"github.com/lanyardhq/lanyard/provider/config"
	"github.com/lanyardhq/lanyard/provider/engine"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/spec"
)

func TestMountAnswersWithTheWholeVolume(t *testing.T) {
	var got engine.Request
	f := start(t, func(_ context.Context, req engine.Request) (*engine.Volume, error) {
		got = req
		return &engine.Volume{
			Files:    []engine.File{{Path: "db/password", Mode: 0o440, Contents: []byte("p\x00w")}, {Path: "empty", Mode: 0o644}},
			Versions: []engine.Version{{ID: "db/password", Version: "7"}, {ID: "empty", Version: "1"}},
		}, nil
	})
	resp, err := f.client.Mount(t.Context(), message(nil))
	must(t, err)
	if got.Dialect != "lanyard" || got.Identity.Namespace != "prod" || got.Mode != 0o644 {
		t.Errorf("the engine was asked for %+v", got)
	}
	files := resp.GetFiles()
	if len(files) != 2 || files[0].GetPath() != "db/password" || files[0].GetMode() != 0o440 || string(files[0].GetContents()) != "p\x00w" || files[1].GetPath() != "empty" {
		t.Errorf("files are %v", files)
	}
	versions := resp.GetObjectVersion()
	if len(versions) != 2 || versions[0].GetId() != "db/password" || versions[0].GetVersion() != "7" {
		t.Errorf("versions are %v", versions)
	}
	if n := f.metric(t, "lanyard_mounts_total", "OK"); n != 1 {
		t.Errorf("%v mounts counted", n)
	}
}

func TestEveryKindOfFailureHasItsCode(t *testing.T) {
	for _, test := range []struct {
		err  error
		code codes.Code
		text string
	}{
		{&engine.MountError{Kind: fault.ErrInvalid, Text: "object 3: mode"}, codes.InvalidArgument, "object 3: mode"},
		{&engine.MountError{Kind: fault.ErrNotFound, Text: "x"}, codes.NotFound, "x"},
		{&engine.MountError{Kind: fault.ErrUnauthenticated, Text: "x"}, codes.Unauthenticated, "x"},
		{&engine.MountError{Kind: fault.ErrDenied, Text: "x"}, codes.PermissionDenied, "x"},
		{&engine.MountError{Kind: fault.ErrUnavailable, Text: "x"}, codes.Unknown, "x"},
		{&engine.MountError{Kind: fault.ErrTooLarge, Text: "x"}, codes.OutOfRange, "x"},
		{&engine.MountError{Kind: fault.ErrPrecondition, Text: "x"}, codes.FailedPrecondition, "x"},
		{&engine.MountError{Kind: fault.ErrInternal, Text: "x"}, codes.Internal, "x"},
		{&engine.MountError{Kind: nil, Text: "x"}, codes.Internal, "x"},
		{fmt.Errorf("wrapped: %w", &engine.MountError{Kind: fault.ErrDenied, Text: "x"}), codes.PermissionDenied, "x"},
		{context.Canceled, codes.Canceled, "gave up"},
		{context.DeadlineExceeded, codes.DeadlineExceeded, "time was over"},
		{errors.New("s3cr3t"), codes.Internal, "the provider's log"},
	} {
		err := statusOf(test.err).Err()
		wantStatus(t, err, test.code, test.text)
		if strings.Contains(err.Error(), "s3cr3t") {
			t.Errorf("the text of an unknown error is shown: %v", err)
		}
	}
}

func TestTextOfAStatusIsBoundedAndValid(t *testing.T) {
	for _, text := range []string{strings.Repeat("é", 8<<10), "a" + strings.Repeat("é", 8<<10), "bad \xff byte", strings.Repeat("x", maxText)} {
		got := statusOf(&engine.MountError{Kind: fault.ErrInvalid, Text: text}).Message()
		if len(got) > maxText || !utf8.ValidString(got) {
			t.Errorf("%d bytes, valid: %v", len(got), utf8.ValidString(got))
		}
	}
}

func TestARequestOfTenMiBIsRefusedInWords(t *testing.T) {
	f := start(t, empty)
	_, err := f.client.Mount(t.Context(), message(map[string]string{"objects": strings.Repeat("x", 10<<20)}))
	wantStatus(t, err, codes.OutOfRange, "holds 10.00 MiB and this node accepts 1.00 MiB", `"objects"`, "bounds.requestBytes")
	f.SetRequestBytes(11 << 20)
	if _, err := f.client.Mount(t.Context(), message(map[string]string{"objects": strings.Repeat("x", 10<<20)})); err != nil {
		t.Errorf("with a higher bound: %v", err)
	}
}

func TestAPanicFailsOneCallAndTellsNoSecret(t *testing.T) {
	log := captureLog(t, 9)
	f := start(t, func(ctx context.Context, req engine.Request) (*engine.Volume, error) {
		if req.Parameters["panic"] != "" {
			panic(fmt.Errorf("value is %s", "s3cr3t"))
		}
		return empty(ctx, req)
	})
	_, err := f.client.Mount(t.Context(), message(map[string]string{"panic": "yes"}))
	wantStatus(t, err, codes.Internal, "the provider panicked")
	if _, err := f.client.Mount(t.Context(), message(nil)); err != nil {
		t.Errorf("the next call: %v", err)
	}
	if n := f.metric(t, "lanyard_panics_total", ""); n != 1 {
		t.Errorf("%v panics counted", n)
	}
	if n := f.metric(t, "lanyard_mounts_total", "Internal"); n != 1 {
		t.Errorf("%v failed mounts counted", n)
	}
	if n := f.metric(t, "lanyard_mounts_in_flight", "lanyard"); n != 0 {
		t.Errorf("%v mounts in flight", n)
	}
	text := log()
	if !strings.Contains(text, "*fmt.wrapError") && !strings.Contains(text, "*fmt.fmtError") && !strings.Contains(text, "*errors.errorString") {
		t.Errorf("the log does not tell the type:\n%s", text)
	}
	if !strings.Contains(text, "mount_test.go:") {
		t.Errorf("the log does not tell the place:\n%s", text)
	}
	if strings.Contains(text, "s3cr3t") || strings.Contains(err.Error(), "s3cr3t") {
		t.Errorf("the panic's value is told:\n%s", text)
	}
}

// After these codes the kubelet leaves the target directory behind, and the
// driver answers its next try with an empty volume.
func TestNoFailureLeavesTheMountOpenToTheKubelet(t *testing.T) {
	for _, kind := range []error{
		nil, errors.New("unknown"), fault.ErrInvalid, fault.ErrNotFound, fault.ErrUnauthenticated, fault.ErrDenied, fault.ErrUnavailable,
		fault.ErrTooLarge, fault.ErrPrecondition, fault.ErrInternal,
	} {
		var calls atomic.Int32
		f := start(t, func(context.Context, engine.Request) (*engine.Volume, error) {
			calls.Add(1)
			return nil, &engine.MountError{Kind: kind, Text: "vault: sealed"}
		})
		_, err := f.client.Mount(t.Context(), message(nil))
		switch code := status.Code(err); code {
		case codes.OK, codes.Canceled, codes.DeadlineExceeded, codes.Unavailable, codes.ResourceExhausted, codes.Aborted:
			t.Errorf("%v has the code %v", kind, code)
		}
		// The kubelet is who tries again.
		if n := calls.Load(); n != 1 {
			t.Errorf("%v: %d attempts, want 1", kind, n)
		}
	}
}

// largeVolumes is an engine with little memory, whose one class is a file of half a megabyte.
func largeVolumes(t *testing.T) *engine.Engine {
	t.Helper()
	const tenfold = `{{ $a = print $a $a $a $a $a $a $a $a $a $a }}`
	class := &spec.Class{Objects: []spec.Object{{Path: "p", Template: `{{ $a := printf "%1000d" 1 }}` + tenfold + tenfold + `{{ print $a $a $a $a $a }}`}}}
	settings := config.Default()
	settings.Bounds.Memory = 16 << 20
	e, err := engine.New(engine.Options{
		Config: settings, Calls: remote.NewCalls(1), Metrics: prometheus.NewRegistry(),
		Dialects: map[string]spec.Dialect{"lanyard": func(map[string]string) (*spec.Class, error) { return class, nil }},
	})
	must(t, err)
	t.Cleanup(e.Close)
	return e
}

func TestADeliveredVolumeLeavesItsMemoryToTheNext(t *testing.T) {
	f := start(t, largeVolumes(t).Mount)
	for range 100 {
		_, err := f.client.Mount(t.Context(), message(nil))
		must(t, err)
	}
}

func TestAVolumeHoldsItsMemoryUntilItsCallEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := New(Options{Dialect: "lanyard", RequestBytes: 1 << 20, Metrics: NewMetrics(prometheus.NewRegistry()), Mounter: largeVolumes(t)})
		defer server.Stop(t.Context())
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		var err error
		for range 100 { // calls of which none ends
			if _, err = server.service.Mount(ctx, message(nil)); err != nil {
				break
			}
		}
		wantStatus(t, err, codes.Unknown, "bounds.memory")
		cancel()
		synctest.Wait()
		_, err = server.service.Mount(t.Context(), message(nil))
		must(t, err)
	})
}

func TestLogHasOneLineForAMountAndNoParameters(t *testing.T) {
	log := captureLog(t, 9)
	f := start(t, func(ctx context.Context, req engine.Request) (*engine.Volume, error) {
		if req.Parameters["fail"] != "" {
			return nil, &engine.MountError{Kind: fault.ErrDenied, Text: "object 1 (a): permission denied"}
		}
		return empty(ctx, req)
	})
	m := message(map[string]string{"objects": "s3cr3t", tokensKey: `{"vault":{"token":"s3cr3t"}}`})
	m.Secrets = `{"password":"s3cr3t"}`
	_, err := f.client.Mount(t.Context(), m)
	must(t, err)
	if _, err := f.client.Mount(t.Context(), message(map[string]string{"fail": "s3cr3t"})); err == nil {
		t.Fatal("no error")
	}
	text := log()
	for _, want := range []string{`"Mounted" pod="prod/web-0" class="web" dialect="lanyard" files=0 took=`, `"Mount failed" pod="prod/web-0" serviceAccount="web" class="web" dialect="lanyard" code="PermissionDenied"`, "object 1 (a): permission denied"} {
		if !strings.Contains(text, want) {
			t.Errorf("the log does not say %s:\n%s", want, text)
		}
	}
	if strings.Contains(text, "s3cr3t") {
		t.Errorf("the log tells a parameter:\n%s", text)
	}
	if n := strings.Count(text, "\n"); n != 2 {
		t.Errorf("%d lines:\n%s", n, text)
	}
}

func TestManyMountsAtOnce(t *testing.T) {
	f := start(t, empty)
	var group sync.WaitGroup
	for range 500 {
		group.Go(func() {
			if _, err := f.client.Mount(context.Background(), message(nil)); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
}

func TestAStrangerIsRefusedAndCounted(t *testing.T) {
	const nobody = 65534
	log := captureLog(t, 0)
	f := start(t, empty)
	// The mode of the socket is the first barrier; it is lifted to see the second.
	must(t, os.Chmod(f.path, 0o666))
	dialer := grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) { return dialAs(nobody, f.path) })
	conn := dial(t, f.path, dialer, grpc.WithDisableRetry())
	_, err := v1alpha1.NewCSIDriverProviderClient(conn).Version(t.Context(), &v1alpha1.VersionRequest{}, grpc.WaitForReady(false))
	if os.Geteuid() != 0 {
		return // nobody else than root can become somebody else
	}
	if status.Code(err) != codes.Unavailable {
		t.Errorf("a stranger got %v", err)
	}
	_ = conn.Close()
	if n := f.metric(t, "lanyard_refused_peers_total", ""); n < 1 {
		t.Errorf("%v refused peers counted", n)
	}
	if text := log(); !strings.Contains(text, "uid=65534") || !strings.Contains(text, fmt.Sprintf("pid=%d", os.Getpid())) {
		t.Errorf("the log does not say who it was:\n%s", text)
	}
}

// dialAs connects as another user, if the process may become one, on a thread
// that ends with the goroutine.
func dialAs(uid int, path string) (net.Conn, error) {
	type result struct {
		conn net.Conn
		err  error
	}
	done := make(chan result)
	go func() {
		runtime.LockOSThread()
		if _, _, errno := syscall.RawSyscall(syscall.SYS_SETRESUID, uintptr(uid), uintptr(uid), uintptr(uid)); errno != 0 && errno != syscall.EPERM {
			done <- result{nil, errno}
			return
		}
		conn, err := net.Dial("unix", path)
		done <- result{conn, err}
	}()
	r := <-done
	return r.conn, r.err
}

// captureLog collects what is logged up to a verbosity until log is called.
func captureLog(t *testing.T, verbosity int) (log func() string) {
	t.Helper()
	var buffer lockedBuffer
	flags := flag.NewFlagSet("klog", flag.ContinueOnError)
	klog.InitFlags(flags)
	set := func(name, value string) { must(t, flags.Set(name, value)) }
	set("logtostderr", "false")
	set("one_output", "true")
	set("stderrthreshold", "FATAL")
	set("v", fmt.Sprint(verbosity))
	klog.SetOutput(&buffer)
	t.Cleanup(func() {
		set("logtostderr", "true")
		set("one_output", "false")
		set("stderrthreshold", "ERROR")
		set("v", "0")
		klog.SetOutput(os.Stderr)
	})
	return func() string {
		klog.Flush()
		return buffer.String()
	}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// BenchmarkMount compares a mount that costs the engine nothing with the
// floor: a gRPC server that returns the same bytes.
func BenchmarkMount(b *testing.B) {
	volume := &engine.Volume{}
	for i := range 20 {
		name := fmt.Sprintf("db/password-%d", i)
		volume.Files = append(volume.Files, engine.File{Path: name, Mode: 0o644, Contents: bytes.Repeat([]byte("x"), 1024)})
		volume.Versions = append(volume.Versions, engine.Version{ID: name, Version: "7"})
	}
	request := message(map[string]string{
		"objects": strings.Repeat("- path: db/password\n  store: vault\n  key: secret/data/prod/db\n  property: password\n", 20),
		tokensKey: `{"vault":{"token":"` + strings.Repeat("x", 1200) + `","expirationTimestamp":"2030-01-02T03:04:05Z"}}`,
	})
	b.Run("lanyard", func(b *testing.B) {
		f := start(b, func(context.Context, engine.Request) (*engine.Volume, error) { return volume, nil })
		measure(b, f.client, request)
	})
	b.Run("floor", func(b *testing.B) {
		l, err := net.Listen("unix", b.TempDir()+"/floor.sock")
		must(b, err)
		server := grpc.NewServer()
		v1alpha1.RegisterCSIDriverProviderServer(server, floor{response(volume)})
		go func() { _ = server.Serve(l) }()
		defer server.Stop()
		measure(b, v1alpha1.NewCSIDriverProviderClient(dial(b, l.Addr().String())), request)
	})
}

type floor struct{ answer *v1alpha1.MountResponse }

func (floor) Version(context.Context, *v1alpha1.VersionRequest) (*v1alpha1.VersionResponse, error) {
	return &v1alpha1.VersionResponse{}, nil
}

func (f floor) Mount(context.Context, *v1alpha1.MountRequest) (*v1alpha1.MountResponse, error) {
	return f.answer, nil
}

func measure(b *testing.B, client v1alpha1.CSIDriverProviderClient, request *v1alpha1.MountRequest) {
	b.ReportAllocs()
	times := make([]time.Duration, 0, 1<<16)
	for b.Loop() {
		start := time.Now()
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
		_, err := client.Mount(ctx, request)
		cancel()
		must(b, err)
		times = append(times, time.Since(start))
	}
	slices.Sort(times)
	b.ReportMetric(float64(times[len(times)/2].Microseconds()), "µs/p50")
}
