// Package checkout finds files of the checkout that a test or a command of integration runs in, also where it was
// compiled without the paths of its sources.
//
// Start with Path.
package checkout

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
)

// module is how the go.mod at the root of the checkout begins.
const module = "module github.com/lanyardhq/lanyard\n"

// started is the working directory at the start: a test may change it.
var started, errStarted = os.Getwd()

// Path is the path of a file of the checkout that the process was started in. The error says that it was started in
// none.
func Path(elements ...string) (string, error) {
	root, err := root()
	return filepath.Join(append([]string{root}, elements...)...), err
}

var root = sync.OnceValues(func() (string, error) {
	if errStarted != nil {
		return "", errStarted
	}
	for dir := started; ; dir = filepath.Dir(dir) {
		text, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		switch {
		case err == nil && bytes.HasPrefix(text, []byte(module)):
			return dir, nil
		case err != nil && !errors.Is(err, os.ErrNotExist):
			return "", err
		case dir == filepath.Dir(dir):
			return "", fmt.Errorf("%s is in no checkout of Lanyard: run this there", started)
		}
	}
})
