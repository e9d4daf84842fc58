package manifest

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzEncodings holds that a text has the same classes in every encoding, and that
// what is read is written back to the same bytes.
func FuzzEncodings(f *testing.F) {
	for _, seed := range []string{"", head, "---\n" + head + "---\nkind: List\nitems: [{kind: SecretProviderClass}]\n", "\xff\xfe\x00\xd8", "\xef\xbb\xbfa: \U0001f511", "\x00a", "a: [\n---\n*b"} {
		f.Add([]byte(seed))
	}
	read := func(t *testing.T, data []byte) (in Input, names []string, err error) {
		t.Helper()
		walkErr := Each(bytes.NewReader(data), []string{Stdin}, Kind, func(read Input, readErr error) error {
			in, err = read, readErr
			return nil
		})
		if walkErr != nil {
			t.Fatal(walkErr)
		}
		documents, _ := Documents(in.Text) //nolint:errcheck // a broken text has classes before the fault
		for _, class := range Classes(documents) {
			names = append(names, class.Namespace()+"/"+class.Name()+" of "+class.Provider())
		}
		return in, names, err
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		in, names, err := read(t, data)
		if err != nil {
			if _, ok := errors.AsType[NotTextError](err); !ok {
				t.Fatalf("%q: %v", data, err)
			}
			return
		}
		if !utf8.Valid(in.Text) || !bytes.Equal(in.Encode(in.Text), data) {
			t.Fatalf("%q is read as %q, and written back as %q", data, in.Text, in.Encode(in.Text))
		}
		if strings.HasPrefix(string(in.Text), "\x00") {
			return // UTF-16 of it would begin as UTF-32 does
		}
		for _, e := range encodings {
			again, others, err := read(t, e.encode(in.Text))
			if err != nil || !bytes.Equal(again.Text, in.Text) || !slices.Equal(others, names) {
				t.Fatalf("%q with byte order mark %q: %v, classes %q, want %q", in.Text, e.mark, err, others, names)
			}
		}
	})
}
