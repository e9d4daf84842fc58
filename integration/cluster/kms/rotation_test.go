package kms

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/lanyardhq/lanyard/integration/kmsplugin"
)

// load is reads and writes of Secrets at several API servers, none of which may
// fail.
type load struct {
	stop   context.CancelFunc
	all    sync.WaitGroup
	reads  atomic.Int64
	writes atomic.Int64
}

// load begins to read and write the first n Secrets.
func (b *bench) load(n int, servers ...*configured) *load {
	ctx, stop := context.WithCancel(b.Context())
	l := &load{stop: stop}
	for i := range 4 * len(servers) {
		api := servers[i%len(servers)].kube.CoreV1().Secrets(namespace)
		l.all.Go(func() {
			for count := 0; ctx.Err() == nil; count++ {
				name := secretName(rand.N(n))
				got, err := api.Get(ctx, name, metav1.GetOptions{})
				if err == nil && string(got.Data["password"]) != value {
					b.Errorf("%s holds something else", name)
				}
				if err == nil {
					l.reads.Add(1)
					patch := fmt.Appendf(nil, `{"metadata":{"annotations":{"count":"%d"}}}`, count)
					_, err = api.Patch(ctx, name, types.MergePatchType, patch, metav1.PatchOptions{})
				}
				if err == nil {
					l.writes.Add(1)
				} else if ctx.Err() == nil {
					b.Errorf("a request failed while keys changed: %v", err)
				}
				select {
				case <-ctx.Done():
				case <-time.After(80 * time.Millisecond):
				}
			}
		})
	}
	return l
}

func (l *load) end() {
	l.stop()
	l.all.Wait()
}

// writesWith waits until what each API server writes lies under the key ID that
// its plugin names, and that is of the key. An API server asks for it every
// minute, and when its own health is asked for.
func (b *bench) writesWith(key string, plugins []*kmsplugin.Plugin, servers []*configured) (keyID string) {
	b.Helper()
	for i, a := range servers {
		eventually(b.T, 2*time.Minute, "an API server that writes with key "+key, func() error {
			if keyID = plugins[i].KeyID(key); keyID == "none" {
				return errors.New("its plugin does not")
			}
			a.Get(b.Context(), "/readyz/kms-providers") // only so that it asks
			name := fmt.Sprintf("probe-%d-%d", i, time.Now().UnixNano())
			if _, err := a.kube.CoreV1().Secrets(namespace).Create(b.Context(), secret(name), metav1.CreateOptions{}); err != nil {
				return err
			}
			stored, err := b.Stored(b.Context(), "/registry/secrets/"+namespace+"/"+name)
			if err == nil {
				err = a.kube.CoreV1().Secrets(namespace).Delete(b.Context(), name, metav1.DeleteOptions{})
			}
			if err != nil {
				return err
			}
			if len(stored) != 1 || !bytes.Contains(stored[0].Value, []byte(keyID)) {
				return errors.New("it writes with another")
			}
			return nil
		})
	}
	return keyID
}

// under counts the Secrets in etcd that lie under a key ID, and those that do
// not.
func (b *bench) under(keyID string) (under, others int) {
	b.Helper()
	for _, one := range b.secrets() {
		if bytes.HasPrefix(one.Value, []byte(prefix)) && bytes.Contains(one.Value, []byte(keyID)) {
			under++
		} else {
			others++
		}
	}
	return under, others
}

// migrated is what lanyard kms migrate --output json prints of one resource.
type migrated struct{ Objects, Rewritten, Current, Changed, Gone, Skipped, Failed int }

// migrate runs a migration to its end and returns its counts.
func (b *bench) migrate(p *kmsplugin.Plugin, a *configured, flags ...string) migrated {
	b.Helper()
	stdout, stderr, err := b.lanyard(p, append([]string{
		"kms", "migrate", "--kubeconfig", a.Kubeconfig, "--encryption-config", a.configuration, "--rate", "5000", "--workers", "16", "--output", "json",
	}, flags...)...)
	var report struct{ Resources []migrated }
	if err != nil || json.Unmarshal([]byte(stdout), &report) != nil || len(report.Resources) != 1 {
		b.Fatalf("migrate: %v\n%s%s", err, stdout, stderr)
	}
	return report.Resources[0]
}

// retire asks for a key's retirement.
func (b *bench) retire(p *kmsplugin.Plugin, a *configured, key string, flags ...string) (stdout, stderr string, err error) {
	return b.lanyard(p, append([]string{
		"kms", "retire", key, "--ring", p.RingFile(), "--socket", p.Socket, "--kubeconfig", a.Kubeconfig, "--encryption-config", a.configuration,
		"--rate", "5000", "--workers", "16",
	}, flags...)...)
}

func TestRotationUnderLoadFailsNoRequestAndRestartsNothing(t *testing.T) {
	t.Parallel()
	const secrets = 5000
	b := newBench(t)
	plugins := []*kmsplugin.Plugin{b.plugin("one", "write"), b.plugin("one", "write")}
	var servers []*configured
	var before []int
	for _, p := range plugins {
		servers = append(servers, b.apiServer(configuration(kms(p))))
	}
	b.start(servers...)
	for i, p := range plugins {
		before = append(before, p.PID(), servers[i].PID())
	}
	b.create(secrets, servers...)

	// As docs/kms.md has it: each ring has the key to read, then it writes.
	l := b.load(secrets, servers...)
	b.rings(plugins, "one", "write", "two", "read")
	b.rings(plugins, "one", "read", "two", "write")
	keyID := b.writesWith("two", plugins, servers)

	// While it is quiet the count is exact.
	l.end()
	_, others := b.under(keyID)
	if others == 0 || others == secrets {
		t.Fatalf("%d of %d Secrets lie under the old key, so nothing can be shown", others, secrets)
	}
	ring, err := os.ReadFile(plugins[0].RingFile())
	b.must(err)
	_, stderr, err := b.retire(plugins[0], servers[0], "one")
	if want := fmt.Sprintf("key one is not retired: %d objects are still encrypted under an older key", others); err == nil || !strings.Contains(stderr, want) {
		t.Errorf("retiring early: %v, %q, want %q", err, stderr, want)
	}
	if now, err := os.ReadFile(plugins[0].RingFile()); err != nil || !bytes.Equal(now, ring) {
		t.Errorf("the ring has changed: %v", err)
	}

	l2 := b.load(secrets, servers...)
	first := b.interruptedMigration(plugins[0], servers[0])
	for run := 1; ; run++ {
		counts := b.migrate(plugins[1], servers[1])
		if counts.Objects != secrets || counts.Failed != 0 {
			t.Errorf("run %d: %+v", run, counts)
		}
		if counts.Rewritten == 0 {
			break
		}
		if run == 5 {
			t.Fatalf("something is stale after run %d: %+v", run, counts)
		}
	}
	l2.end()
	if under, others := b.under(keyID); under != secrets || others != 0 {
		t.Errorf("%d Secrets lie under the new key and %d do not", under, others)
	}

	// The old key goes, and everything can still be read, also by an API server
	// that knows no seed.
	if _, stderr, err := b.retire(plugins[0], servers[0], "one"); err != nil {
		t.Fatalf("retiring: %v\n%s", err, stderr)
	}
	b.rings(plugins[1:], "one", "retired", "two", "write")
	eventually(t, time.Minute, "both rings without the old key", func() error {
		for _, p := range plugins {
			if !strings.Contains(p.Output(), "one (retired)") {
				return errors.New("one ring still has it")
			}
		}
		return nil
	})
	var after []int
	for i, p := range plugins {
		after = append(after, p.PID(), servers[i].PID())
	}
	if fmt.Sprint(before) != fmt.Sprint(after) {
		t.Errorf("the processes were %v and are %v", before, after)
	}
	b.must(servers[0].Stop(b.Context()))
	b.start(servers[0])
	b.readsAll(servers[0], secrets)
	t.Logf("%d reads and %d writes while keys changed; %d rewritten before the interruption", l.reads.Load()+l2.reads.Load(), l.writes.Load()+l2.writes.Load(), first)
}

// rings writes the rings of plugins and waits until they hold.
func (b *bench) rings(plugins []*kmsplugin.Plugin, keys ...string) {
	b.Helper()
	for _, p := range plugins {
		held := strings.Count(p.Output(), "holds from now on")
		b.must(p.WriteRing(keys...))
		eventually(b.T, time.Minute, "a ring that holds", func() error {
			if strings.Count(p.Output(), "holds from now on") == held {
				return errors.New("it does not hold yet")
			}
			return nil
		})
	}
}

// interruptedMigration interrupts a migration once it has done something, and
// lets the next run go on where it was. It returns how many were done before.
func (b *bench) interruptedMigration(p *kmsplugin.Plugin, a *configured) int {
	b.Helper()
	checkpoint := temporary(b.T, "checkpoint.json")
	cmd := p.Command("kms", "migrate", "--kubeconfig", a.Kubeconfig, "--encryption-config", a.configuration,
		"--checkpoint", checkpoint, "--rate", "400", "--page-size", "200")
	var output strings.Builder
	cmd.Stdout, cmd.Stderr = &output, &output
	b.must(cmd.Start())
	eventually(b.T, time.Minute, "a checkpoint", func() error { _, err := os.Stat(checkpoint); return err })
	b.must(cmd.Process.Signal(syscall.SIGINT))
	if err := cmd.Wait(); err == nil || !strings.Contains(output.String(), "interrupted; the same command goes on where this one was") {
		b.Fatalf("%v\n%s", err, output.String())
	}
	counts := b.migrate(p, a, "--checkpoint", checkpoint)
	if counts.Skipped == 0 || counts.Skipped == counts.Objects || counts.Failed != 0 {
		b.Errorf("the next run did not go on where the first was: %+v", counts)
	}
	if _, err := os.Stat(checkpoint); err == nil {
		b.Error("the checkpoint is left")
	}
	return counts.Skipped
}
