package remote

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"
)

func read(ctx context.Context, body io.Reader, limit int64) (string, error) {
	resp := &http.Response{Body: io.NopCloser(body), ContentLength: -1}
	bound(ctx, resp, limit)
	text, err := io.ReadAll(resp.Body)
	return string(text), err
}

func TestAnAnswerOfTooManyValuesIsNotReadToItsEnd(t *testing.T) {
	for name, text := range map[string]string{
		"empty objects":    `{"Parameters":[` + strings.Repeat("{},", 1<<20) + `{}]}`,
		"empty lists":      strings.Repeat("[", 1<<20) + strings.Repeat("]", 1<<20),
		"numbers":          "  \n[" + strings.Repeat("0,", 1<<20) + "0]",
		"keys":             `{` + strings.Repeat(`"a":"b",`, 1<<20) + `"a":1}`,
		"empty strings":    `[` + strings.Repeat(`"",`, 1<<20) + `""]`,
		"escapes":          `["\\",` + strings.Repeat(`"\"",`, 1<<20) + `""]`,
		"unpaired escapes": `["\\\\",` + strings.Repeat(`{},`, 1<<20) + `""]`,
	} {
		for how, body := range map[string]io.Reader{"at once": strings.NewReader(text), "in pieces": iotest.HalfReader(strings.NewReader(text))} {
			got, err := read(t.Context(), body, 16<<20)
			var large *TooLargeError
			if !errors.As(err, &large) || !large.Values || err.Error() != "the answer has more than 65536 values" {
				t.Errorf("%s %s: %v", name, how, err)
			}
			if len(got) == len(text) {
				t.Errorf("%s %s: the whole answer was read", name, how)
			}
		}
	}
}

func TestTextWithManySeparatorsIsRead(t *testing.T) {
	long := strings.Repeat(`a,b:c{d[e"f\`, 1<<17)
	quoted, err := json.Marshal(map[string]string{"value": long})
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"in a string": string(quoted), "not JSON": long, "empty": "", "blank": "  \n"} {
		if got, err := read(t.Context(), iotest.HalfReader(strings.NewReader(text)), 16<<20); err != nil || got != text {
			t.Errorf("%s: %d of %d bytes, %v", name, len(got), len(text), err)
		}
	}
}

func TestMemoryIsReservedBeforeMoreIsRead(t *testing.T) {
	full := errors.New("full")
	var reserved int64
	ctx := WithReserve(t.Context(), func(bytes int64) error {
		if reserved += bytes; reserved > 4<<10*costOfByte {
			return full
		}
		return nil
	})
	got, err := read(ctx, iotest.OneByteReader(strings.NewReader(strings.Repeat("x", 1<<20))), 16<<20)
	if !errors.Is(err, full) || len(got) > 4<<10+1 {
		t.Errorf("%d bytes were read: %v", len(got), err)
	}
}
