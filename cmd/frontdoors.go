package cmd

import (
	"context"
	"errors"
	"net"
	"os"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"
	"k8s.io/klog/v2"

	"github.com/lanyardhq/lanyard/internal/reload"
	"github.com/lanyardhq/lanyard/server/admin"
	"github.com/lanyardhq/lanyard/server/csi"
	"github.com/lanyardhq/lanyard/server/process"
	"github.com/lanyardhq/lanyard/server/socket"
	"github.com/lanyardhq/lanyard/server/status"
)

// frontDoors are what serve opens: it listens on all before it serves on any,
// so that a provider that cannot start does not answer half of its dialects.
type frontDoors struct {
	shutdown      *process.Shutdown
	hangups       <-chan os.Signal
	forget        func() // what may be read again
	sockets       []socketDoor
	admin         *admin.Server
	address       string
	adminListener net.Listener    // nil if there is none yet
	watcher       *reload.Watcher // nil without a configuration file
}

type socketDoor struct {
	server   *csi.Server
	listener *socket.Listener
}

// openSockets listens on the socket of each dialect.
func (d *frontDoors) openSockets(ctx context.Context, f *serveFlags, mounter csi.Mounter, metrics *csi.Metrics, requestBytes int64) error {
	uids := make([]uint32, len(f.peerUIDs))
	for i, uid := range f.peerUIDs {
		uids[i] = uint32(uid) //nolint:gosec // checked with the flags
	}
	for _, dialect := range f.dialects {
		path, err := csi.SocketPath(f.socketDirectory, dialect)
		if err != nil {
			return usageError{err}
		}
		listener, err := socket.Listen(ctx, path)
		if err != nil {
			return err
		}
		if other := csi.HiddenBy(f.socketDirectory, dialect); other != "" {
			klog.ErrorS(nil, "The driver finds another socket before this one; remove it if no provider uses it", "socket", listener.Path(), "other", other)
		}
		d.sockets = append(d.sockets, socketDoor{listener: listener, server: csi.New(csi.Options{
			Dialect: dialect, Mounter: mounter, Version: thisBuild().Version,
			RequestBytes: requestBytes, PeerUIDs: uids, Metrics: metrics,
		})})
	}
	return nil
}

// openAdmin listens for those who run the provider, unless it is switched off.
func (d *frontDoors) openAdmin(f *serveFlags, registry *prometheus.Registry, status status.Options) error {
	if f.adminAddress == "" {
		return nil
	}
	d.admin, d.address = admin.New(admin.Options{Registry: registry, Ready: d.ready, Profiles: f.profiles, Status: status}), f.adminAddress
	var err error
	d.adminListener, err = d.admin.Open(d.address)
	return err
}

// ready says whether every dialect's socket is answered.
func (d *frontDoors) ready(ctx context.Context) error {
	var failed []error
	for _, path := range d.paths() {
		failed = append(failed, csi.Probe(ctx, path))
	}
	return errors.Join(failed...)
}

// serve answers until ctx ends or a listener fails, then finishes what is in
// flight: mounts first, so that the probes tell of it meanwhile.
func (d *frontDoors) serve(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, door := range d.sockets {
		group.Go(func() error { return door.server.Serve(door.listener) })
	}
	if d.admin != nil {
		group.Go(func() error { return d.admin.Run(ctx, d.address, d.adminListener) })
	}
	if d.watcher != nil {
		group.Go(func() error { d.watcher.Run(ctx); return nil })
	}
	group.Go(func() error { onHangup(ctx, d.hangups, d.watcher, d.forget); return nil })
	group.Go(func() error {
		<-ctx.Done()
		klog.InfoS("Lanyard stops; mounts in flight are finished first", "atMost", d.shutdown.Timeout)
		d.stop()
		return nil
	})
	return group.Wait()
}

func (d *frontDoors) stop() {
	deadline, cancel := context.WithTimeout(context.Background(), d.shutdown.Timeout)
	defer cancel()
	var stopping sync.WaitGroup
	for _, door := range d.sockets {
		stopping.Go(func() {
			defer d.shutdown.Runs("mounts at " + door.listener.Path())()
			door.server.Stop(deadline)
		})
	}
	stopping.Wait()
	if d.admin != nil {
		d.admin.Stop(deadline)
	}
}

// close gives back what was opened, served or not.
func (d *frontDoors) close() {
	for _, door := range d.sockets {
		if err := door.listener.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			klog.ErrorS(nil, "The socket could not be closed", "cause", err.Error())
		}
	}
	if d.adminListener != nil {
		// It is closed already if it was served.
		_ = d.adminListener.Close() //nolint:errcheck // see above
	}
}

func (d *frontDoors) setRequestBytes(n int64) {
	for _, door := range d.sockets {
		door.server.SetRequestBytes(n)
	}
}

func (d *frontDoors) paths() []string {
	paths := make([]string, len(d.sockets))
	for i, door := range d.sockets {
		paths[i] = door.listener.Path()
	}
	return paths
}

func (d *frontDoors) adminAddress() string {
	if d.adminListener == nil {
		return ""
	}
	return d.adminListener.Addr().String()
}
