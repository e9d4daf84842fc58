package cmd

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// addOutput adds the flag --output: the form in which a command prints its result.
// The first form is the default.
func addOutput(c *cobra.Command, output *string, note string, forms ...string) {
	*output = forms[0]
	value := &choice{output, forms}
	c.Flags().VarP(value, "output", "o", "output `FORMAT`: "+value.list()+note)
	offer(c, "output", forms...)
}

// addTextOrJSON adds the flag --output of the commands that print text or JSON.
func addTextOrJSON(c *cobra.Command, output *string) { addOutput(c, output, "", "text", "json") }

// choice is a flag that takes one of several words.
type choice struct {
	value *string
	words []string
}

// String is the word that is chosen.
func (c *choice) String() string { return *c.value }

// Type makes help print the flag's default as that of a text.
func (c *choice) Type() string { return "string" }

// Set takes one of the words.
func (c *choice) Set(word string) error {
	if !slices.Contains(c.words, word) {
		return errors.New("must be " + c.list())
	}
	*c.value = word
	return nil
}

func (c *choice) list() string {
	last := len(c.words) - 1
	return strings.Join(c.words[:last], ", ") + " or " + c.words[last]
}

// printJSON prints a value for programs, in a form that people can read too.
func printJSON(w io.Writer, value any) error { return encodeJSON(w, value, "  ") }

// printJSONLine prints a value on one line, for programs that read a stream of them.
func printJSONLine(w io.Writer, value any) error { return encodeJSON(w, value, "") }

// encodeJSON prints nothing that a terminal could take for more than text.
func encodeJSON(w io.Writer, value any, indent string) error {
	var encoded bytes.Buffer
	encoder := json.NewEncoder(&encoded)
	encoder.SetIndent("", indent)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return err
	}
	return writeEscaped(w, encoded.Bytes())
}
