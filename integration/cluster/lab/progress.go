package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// Progress prints each step with the seconds since the first.
func Progress(to io.Writer) func(string) {
	start := time.Now()
	return func(step string) {
		fmt.Fprintf(to, "%6.1fs  %s\n", time.Since(start).Seconds(), step)
	}
}

// GiveUp takes down what came up before cause, keeps the logs of its parts, and
// returns cause with where they are.
func GiveUp(dir string, cause error, progress func(string)) error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	kept, err := KeepLogs(dir)
	return errors.Join(cause, err, fmt.Errorf("logs of all parts: %s", kept), Down(ctx, dir, progress))
}

// KeepLogs copies the logs of the lab below dir to a folder that outlives the lab.
func KeepLogs(dir string) (string, error) {
	kept, err := os.MkdirTemp("", "lanyard-logs-")
	if err != nil {
		return "", err
	}
	return kept, os.CopyFS(kept, os.DirFS(filepath.Join(dir, "logs")))
}
