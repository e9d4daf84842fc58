// Package atomicfile writes files that a person or a program keeps, so that each
// is there whole or not at all whenever the writer or the machine stops: a file
// is written beside its place, brought to the disk, and then takes its name.
//
// Start with Create, Replace, ReplaceUnchanged and WriteOwned.
package atomicfile

import (
	"bytes"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// ErrChanged means that somebody else changed the file meanwhile, which was left
// as they made it.
var ErrChanged = errors.New("was changed by somebody else meanwhile, and was left as it is; run it again")

// Create writes a new file. The error wraps fs.ErrExist if there is one already,
// which stays.
func Create(path string, data []byte, mode fs.FileMode) error {
	temporary, err := writeTemporary(path, data, mode)
	if err != nil {
		return err
	}
	defer temporary.Close()           //nolint:errcheck // its bytes are on the disk
	defer os.Remove(temporary.Name()) //nolint:errcheck // what is left is only a second name
	// Unlike a rename, a link never replaces a file that appeared meanwhile.
	if err := os.Link(temporary.Name(), path); err != nil {
		return err
	}
	return syncFolder(path)
}

// Replace writes a file in the place of an existing one. It keeps the old one's
// owner and, if mode is zero, its mode. Behind a symbolic link the file that it
// points to is replaced.
func Replace(path string, data []byte, mode fs.FileMode) error {
	return replace(path, data, mode, func(string) error { return nil })
}

// ReplaceUnchanged does what Replace does with a mode of zero, if the file still
// holds what was read from it before; else the error wraps ErrChanged. The file
// is compared when all else is done, right before the new one takes its name.
func ReplaceUnchanged(path string, before, data []byte) error {
	return replace(path, data, 0, func(target string) error {
		now, err := os.ReadFile(target)
		if errors.Is(err, fs.ErrNotExist) || err == nil && !bytes.Equal(now, before) {
			return fmt.Errorf("%s %w", path, ErrChanged)
		}
		return err
	})
}

// WriteOwned writes a file where others may have put something in its way. It
// refuses what CheckOwned refuses and never follows a symbolic link at the path:
// the file belongs to the process's user and has the mode. A file that is so
// already stays.
func WriteOwned(path string, data []byte, mode fs.FileMode) error {
	err := CheckOwned(path)
	if err == nil && holds(path, data, mode) {
		return nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	temporary, err := writeTemporary(path, data, mode)
	if err != nil {
		return err
	}
	defer temporary.Close() //nolint:errcheck // its bytes are on the disk
	if err := os.Rename(temporary.Name(), path); err != nil {
		return errors.Join(err, os.Remove(temporary.Name()))
	}
	return syncFolder(path)
}

// CheckOwned returns an error unless a regular file of the process's user is at the
// path. The error wraps fs.ErrNotExist if nothing is there.
func CheckOwned(path string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is a link, a folder or another file that is not regular; remove it or name another file", path)
	}
	if owner, ok := info.Sys().(*syscall.Stat_t); !ok || int(owner.Uid) != os.Geteuid() {
		return fmt.Errorf("%s belongs to another user than the one who writes it; remove it or name another file", path)
	}
	return nil
}

// holds returns whether the file at path has the data and the mode.
func holds(path string, data []byte, mode fs.FileMode) bool {
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return false
	}
	defer file.Close() //nolint:errcheck // it was read only
	info, err := file.Stat()
	if err != nil || info.Mode() != mode || info.Size() != int64(len(data)) {
		return false
	}
	now, err := io.ReadAll(io.LimitReader(file, int64(len(data))+1))
	return err == nil && bytes.Equal(now, data)
}

func replace(path string, data []byte, mode fs.FileMode, check func(target string) error) error {
	target, err := filepath.EvalSymlinks(path)
	if err != nil {
		return err
	}
	info, err := os.Stat(target)
	if err != nil {
		return err
	}
	if mode == 0 {
		mode = info.Mode().Perm()
	}
	temporary, err := writeTemporary(target, data, mode)
	if err != nil {
		return err
	}
	defer temporary.Close() //nolint:errcheck // its bytes are on the disk
	if err := keepOwner(temporary.Name(), info); err != nil {
		return errors.Join(fmt.Errorf("%s would change its owner: %w", path, err), os.Remove(temporary.Name()))
	}
	err = check(target)
	if err == nil {
		err = os.Rename(temporary.Name(), target)
	}
	if err != nil {
		return errors.Join(err, os.Remove(temporary.Name()))
	}
	return syncFolder(target)
}

func keepOwner(temporary string, old fs.FileInfo) error {
	owner, ok := old.Sys().(*syscall.Stat_t)
	if !ok || int(owner.Uid) == os.Geteuid() && int(owner.Gid) == os.Getegid() {
		return nil
	}
	return os.Chown(temporary, int(owner.Uid), int(owner.Gid))
}

// writeTemporary writes a file beside path and returns it, open and locked. It
// first removes what earlier writers of path left when they were killed.
func writeTemporary(path string, data []byte, mode fs.FileMode) (*os.File, error) {
	removeLeftovers(path)
	file, err := createLocked(path)
	if err != nil {
		// The temporary name would only confuse.
		var failed *fs.PathError
		if errors.As(err, &failed) {
			err = failed.Err
		}
		return nil, fmt.Errorf("%s cannot be written: %w", path, err)
	}
	_, err = file.Write(data)
	if err == nil {
		err = file.Chmod(mode)
	}
	if err == nil {
		err = file.Sync()
	}
	if err != nil {
		return nil, errors.Join(err, file.Close(), os.Remove(file.Name()))
	}
	return file, nil
}

// temporaryName is the pattern of the temporary names of path. It holds a digest of
// the name and not the name itself, which may be as long as a name can be.
func temporaryName(path string) string {
	digest := fnv.New64a()
	_, _ = digest.Write([]byte(filepath.Base(path)))
	return fmt.Sprintf(".lanyard-%016x-*", digest.Sum64())
}

// createLocked makes a temporary file of mode 0600 with a lock, which tells other
// writers of path that its writer lives.
func createLocked(path string) (*os.File, error) {
	for {
		file, err := os.CreateTemp(filepath.Dir(path), temporaryName(path))
		if err != nil {
			return nil, err
		}
		// Another writer may have removed it before it was locked.
		var info fs.FileInfo
		if err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX); err == nil || lockless(err) {
			info, err = os.Lstat(file.Name())
		}
		if err == nil && info.Mode().IsRegular() {
			return file, nil
		}
		if err == nil {
			err = fmt.Errorf("%s: another took its place", file.Name())
		}
		if err = errors.Join(err, file.Close()); !errors.Is(err, fs.ErrNotExist) {
			return nil, errors.Join(err, os.Remove(file.Name()))
		}
	}
}

// removeLeftovers removes the temporary files of path whose writer is gone. They hold
// private keys if path does. What cannot be removed stays: it stops nobody.
func removeLeftovers(path string) {
	names, _ := filepath.Glob(filepath.Join(globQuoted(filepath.Dir(path)), temporaryName(path))) //nolint:errcheck // the pattern is whole
	for _, name := range names {
		file, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
		if err != nil {
			continue
		}
		info, err := file.Stat()
		if err == nil && info.Mode().IsRegular() && syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil {
			_ = os.Remove(name) //nolint:errcheck // it stops nobody
		}
		_ = file.Close() //nolint:errcheck // it was only looked at
	}
}

// globQuoted returns a pattern that matches folder alone.
func globQuoted(folder string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(folder)
}

// syncFolder makes a new name in path's folder survive a power cut.
func syncFolder(path string) error {
	folder, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
