package socket

import (
	"net"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
)

const nobody = 65534

// dialAs connects as another user, which only root can. The goroutine keeps
// its thread, which therefore ends with it, because its user is no longer the
// process's.
func dialAs(t *testing.T, uid int, path string) net.Conn {
	t.Helper()
	type result struct {
		conn net.Conn
		err  error
	}
	done := make(chan result)
	go func() {
		runtime.LockOSThread()
		if uid != os.Geteuid() {
			if _, _, errno := syscall.RawSyscall(syscall.SYS_SETRESUID, uintptr(uid), uintptr(uid), uintptr(uid)); errno != 0 {
				done <- result{nil, errno}
				return
			}
		}
		conn, err := net.Dial("unix", path)
		done <- result{conn, err}
	}()
	r := <-done
	must(t, r.err)
	t.Cleanup(func() { _ = r.conn.Close() })
	return r.conn
}

func TestOnlyKnownUsersMayConnect(t *testing.T) {
	type test struct {
		name    string
		uid     int
		allowed []uint32
		refused bool
	}
	tests := []test{{name: "own user", uid: os.Geteuid()}}
	if os.Geteuid() == 0 { // others cannot become somebody else
		tests = append(tests,
			test{name: "stranger", uid: nobody, refused: true},
			test{name: "stranger among others", uid: nobody, allowed: []uint32{1, 2}, refused: true},
			test{name: "configured user", uid: nobody, allowed: []uint32{1, nobody}},
		)
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			// The file's mode is the first barrier; it is lifted here to see the second.
			directory, err := os.MkdirTemp("/tmp", "peer")
			must(t, err)
			t.Cleanup(func() { _ = os.RemoveAll(directory) })
			must(t, os.Chmod(directory, 0o755))
			l := listen(t, filepath.Join(directory, "lanyard.sock"))
			must(t, os.Chmod(l.Path(), 0o666))

			var told []Peer
			creds := Credentials(Peers{UIDs: test.allowed, Refused: func(p Peer) { told = append(told, p) }})
			dialAs(t, test.uid, l.Path())
			accepted, err := l.Accept()
			must(t, err)
			defer accepted.Close()

			_, info, err := creds.ServerHandshake(accepted)
			if test.refused {
				if err == nil {
					t.Fatal("it may connect")
				}
				if len(told) != 1 || told[0].UID != nobody || int(told[0].PID) != os.Getpid() {
					t.Errorf("told of %+v, want uid %d of process %d", told, nobody, os.Getpid())
				}
				return
			}
			must(t, err)
			if peer, ok := info.(Peer); !ok || int(peer.UID) != test.uid || len(told) != 0 {
				t.Errorf("peer is %+v, told of %+v", info, told)
			}
		})
	}
}

func TestOnlyAUnixSocketHasPeers(t *testing.T) {
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	if _, _, err := Credentials(Peers{}).ServerHandshake(a); err == nil {
		t.Error("a pipe was accepted")
	}
}
