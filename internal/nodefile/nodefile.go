// Package nodefile reads the files of the node that an operator's settings
// name: certificates, tokens and keys. It follows symbolic links, because
// Kubernetes mounts Secrets and ConfigMaps through them, but reads regular
// files only and never more of them than it was told to. Its errors name the
// path and never the content.
//
// Read is for what may be seen by anyone, ReadPrivate for keys, and ReadTrusted for
// what decides what the program does.
package nodefile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
)

// Read returns the content of the regular file at path, of at most limit bytes.
func Read(path string, limit int64) ([]byte, error) {
	return read(path, limit, func(fs.FileInfo) error { return nil })
}

// ReadPrivate is Read for a file that is secret. It refuses one that group or
// others may read or change, or that belongs to anyone but this process's user
// and root. Root may have let the group of a process that is not root's read it.
func ReadPrivate(path string, limit int64) ([]byte, error) {
	return read(path, limit, private)
}

// ReadTrusted is Read for a file that nobody but this process's user and root may
// change. What anyone may read it accepts, as ConfigMaps are mounted.
func ReadTrusted(path string, limit int64) ([]byte, error) {
	return read(path, limit, trusted)
}

// read checks the open file, so that nobody can put another in its place in
// between.
func read(path string, limit int64, check func(fs.FileInfo) error) ([]byte, error) {
	// Without O_NONBLOCK a named pipe would hold the program up for ever.
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer file.Close() //nolint:errcheck // it is only read
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	if err := check(info); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	content, err := io.ReadAll(io.LimitReader(file, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(content)) > limit {
		return nil, fmt.Errorf("%s is larger than %d bytes", path, limit)
	}
	return content, nil
}

// private refuses a file that group or others can access.
func private(info fs.FileInfo) error {
	if mode := info.Mode().Perm(); mode&0o077 != 0 && !sharedByRoot(info, os.Geteuid(), os.Getegid()) {
		return fmt.Errorf("permissions %#o are too open: group and others must have no access; run chmod 600, or set defaultMode 0400 where a Secret is mounted", mode)
	}
	return owned(info)
}

// sharedByRoot reports whether a file is root's and only the group of a process that is
// not root's may read it besides: for such a process there is no other way, and so the
// kubelet mounts Secrets in pods with an fsGroup. PostgreSQL accepts the same of its keys.
// https://kubernetes.io/docs/tasks/configure-pod-container/security-context/
// https://www.postgresql.org/docs/current/ssl-tcp.html#SSL-SETUP
func sharedByRoot(info fs.FileInfo, uid, gid int) bool {
	owner, ok := info.Sys().(*syscall.Stat_t)
	return ok && uid != 0 && owner.Uid == 0 && int(owner.Gid) == gid && info.Mode().Perm()&0o037 == 0
}

// trusted refuses a file that others can change.
func trusted(info fs.FileInfo) error {
	if mode := info.Mode().Perm(); mode&0o022 != 0 {
		return fmt.Errorf("permissions %#o are too open: group and others must not be able to write; run chmod go-w", mode)
	}
	return owned(info)
}

// owned refuses a file of others, who could change its permissions.
func owned(info fs.FileInfo) error {
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return errors.New("its owner cannot be found out")
	}
	if uid := int(owner.Uid); uid != 0 && uid != os.Geteuid() {
		return fmt.Errorf("it belongs to user %d; it must belong to user %d, which runs this program, or to root", uid, os.Geteuid())
	}
	return nil
}
