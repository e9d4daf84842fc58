package file

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"
	"unicode"

	"github.com/lanyardhq/lanyard/internal/strict"
	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/identity"
	"github.com/lanyardhq/lanyard/provider/secret"
	"github.com/lanyardhq/lanyard/provider/store"
)

const (
	// maxBytes is the maximum file size: the driver accepts no larger message.
	maxBytes = 4 << 20
	// maxPath and maxName are Linux's own limits, in bytes.
	maxPath, maxName = 4096, 255
)

// The maximum number of reads of a file that keeps changing, and the pause between
// them.
const (
	attempts = 5
	pause    = 20 * time.Millisecond
)

// fileStore reads below one directory. It opens the directory for each read, so that
// it follows a replaced one.
type fileStore struct{ root string }

// Check checks the form of the key only.
func (*fileStore) Check(ref store.Reference) error {
	var problems strict.Problems
	if reason := badKey(ref.Key); reason != "" {
		problems = append(problems, strict.Problem{Field: "key", Text: reason + "; give the path of a file relative to the store's root"})
	}
	if ref.Version != "" {
		problems = append(problems, strict.Problem{Field: "version", Text: "a file has no versions; remove the field"})
	}
	if len(ref.Options) > 0 {
		problems = append(problems, strict.Problem{Field: "options", Text: "a file has none; remove the field"})
	}
	if len(problems) > 0 {
		return fault.Fail(fault.ErrInvalid, problems)
	}
	return nil
}

// badKey returns why a key is not a clean relative path, or "".
func badKey(key string) string {
	switch {
	case key == "":
		return "is missing"
	case len(key) > maxPath:
		return fmt.Sprintf("is longer than %d bytes", maxPath)
	case strings.HasPrefix(key, "/"):
		return "is an absolute path"
	case strings.ContainsFunc(key, unicode.IsControl):
		return "holds a control character"
	case key == "." || !fs.ValidPath(key):
		return "holds an empty part, \".\", \"..\" or bytes that are not UTF-8"
	}
	for part := range strings.SplitSeq(key, "/") {
		if len(part) > maxName {
			return fmt.Sprintf("has a part that is longer than %d bytes", maxName)
		}
	}
	return ""
}

// Read returns the file's content at one moment. It ignores the identity.
func (s *fileStore) Read(ctx context.Context, _ identity.Identity, ref store.Reference) (store.Value, error) {
	var last error
	for attempt := range attempts {
		if attempt > 0 {
			if err := wait(ctx, pause); err != nil {
				return store.Value{}, err
			}
		}
		if err := ctx.Err(); err != nil {
			return store.Value{}, err
		}
		data, err := s.readOnce(ref.Key)
		if err == nil {
			return store.Value{Data: secret.New(data)}, nil
		}
		// Agents replace files by switching a symbolic link, during which a lookup may
		// fail. So only a second failure counts as missing.
		missing := errors.Is(err, fault.ErrNotFound)
		if !errors.Is(err, errChanging) && !(missing && !errors.Is(last, fault.ErrNotFound)) {
			return store.Value{}, err
		}
		last = err
	}
	return store.Value{}, last
}

// Close does nothing: the store holds nothing open.
func (*fileStore) Close() {}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
