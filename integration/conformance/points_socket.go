package conformance

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"regexp"
)

func socketPoints() []Point {
	return []Point{
		{
			ID: "S-01", Promise: "the socket is a unix socket named after the provider, and that name is one that the driver accepts",
			Source: clientGet, Why: "under any other name the driver says that there is no such provider",
			check: func(_ context.Context, s *session) error {
				var w wrongs
				if !providerName.MatchString(s.Name) {
					w.add("the provider's name %q is not of 1 to 30 letters, digits, _ and -", s.Name)
				}
				info, err := os.Stat(s.socket())
				if err == nil && info.Mode().Type() != fs.ModeSocket {
					w.add("%s is no socket but has mode %s", s.socket(), info.Mode())
				}
				w.addErr(err)
				return w.err()
			},
		},
		{
			ID: "S-02", Promise: "neither group nor others may write to the socket",
			Source: newBuilder, Why: "the driver connects without TLS or credentials, so that whoever can write to the socket can ask for any pod's secrets",
			check: func(_ context.Context, s *session) error {
				info, err := os.Stat(s.socket())
				if err == nil && info.Mode().Perm()&0o022 != 0 {
					err = fmt.Errorf("%s has mode %s", s.socket(), info.Mode())
				}
				return err
			},
		},
	}
}

// providerName is the driver's pluginNameRe, which would accept no name at all.
var providerName = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,30}$`)

func startBesideDeadSocket(ctx context.Context, s *session) error {
	if err := s.Kill(ctx); err != nil {
		return fmt.Errorf("the provider could not be killed: %w", err)
	}
	if err := s.leaveDeadSocket(ctx); err != nil {
		return err
	}
	if err := s.Start(ctx); err != nil {
		return fmt.Errorf("the provider could not be started: %w", err)
	}
	_, err := s.callVersion(ctx)
	return err
}

// leaveDeadSocket makes the socket that a killed process leaves, if there is
// none.
func (s *session) leaveDeadSocket(ctx context.Context) error {
	if _, err := os.Lstat(s.socket()); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "unix", s.socket())
	if err != nil {
		return err
	}
	if unix, ok := listener.(*net.UnixListener); ok {
		unix.SetUnlinkOnClose(false)
	}
	return listener.Close()
}
