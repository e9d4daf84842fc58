package cmd

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestExecRefuses(t *testing.T) {
	volume := t.TempDir()
	class := filepath.Join(t.TempDir(), "class.yaml")
	for path, text := range map[string]string{
		filepath.Join(volume, "password"): "planted",
		class:                             "apiVersion: secrets-store.csi.x-k8s.io/v1\nkind: SecretProviderClass\nmetadata: {name: web}\nspec:\n  provider: lanyard\n  parameters:\n    objects: |\n      - {path: a, template: planted-text}\n",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for want, c := range map[string]struct {
		args []string
		code int
	}{
		"say which command is run":       {[]string{"--volume", volume}, exitUsage},
		"give --volume, the directory":   {[]string{"--", "true"}, exitUsage},
		"see lanyard exec --help":        {[]string{"--volume", volume, "--class-file", class, "--", "true"}, exitUsage},
		"or --class-file or --class;":    {[]string{"--volume", volume, "--class", "web", "--", "true"}, exitUsage},
		"are for classes and references": {[]string{"--volume", volume, "--config", class, "--", "true"}, exitUsage},
		"--socket and --config: give":    {[]string{"--class-file", class, "--config", class, "--socket", class, "--", "true"}, exitUsage},
		"--env A: must be NAME=OBJECT":   {[]string{"--volume", volume, "--env", "A", "--", "true"}, exitUsage},
		"it has password":                {[]string{"--volume", volume, "--env", "A=b", "--", "true"}, exitFailed},
		"no-such: executable file":       {[]string{"--volume", volume, "--", "no-such"}, 127},
		volume + ": is a directory":      {[]string{"--volume", volume, "--", volume}, 126},
		"the class makes no file b":      {[]string{"--class-file", class, "--env", "A=b", "--env", "C=a", "--", "true"}, exitFailed},
		"no-such-either: executable":     {[]string{"--class-file", class, "--all", "--env", "C=a", "--", "no-such-either"}, 127},
		"lanyard: say which command is ": {[]string{"--volume", volume, "--"}, exitUsage},
	} {
		code, stdout, stderr := runLanyard(append([]string{"exec"}, c.args...)...)
		if code != c.code || !strings.Contains(stderr, want) || strings.Contains(stdout+stderr, "planted") {
			t.Errorf("%v: exit code %d, %q; want %d and %s", c.args, code, stderr, c.code, want)
		}
	}
}

// With a name alone the class is the cluster's, in the namespace that the token tells.
func TestExecReadsAClassOfTheCluster(t *testing.T) {
	dir, _, config := mountFixture(t)
	args := []string{"exec", "--config", config, "--token", "vault=" + serveClass(t, dir), "--env", "LICENCE=licence"}
	// Without --watch the test itself would become the command.
	if code, _, stderr := runLanyard(append(args, "--watch", "--class", "web", "--", "/bin/sh", "-c", `test "$LICENCE" = planted-one && exit 7`)...); code != 7 || strings.Contains(stderr, "planted") {
		t.Errorf("exit code %d: %s; want that of the command, 7", code, stderr)
	}
	for name, want := range map[string]string{"api": "class shop/api cannot be read", "../web": "class shop/../web cannot be read", "": "give --volume"} {
		code, _, stderr := runLanyard(append(args, "--class", name, "--", "true")...)
		if code == exitOK || !strings.Contains(stderr, want) || strings.Contains(stderr, "planted") {
			t.Errorf("--class %q: exit code %d, %s; want %s", name, code, stderr, want)
		}
	}
	// A namespace of the flag goes before that of the token.
	if code, _, stderr := runLanyard(append(args, "--class", "web", "--namespace", "other", "--", "true")...); code != exitFailed || !strings.Contains(stderr, "class other/web cannot be read") {
		t.Errorf("exit code %d, %s", code, stderr)
	}
}
