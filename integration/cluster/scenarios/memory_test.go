package scenarios

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// Files have the modes that were asked for, are in memory alone, and a
// container without root reads those that its user and groups may.
func TestFilesAreInMemoryAlone(t *testing.T) {
	s := beside(t)
	began := time.Now()
	planted := rand.Text()
	s.put("planted", map[string]any{"value": planted})
	s.class("planted", asWorkload+`
    objects: |
      - {path: default, store: vault, key: secret/data/$namespace/planted, property: value}
      - {path: group, store: vault, key: secret/data/$namespace/planted, property: value, mode: "0440"}
      - {path: owner, store: vault, key: secret/data/$namespace/planted, property: value, mode: "0400"}
`)
	restricted := &corev1.SecurityContext{
		AllowPrivilegeEscalation: new(false), ReadOnlyRootFilesystem: new(true),
		Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
	}
	s.start(
		pod{Name: "other", Classes: []string{"planted"}, Container: restricted, Security: &corev1.PodSecurityContext{
			RunAsUser: new(int64(1000)), RunAsGroup: new(int64(1000)), RunAsNonRoot: new(true), FSGroup: new(int64(2000)),
		}},
		pod{Name: "member", Classes: []string{"planted"}, Container: restricted, Security: &corev1.PodSecurityContext{
			RunAsUser: new(int64(1000)), RunAsGroup: new(int64(1000)), RunAsNonRoot: new(true), SupplementalGroups: []int64{0},
		}},
	)

	const stat = "cd /secrets/planted && stat -L -c '%n %a %u:%g' default group owner && stat -f -c %T ."
	got, err := s.exec("other", "sh", "-c", stat)
	s.must(err)
	if want := "default 644 0:0\ngroup 440 0:0\nowner 400 0:0\ntmpfs\n"; got != want {
		t.Errorf("the volume is\n%s, not\n%s", got, want)
	}
	for name, readable := range map[string][]string{"other": {"default"}, "member": {"default", "group"}} {
		for _, path := range []string{"default", "group", "owner"} {
			got, err := s.exec(name, "cat", secretsDir+"/planted/"+path)
			if slices.Contains(readable, path) && (err != nil || got != planted) {
				t.Errorf("pod %s: %s holds something else: %v", name, path, err)
			}
			if !slices.Contains(readable, path) && (err == nil || !strings.Contains(err.Error(), "Permission denied")) {
				t.Errorf("pod %s: %s can be read: %v", name, path, err)
			}
		}
	}

	// What finds nothing has to find what is there.
	control := s.Path("planted")
	s.must(os.WriteFile(control, []byte("before "+planted+" after"), 0o600))
	t.Cleanup(func() { os.Remove(control) })
	if found := s.search(began, planted, base64.StdEncoding.EncodeToString([]byte(planted))); !slices.Equal(found, []string{control}) {
		t.Errorf("the value is on disk in %q, not in the control %s alone", found, control)
	}
}

// search lists the files on the node's own file system, written since, that
// hold any of the texts.
func (s *scenario) search(since time.Time, texts ...string) (found []string) {
	s.t.Helper()
	var root syscall.Stat_t
	s.must(syscall.Stat("/", &root))
	err := filepath.WalkDir("/", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return skip(entry) // it has gone meanwhile
		}
		info, err := entry.Info()
		if err != nil {
			return skip(entry)
		}
		stat, ok := info.Sys().(*syscall.Stat_t)
		if ok && stat.Dev != root.Dev {
			return skip(entry)
		}
		// The time of the last change cannot be set back.
		if !info.Mode().IsRegular() || time.Unix(stat.Ctim.Unix()).Before(since.Truncate(time.Second)) {
			return nil
		}
		if holds, err := contains(path, texts); err == nil && holds {
			found = append(found, path)
		}
		return nil
	})
	s.must(err)
	return found
}

func skip(entry fs.DirEntry) error {
	if entry != nil && entry.IsDir() {
		return fs.SkipDir
	}
	return nil
}

// contains reports whether a file holds any of the texts, which are short.
func contains(path string, texts []string) (bool, error) {
	file, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer file.Close()
	const overlap = 1 << 10
	buffer := make([]byte, 1<<20)
	kept := 0
	for {
		n, err := io.ReadFull(file, buffer[kept:])
		window := buffer[:kept+n]
		for _, text := range texts {
			if bytes.Contains(window, []byte(text)) {
				return true, nil
			}
		}
		if err != nil {
			return false, nil // its end
		}
		kept = copy(buffer, window[len(window)-overlap:])
	}
}
