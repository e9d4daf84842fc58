package scenarios

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lanyardhq/lanyard/integration/cluster"
	"github.com/lanyardhq/lanyard/integration/cluster/lab"
	"github.com/lanyardhq/lanyard/integration/cluster/publish"
)

const (
	podsAtOnce = 100

	// Of volumes that the driver is asked for as the kubelet asks.
	loadAccounts   = 25
	volumesOfEach  = 20
	secretsOfEach  = 20
	publishAtOnce  = 50
	volumesInTotal = loadAccounts * volumesOfEach
)

// A hundred pods that start at once all get what is theirs, and cost Vault one
// login and one read of each secret.
func TestHundredPodsAtOnce(t *testing.T) {
	s := alone(t)
	s.startedTogether()
	p := s.proxy()
	s.put("db", map[string]any{"password": wholeText("one for all")})
	s.proxiedClass("db", p, "[{path: password, store: proxied, key: secret/data/$namespace/db, property: password}]", "refresh", "1h")
	began := time.Now()
	var names []string
	for i := range podsAtOnce {
		names = append(names, fmt.Sprint("web-", i))
		s.create(pod{Name: names[i], Classes: []string{"db"}})
	}
	for _, name := range names {
		s.ready(name)
		if what, err := readWhole(s.volume(name, "db"), "password"); err != nil || what != "one for all" {
			t.Errorf("pod %s: %q, %v", name, what, err)
		}
	}
	t.Logf("%d pods were ready after %v", podsAtOnce, time.Since(began).Round(100*time.Millisecond))
	s.calls(p.Count("", "auth/kubernetes/login"), 1, p.Count("", "secret/data/"), 1)
}

// startedTogether lets all pods of the test count as started together, however long
// this machine takes to start them. The annotation makes another pod of Lanyard, which has
// the setting from its start: a running one follows its ConfigMap when the kubelet does.
func (s *scenario) startedTogether() {
	s.t.Helper()
	s.atEnd(func(ctx context.Context) error { return s.Helm(ctx) })
	s.must(s.Helm(s.t.Context(), "config.cache.startAge=1h", `podAnnotations.lanyard\.test/set=startAge`))
}

// calls fails the test unless Vault was called as often as that.
func (s *scenario) calls(logins, wantLogins, reads, wantReads int) {
	s.t.Helper()
	s.t.Logf("calls at Vault: %d logins, %d reads", logins, reads)
	if logins != wantLogins || reads != wantReads {
		s.t.Errorf("%d logins and %d reads at Vault, want %d and %d", logins, reads, wantLogins, wantReads)
	}
}

// The driver is asked for hundreds of volumes at once, as the kubelet asks it,
// for pods of many service accounts, each with secrets of its own. All are
// right, and each service account costs one login and each secret one read.
func TestHundredsOfVolumes(t *testing.T) {
	s := alone(t)
	s.startedTogether()
	p := s.proxy()
	var volumes []publish.Volume
	for a := range loadAccounts {
		name := fmt.Sprint("account-", a)
		s.newAccount(name)
		objects := ""
		for i := range secretsOfEach {
			s.put(fmt.Sprint(name, "/", i), map[string]any{"value": loadValue(name, i)})
			objects += fmt.Sprintf("\n- {path: 'secret-%d', store: proxied, key: 'secret/data/$namespace/%s/%d', property: value}", i, name, i)
		}
		s.proxiedClass(name, p, objects, "refresh", "1h")
		for v := range volumesOfEach {
			volumes = append(volumes, s.inlineVolume(name, fmt.Sprint(name, "-", v)))
		}
	}
	driver := s.driver()
	cleanup := context.WithoutCancel(t.Context())
	t.Cleanup(func() {
		spent, err := timed(volumes, func(v publish.Volume) error { return s.unpublish(cleanup, driver, v) })
		t.Logf("unpublish: %s", percentiles(spent))
		if err = errors.Join(err, s.nothingMounted()); err != nil {
			t.Error(err)
		}
	})

	own := s.mountTime()
	spent, err := timed(volumes, func(v publish.Volume) error { return driver.Publish(t.Context(), v) })
	s.must(err)
	t.Logf("publish of %d volumes of %d secrets, %d at once: %s", volumesInTotal, secretsOfEach, publishAtOnce, percentiles(spent))
	t.Logf("of that %v each, on average, in Lanyard", ((s.mountTime() - own) / volumesInTotal).Round(10*time.Microsecond))
	logins, reads := p.Count("", "auth/kubernetes/login"), p.Count("", "secret/data/")
	s.calls(logins, loadAccounts, reads, loadAccounts*secretsOfEach)
	s.must(checkVolumes(volumes))

	// What the driver asks for again comes from memory.
	time.Sleep(cluster.RotationInterval)
	again := volumes[:2*publishAtOnce]
	spent, err = timed(again, func(v publish.Volume) error { return driver.Publish(t.Context(), v) })
	s.must(err)
	t.Logf("publish of %d of them again: %s", len(again), percentiles(spent))
	if now := p.Count("", ""); now != logins+reads {
		t.Errorf("they made %d calls at Vault", now-logins-reads)
	}
	s.must(checkVolumes(again))
}

// mountTime is the time that Lanyard has spent on mounts, all together.
func (s *scenario) mountTime() time.Duration {
	s.t.Helper()
	seconds, err := s.Metric(s.t.Context(), "lanyard_mount_seconds_sum")
	s.must(err)
	return time.Duration(seconds * float64(time.Second))
}

func loadValue(account string, i int) string { return fmt.Sprintf("secret %d of %s", i, account) }

// driver is a connection to the driver's own socket.
func (s *scenario) driver() *publish.Driver {
	s.t.Helper()
	driver, err := publish.Dial(s.DriverSocket())
	s.must(err)
	s.t.Cleanup(func() {
		if err := driver.Close(); err != nil {
			s.t.Error(err)
		}
	})
	return driver
}

// unpublish unmounts a volume as the kubelet does: what fails is tried again
// after ever longer. With many at once the driver's unmount finds some busy, which
// a program that the driver has just started still holds for a moment.
func (s *scenario) unpublish(ctx context.Context, driver *publish.Driver, v publish.Volume) (err error) {
	for wait := 500 * time.Millisecond; wait < 10*time.Second; wait *= 2 {
		if err = driver.Unpublish(ctx, v); err == nil {
			return nil
		}
		rest(ctx, wait)
	}
	return err
}

// volumesRoot is below where inlineVolume mounts: not the kubelet's folder,
// which would clean up there.
func (s *scenario) volumesRoot() string { return s.Path("volumes", s.namespace) }

// inlineVolume is a volume of the class of the account's name in a pod that only
// the driver hears of.
func (s *scenario) inlineVolume(account, pod string) publish.Volume {
	s.t.Helper()
	token, err := s.Kube.CoreV1().ServiceAccounts(s.namespace).CreateToken(s.t.Context(), account,
		&authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{Audiences: []string{lab.Audience}}}, metav1.CreateOptions{})
	s.must(err)
	return publish.Volume{
		Target: filepath.Join(s.volumesRoot(), pod, "mount"), Class: account,
		Namespace: s.namespace, Pod: pod, UID: s.namespace + "-" + pod, ServiceAccount: account,
		Tokens: map[string]publish.Token{lab.Audience: {Token: token.Status.Token, Expires: token.Status.ExpirationTimestamp.Time}},
	}
}

// timed calls do for each volume, publishAtOnce at a time, and returns how long
// each took.
func timed(volumes []publish.Volume, do func(publish.Volume) error) ([]time.Duration, error) {
	spent, failed := make([]time.Duration, len(volumes)), make([]error, len(volumes))
	next := make(chan int)
	var workers sync.WaitGroup
	for range publishAtOnce {
		workers.Go(func() {
			for i := range next {
				began := time.Now()
				failed[i] = do(volumes[i])
				spent[i] = time.Since(began)
			}
		})
	}
	for i := range volumes {
		next <- i
	}
	close(next)
	workers.Wait()
	return spent, errors.Join(failed...)
}

// percentiles are those of durations, of which there is one at least.
func percentiles(spent []time.Duration) string {
	sorted := slices.Sorted(slices.Values(spent))
	var text []string
	for _, percent := range []int{50, 90, 99, 100} {
		at := (len(sorted)*percent+99)/100 - 1
		text = append(text, fmt.Sprintf("p%d %v", percent, sorted[at].Round(100*time.Microsecond)))
	}
	return strings.Join(text, ", ")
}

// checkVolumes compares every file of volumes with what is their account's.
func checkVolumes(volumes []publish.Volume) error {
	var failed []error
	for _, v := range volumes {
		for i := range secretsOfEach {
			content, err := os.ReadFile(filepath.Join(v.Target, fmt.Sprint("secret-", i)))
			if want := loadValue(v.ServiceAccount, i); err == nil && string(content) != want {
				err = fmt.Errorf("%s has %q, not %q", v.Pod, content, want)
			}
			failed = append(failed, err)
		}
	}
	return errors.Join(failed...)
}

// nothingMounted is an error if volumes of the scenario's are left. It removes
// their folder.
func (s *scenario) nothingMounted() error {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	if left := strings.Count(string(mounts), " "+s.volumesRoot()+"/"); left > 0 {
		return fmt.Errorf("%d volumes are still mounted below %s", left, s.volumesRoot())
	}
	return os.RemoveAll(s.volumesRoot())
}
