// Package atomicfile writes files that a person or a program keeps, so that each
// is there whole or not at all whenever the writer or the machine stops: a file
// is written beside its place, brought to the disk, and then takes its name.
//
// Start with Create, Replace and ReplaceUnchanged.
package atomicfile

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
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
	defer os.Remove(temporary) //nolint:errcheck // what is left is only a second name
	// Unlike a rename, a link never replaces a file that appeared meanwhile.
	if err := os.Link(temporary, path); err != nil {
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
	if err := keepOwner(temporary, info); err != nil {
		return errors.Join(fmt.Errorf("%s would change its owner: %w", path, err), os.Remove(temporary))
	}
	err = check(target)
	if err == nil {
		err = os.Rename(temporary, target)
	}
	if err != nil {
		return errors.Join(err, os.Remove(temporary))
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

// writeTemporary writes a file beside path and returns its name.
func writeTemporary(path string, data []byte, mode fs.FileMode) (string, error) {
	file, err := os.CreateTemp(filepath.Dir(path), ".lanyard-*") // mode 0600
	if err != nil {
		// The temporary name would only confuse.
		var failed *fs.PathError
		if errors.As(err, &failed) {
			err = failed.Err
		}
		return "", fmt.Errorf("%s cannot be written: %w", path, err)
	}
	_, err = file.Write(data)
	if err == nil {
		err = file.Chmod(mode)
	}
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return "", errors.Join(err, os.Remove(file.Name()))
	}
	return file.Name(), nil
}

// syncFolder makes a new name in path's folder survive a power cut.
func syncFolder(path string) error {
	folder, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
