package scenarios

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// wholeText is a value that tells whether it is whole: a text with its own
// checksum, and a filling that takes more than one write.
func wholeText(what string) string {
	body := what + "\n" + strings.Repeat(what+".", 400)
	sum := sha256.Sum256([]byte(body))
	return hex.EncodeToString(sum[:]) + "\n" + body
}

// checkWhole returns what a value is of, or an error unless it is whole.
func checkWhole(content string) (what string, err error) {
	sum, body, _ := strings.Cut(content, "\n")
	if want := sha256.Sum256([]byte(body)); sum != hex.EncodeToString(want[:]) {
		return "", fmt.Errorf("it is not whole: %d bytes that begin with %.20q", len(content), content)
	}
	what, _, _ = strings.Cut(body, "\n")
	return what, nil
}

// watch looks at volumes all the time: none may ever miss a file or hold half
// of one.
type watch struct {
	files []string

	mu      sync.Mutex
	volumes []string
	looks   int
	broken  []string
	stop    context.CancelFunc
	done    chan struct{}
}

// watchFiles begins to watch what add names, for these files in each, until
// end.
func watchFiles(files []string) *watch {
	ctx, stop := context.WithCancel(context.Background())
	w := &watch{files: files, stop: stop, done: make(chan struct{})}
	go func() {
		defer close(w.done)
		for ctx.Err() == nil {
			w.look()
			time.Sleep(20 * time.Millisecond)
		}
	}()
	return w
}

// add watches a volume whose pod is ready.
func (w *watch) add(volume string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.volumes = append(w.volumes, volume)
}

func (w *watch) look() {
	w.mu.Lock()
	volumes := w.volumes
	w.mu.Unlock()
	var broken []string
	for _, volume := range volumes {
		for _, file := range w.files {
			if _, err := readWhole(volume, file); err != nil {
				broken = append(broken, err.Error())
			}
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.looks++
	w.broken = append(w.broken, broken...)
}

// end returns how often each file was looked at, and all that was wrong.
func (w *watch) end() (looks int, err error) {
	w.stop()
	<-w.done
	if len(w.broken) > 0 {
		err = fmt.Errorf("%d files were missing or not whole, the first: %s", len(w.broken), w.broken[0])
	}
	return w.looks, err
}

// readWhole returns what the value in a volume's file is of. The driver changes
// a volume by turning a link and then removing what it led to, so who is on
// the way through it finds nothing and has to look again; a container has to
// as well.
func readWhole(volume, file string) (what string, err error) {
	path := filepath.Join(volume, file)
	for range 3 {
		var content []byte
		if content, err = os.ReadFile(path); err == nil {
			what, err = checkWhole(string(content))
			break
		}
		if !errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	if err != nil {
		return "", fmt.Errorf("%s: %w", path, err)
	}
	return what, nil
}
