package config

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/lanyardhq/lanyard/internal/reload"
	"github.com/lanyardhq/lanyard/provider/spec"
)

// watched is a Watcher of a file, and what it has applied.
type watched struct {
	*testing.T
	path     string
	refuse   string // the cluster that the engine refuses
	registry *prometheus.Registry

	mu      sync.Mutex
	applied []string // clusters
}

func watch(t *testing.T, refuse ...string) *watched {
	w := &watched{T: t, refuse: strings.Join(refuse, ""), path: write(t, "cluster: first"), registry: prometheus.NewRegistry()}
	file, err := Load(w.path)
	must(t, err)
	watcher := NewWatcher(file, func(config Config) error {
		if config.Cluster == w.refuse {
			return spec.Problems{{Field: "cluster", Text: "refused"}}
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		w.applied = append(w.applied, config.Cluster)
		return nil
	}, w.registry)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); watcher.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	return w
}

// write changes the file, and looks waits for some looks at it.
func (w *watched) write(text string) { must(w.T, os.WriteFile(w.path, []byte(text), 0o600)) }

func (w *watched) looks(n int) {
	time.Sleep(time.Duration(n) * reload.Interval)
	synctest.Wait()
}

func (w *watched) want(good float64, applied ...string) {
	w.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if !slices.Equal(w.applied, applied) {
		w.Errorf("applied are %v, want %v", w.applied, applied)
	}
	families, err := w.registry.Gather()
	must(w.T, err)
	for _, family := range families {
		if family.GetName() == "lanyard_config_last_reload_successful" && family.GetMetric()[0].GetGauge().GetValue() != good {
			w.Errorf("successful is not %v", good)
		}
	}
}

func TestAChangeHoldsOnceItHasSettled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := watch(t)
		w.looks(5)
		w.want(1)
		w.write("cluster: second")
		w.looks(1)
		w.want(1)
		w.looks(1)
		w.want(1, "second")
		w.looks(5)
		w.want(1, "second")
	})
}

func TestAFileThatKeepsChangingWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := watch(t)
		for _, half := range []string{"", "cluster: s", "cluster: sec", "cluster: second"} {
			w.write(half)
			w.looks(1)
		}
		w.want(1)
		w.looks(1)
		w.want(1, "second")
	})
}

func TestABadFileKeepsTheGoodConfiguration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := watch(t, "refused")
		for _, bad := range []string{"clutser: x", "", "cluster: [", "cluster: refused"} {
			w.write(bad)
			w.looks(2)
			w.want(0)
		}
		must(t, os.Remove(w.path))
		w.looks(2)
		w.want(0)
		w.write("cluster: good")
		w.looks(2)
		w.want(1, "good")
	})
}

func TestTheFileBeforeMayComeBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := watch(t)
		w.write("bad")
		w.looks(2)
		w.want(0)
		w.write("cluster: first")
		w.looks(2)
		w.want(1, "first")
	})
}

func TestAConfigMapsSwapOfLinksIsSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := watch(t)
		directory := filepath.Dir(w.path)
		for _, version := range []string{"v1", "v2"} {
			must(t, os.Mkdir(filepath.Join(directory, version), 0o700))
			must(t, os.WriteFile(filepath.Join(directory, version, "lanyard.yaml"), []byte("cluster: "+version), 0o600))
		}
		must(t, os.Symlink("v1", filepath.Join(directory, "..data")))
		must(t, errors.Join(os.Remove(w.path), os.Symlink("..data/lanyard.yaml", w.path)))
		w.looks(2)
		w.want(1, "v1")
		must(t, errors.Join(os.Symlink("v2", filepath.Join(directory, "next")), os.Rename(filepath.Join(directory, "next"), filepath.Join(directory, "..data"))))
		w.looks(2)
		w.want(1, "v1", "v2")
	})
}
