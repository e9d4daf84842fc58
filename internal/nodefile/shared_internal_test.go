package nodefile

import (
	"io/fs"
	"syscall"
	"testing"
	"time"
)

// file is a file of somebody's.
type file struct {
	mode     fs.FileMode
	uid, gid uint32
}

func (file) Name() string        { return "file" }
func (file) Size() int64         { return 0 }
func (f file) Mode() fs.FileMode { return f.mode }
func (file) ModTime() time.Time  { return time.Time{} }
func (file) IsDir() bool         { return false }
func (f file) Sys() any          { return &syscall.Stat_t{Uid: f.uid, Gid: f.gid} }

func TestWhatRootSharesWithTheGroupOfAProcess(t *testing.T) {
	const uid, gid = 65532, 65532
	for name, test := range map[string]struct {
		file file
		uid  int
		want bool
	}{
		"as the kubelet mounts it":   {file{0o440, 0, gid}, uid, true},
		"writable for root":          {file{0o640, 0, gid}, uid, true},
		"writable for the group":     {file{0o660, 0, gid}, uid, false},
		"executable for the group":   {file{0o450, 0, gid}, uid, false},
		"readable for others":        {file{0o444, 0, gid}, uid, false},
		"of another group":           {file{0o440, 0, 100}, uid, false},
		"of root's group":            {file{0o440, 0, 0}, uid, false},
		"of the process's own":       {file{0o440, uid, gid}, uid, false},
		"of another user":            {file{0o440, 1000, gid}, uid, false},
		"for a process that is root": {file{0o440, 0, gid}, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := sharedByRoot(test.file, test.uid, gid); got != test.want {
				t.Errorf("shared is %v, want %v", got, test.want)
			}
		})
	}
}
