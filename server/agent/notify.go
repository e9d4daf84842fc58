package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	osexec "os/exec"
	"syscall"
	"time"

	"k8s.io/klog/v2"
)

// Notification tells the application that files have changed.
type Notification struct {
	// Kind names the way in the log and in metrics.
	Kind string
	// File is the one whose changes it tells of; empty is all. Of its first content it
	// tells too, since a command may make of the file what the application reads.
	File string
	// Send tells it once. Its error holds no value, nor what the application said.
	Send func(context.Context) error
}

const (
	// settle is how long changes are collected before one notification tells of them.
	settle = time.Second
	// sendTime bounds one try.
	sendTime = 30 * time.Second
	// tries is how often one is made for a change, with pauses that double.
	tries     = 6
	firstWait = time.Second
)

// notifier sends the notifications of one kind, one at a time.
type notifier struct {
	Notification
	count   func(result string)
	pending chan struct{}
}

func newNotifier(n Notification, count func(result string)) *notifier {
	return &notifier{n, count, make(chan struct{}, 1)}
}

// changed asks for a notification. It does not wait.
func (n *notifier) changed() {
	select {
	case n.pending <- struct{}{}:
	default: // one that was not sent yet tells of this change too
	}
}

// run sends until ctx ends.
func (n *notifier) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-n.pending:
		}
		if !wait(ctx, settle) {
			return
		}
		n.send(ctx)
	}
}

// send tells of all changes until now.
func (n *notifier) send(ctx context.Context) {
	var err error
	for try, pause := 0, firstWait; try < tries; try, pause = try+1, 2*pause {
		if try > 0 && !wait(ctx, pause+rand.N(pause/4)) {
			return
		}
		select {
		case <-n.pending:
		default:
		}
		limited, cancel := context.WithTimeout(ctx, sendTime)
		err = n.Send(limited)
		cancel()
		switch {
		case err == nil:
			n.count("ok")
			klog.InfoS("The application was notified of changed files", "by", n.Kind)
			return
		case ctx.Err() != nil:
			return
		case try == 0:
			klog.ErrorS(nil, "The application could not be notified of changed files; it is tried again", "by", n.Kind, "cause", err.Error())
		}
		if try < tries-1 {
			n.count("retried")
		}
	}
	n.count("failed")
	klog.ErrorS(nil, "The application was not notified of changed files; the next change notifies it again", "by", n.Kind, "tries", tries, "cause", err.Error())
}

func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// BySignal sends a signal to the processes of a name, of all that are seen in /proc.
func BySignal(signal syscall.Signal, process string) Notification {
	return Notification{Kind: "signal", Send: func(context.Context) error { return processes{"/proc"}.signal(signal, process) }}
}

// ByCommand runs a command, whose words are split as a shell does, without one. What it
// prints is dropped, because it may hold values.
func ByCommand(text string) (Notification, error) {
	args, err := words(text)
	if err != nil {
		return Notification{}, err
	}
	return Notification{Kind: "command", Send: func(ctx context.Context) error {
		command := osexec.CommandContext(ctx, args[0], args[1:]...) //nolint:gosec // the command that the user names
		// Its children end with it.
		command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		command.Cancel = func() error { return syscall.Kill(-command.Process.Pid, syscall.SIGKILL) }
		command.WaitDelay = time.Second
		err := command.Run()
		switch {
		case ctx.Err() != nil:
			return fmt.Errorf("%s did not end within %v and was killed", args[0], sendTime)
		case errors.Is(err, osexec.ErrNotFound):
			return fmt.Errorf("%s is not there; a command must be in this container's image", args[0])
		case err != nil:
			return fmt.Errorf("%s: %w (what it prints is not kept, because it may hold values)", args[0], err)
		}
		return nil
	}}, nil
}

// ByURL sends a POST without a body to a URL of this host or pod.
func ByURL(text string) (Notification, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Scheme != "http" || u.Host == "":
		return Notification{}, errors.New("must be a URL such as http://localhost:8080/reload")
	case u.User != nil:
		return Notification{}, errors.New("must hold no credentials")
	}
	transport := &http.Transport{DialContext: dialLoopback, DisableKeepAlives: true, MaxResponseHeaderBytes: 16 << 10}
	client := &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return Notification{Kind: "url", Send: func(ctx context.Context) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), http.NoBody)
		if err != nil {
			return errors.New("the request cannot be made")
		}
		resp, err := client.Do(req)
		if err != nil {
			var cause *url.Error
			if errors.As(err, &cause) {
				err = cause.Err
			}
			return fmt.Errorf("POST %s: %w", u.Redacted(), err)
		}
		defer resp.Body.Close()                        //nolint:errcheck // what it says is dropped
		_, _ = io.CopyN(io.Discard, resp.Body, 64<<10) //nolint:errcheck // what it says is dropped
		if resp.StatusCode/100 != 2 {
			return fmt.Errorf("POST %s: answered with status %d", u.Redacted(), resp.StatusCode)
		}
		return nil
	}}, nil
}

// dialLoopback connects to loopback addresses alone, whatever a name resolves to.
func dialLoopback(ctx context.Context, network, address string) (net.Conn, error) {
	dialer := net.Dialer{ControlContext: func(_ context.Context, _, address string, _ syscall.RawConn) error {
		to, err := netip.ParseAddrPort(address)
		if err != nil || !to.Addr().Unmap().IsLoopback() {
			return fmt.Errorf("%s is no loopback address; the application is notified within its own pod or host alone", address)
		}
		return nil
	}}
	return dialer.DialContext(ctx, network, address)
}
