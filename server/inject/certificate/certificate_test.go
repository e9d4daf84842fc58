package certificate

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"maps"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

const host = "lanyard-inject.lanyard.svc"

// fake is a cluster in memory.
type fake struct {
	data    map[string][]byte
	version int
	trusted [][]byte
	broken  error // of what is written to the webhook configuration
	writes  int
}

func (f *fake) Secret(context.Context) (map[string][]byte, string, error) {
	return maps.Clone(f.data), strconv.Itoa(f.version), nil
}

func (f *fake) SetSecret(_ context.Context, data map[string][]byte, version string) error {
	if version != strconv.Itoa(f.version) {
		return ErrConflict
	}
	f.data, f.version, f.writes = data, f.version+1, f.writes+1
	return nil
}

func (f *fake) Authorities(context.Context) ([][]byte, error) { return f.trusted, nil }

func (f *fake) SetAuthorities(_ context.Context, pem []byte) error {
	if f.broken != nil {
		return f.broken
	}
	for i := range f.trusted {
		f.trusted[i] = pem
	}
	return nil
}

func newFake() *fake { return &fake{trusted: make([][]byte, 2)} }

func keeper(c Cluster) *Keeper {
	return &Keeper{Look: FromCluster(c, []string{host}), Changed: func(time.Time) {}}
}

// shakes hands as an API server does that trusts what the configuration says.
func shakes(t *testing.T, k *Keeper, trusted []byte, now time.Time) error {
	t.Helper()
	client, server := net.Pipe()
	defer client.Close()
	go func() {
		c := tls.Server(server, &tls.Config{GetCertificate: k.Get, MinVersion: tls.VersionTLS12})
		_ = c.Handshake()
		server.Close()
	}()
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(trusted)
	return tls.Client(client, &tls.Config{RootCAs: pool, ServerName: host, Time: func() time.Time { return now }, MinVersion: tls.VersionTLS12}).Handshake()
}

// Two replicas look at different times, for a year. At every moment each of them serves
// what an API server trusts that knows what was configured a minute ago, or now.
func TestNoAdmissionFailsWhileCertificatesChange(t *testing.T) {
	c := newFake()
	replicas := []*Keeper{keeper(c), keeper(c)}
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	end := now.Add(366 * 24 * time.Hour)
	served := map[string]bool{}
	var before []byte
	for step := 0; now.Before(end); step++ {
		for i, k := range replicas {
			if (step+i)%3 == 0 {
				continue // this replica is late
			}
			k.Once(t.Context(), now)
			if step < 2 {
				continue
			}
			for _, trusted := range [][]byte{before, c.trusted[0]} {
				if err := shakes(t, k, trusted, now); err != nil {
					t.Fatalf("at %v: %v", now, err)
				}
			}
		}
		before = c.trusted[0]
		served[string(c.data[fieldCert])] = true
		// Only around a change does anything happen.
		if state := Read(c.data); state.next.cert != nil || state.previous != nil || step < 10 {
			now = now.Add(time.Minute)
		} else {
			now = now.Add(12 * time.Hour)
		}
	}
	if len(served) < 5 || len(served) > 8 {
		t.Errorf("%d certificates in a year", len(served))
	}
	if c.writes > 3*len(served) {
		t.Errorf("the Secret was written %d times for %d certificates", c.writes, len(served))
	}
}

func TestReplicasThatStartTogetherAgree(t *testing.T) {
	c := newFake()
	now := time.Now()
	one, other := keeper(c), keeper(c)
	// The second one reads before the first one writes.
	stale := &late{Cluster: c}
	other.Look = FromCluster(stale, []string{host})
	stale.data, stale.version, _ = c.Secret(t.Context())
	one.Once(t.Context(), now)
	other.Once(t.Context(), now)
	stale.data = nil
	other.Once(t.Context(), now)
	if err := errors.Join(shakes(t, one, c.trusted[1], now), shakes(t, other, c.trusted[1], now)); err != nil || c.writes != 1 {
		t.Errorf("%v, %d writes", err, c.writes)
	}
}

// late is a cluster whose Secret was read earlier.
type late struct {
	Cluster
	data    map[string][]byte
	version string
}

func (l *late) Secret(ctx context.Context) (map[string][]byte, string, error) {
	if l.data != nil {
		return l.data, l.version, nil
	}
	return l.Cluster.Secret(ctx)
}

func TestNothingIsServedThatNobodyTrusts(t *testing.T) {
	c := newFake()
	c.broken = errors.New("forbidden")
	k := keeper(c)
	now := time.Now()
	k.Once(t.Context(), now)
	if err := k.Ready(now); err == nil {
		t.Error("it is ready")
	}
	c.broken = nil
	k.Once(t.Context(), now)
	if err := k.Ready(now); err != nil {
		t.Error(err)
	}
	// The next one waits for as long as it cannot be announced.
	c.broken = errors.New("forbidden")
	first := string(c.data[fieldCert])
	for later := now.Add(Lifetime - RenewBefore + time.Hour); later.Before(now.Add(Lifetime - time.Hour)); later = later.Add(6 * time.Hour) {
		k.Once(t.Context(), later)
		if string(c.data[fieldCert]) != first || k.Ready(later) != nil {
			t.Fatalf("at %v another is served, or none: %v", later, k.Ready(later))
		}
	}
}

func TestWhatIsBrokenIsMadeAnew(t *testing.T) {
	now := time.Now()
	good := newFake()
	keeper(good).Once(t.Context(), now)
	for name, breaks := range map[string]func(*fake){
		"empty":          func(f *fake) { f.data = nil },
		"no certificate": func(f *fake) { f.data[fieldCert] = []byte("x") },
		"no key":         func(f *fake) { delete(f.data, fieldKey) },
		"another authority": func(f *fake) {
			other := newFake()
			keeper(other).Once(t.Context(), now)
			f.data[fieldAuthority] = other.data[fieldAuthority]
		},
		"authorities taken away":   func(f *fake) { f.trusted[1] = nil },
		"a next one that is wrong": func(f *fake) { f.data[fieldNextCert] = []byte("x") },
		"no time":                  func(f *fake) { delete(f.data, fieldSince) },
		"another name":             func(f *fake) { p, _ := generate(now, []string{"other.svc"}); f.data = State{now: p, since: now}.Data() },
		"ended":                    func(f *fake) { p, _ := generate(now.Add(-Lifetime), []string{host}); f.data = State{now: p}.Data() },
	} {
		t.Run(name, func(t *testing.T) {
			c := &fake{data: maps.Clone(good.data), trusted: [][]byte{good.trusted[0], good.trusted[1]}}
			breaks(c)
			k := keeper(c)
			k.Once(t.Context(), now)
			if err := shakes(t, k, c.trusted[1], now); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestFilesAreReadWhenTheyChange(t *testing.T) {
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	now := time.Now()
	write := func(p pair) {
		t.Helper()
		if err := errors.Join(os.WriteFile(certFile, p.cert, 0o600), os.WriteFile(keyFile, p.key, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	one, err := generate(now, []string{host})
	two, err2 := generate(now, []string{host})
	if err := errors.Join(err, err2); err != nil {
		t.Fatal(err)
	}
	var ends []time.Time
	k := &Keeper{Look: FromFiles(certFile, keyFile), Changed: func(end time.Time) { ends = append(ends, end) }}
	k.Once(t.Context(), now)
	if k.Ready(now) == nil {
		t.Error("ready without files")
	}
	for _, p := range []pair{one, {two.cert, one.key, nil}, two, two} {
		write(p)
		k.Once(t.Context(), now)
	}
	if err := shakes(t, k, two.authority, now); err != nil || len(ends) != 2 {
		t.Errorf("%v, %d certificates", err, len(ends))
	}
	if k.Ready(now.Add(Lifetime)) == nil {
		t.Error("ready with a certificate that has ended")
	}
}
