package cmd

import (
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
)

// maxSealedInput is more than the longest sealed text and the longest value.
const maxSealedInput = 2 << 20

// readInput reads the file, or standard input if no file is named. The error
// never quotes what was read.
func readInput(c *cobra.Command, file string, most int) ([]byte, error) {
	in, from := c.InOrStdin(), "standard input"
	if file != "" {
		opened, err := os.Open(file)
		if err != nil {
			return nil, usagef("%w", err)
		}
		defer opened.Close() //nolint:errcheck // nothing was written
		in, from = opened, file
	}
	data, err := io.ReadAll(io.LimitReader(in, int64(most)+1))
	if err != nil {
		return nil, usagef("%s could not be read: %w", from, err)
	}
	if len(data) > most {
		return nil, usagef("%s has more than %d bytes", from, most)
	}
	return data, nil
}

// readSealedText returns the sealed text of the argument, the file or standard
// input. A text from a file may end in a newline, as files do.
func readSealedText(c *cobra.Command, args []string, file string) (string, error) {
	if len(args) == 1 {
		if file != "" {
			return "", usagef("a sealed text is given as an argument and in --file; give one of them")
		}
		return args[0], nil
	}
	data, err := readInput(c, file, maxSealedInput)
	if err != nil {
		return "", err
	}
	text := strings.TrimSuffix(strings.TrimSuffix(string(data), "\n"), "\r")
	if text == "" {
		return "", usagef("there is no sealed text; give it as the argument, in --file, or on standard input")
	}
	return text, nil
}
