package file

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lanyardhq/lanyard/provider/fault"
)

// errChanging means that the file changed during the read.
var errChanging = errors.New("changing")

// settled is the minimum age at which a file's times prove that it is unchanged: file
// systems take times from a clock with steps of up to 10 ms.
const settled = 20 * time.Millisecond

// readOnce reads the file below the root. os.Root resolves every symbolic link itself
// and refuses paths that leave the directory.
func (s *fileStore) readOnce(key string) ([]byte, error) {
	root, err := os.OpenRoot(s.root)
	if err != nil {
		return nil, fault.Fail(fault.ErrUnavailable, fmt.Errorf("root %s cannot be opened: %w; does the agent that writes it run, and may the provider read it?", s.root, reason(err)))
	}
	defer root.Close() //nolint:errcheck // it is only read

	// Opening a pipe or a device can have effects, so the type is checked before. If
	// it changes in between, opening does not block, and the second check finds it.
	found, err := root.Stat(key)
	if err != nil {
		return nil, s.failed(key, err)
	}
	if err := s.regular(key, found); err != nil {
		return nil, err
	}
	file, err := root.OpenFile(key, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOCTTY, 0)
	if err != nil {
		return nil, s.failed(key, err)
	}
	defer file.Close() //nolint:errcheck // it is only read
	before, err := file.Stat()
	if err != nil {
		return nil, s.failed(key, err)
	}
	if err := s.regular(key, before); err != nil {
		return nil, err
	}
	data, err := readAll(file, before.Size())
	if err != nil {
		return nil, s.failed(key, err)
	}
	if len(data) > maxBytes {
		return nil, s.tooLarge(key)
	}
	after, err := file.Stat()
	if err != nil {
		return nil, s.failed(key, err)
	}
	if changed(before, after, len(data)) {
		return nil, fault.Fail(fault.ErrUnavailable, fmt.Errorf("%s below %s is %w while it is read; whoever writes it should write another file and rename it", key, s.root, errChanging))
	}
	return data, nil
}

// readAll reads at most one byte more than the bound, whatever the reported size.
func readAll(file *os.File, size int64) ([]byte, error) {
	data := make([]byte, 0, size+1)
	limited := io.LimitReader(file, maxBytes+1)
	for {
		n, err := limited.Read(data[len(data):cap(data)])
		data = data[:len(data)+n]
		if errors.Is(err, io.EOF) {
			return data, nil
		}
		if err != nil {
			return nil, err
		}
		if len(data) == cap(data) {
			data = append(data, 0)[:len(data)]
		}
	}
}

// changed reports whether the file was or may have been written between the two
// stats. A recently written file may be between two writes.
func changed(before, after fs.FileInfo, read int) bool {
	if int64(read) != after.Size() || before.Size() != after.Size() || !before.ModTime().Equal(after.ModTime()) {
		return true
	}
	age := time.Since(after.ModTime())
	return age >= 0 && age < settled
}

// regular refuses what is not a regular file or too large.
func (s *fileStore) regular(key string, info fs.FileInfo) error {
	if !info.Mode().IsRegular() {
		return fault.Fail(fault.ErrInvalid, fmt.Errorf("key: %s below %s is %s, not a regular file", key, s.root, kind(info.Mode())))
	}
	if info.Size() > maxBytes {
		return s.tooLarge(key)
	}
	return nil
}

// failed adds the kind to an error of opening or reading.
func (s *fileStore) failed(key string, err error) error {
	cause := fmt.Errorf("%s below %s: %w", key, s.root, reason(err))
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ENOTDIR):
		return fault.Fail(fault.ErrNotFound, fmt.Errorf("there is no file %s below %s", key, s.root))
	case errors.Is(err, fs.ErrPermission):
		return fault.Fail(fault.ErrDenied, fmt.Errorf("%w; the provider's user may not read it", cause))
	case errors.Is(err, unix.ELOOP):
		return fault.Fail(fault.ErrInvalid, cause)
	case errors.Is(err, unix.ENXIO), errors.Is(err, unix.ENODEV):
		return fault.Fail(fault.ErrInvalid, fmt.Errorf("key: %s below %s is a socket or device, not a regular file", key, s.root))
	}
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		// os.Root's refusal has no errno and no exported value to compare with.
		return fault.Fail(fault.ErrDenied, fmt.Errorf("%w; a symbolic link must stay below the root and must not be absolute", cause))
	}
	return fault.Fail(fault.ErrUnavailable, cause)
}

func (s *fileStore) tooLarge(key string) error {
	return fault.Fail(fault.ErrInvalid, fmt.Errorf("key: %s below %s holds more than %d bytes", key, s.root, maxBytes))
}

// reason returns the cause without operation and path.
func reason(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}

func kind(mode fs.FileMode) string {
	switch {
	case mode.IsDir():
		return "a directory"
	case mode&fs.ModeNamedPipe != 0:
		return "a named pipe"
	case mode&fs.ModeDevice != 0:
		return "a device"
	}
	return "a socket or something else"
}
