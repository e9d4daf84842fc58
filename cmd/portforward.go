package cmd

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/moby/spdystream"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/lanyardhq/lanyard/internal/message"
)

// forwarder makes requests to ports of pods over the API server's port-forward, and so from
// the pod's own loopback interface. The proxy for pods would not do: what the API server
// sends on has no Authorization header, and comes from the API server's address.
// https://github.com/kubernetes/apiserver/blob/v0.36.0/pkg/endpoints/filters/authentication.go
//
// It is what client-go's tools/portforward does without a port on this machine.
type forwarder struct {
	client *http.Client
	host   *url.URL
}

// forwardTime is how long one request may take, and headBytes how long the head of its
// answer may be. Who reads the body bounds it.
const (
	forwardTime = 15 * time.Second
	headBytes   = 64 << 10
)

// replyOften is how often it is looked whether a stream is still waited for.
const replyOften = 50 * time.Millisecond

// The words of the port-forward protocol.
// https://github.com/kubernetes/kubelet/blob/v0.36.0/pkg/cri/streaming/portforward/httpstream.go
const (
	forwardProtocol = "portforward.k8s.io"
	forwardUpgrade  = "SPDY/3.1"
)

func newForwarder(config *rest.Config) (*forwarder, error) {
	config = rest.CopyConfig(config)
	config.Timeout = 0                       // the request's context has it: the connection outlives the answer
	config.NextProtos = []string{"http/1.1"} // which alone can be upgraded
	host, _, err := rest.DefaultServerUrlFor(config)
	if err != nil {
		return nil, err
	}
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, err
	}
	return &forwarder{client: client, host: host}, nil
}

// get hands on the body of the answer to GET path at a pod's port.
func (f *forwarder) get(ctx context.Context, namespace, pod string, port int, path string, use func(io.Reader) error) error {
	ctx, cancel := context.WithTimeout(ctx, forwardTime)
	defer cancel()
	connection, err := f.connect(ctx, namespace, pod)
	if err == nil {
		defer connection.Close()                                          //nolint:errcheck // all was read, or the error is told
		defer context.AfterFunc(ctx, func() { _ = connection.Close() })() //nolint:errcheck // it breaks off what waits
		err = exchange(ctx, connection, port, path, use)
	}
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return err
}

// connect asks for a port-forward to the pod.
func (f *forwarder) connect(ctx context.Context, namespace, pod string) (io.ReadWriteCloser, error) {
	target := f.host.JoinPath("api", "v1", "namespaces", namespace, "pods", pod, "portforward")
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, target.String(), http.NoBody)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Connection", "Upgrade")
	request.Header.Set("Upgrade", forwardUpgrade)
	request.Header.Set("X-Stream-Protocol-Version", forwardProtocol)
	answer, err := f.client.Do(request)
	if err != nil {
		return nil, err
	}
	if connection, ok := answer.Body.(io.ReadWriteCloser); ok && answer.StatusCode == http.StatusSwitchingProtocols {
		return connection, nil
	}
	defer answer.Body.Close() //nolint:errcheck // nothing was written
	text, err := io.ReadAll(io.LimitReader(answer.Body, 4<<10))
	if err != nil {
		return nil, err
	}
	var status meta.Status
	if json.Unmarshal(text, &status) == nil && status.Message != "" {
		return nil, errors.New(message.Excerpt(status.Message))
	}
	return nil, fmt.Errorf("the API server answers a port-forward with %s: %s", message.Printable(answer.Status), message.Excerpt(strings.TrimSpace(string(text))))
}

// exchange makes a request over a port-forward's connection.
func exchange(ctx context.Context, connection io.ReadWriteCloser, port int, path string, use func(io.Reader) error) error {
	streams, err := spdystream.NewConnection(streamConn{connection}, false)
	if err != nil {
		return err
	}
	go streams.Serve(spdystream.NoOpStreamHandler) // until the connection is closed
	defer streams.Close()                          //nolint:errcheck // all was read, or the error is told
	open := func(kind string) (*spdystream.Stream, error) {
		stream, err := streams.CreateStream(http.Header{"Streamtype": {kind}, "Port": {strconv.Itoa(port)}, "Requestid": {"0"}}, nil, kind == "error")
		if err != nil {
			return nil, err
		}
		// The end of the connection does not end a wait for the reply.
		for err = spdystream.ErrTimeout; errors.Is(err, spdystream.ErrTimeout) && ctx.Err() == nil; {
			err = stream.WaitTimeout(replyOften)
		}
		return stream, err
	}
	failure, err := open("error")
	if err != nil {
		return err
	}
	defer failure.Reset() //nolint:errcheck // see above
	// It is read from the start: what nobody reads holds up the end of all streams.
	said := make(chan string, 1)
	go func() {
		text, _ := io.ReadAll(io.LimitReader(failure, 4<<10)) //nolint:errcheck // what came is what is told
		said <- message.Excerpt(strings.TrimSpace(string(text)))
		_, _ = io.Copy(io.Discard, failure) //nolint:errcheck // see above
	}()
	data, err := open("data")
	if err != nil {
		return err
	}
	defer data.Reset() //nolint:errcheck // see above
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort("localhost", strconv.Itoa(port))+path, http.NoBody)
	if err != nil {
		return err
	}
	request.Close = true
	if err := request.Write(data); err != nil {
		return err
	}
	err = readAnswer(data, request, use)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		// The kubelet says why it could not connect, and closes both streams.
		select {
		case text := <-said:
			if text != "" {
				return errors.New(text)
			}
		case <-ctx.Done():
		}
	}
	return err
}

// readAnswer reads an answer of a provider's admin listener.
func readAnswer(from io.Reader, request *http.Request, use func(io.Reader) error) error {
	limited := &io.LimitedReader{R: from, N: headBytes}
	answer, err := http.ReadResponse(bufio.NewReader(limited), request)
	if err != nil && limited.N <= 0 {
		return fmt.Errorf("the head of its answer has more than %d KiB", headBytes>>10)
	}
	if err != nil {
		return err
	}
	defer answer.Body.Close() //nolint:errcheck // nothing was written
	limited.N = math.MaxInt64
	return useAnswer(answer, use)
}

// useAnswer hands on the body of an answer that says 200.
func useAnswer(answer *http.Response, use func(io.Reader) error) error {
	switch answer.StatusCode {
	case http.StatusOK:
		return use(answer.Body)
	case http.StatusNotFound:
		return errors.New("it has no status page; its version is older than this command's")
	}
	body, err := io.ReadAll(io.LimitReader(answer.Body, 4<<10))
	if err != nil {
		return err
	}
	return fmt.Errorf("it answers %s: %s", message.Printable(answer.Status), message.Excerpt(strings.TrimSpace(string(body))))
}

// streamConn is an upgraded connection as spdystream takes one: it never sets a deadline.
type streamConn struct{ io.ReadWriteCloser }

// LocalAddr is not known.
func (streamConn) LocalAddr() net.Addr { return &net.TCPAddr{} }

// RemoteAddr is not known.
func (streamConn) RemoteAddr() net.Addr { return &net.TCPAddr{} }

// SetDeadline does nothing.
func (streamConn) SetDeadline(time.Time) error { return nil }

// SetReadDeadline does nothing.
func (streamConn) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline does nothing.
func (streamConn) SetWriteDeadline(time.Time) error { return nil }
