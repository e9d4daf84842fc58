package vault

import (
	"bytes"
	"fmt"

	"github.com/lanyardhq/lanyard/internal/nodefile"
	"github.com/lanyardhq/lanyard/provider/secret"
)

// maxCredentialBytes bounds a file with a token or a secret ID.
const maxCredentialBytes = 64 << 10

// readCredential reads a token or a secret ID, without the line's end that
// editors leave. The error names the path and never the content.
func readCredential(path string) (secret.Bytes, error) { return trimmed(nodefile.ReadPrivate, path) }

// readJWT is readCredential for a service account's token, whose mode is the kubelet's
// choice: 0644 unless all containers of the pod run as one user.
func readJWT(path string) (secret.Bytes, error) { return trimmed(nodefile.Read, path) }

func trimmed(read func(string, int64) ([]byte, error), path string) (secret.Bytes, error) {
	content, err := read(path, maxCredentialBytes)
	if err != nil {
		return secret.Bytes{}, err
	}
	content = bytes.TrimSpace(content)
	if len(content) == 0 {
		return secret.Bytes{}, fmt.Errorf("%s is empty", path)
	}
	return secret.New(content), nil
}
