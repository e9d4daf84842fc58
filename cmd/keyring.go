package cmd

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
)

// maxSealedInput is more than the longest sealed text and the longest value.
const maxSealedInput = 2 << 20

// readInput reads the file, or standard input if no file is named. The error
// never quotes what was read.
func readInput(c *cobra.Command, file string, most int) ([]byte, error) {
	in, from := c.InOrStdin(), "standard input"
	if file != "" {
		opened, err := os.Open(file)
		if err != nil {
			return nil, usagef("%w", err)
		}
		defer opened.Close() //nolint:errcheck // nothing was written
		in, from = opened, file
	}
	data, err := io.ReadAll(io.LimitReader(in, int64(most)+1))
	if err != nil {
		return nil, usagef("%s could not be read: %w", from, err)
	}
	if len(data) > most {
		return nil, usagef("%s has more than %d bytes", from, most)
	}
	return data, nil
}

// readSealedText returns the sealed text of the argument, the file or standard
// input. A text from a file may end in a newline, as files do.
func readSealedText(c *cobra.Command, args []string, file string) (string, error) {
	if len(args) == 1 {
		if file != "" {
			return "", usagef("a sealed text is given as an argument and in --file; give one of them")
		}
		return args[0], nil
	}
	data, err := readInput(c, file, maxSealedInput)
	if err != nil {
		return "", err
	}
	text := strings.TrimSuffix(strings.TrimSuffix(string(data), "\n"), "\r")
	if text == "" {
		return "", usagef("there is no sealed text; give it as the argument, in --file, or on standard input")
	}
	return text, nil
}

// createFile writes a new file that appears whole or not at all. The error
// wraps fs.ErrExist if there is one already.
func createFile(path string, data []byte, mode fs.FileMode) error {
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

// replaceFile writes a file in the place of an existing one, whole or not at
// all. It keeps the old one's owner and, if mode is zero, its mode. Behind a
// symbolic link the file that it points to is replaced.
func replaceFile(path string, data []byte, mode fs.FileMode) error {
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		return err
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if mode == 0 {
		mode = info.Mode().Perm()
	}
	temporary, err := writeTemporary(path, data, mode)
	if err != nil {
		return err
	}
	if owner, ok := info.Sys().(*syscall.Stat_t); ok && (int(owner.Uid) != os.Geteuid() || int(owner.Gid) != os.Getegid()) {
		if err := os.Chown(temporary, int(owner.Uid), int(owner.Gid)); err != nil {
			return errors.Join(fmt.Errorf("%s would change its owner: %w", path, err), os.Remove(temporary))
		}
	}
	if err := os.Rename(temporary, path); err != nil {
		return errors.Join(err, os.Remove(temporary))
	}
	return syncFolder(path)
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
