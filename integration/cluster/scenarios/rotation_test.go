package scenarios

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/lanyardhq/lanyard/integration/faultproxy"
)

// A value that changes at its store is in running pods after the next poll,
// with another version; what has not changed is not written, and while it is
// young enough not even read.
func TestRotation(t *testing.T) {
	s := beside(t)
	p := s.proxy()
	for _, name := range []string{"turning", "lasting", "steady", "quiet"} {
		s.put(name, map[string]any{"value": name + " 0"})
	}
	object := func(name string) string {
		return "{path: " + name + ", store: proxied, key: secret/data/$namespace/" + name + ", property: value}"
	}
	s.proxiedClass("turns", p, "["+object("turning")+", "+object("lasting")+"]", "refresh", "1s")
	s.proxiedClass("steady", p, "["+object("steady")+"]", "refresh", "1s")
	s.proxiedClass("quiet", p, "["+object("quiet")+"]", "refresh", "1h")
	s.start(pod{Name: "web", Classes: []string{"turns", "steady", "quiet"}})

	steady, quiet := s.writing("web", "steady"), s.writing("web", "quiet")
	began := time.Now()
	before := s.shown("web", "turns", "turning", "lasting")
	for _, value := range []string{"turning 1", "turning 2"} {
		s.put("turning", map[string]any{"value": value})
		changed := time.Now()
		s.becomes("web", "turns", "turning", value)
		written := s.writing("web", "turns").at
		s.onePoll(p, "turning", changed, written)
		s.holds("web", "turns", map[string]string{"turning": value, "lasting": "lasting 0"})
		var now map[string]string
		s.eventually("the driver shows another version of turning", func() error {
			if now = s.shown("web", "turns", "turning", "lasting"); now["turning"] != before["turning"] {
				return nil
			}
			if len(s.readsSince(p, "turning", written)) > 1 {
				t.Fatalf("turning was written again and kept the version %s", now["turning"])
			}
			return fmt.Errorf("it still is %s", now["turning"])
		})
		if now["lasting"] != before["lasting"] {
			t.Errorf("the version of lasting, which has not changed, was %s and is %s", before["lasting"], now["lasting"])
		}
		before = now
	}

	// All volumes of a pod are polled in turn.
	s.eventually("two polls have read what is steady", func() error { return atLeast(2, len(s.readsSince(p, "steady", began))) })
	if now := s.writing("web", "steady"); now != steady {
		t.Errorf("what has not changed was written again: %v, before %v", now, steady)
	}
	if now := s.writing("web", "quiet"); now != quiet {
		t.Errorf("what is young enough was written again: %v, before %v", now, quiet)
	}
	if reads := s.readsSince(p, "quiet", began); len(reads) > 0 {
		t.Errorf("what is young enough was read at Vault %d times", len(reads))
	}
}

// A value changes, and whoever rolls out pods after it gets the new one, though the
// refresh interval is long.
func TestPodThatStartsHasWhatTheStoreHoldsNow(t *testing.T) {
	s := beside(t)
	s.put("db", map[string]any{"value": "before"})
	s.proxiedClass("db", s.proxy(), "[{path: db, store: proxied, key: secret/data/$namespace/db, property: value}]", "refresh", "1h")
	s.start(pod{Name: "first", Classes: []string{"db"}})
	s.holds("first", "db", map[string]string{"db": "before"})
	time.Sleep(6 * time.Second) // longer than cache.startAge
	s.put("db", map[string]any{"value": "after"})
	s.start(pod{Name: "second", Classes: []string{"db"}})
	s.holds("second", "db", map[string]string{"db": "after"})
}

// writing tells one writing of a volume from another: the driver turns its link
// ..data to another folder.
type writing struct {
	target string
	inode  uint64
	at     time.Time
}

func (s *scenario) writing(name, class string) (w writing) {
	s.t.Helper()
	link := filepath.Join(s.volume(name, class), "..data")
	target, err := os.Readlink(link)
	s.must(err)
	info, err := os.Lstat(link)
	s.must(err)
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		s.t.Fatalf("%s: no inode", link)
	}
	return writing{target, stat.Ino, info.ModTime()}
}

// onePoll fails the test unless the first poll that read a secret after it was
// changed wrote it: no other read it again before.
func (s *scenario) onePoll(p *faultproxy.Proxy, name string, changed, written time.Time) {
	s.t.Helper()
	reads := s.readsSince(p, name, changed)
	if len(reads) == 0 || len(reads) > 1 && reads[1].Before(written) {
		s.t.Errorf("%s changed at %v, was read at %v and written at %v: want one read before it was written", name, changed, reads, written)
	}
}

// shown are the versions that the driver shows, one for each of the objects.
func (s *scenario) shown(name, class string, objects ...string) (versions map[string]string) {
	s.t.Helper()
	s.eventually("the driver shows versions of "+class, func() (err error) {
		versions, err = s.versions(name, class)
		for _, object := range objects {
			if err == nil && versions[object] == "" {
				err = fmt.Errorf("there is none of %s", object)
			}
		}
		return err
	})
	return maps.Clone(versions)
}

func atLeast(want, got int) error {
	if got < want {
		return fmt.Errorf("%d so far, want %d", got, want)
	}
	return nil
}

// A user of a database outlives its first lease by renewal and is replaced
// before it cannot be renewed any more, and a certificate is replaced before it
// ends: at no time does a pod hold what does not work.
func TestLeasesAreReplacedWithoutAGap(t *testing.T) {
	const (
		ttl  = 50 * time.Second
		most = 75 * time.Second
	)
	s := beside(t)
	p := s.proxy()
	s.must(s.DatabaseRole(t.Context(), s.namespace, ttl, most))
	s.proxiedClass("login", p, "[{path: db, expand: true, store: proxied, key: database/creds/$namespace}]", "refresh", "1s")
	s.proxiedClass("certificate", p, "[{path: tls, expand: true, store: proxied, key: pki/issue/web, options: {body: {common_name: web, ttl: "+ttl.String()+"}}}]", "refresh", "1s")
	s.start(pod{Name: "web", Classes: []string{"login", "certificate"}})

	login, certificate := s.volume("web", "login"), s.volume("web", "certificate")
	first, err := loginIn(login)
	s.must(err)
	issued := time.Now()
	serial := ""
	var outlived, replaced, renewed bool
	s.eventually("login and certificate have been replaced, and the first login has outlived its lease", func() error {
		now, err := s.worksNow(login)
		if err != nil {
			t.Fatalf("%v after the first login: %v", time.Since(issued), err)
		}
		if now != first {
			replaced = true
		}
		// It is good to its maximum, though the pod may have another by then.
		if age := time.Since(issued); age > ttl+2*time.Second && !outlived {
			if _, err := s.Postgres.Query(first.user, first.password, "SELECT 1"); err != nil {
				t.Fatalf("the first login was not renewed: %v after it was issued: %v", age, err)
			}
			outlived = true
		}
		leaf, err := certificateIn(certificate)
		if err != nil {
			t.Fatal(err)
		}
		renewed = renewed || serial != "" && leaf.SerialNumber.String() != serial
		serial = leaf.SerialNumber.String()
		if !outlived || !replaced || !renewed {
			return fmt.Errorf("outlived %t, replaced %t, renewed %t", outlived, replaced, renewed)
		}
		return nil
	})
	if issues := p.Count("", "database/creds/"); issues != 2 {
		t.Errorf("%d users were made, want 2", issues)
	}
	s.eventually("the first user is gone", func() error {
		if _, err := s.Postgres.Query(first.user, first.password, "SELECT 1"); err == nil {
			return errors.New("it still logs in")
		}
		return nil
	})
	if _, err := s.worksNow(login); err != nil {
		t.Errorf("after the first user has gone: %v", err)
	}
}

// databaseLogin is what a volume has for the database.
type databaseLogin struct{ user, password string }

// loginIn reads user and password of one writing of the volume.
func loginIn(volume string) (databaseLogin, error) {
	files, err := oneWriting(volume, "db/username", "db/password")
	if err != nil {
		return databaseLogin{}, err
	}
	return databaseLogin{string(files[0]), string(files[1])}, nil
}

// worksNow is what the volume holds, after PostgreSQL has let it in.
func (s *scenario) worksNow(volume string) (databaseLogin, error) {
	now, err := loginIn(volume)
	if err != nil {
		return now, err
	}
	_, err = s.Postgres.Query(now.user, now.password, "SELECT 1")
	return now, err
}

// certificateIn is the volume's certificate, which fits its key and is good
// now.
func certificateIn(volume string) (*x509.Certificate, error) {
	files, err := oneWriting(volume, "tls/certificate", "tls/private_key")
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(files[0], files[1])
	if err != nil {
		return nil, err
	}
	if now := time.Now(); now.Before(pair.Leaf.NotBefore) || now.After(pair.Leaf.NotAfter) {
		return nil, fmt.Errorf("the certificate is good from %v to %v", pair.Leaf.NotBefore, pair.Leaf.NotAfter)
	}
	return pair.Leaf, nil
}

// oneWriting reads files that were written together: from the folder that the
// volume's link leads to, again if that has gone meanwhile.
func oneWriting(volume string, paths ...string) (contents [][]byte, err error) {
	for range 3 {
		var folder string
		if folder, err = os.Readlink(filepath.Join(volume, "..data")); err != nil {
			continue
		}
		contents = nil
		for _, path := range paths {
			var content []byte
			if content, err = os.ReadFile(filepath.Join(volume, folder, path)); err != nil {
				break
			}
			contents = append(contents, content)
		}
		if err == nil {
			return contents, nil
		}
	}
	return nil, err
}
