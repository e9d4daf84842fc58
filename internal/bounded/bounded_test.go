package bounded

import (
	"net"
	"testing"
)

// A client that holds as many connections as it can keeps no other out.
func TestConnectionsAreBounded(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer inner.Close()
	b := New(inner, 3)
	dial := func(from string) (client net.Conn, server net.Conn) {
		t.Helper()
		dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
		client, err := dialer.Dial("tcp", inner.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = client.Close() })
		server, err = b.Accept()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = server.Close() })
		return client, server
	}
	ended := func(client net.Conn) bool {
		t.Helper()
		_, err := client.Read(make([]byte, 1))
		return err != nil
	}
	answers := func(client, server net.Conn) {
		t.Helper()
		if _, err := server.Write([]byte("x")); err != nil {
			t.Errorf("a connection has ended: %v", err)
		}
		if ended(client) {
			t.Error("a connection has ended")
		}
	}
	kubelet, probe := dial("127.0.0.2")
	oldest, _ := dial("127.0.0.1")
	second, kept := dial("127.0.0.1")
	third, newest := dial("127.0.0.1")
	if !ended(oldest) {
		t.Error("the oldest is still open")
	}
	answers(kubelet, probe)
	answers(second, kept)
	answers(third, newest)
	if err := kept.Close(); err != nil {
		t.Error(err)
	}
	if err := kept.Close(); err == nil || b.count != 2 {
		t.Errorf("%d connections count after one was closed twice, %v", b.count, err)
	}
	another, fourth := dial("127.0.0.3")
	answers(kubelet, probe)
	answers(third, newest)
	answers(another, fourth)
	Unbound(fourth)
	if b.count != 2 {
		t.Errorf("%d connections count after one was taken out", b.count)
	}
	fifth, last := dial("127.0.0.4")
	answers(kubelet, probe)
	answers(another, fourth)
	answers(fifth, last)
	if err := fourth.Close(); err != nil || b.count != 3 {
		t.Errorf("%d connections count after it was closed too, %v", b.count, err)
	}
}
