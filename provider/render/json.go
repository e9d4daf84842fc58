package render

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// maxValues is the maximum number of values, nested ones counted, in a JSON value. A
// decoded value takes tens of bytes for each, far more than its text.
const maxValues = 100_000

var (
	errNotJSON = errors.New("the value is not JSON")
	errEmpty   = errors.New("the value is not JSON: it is empty")
	errBOM     = errors.New("the value is not JSON: it begins with a byte order mark (U+FEFF), which some editors add; store it without")
	errUTF16   = errors.New("the value is not JSON: it is UTF-16 text by its byte order mark; store it as UTF-8")
	errNotUTF8 = errors.New("the value holds bytes that are not UTF-8, which JSON cannot express")
)

// ParseJSON decodes one JSON value. Numbers keep their digits as json.Number.
// What the decoder would alter without a word, it refuses.
func ParseJSON(value []byte) (any, error) {
	switch {
	case len(bytes.TrimSpace(value)) == 0:
		return nil, errEmpty
	case bytes.HasPrefix(value, []byte("\ufeff")):
		return nil, errBOM
	case bytes.HasPrefix(value, []byte("\xff\xfe")), bytes.HasPrefix(value, []byte("\xfe\xff")):
		return nil, errUTF16
	}
	if err := scanJSON(value); err != nil {
		return nil, err
	}
	decoder := json.NewDecoder(bytes.NewReader(value))
	decoder.UseNumber()
	var parsed any
	if err := decoder.Decode(&parsed); err != nil {
		return nil, errNotJSON // the decoder's own text quotes the value
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("the value is not JSON: something follows it")
	}
	return parsed, nil
}

// scanJSON refuses, before memory is made for it, JSON of too many values, and
// text that encoding/json replaces by U+FFFD: bytes that are not UTF-8 and
// halves of surrogate pairs. Whether it is JSON at all is the decoder's to say.
func scanJSON(value []byte) error {
	if !utf8.Valid(value) {
		return errNotUTF8
	}
	values, inString := 1, false
	for i := 0; i < len(value); i++ {
		switch c := value[i]; {
		case c == '"':
			inString = !inString
		case inString && c == '\\':
			i++
			if half := surrogate(value[i-1:]); half != 0 {
				if !utf16.IsSurrogate(half) {
					i += 4
					continue
				}
				pair := utf16.DecodeRune(half, surrogate(value[min(i+5, len(value)):]))
				if pair == utf8.RuneError {
					return errors.New("the value holds half of a surrogate pair, which is no character")
				}
				i += 10
			}
		case !inString && (c == ',' || c == '[' || c == '{'):
			if values++; values > maxValues {
				return fmt.Errorf("%w: the value holds more than %d JSON values", ErrTooLarge, maxValues)
			}
		}
	}
	return nil
}

// surrogate reads the \uXXXX at the start of text; zero if there is none.
func surrogate(text []byte) rune {
	if len(text) < 6 || text[0] != '\\' || text[1] != 'u' {
		return 0
	}
	unit, err := strconv.ParseUint(string(text[2:6]), 16, 16)
	if err != nil {
		return 0
	}
	return rune(unit)
}

// AppendJSON appends v in its shortest form with sorted keys, and stops as soon
// as more than limit bytes are there. Sub-trees may be shared: what counts is
// how often they are written.
func AppendJSON(dst []byte, v any, limit int) ([]byte, error) {
	if len(dst) >= limit {
		return nil, TooLong(limit)
	}
	var err error
	switch v := v.(type) {
	case nil:
		dst = append(dst, "null"...)
	case bool:
		dst = strconv.AppendBool(dst, v)
	case json.Number:
		dst = append(dst, v...)
	case int:
		dst = strconv.AppendInt(dst, int64(v), 10)
	case int64:
		dst = strconv.AppendInt(dst, v, 10)
	case float64:
		if math.IsInf(v, 0) || math.IsNaN(v) {
			return nil, errors.New("a number is not finite, which JSON cannot express")
		}
		dst = append(dst, FormatFloat(v)...)
	case string:
		dst, err = appendJSONString(dst, v, limit)
	case []any:
		dst, err = appendJSONList(dst, v, limit)
	case []string:
		dst, err = appendJSONList(dst, v, limit)
	case map[string]any:
		dst, err = appendJSONObject(dst, v, limit)
	case map[string]string:
		dst, err = appendJSONObject(dst, v, limit)
	default:
		return nil, errors.New("a value is of a kind that JSON cannot express")
	}
	if err != nil {
		return nil, err
	}
	if len(dst) > limit {
		return nil, TooLong(limit)
	}
	return dst, nil
}

// TooLong returns the error of a result over limit bytes, which wraps ErrTooLarge.
func TooLong(limit int) error {
	return fmt.Errorf("%w: the result is over %d bytes", ErrTooLarge, limit)
}

func appendJSONList[T any](dst []byte, list []T, limit int) ([]byte, error) {
	dst = append(dst, '[')
	for i, element := range list {
		if i > 0 {
			dst = append(dst, ',')
		}
		var err error
		if dst, err = AppendJSON(dst, element, limit); err != nil {
			return nil, err
		}
	}
	return append(dst, ']'), nil
}

func appendJSONObject[T any](dst []byte, object map[string]T, limit int) ([]byte, error) {
	dst = append(dst, '{')
	for i, key := range slices.Sorted(maps.Keys(object)) {
		if i > 0 {
			dst = append(dst, ',')
		}
		var err error
		if dst, err = appendJSONString(dst, key, limit); err != nil {
			return nil, err
		}
		if dst, err = AppendJSON(append(dst, ':'), object[key], limit); err != nil {
			return nil, err
		}
	}
	return append(dst, '}'), nil
}

func appendJSONString(dst []byte, s string, limit int) ([]byte, error) {
	if len(dst)+len(s) > limit {
		return nil, TooLong(limit)
	}
	if !utf8.ValidString(s) {
		return nil, errNotUTF8
	}
	dst = append(dst, '"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c == '\n':
			dst = append(dst, `\n`...)
		case c == '\r':
			dst = append(dst, `\r`...)
		case c == '\t':
			dst = append(dst, `\t`...)
		case c < ' ':
			dst = fmt.Appendf(dst, `\u%04x`, c)
		default:
			dst = append(dst, c)
		}
	}
	return append(dst, '"'), nil
}

// FormatFloat writes f in plain digits where a person would.
func FormatFloat(f float64) string {
	if magnitude := math.Abs(f); magnitude != 0 && (magnitude < 1e-6 || magnitude >= 1e21) {
		return strconv.FormatFloat(f, 'e', -1, 64)
	}
	return strconv.FormatFloat(f, 'f', -1, 64)
}
