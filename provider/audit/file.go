package audit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/lanyardhq/lanyard/provider/config"
)

// file is the sink that a chain goes on in. One process at a time has it: what it locks is
// PATH.lock, since PATH becomes another file when it is rotated.
type file struct {
	settings config.AuditFile
	lock     *os.File
	out      *os.File // nil after a failure
	size     int64
	// write is out.Write but in tests of what fails.
	write func(*os.File, []byte) (int, error)
}

// openFile waits a while for a process that ends.
func openFile(ctx context.Context, settings config.AuditFile) (*file, error) {
	lock, err := lockFile(ctx, settings.Path+".lock")
	if err != nil {
		return nil, err
	}
	f := &file{settings: settings, lock: lock, write: (*os.File).Write}
	if err := f.open(); err != nil {
		f.close()
		return nil, err
	}
	return f, nil
}

// lockTime is how long a process waits for another that has the file.
const lockTime = 5 * time.Second

func lockFile(ctx context.Context, path string) (*os.File, error) {
	ctx, cancel := context.WithTimeout(ctx, lockTime)
	defer cancel()
	lock, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0o600)
	if err != nil {
		return nil, err
	}
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		switch {
		case err == nil:
			return lock, nil
		case !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR):
			return nil, errors.Join(fmt.Errorf("%s cannot be locked: %w", path, err), lock.Close())
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(fmt.Errorf("%s is locked: another process writes this audit file; give each its own", path), lock.Close())
		case <-ticker.C:
		}
	}
}

// open opens the file at its end. What a process that was killed left of a line is cut off.
func (f *file) open() error {
	out, err := os.OpenFile(f.settings.Path, os.O_RDWR|os.O_APPEND|os.O_CREATE|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0o600)
	if err != nil {
		return err
	}
	info, err := out.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a regular file", f.settings.Path)
	}
	if err == nil && info.Mode().Perm()&0o077 != 0 {
		err = out.Chmod(0o600)
	}
	if err == nil {
		f.size = info.Size()
		if whole := f.size - tornBytes(out, f.size); whole < f.size {
			f.size, err = whole, out.Truncate(whole)
		}
	}
	if err != nil {
		return errors.Join(err, out.Close())
	}
	f.out = out
	return nil
}

// maxLine is the longest line that is looked for at a file's end.
const maxLine = 64 << 20

// tornBytes is how many bytes stand after the last newline.
func tornBytes(in io.ReaderAt, size int64) (torn int64) {
	block := make([]byte, 64<<10)
	for torn < size && torn < maxLine {
		n := min(int64(len(block)), size-torn)
		if _, err := in.ReadAt(block[:n], size-torn-n); err != nil {
			return 0
		}
		if i := bytes.LastIndexByte(block[:n], '\n'); i >= 0 {
			return torn + n - int64(i) - 1
		}
		torn += n
	}
	return torn
}

// last is the last line of the newest file that has one; nil if none has.
func (f *file) last() ([]byte, error) {
	for _, path := range []string{f.settings.Path, f.rotated(1)} {
		in, err := os.Open(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		line, err := lastLine(in)
		if err := errors.Join(err, in.Close()); err != nil || line != nil {
			return line, err
		}
	}
	return nil, nil
}

func lastLine(in *os.File) ([]byte, error) {
	info, err := in.Stat()
	if err != nil || info.Size() == 0 {
		return nil, err
	}
	end := info.Size() - 1 // without the newline
	line := make([]byte, tornBytes(in, end))
	_, err = in.ReadAt(line, end-int64(len(line)))
	return line, err
}

func (f *file) rotated(n int) string { return f.settings.Path + "." + strconv.Itoa(n) }

// add writes whole lines, or nothing.
func (f *file) add(lines []byte) error {
	if f.out != nil && f.settings.MaxFiles > 1 && f.size > 0 && f.size+int64(len(lines)) > int64(f.settings.MaxBytes) {
		if err := f.rotate(); err != nil {
			return err
		}
	}
	if f.out == nil {
		if err := f.open(); err != nil {
			return err
		}
	}
	_, err := f.write(f.out, lines)
	if err == nil && f.settings.Sync {
		err = f.out.Sync()
	}
	if err != nil {
		// What a full disk took of the lines goes, or the next open cuts it off.
		if f.out.Truncate(f.size) != nil {
			f.closeOut()
		}
		return err
	}
	f.size += int64(len(lines))
	return nil
}

// rotate moves every file on by one and leaves none open.
func (f *file) rotate() error {
	f.closeOut()
	for n := f.settings.MaxFiles - 2; n >= 0; n-- {
		from := f.settings.Path
		if n > 0 {
			from = f.rotated(n)
		}
		if err := os.Rename(from, f.rotated(n+1)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if !f.settings.Sync {
		return nil
	}
	directory, err := os.Open(filepath.Dir(f.settings.Path))
	if err != nil {
		return err
	}
	return errors.Join(directory.Sync(), directory.Close())
}

// closeOut has the next add open the file anew, as after somebody has moved it away.
func (f *file) closeOut() {
	if f.out != nil {
		_ = f.out.Close() //nolint:errcheck // what was written counts
		f.out = nil
	}
}

func (f *file) close() {
	f.closeOut()
	_ = f.lock.Close() //nolint:errcheck // which unlocks it
}
