package cmd

import (
	"os"
	"strconv"
	"strings"
	"testing"
)

func TestRefreshSignalsOnlyWhatTakesIt(t *testing.T) {
	for line, want := range map[string]bool{
		"/lanyard\x00serve\x00--config=x\x00": true, "lanyard\x00sync\x00": true, "/lanyard-sync\x00sync\x00": true,
		"/lanyard\x00kms\x00serve\x00": false, "/lanyard\x00": false, "/usr/bin/other\x00serve\x00": false, "": false, "lanyard serve": false,
	} {
		if got := takesHangup([]byte(line)); got != want {
			t.Errorf("%q: %v, want %v", line, got, want)
		}
	}
	for pid, want := range map[string]string{"0": "must be the ID", "-1": "must be the ID", "99999999": "there is no process", strconv.Itoa(os.Getpid()): "is neither lanyard serve nor lanyard sync"} {
		if code, _, stderr := runLanyard("refresh", "--pid="+pid); code != exitUsage || !strings.Contains(stderr, want) {
			t.Errorf("%s: exit code %d, %q; want %s", pid, code, stderr, want)
		}
	}
}
