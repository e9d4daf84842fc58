package scenarios

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/lanyardhq/lanyard/integration/cluster/lab"
	"github.com/lanyardhq/lanyard/integration/faultproxy"
)

const (
	// otherTag is the version that the DaemonSet is rolled to.
	otherTag = "other"
	// waveSize is how many pods start while something breaks.
	waveSize = 5
)

// turmoil is pods whose secrets change all the time while parts of the node
// break.
type turmoil struct {
	*scenario
	proxy   *faultproxy.Proxy
	files   []string
	watched *watch
	pods    []string
}

// Lanyard is killed while it mounts and while secrets rotate, and replaced by
// another version; the driver crashes; the node reboots: pods that start
// meanwhile do start, no file is missing or half written at any time, and what
// changed meanwhile arrives.
func TestCrashes(t *testing.T) {
	s := alone(t)
	built := make(chan error, 1)
	go func() { built <- s.BuildImage(context.WithoutCancel(t.Context()), otherTag) }() // its answer is awaited below
	c := &turmoil{scenario: s, proxy: s.proxy()}
	objects := ""
	for i := range 5 {
		name := fmt.Sprint("file-", i)
		c.files = append(c.files, name)
		objects += "\n- {path: " + name + ", store: proxied, key: secret/data/$namespace/" + name + ", property: value}"
	}
	s.must(c.rotate(0))
	s.proxiedClass("files", c.proxy, objects, "refresh", "1s")
	c.watched = watchFiles(c.files)
	c.wave("first", nothing, nothing)
	lastTurn := c.keepTurning()

	// A call to Vault that takes long is in flight for certain when the process
	// is killed.
	c.wave("mounting", nothing, func(ctx context.Context) error {
		c.proxy.SetDelay(500 * time.Millisecond)
		defer c.proxy.SetDelay(0)
		c.newReads(1)
		return s.KillProvider(ctx)
	})
	c.wave("rotating", nothing, func(ctx context.Context) error {
		c.newReads(len(c.files))
		return s.KillProvider(ctx)
	})
	c.checkSocket()

	s.must(<-built)
	t.Cleanup(func() {
		if err := s.Helm(context.Background()); err != nil {
			t.Error(err)
		}
	})
	c.wave("rolled", nothing, func(ctx context.Context) error { return s.Helm(ctx, "image.tag="+otherTag) })
	provider, err := s.Provider(t.Context())
	s.must(err)
	if want := lab.Repository + ":" + otherTag; provider.Spec.Containers[0].Image != want {
		t.Errorf("Lanyard's image is %s, not %s", provider.Spec.Containers[0].Image, want)
	}
	c.checkSocket()
	// Pods that begin to start while these are away. One whose first mount they
	// leave half done is the driver's own to fix: docs/operations.md.
	c.wave("driver", s.KillDriver, s.StartDriver)
	c.wave("rebooted", s.KillNode, s.StartNode)

	last := lastTurn()
	for _, name := range c.pods {
		volume := s.volume(name, "files")
		for _, file := range c.files {
			s.eventually(file+" of pod "+name+" is the last", func() error {
				if what, err := readWhole(volume, file); err != nil || what != c.value(file, last) {
					return errors.Join(err, fmt.Errorf("it is %q", what))
				}
				return nil
			})
		}
	}
	looks, err := c.watched.end()
	if err != nil {
		t.Error(err)
	}
	t.Logf("%d pods; each file was looked at %d times and changed %d times", len(c.pods), looks, last)
	for _, name := range c.pods {
		if p := s.get(name); p.Status.Phase != corev1.PodRunning || p.Status.ContainerStatuses[0].RestartCount > 0 {
			t.Errorf("pod %s is %s and was restarted %d times", name, p.Status.Phase, p.Status.ContainerStatuses[0].RestartCount)
		}
	}
}

func nothing(context.Context) error { return nil }

// wave begins the start of some pods, with something done before and after, and
// waits until all are ready.
func (c *turmoil) wave(name string, before, after func(context.Context) error) {
	c.t.Helper()
	began := time.Now()
	c.must(before(c.t.Context()))
	var names []string
	for i := range waveSize {
		names = append(names, fmt.Sprint(name, "-", i))
		c.create(pod{Name: names[i], Classes: []string{"files"}})
	}
	c.must(after(c.t.Context()))
	for _, name := range names {
		c.ready(name)
		c.watched.add(c.volume(name, "files"))
	}
	c.pods = append(c.pods, names...)
	c.t.Logf("%s: all ready after %v", name, time.Since(began).Round(100*time.Millisecond))
}

// newReads waits until Lanyard has sent so many reads from now on.
func (c *turmoil) newReads(count int) {
	c.t.Helper()
	before := c.proxy.Count("", "secret/data/"+c.namespace)
	c.eventually("Lanyard reads at Vault", func() error {
		return atLeast(count, c.proxy.Count("", "secret/data/"+c.namespace)-before)
	})
}

func (c *turmoil) value(file string, turn int) string {
	return fmt.Sprintf("%s of %s, %d", file, c.namespace, turn)
}

// rotate changes every secret.
func (c *turmoil) rotate(turn int) error {
	for _, file := range c.files {
		if err := c.Put(c.t.Context(), c.namespace, file, map[string]any{"value": wholeText(c.value(file, turn))}); err != nil {
			return err
		}
	}
	return nil
}

// keepTurning changes the secrets again and again until last is called, which
// returns which turn was the last.
func (c *turmoil) keepTurning() (last func() int) {
	ctx, stop := context.WithCancel(c.t.Context())
	turn := 0
	var turning sync.WaitGroup
	turning.Go(func() {
		for ctx.Err() == nil {
			turn++
			if err := c.rotate(turn); err != nil {
				c.t.Error(err)
			}
			rest(ctx, time.Second)
		}
	})
	c.t.Cleanup(func() { stop(); turning.Wait() })
	return func() int {
		stop()
		turning.Wait()
		return turn
	}
}

// checkSocket holds the socket that a new process made to what security.md says
// of it.
func (c *turmoil) checkSocket() {
	c.t.Helper()
	for _, dialect := range []string{"lanyard", "vault"} {
		info, err := os.Stat(filepath.Join(lab.SocketDirectory, dialect+".sock"))
		c.must(err)
		if info.Mode() != fs.ModeSocket|0o600 {
			c.t.Fatalf("the socket %s has the mode %v: others than root may reach it", info.Name(), info.Mode())
		}
	}
}
