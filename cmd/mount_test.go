package cmd

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

const mountClass = `apiVersion: secrets-store.csi.x-k8s.io/v1
kind: SecretProviderClass
metadata: {name: web, namespace: shop}
spec:
  provider: lanyard
  parameters:
    objects: |
      - path: licence
        store: agent
        key: licence
        mode: "0400"
      - path: note
        template: "licence={{ .licence }}"
`

// mountFixture is a folder with a class, a configuration and one value.
func mountFixture(t *testing.T) (dir string, class, config string) {
	t.Helper()
	dir = t.TempDir()
	writeFile := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	writeFile("agent/licence", "planted-one")
	class = writeFile("class.yaml", mountClass)
	config = writeFile("lanyard.yaml", "cache: {refresh: 1s}\nstores:\n  agent: {type: file, root: "+dir+"/agent, allow: [shop/*]}\n")
	return dir, class, config
}

func runLanyard(args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	code = Execute(args, strings.NewReader(""), &out, &errs)
	return code, out.String(), errs.String()
}

func TestMountWritesTheFilesAndPrintsNoValue(t *testing.T) {
	dir, class, config := mountFixture(t)
	target := filepath.Join(dir, "volume")
	code, stdout, stderr := runLanyard("mount", class, "--config", config, "--target", target)
	if code != exitOK {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	if data, err := os.ReadFile(filepath.Join(target, "note")); err != nil || string(data) != "licence=planted-one" {
		t.Errorf("note holds %q, %v", data, err)
	}
	if info, err := os.Stat(filepath.Join(target, "licence")); err != nil || info.Mode().Perm() != 0o400 {
		t.Errorf("licence: %v, %v; want mode 0400", info, err)
	}
	if strings.Contains(stdout+stderr, "planted") {
		t.Errorf("the summary shows a value: %s%s", stdout, stderr)
	}
	if !strings.Contains(stdout, "licence  0400  11") {
		t.Errorf("the summary does not tell file, mode and size:\n%s", stdout)
	}
}

func TestMountRefuses(t *testing.T) {
	dir, class, config := mountFixture(t)
	several := filepath.Join(dir, "several.yaml")
	two := mountClass + "---\n" + strings.Replace(mountClass, "name: web", "name: api", 1)
	if err := os.WriteFile(several, []byte(two), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		args []string
		code int
		want string
	}{
		"no class file":             {[]string{"mount"}, exitUsage, "one argument"},
		"a file that is not there":  {[]string{"mount", dir + "/none.yaml"}, exitUsage, "no such file"},
		"several classes":           {[]string{"mount", several, "--config", config}, exitUsage, "choose one with --class: web, api"},
		"a class that is not there": {[]string{"mount", class, "--class", "db"}, exitUsage, "no SecretProviderClass named db"},
		"a folder with other files": {[]string{"mount", class, "--config", config, "--target", dir}, exitUsage, "did not write"},
		"a socket that is not":      {[]string{"mount", class, "--socket", dir + "/none.sock"}, exitUsage, "--socket"},
		"a socket nobody answers":   {[]string{"mount", class, "--socket", config}, exitFailed, "no provider answers on this socket"},
		"socket and configuration":  {[]string{"mount", class, "--socket", "x", "--config", "y"}, exitUsage, "socket"},
		"a bad interval":            {[]string{"mount", class, "--interval", "1ms"}, exitUsage, "--interval"},
		"an unknown format":         {[]string{"mount", class, "-o", "xml"}, exitUsage, "--output"},
		"an identity without right": {[]string{"mount", class, "--config", config, "--namespace", "other"}, exitFailed, "allow list"},
	} {
		t.Run(name, func(t *testing.T) {
			code, _, stderr := runLanyard(c.args...)
			if code != c.code || !strings.Contains(stderr, c.want) {
				t.Errorf("exit code %d, %q; want %d and %q", code, stderr, c.code, c.want)
			}
		})
	}
}

func TestMountWatchBringsWhatHasChangedAndKeepsFilesThroughFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, class, config := mountFixture(t)
		target := filepath.Join(dir, "volume")
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		root := newRoot()
		var stdout, stderr lockedBuffer
		root.SetArgs([]string{"mount", class, "--config", config, "--target", target, "--watch", "--interval", "1s", "-o", "json"})
		root.SetOut(&stdout)
		root.SetErr(&stderr)
		done := make(chan error, 1)
		go func() { done <- root.ExecuteContext(ctx) }()

		holds := func(want string) func() bool {
			return func() bool {
				data, err := os.ReadFile(filepath.Join(target, "licence"))
				return err == nil && string(data) == want
			}
		}
		until(t, holds("planted-one"))
		until(t, func() bool { return strings.Contains(stdout.String(), "\n") })
		const first = `{"files":[{"path":"licence","mode":"0400","bytes":11},{"path":"note","mode":"0644","bytes":19}],"objects":[{"object":"licence","version":"`
		if !strings.HasPrefix(stdout.String(), first) {
			t.Errorf("the first line is %s", stdout.String())
		}
		if err := os.WriteFile(dir+"/agent/licence", []byte("planted-two"), 0o600); err != nil {
			t.Fatal(err)
		}
		until(t, holds("planted-two"))
		until(t, func() bool { return strings.Contains(stdout.String(), `{"file":"licence","change":"changed"`) })
		if err := os.Remove(dir + "/agent/licence"); err != nil {
			t.Fatal(err)
		}
		until(t, func() bool { return strings.Contains(stderr.String(), "the files stay as they are") })
		if !holds("planted-two")() {
			t.Error("a failed poll took the file away")
		}
		cancel()
		if err := <-done; err != nil {
			t.Errorf("watch ended with %v", err)
		}
	})
}

func until(t *testing.T, holds func() bool) {
	t.Helper()
	for !holds() {
		select {
		case <-t.Context().Done():
			t.Fatal("the test ended first")
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func TestMountSaysThatNobodyNamedItsStores(t *testing.T) {
	_, class, _ := mountFixture(t)
	if code, _, stderr := runLanyard("mount", class); code != exitFailed || !strings.HasPrefix(stderr, "note: without --config or --socket") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
}
