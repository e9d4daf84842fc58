package manifest

import (
	"bytes"
	"encoding/binary"
	"unicode/utf16"
	"unicode/utf8"
)

// encoding is how the characters of a file are written as bytes. The text of every
// file is UTF-8 without a byte order mark in memory, and is written back in the
// encoding that the file had.
type encoding struct {
	mark  string    // the byte order mark; empty without one
	order byteOrder // of UTF-16; nil for UTF-8
}

// byteOrder reads and appends units of two bytes.
type byteOrder interface {
	binary.ByteOrder
	binary.AppendByteOrder
}

var encodings = []encoding{
	{mark: "\xef\xbb\xbf"},
	{mark: "\xff\xfe", order: binary.LittleEndian},
	{mark: "\xfe\xff", order: binary.BigEndian},
}

// NotTextError is why the bytes of an input are not text that a command can read.
type NotTextError string

// Error tells what the bytes are instead, and what to do.
func (e NotTextError) Error() string { return string(e) + "; save it as UTF-8" }

const (
	errUTF32   NotTextError = "is UTF-32 text"
	errNoMark  NotTextError = "looks like UTF-16 text without a byte order mark"
	errUTF16   NotTextError = "begins as UTF-16 text and breaks off or holds half of a character"
	errNotUTF8 NotTextError = "is not UTF-8 text"
	errNUL     NotTextError = "holds a NUL character, which no text does"
)

// decode returns the text of a file in UTF-8 and the encoding that the file has.
// Text that decodes can be encoded again to the same bytes. The error is a
// NotTextError.
func decode(data []byte) ([]byte, encoding, error) {
	if bytes.HasPrefix(data, []byte("\xff\xfe\x00\x00")) || bytes.HasPrefix(data, []byte("\x00\x00\xfe\xff")) {
		return nil, encoding{}, errUTF32
	}
	var e encoding
	for _, known := range encodings {
		if bytes.HasPrefix(data, []byte(known.mark)) {
			e = known
			break
		}
	}
	text := data[len(e.mark):]
	switch {
	case e.order != nil:
		return e.fromUTF16(text)
	case len(text) > 1 && (text[0] == 0) != (text[1] == 0):
		return nil, encoding{}, errNoMark
	case bytes.IndexByte(text, 0) >= 0:
		return nil, encoding{}, errNUL
	case !utf8.Valid(text):
		return nil, encoding{}, errNotUTF8
	}
	return text, e, nil
}

func (e encoding) fromUTF16(data []byte) ([]byte, encoding, error) {
	if len(data)%2 != 0 {
		return nil, encoding{}, errUTF16
	}
	units := make([]uint16, len(data)/2)
	for i := range units {
		units[i] = e.order.Uint16(data[2*i:])
	}
	text := []byte(string(utf16.Decode(units)))
	// Half of a character would decode to one that stands for it, and be lost.
	if !bytes.Equal(e.encode(text), append([]byte(e.mark), data...)) {
		return nil, encoding{}, errUTF16
	}
	if bytes.IndexByte(text, 0) >= 0 {
		return nil, encoding{}, errNUL
	}
	return text, e, nil
}

// encode returns the text as the bytes of a file.
func (e encoding) encode(text []byte) []byte {
	data := []byte(e.mark)
	if e.order == nil {
		return append(data, text...)
	}
	for _, unit := range utf16.Encode([]rune(string(text))) {
		data = e.order.AppendUint16(data, unit)
	}
	return data
}
