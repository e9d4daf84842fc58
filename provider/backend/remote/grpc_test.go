package remote

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/share"
)

// dialGRPC connects with calls to a server, whose answers have maxAnswer bytes at most.
func dialGRPC(t *testing.T, calls *Calls, address string, maxAnswer int) *Conn {
	t.Helper()
	transport, release, err := NewTransports(Options{Calls: calls, MaxAnswer: 100}).Acquire(Route{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(release)
	conn, err := transport.DialGRPC(&url.URL{Scheme: "http", Host: address}, maxAnswer)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// Each of an attacker's addresses has slots of its own, and each call may be answered with
// as much as it may have.
func TestAnswersOverGRPCAreCountedBeforeTheyArrive(t *testing.T) {
	for _, test := range []struct {
		maxAnswer, namespaces int
		other                 int // the bound of another namespace's call, which goes on
	}{
		{256 << 10, 1, 256 << 10}, {3 << 20, 1, 3 << 20}, {3 << 20, 2, 3 << 20}, {256 << 10, 30, 256 << 10}, {3 << 20, 30, 256 << 10},
	} {
		t.Run(fmt.Sprint(test), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				calls := NewCalls(64)
				var inFlight atomic.Int64
				var hung sync.WaitGroup
				status := func(error) int { return 0 }
				for i := range 600 {
					conn := dialGRPC(t, calls, fmt.Sprint("hangs", i%20, ".test:80"), test.maxAnswer)
					hung.Go(func() {
						ctx, cancel := context.WithTimeout(share.With(t.Context(), fmt.Sprint("greedy", i%test.namespaces)), time.Minute)
						defer cancel()
						err := conn.Call(ctx, "test", 2*time.Minute, status, func(ctx context.Context) error {
							inFlight.Add(1)
							<-ctx.Done()
							return ctx.Err()
						})
						if errors.Is(err, ErrNoSlot) && (!errors.Is(err, fault.ErrUnavailable) || !strings.Contains(err.Error(), "32 MiB that their answers may have")) {
							t.Errorf("error %v", err)
						}
					})
				}
				synctest.Wait()
				if arriving := inFlight.Load() * int64(test.maxAnswer); arriving < 3<<20 || arriving > answersBytes+int64(test.namespaces)*answersGuaranteed {
					t.Errorf("%d answers of %d bytes may arrive", inFlight.Load(), test.maxAnswer)
				}
				began, conn := time.Now(), dialGRPC(t, calls, "answers.test:80", test.other)
				if err := conn.Call(share.With(t.Context(), "other"), "test", time.Second, status, func(context.Context) error { return nil }); err != nil {
					t.Error(err)
				}
				if waited := time.Since(began); waited > 0 {
					t.Errorf("another namespace waited %v", waited)
				}
				hung.Wait()
				if left, ok := calls.Answers.TryAcquire("last", calls.Answers.Limit()); !ok {
					t.Error("something was not given back")
				} else {
					left.Release()
				}
			})
		})
	}
}

func TestTheMemoryOfAnAnswerOverGRPCIsReservedBeforeItIsDecoded(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	value := bytes.Repeat([]byte("x"), 1000)
	var contentType atomic.Pointer[[]string]
	server := grpc.NewServer(grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error {
		sent, _ := metadata.FromIncomingContext(stream.Context())
		types := sent.Get("content-type")
		contentType.Store(&types)
		if err := stream.RecvMsg(&emptypb.Empty{}); err != nil {
			return err
		}
		return stream.SendMsg(wrapperspb.Bytes(value))
	}))
	go server.Serve(listener)
	t.Cleanup(server.Stop)
	conn := dialGRPC(t, NewCalls(1), listener.Addr().String(), 2000)

	none := errors.New("nothing is left")
	for name, test := range map[string]struct {
		ctx  func(reserved *int64) context.Context
		err  error
		want int64
	}{
		"without a budget": {func(*int64) context.Context { return t.Context() }, nil, 0},
		"within a budget": {func(reserved *int64) context.Context {
			return WithReserve(t.Context(), func(n int64) error { *reserved += n; return nil })
		}, nil, 1003 * costOfByte},
		"beyond a budget": {func(reserved *int64) context.Context {
			return WithReserve(t.Context(), func(n int64) error { *reserved += n; return none })
		}, none, 1003 * costOfByte},
	} {
		t.Run(name, func(t *testing.T) {
			var reserved int64
			var answer wrapperspb.BytesValue
			err := conn.Invoke(test.ctx(&reserved), "/a/b", &emptypb.Empty{}, &answer)
			if !errors.Is(err, test.err) || reserved != test.want {
				t.Errorf("%d bytes were reserved, error %v; want %d, %v", reserved, err, test.want, test.err)
			}
			if decoded := len(answer.GetValue()) > 0; decoded != (test.err == nil) {
				t.Errorf("the answer was decoded: %t", decoded)
			}
			if got := *contentType.Load(); len(got) != 1 || got[0] != "application/grpc" {
				t.Errorf("content type %q", got)
			}
		})
	}
}
