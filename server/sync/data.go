package sync

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"path"
	"strings"
	"time"

	core "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/secrets-store-csi-driver/pkg/util/secretutil"

	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/provider/engine"
)

// content is what a Secret is to hold.
type content struct {
	data map[string][]byte
	// versions are those of the files that the values come from.
	versions map[string]string
}

// files are those of a volume, to be found by name.
type files struct {
	contents map[string][]byte
	versions map[string]string // of objects
	absent   map[string]bool   // objects that are optional
	all      string            // the names, for a message
	made     time.Time
}

func filesOf(volume *engine.Volume) *files {
	f := &files{
		contents: map[string][]byte{}, versions: map[string]string{}, absent: map[string]bool{}, made: volume.Made,
		all: message.Names(volume.Files, func(f engine.File) string { return message.Printable(f.Path) }),
	}
	for _, file := range volume.Files {
		f.contents[file.Path] = file.Contents
	}
	for _, v := range volume.Versions {
		f.versions[v.ID] = v.Version
	}
	for _, a := range volume.Absent {
		f.absent[a.ID] = true
	}
	return f
}

// contentOf takes what a Secret holds from a volume. An object that is optional and
// absent has no key; of the others it takes all, or has a problem for each that cannot be
// had.
func contentOf(s Secret, from *files) (*content, []string) {
	c := &content{data: map[string][]byte{}, versions: map[string]string{}}
	var problems []string
	missing := false
	for _, item := range s.Data {
		value, exists := from.contents[item.File]
		if !exists {
			if !from.absent[item.File] {
				missing = true
				problems = append(problems, fmt.Sprintf("key %s: the class makes no file %s", message.Printable(item.Key), message.Printable(item.File)))
			}
			continue
		}
		value, err := part(s.Type, item.Key, value)
		if err != nil {
			problems = append(problems, fmt.Sprintf("key %s: %s: %v", message.Printable(item.Key), message.Printable(item.File), err))
			continue
		}
		c.data[item.Key] = value
		c.versions[item.File] = from.version(item.File)
	}
	if missing {
		problems = append(problems, "it makes "+from.all)
	}
	if len(problems) == 0 && len(c.data) == 0 {
		problems = append(problems, "no object of the Secret exists; all of them are optional")
	}
	return c, problems
}

// part is what of a file's content belongs under a key: for a Secret of type
// kubernetes.io/tls the certificates or the private key of what may hold both, in the
// form that the driver gives them when it syncs a mounted class.
func part(secretType, key string, content []byte) ([]byte, error) {
	if secretType == string(core.SecretTypeDockerConfigJson) && key == core.DockerConfigJsonKey ||
		secretType == string(core.SecretTypeDockercfg) && key == core.DockerConfigKey {
		// The API server refuses it too, but cites the character that is wrong.
		if json.Unmarshal(content, &map[string]any{}) != nil {
			return nil, errors.New("is no JSON object")
		}
		return content, nil
	}
	if secretType != string(core.SecretTypeTLS) || key != core.TLSCertKey && key != core.TLSPrivateKeyKey {
		return content, nil
	}
	found, err := secretutil.GetCertPart(content, key)
	switch {
	case err == nil && len(found) > 0 && !emptyKey(found):
		return found, nil
	case key == core.TLSPrivateKeyKey:
		// The driver knows RSA and ECDSA only.
		if found = privateKey(content); found != nil {
			return found, nil
		}
		return nil, errors.New("has no private key in PEM or PKCS#12 form")
	}
	return nil, errors.New("has no certificate in PEM or PKCS#12 form")
}

// emptyKey says that a PEM block has nothing in it.
func emptyKey(text []byte) bool {
	block, _ := pem.Decode(text)
	return block == nil || len(block.Bytes) == 0
}

// privateKey is the first private key of a PEM text, as it stands there; nil if there is
// none.
func privateKey(text []byte) []byte {
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if strings.HasSuffix(block.Type, "PRIVATE KEY") && len(block.Bytes) > 0 {
			return pem.EncodeToMemory(block)
		}
	}
	return nil
}

// version is that of the object that makes a file: its own, or that of the directory that
// the file is in.
func (f *files) version(file string) string {
	for id := file; id != "."; id = path.Dir(id) {
		if version, ok := f.versions[id]; ok {
			return version
		}
	}
	return ""
}

// digest tells whether a Secret has to be written again. It is made of whose it is, what
// the object says, and versions, which tell nothing of the values.
func digest(owner types.UID, s Secret, c *content) (string, error) {
	text, err := json.Marshal([]any{owner, s, c.versions})
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:16]), nil
}
