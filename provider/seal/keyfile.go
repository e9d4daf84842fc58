package seal

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"

	"github.com/lanyardhq/lanyard/provider/secret"
)

// MaxKeyFile is the most bytes that a key ring or public key file may have.
const MaxKeyFile = 1 << 20

// ReadKeyRing reads the key ring file at path. It refuses a file that group or
// others may read or change, or that belongs to anyone but this process's user
// and root. The error names the path and quotes no key.
func ReadKeyRing(path string) (*KeyRing, error) {
	data, err := readKeyFile(path, private)
	if err != nil {
		return nil, err
	}
	ring, err := ParseKeyRing(secret.New(data))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return ring, nil
}

// ReadPublicKey reads the public key file at path. The error names the path.
func ReadPublicKey(path string) (*PublicKey, error) {
	data, err := readKeyFile(path, func(fs.FileInfo) error { return nil })
	if err != nil {
		return nil, err
	}
	key, err := ParsePublicKey(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return key, nil
}

// readKeyFile reads a regular file that passes check. The open file is what is
// checked, so that nobody can put another in its place in between; symbolic
// links are followed, because Kubernetes mounts Secrets through them.
func readKeyFile(path string, check func(fs.FileInfo) error) ([]byte, error) {
	// Without O_NONBLOCK a named pipe would hold the program up for ever.
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer file.Close() //nolint:errcheck // nothing was written
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: is not a regular file", path)
	}
	if err := check(info); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	data, err := io.ReadAll(io.LimitReader(file, MaxKeyFile+1))
	if err != nil {
		return nil, err
	}
	if len(data) > MaxKeyFile {
		return nil, fmt.Errorf("%s: is longer than %d bytes; is it a key file?", path, MaxKeyFile)
	}
	return data, nil
}

// private refuses a file that others than its owner can read or change.
func private(info fs.FileInfo) error {
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return fmt.Errorf("others than its owner may use this private key file (mode %#o); run chmod 600 on it, or set defaultMode 0400 where a Secret is mounted", mode)
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return errors.New("its owner cannot be found out")
	}
	if uid := int(owner.Uid); uid != 0 && uid != os.Geteuid() {
		return fmt.Errorf("this private key file belongs to user %d; it must belong to user %d, which runs this program, or to root", uid, os.Geteuid())
	}
	return nil
}
