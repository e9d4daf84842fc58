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
		"are for --class-file":           {[]string{"--volume", volume, "--config", class, "--", "true"}, exitUsage},
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
