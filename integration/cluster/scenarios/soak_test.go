package scenarios

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lanyardhq/lanyard/integration/cluster/lab"
	"github.com/lanyardhq/lanyard/integration/cluster/publish"
	"github.com/lanyardhq/lanyard/integration/faultproxy"
)

const (
	// soakTime is how long the soak goes on unless SOAK in the environment says
	// otherwise; the warming up before takes a quarter of it.
	soakTime = 2 * time.Minute

	soakAccounts = 6
	soakWorkers  = 4

	// What may be more at the end than at the beginning. Memory moves by the
	// collector's pace, which lets the heap double between two collections;
	// goroutines and files by a connection or two, of which each is three
	// goroutines at most.
	memoryAllowance    = 16 << 20
	goroutineAllowance = 10
	fileAllowance      = 4
)

// faults are what happens to Vault during the soak, in turn.
var faults = []faultproxy.Fault{
	{Refuse: true}, {Hangup: true}, {HalfBody: true}, {EmptyBody: true}, {Delay: 3 * time.Second},
	{Status: 500, Body: `{"errors":["internal error"]}`}, {Status: 503, Body: `{"errors":["Vault is sealed"]}`}, {Status: 429},
}

// With volumes that come and go, secrets that change and a Vault that fails in
// every way it can, all at once and all the time, no mount is refused, for every
// service account has read before, no volume ever holds half of a value, and in
// the end Lanyard takes of the machine what it took at the beginning.
func TestSoak(t *testing.T) {
	s := beside(t)
	long := soakTime
	if text := os.Getenv("SOAK"); text != "" {
		var err error
		long, err = time.ParseDuration(text)
		s.must(err)
	}
	p := s.proxy()
	k := &soak{scenario: s, driver: s.driver(), watched: watchFiles([]string{"password"})}
	for a := range soakAccounts {
		name := fmt.Sprint("account-", a)
		s.newAccount(name)
		s.put(name, map[string]any{"value": wholeText(name)})
		s.proxiedClass(name, p, "[{path: password, store: proxied, key: secret/data/$namespace/"+name+", property: value}]", "refresh", "1s")
		k.volumes = append(k.volumes, s.inlineVolume(name, name))
		s.eventually("the driver, which follows classes by a watch, mounts "+name, func() error { return k.comeAndGo(k.volumes[a]) })
	}
	s.start(pod{Name: "lasting", Account: "account-0", Classes: []string{"account-0"}})
	k.watched.add(s.volume("lasting", "account-0"))

	k.storm(p, long/4)
	begin := k.settled(p, nil)
	again, err := s.Proxy(strings.TrimPrefix(p.Address, "https://"))
	s.must(err)
	t.Cleanup(again.Close)
	k.storm(again, long)
	end := k.settled(again, &begin)

	looks, err := k.watched.end()
	if err != nil {
		t.Error(err)
	}
	calls, failed := again.Requests(), 0
	for _, call := range calls {
		if call.Status != http.StatusOK {
			failed++
		}
	}
	t.Logf("soak of %v: %d volumes and %d pods came and went, %d values changed, of %d calls at Vault %d failed; each file was looked at %d times",
		long, k.mounted, k.passed, k.changed, len(calls), failed, looks)
	t.Logf("at the beginning %v, at the end %v", begin, end)
	if k.mounted == 0 || k.passed == 0 || failed == 0 || failed == len(calls) {
		t.Error("that is too little to tell anything")
	}
	s.must(s.nothingMounted())
}

// soak is what comes and goes.
type soak struct {
	*scenario
	driver  *publish.Driver
	volumes []publish.Volume // one for each service account
	watched *watch
	passed  int // real pods
	changed int // values

	mu             sync.Mutex
	begun, mounted int
}

// storm lets everything happen for a time, and then ends it.
func (k *soak) storm(p *faultproxy.Proxy, long time.Duration) {
	k.t.Helper()
	ctx, stop := context.WithTimeout(k.t.Context(), long)
	defer stop()
	var running sync.WaitGroup
	for range soakWorkers {
		running.Go(func() {
			for ctx.Err() == nil {
				if err := k.comeAndGo(k.volumes[rand.N(soakAccounts)]); err != nil {
					k.t.Error(err)
				}
			}
		})
	}
	running.Go(func() {
		for turn := 0; ctx.Err() == nil; turn++ {
			name := fmt.Sprint("account-", turn%soakAccounts)
			value := map[string]any{"value": wholeText(fmt.Sprint(name, " ", turn))}
			if err := k.Put(k.t.Context(), k.namespace, name, value); err != nil {
				k.t.Error(err)
			}
			k.changed++
			rest(ctx, 300*time.Millisecond)
		}
	})
	running.Go(func() {
		for turn := 0; ctx.Err() == nil; turn++ {
			remove := p.Add(faults[turn%len(faults)])
			rest(ctx, 1500*time.Millisecond)
			remove()
			rest(ctx, time.Second)
		}
	})
	// Real pods too, one after the other.
	for ctx.Err() == nil {
		k.passed++
		name := fmt.Sprint("passing-", k.passed)
		k.start(pod{Name: name, Account: "account-1", Classes: []string{"account-1"}})
		k.end(name)
	}
	running.Wait()
}

// comeAndGo mounts a volume of another pod, looks at it and unmounts it.
func (k *soak) comeAndGo(v publish.Volume) error {
	k.mu.Lock()
	k.begun++
	// The driver keeps a status by the pod's name, and the cluster removes those
	// of pods that there are not.
	v.Pod, v.UID = fmt.Sprint(v.Pod, "-", k.begun), fmt.Sprint(v.UID, "-", k.begun)
	k.mu.Unlock()
	v.Target = filepath.Join(k.volumesRoot(), v.Pod, "mount")
	err := k.driver.Publish(k.t.Context(), v)
	if err == nil {
		_, err = readWhole(v.Target, "password")
	}
	k.mu.Lock()
	k.mounted++
	k.mu.Unlock()
	return errors.Join(err, k.unpublish(context.WithoutCancel(k.t.Context()), k.driver, v))
}

// settled closes the proxy, by which idle connections end, and returns what
// Lanyard then takes: as soon as it is no more than begin and what is allowed,
// or at once if there is none.
func (k *soak) settled(p *faultproxy.Proxy, begin *lab.Use) (now lab.Use) {
	k.t.Helper()
	p.Close()
	if begin == nil {
		rest(k.t.Context(), 5*time.Second)
	}
	k.eventually("Lanyard takes what it took at the beginning", func() (err error) {
		if now, err = k.ProviderUse(k.t.Context()); err != nil || begin == nil {
			return err
		}
		if now.Memory > begin.Memory+memoryAllowance || now.Goroutines > begin.Goroutines+goroutineAllowance || now.Files > begin.Files+fileAllowance {
			return fmt.Errorf("it takes %v, at the beginning %v", now, *begin)
		}
		return nil
	})
	return now
}

func rest(ctx context.Context, long time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(long):
	}
}
