package vault

import (
	"bytes"
	"fmt"
	"io"
	"os"

	"github.com/lanyardhq/lanyard/provider/secret"
)

// maxCredentialBytes bounds a file with a token or a secret ID.
const maxCredentialBytes = 64 << 10

// readNodeFile reads a file that the operator named. The error names the path
// and never the content.
func readNodeFile(path string, most int64) ([]byte, error) {
	info, err := os.Stat(path) // before opening, which may block on a pipe
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close() //nolint:errcheck // it is only read
	content, err := io.ReadAll(io.LimitReader(file, most+1))
	if err != nil {
		return nil, err
	}
	if int64(len(content)) > most {
		return nil, fmt.Errorf("%s is larger than %d bytes", path, most)
	}
	return content, nil
}

// readCredential reads a token or a secret ID, without the line's end that
// editors leave.
func readCredential(path string) (secret.Bytes, error) {
	content, err := readNodeFile(path, maxCredentialBytes)
	if err != nil {
		return secret.Bytes{}, err
	}
	content = bytes.TrimSpace(content)
	if len(content) == 0 {
		return secret.Bytes{}, fmt.Errorf("%s is empty", path)
	}
	return secret.New(content), nil
}
