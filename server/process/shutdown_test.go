package process

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/klog/v2"
	"k8s.io/klog/v2/textlogger"
)

func TestWhatDoesNotEndIsNamedAndEnded(t *testing.T) {
	var log bytes.Buffer
	klog.SetLogger(textlogger.NewLogger(textlogger.NewConfig(textlogger.Output(&log))))
	t.Cleanup(klog.ClearLogger)
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		var exited atomic.Int32
		exited.Store(-1)
		s := &Shutdown{Timeout: 5 * time.Second, exit: func(code int) { exited.Store(int32(code)) }}
		defer s.Watch(ctx)()
		s.Runs("reads")
		s.Runs("reads")()
		s.Runs("admin listener")()
		time.Sleep(time.Hour)
		stop()
		time.Sleep(s.Timeout)
		synctest.Wait()
		if exited.Load() != -1 {
			t.Error("it exits within the shutdown time")
		}
		time.Sleep(exitGrace)
		synctest.Wait()
		if exited.Load() != 1 || !strings.Contains(log.String(), `running=["reads"]`) {
			t.Errorf("exit code %d:\n%s", exited.Load(), &log)
		}
	})
}

// A process in which a read never returns and another takes all of a processor, as
// one does that decodes without end. SIGTERM ends it with a line that names both.
func TestNothingKeepsAProcessFromItsEnd(t *testing.T) {
	if os.Getenv("LANYARD_TEST_HANG") != "" {
		hang()
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestNothingKeepsAProcessFromItsEnd$")
	cmd.Env = append(os.Environ(), "LANYARD_TEST_HANG=1", "GOMAXPROCS=1")
	var log bytes.Buffer
	cmd.Stderr = &log
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 1 || !strings.Contains(log.String(), `running=["builds","reads"]`) {
		t.Errorf("exit code %d:\n%s", code, &log)
	}
}

func hang() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	s := NewShutdown(0)
	defer s.Watch(ctx)()
	defer s.Runs("reads")()
	s.Runs("builds")
	spin := 0
	go func() {
		for {
			spin++
		}
	}()
	os.Stdout.WriteString("x")
	<-make(chan struct{})
}

func TestAProcessThatEndsInTimeIsLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		s := Shutdown{exit: func(int) { t.Error("it exits") }}
		done := s.Watch(ctx)
		stop()
		done()
		done()
		time.Sleep(time.Hour)
	})
}
