package proxytest

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// Names is a name server of the whole process.
type Names struct {
	mu        sync.Mutex
	addrs     map[string][]netip.Addr
	turns     map[string]int
	requested map[string]bool
}

// StartNames lets the process ask a name server that knows the addresses of names, and
// no others, until the test ends. Nothing else may resolve names meanwhile. A name
// with several addresses has one at a time, each in its turn.
func StartNames(t testing.TB, addrs map[string][]string) *Names {
	t.Helper()
	n := &Names{addrs: map[string][]netip.Addr{}, turns: map[string]int{}, requested: map[string]bool{}}
	for name, texts := range addrs {
		for _, text := range texts {
			n.addrs[name] = append(n.addrs[name], netip.MustParseAddr(text))
		}
	}
	conn, err := net.ListenPacket("udp", "127.0.0.1:0") //nolint:noctx // a test's listener
	if err != nil {
		t.Fatal(err)
	}
	before := net.DefaultResolver
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
	done := make(chan struct{})
	go func() { defer close(done); n.serve(conn) }()
	t.Cleanup(func() {
		net.DefaultResolver = before
		_ = conn.Close() //nolint:errcheck // the server ends with it
		<-done
	})
	return n
}

// Requested is true of a name that was resolved.
func (n *Names) Requested(name string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.requested[name]
}

func (n *Names) serve(conn net.PacketConn) {
	buffer := make([]byte, 1500)
	for {
		length, from, err := conn.ReadFrom(buffer)
		if err != nil {
			return
		}
		var query dnsmessage.Message
		if query.Unpack(buffer[:length]) != nil || len(query.Questions) != 1 {
			continue
		}
		answer := n.answer(query.Questions[0])
		answer.Header.ID, answer.Questions = query.Header.ID, query.Questions
		if packed, err := answer.Pack(); err == nil {
			_, _ = conn.WriteTo(packed, from) //nolint:errcheck // the client asks again
		}
	}
}

// answer gives the address whose turn it is for both kinds of question.
func (n *Names) answer(question dnsmessage.Question) dnsmessage.Message {
	name := strings.TrimSuffix(question.Name.String(), ".")
	n.mu.Lock()
	defer n.mu.Unlock()
	message := dnsmessage.Message{Header: dnsmessage.Header{Response: true, Authoritative: true}}
	addrs := n.addrs[name]
	if len(addrs) == 0 {
		message.RCode = dnsmessage.RCodeNameError
		return message
	}
	n.requested[name] = true
	addr := addrs[n.turns[name]%len(addrs)]
	header := dnsmessage.ResourceHeader{Name: question.Name, Type: question.Type, Class: dnsmessage.ClassINET}
	switch {
	case question.Type == dnsmessage.TypeA:
		n.turns[name]++ // each resolution asks for both
		if addr.Is4() {
			message.Answers = []dnsmessage.Resource{{Header: header, Body: &dnsmessage.AResource{A: addr.As4()}}}
		}
	case question.Type == dnsmessage.TypeAAAA && !addr.Is4():
		message.Answers = []dnsmessage.Resource{{Header: header, Body: &dnsmessage.AAAAResource{AAAA: addr.As16()}}}
	}
	return message
}

// Forget lets Asked begin anew.
func (n *Names) Forget(name string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.requested, name)
}
