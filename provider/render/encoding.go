package render

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"unicode/utf8"
)

// Decode returns the bytes that value stands for:
//
//	""      the value as it is
//	utf-8   the value as it is; it must be valid UTF-8
//	base64  RFC 4648, section 4: the standard alphabet with padding
//	hex     two digits for each byte, upper or lower case
//
// base64 and hex may be broken into lines, as the usual tools print them; any
// other deviation is an error, because half a key is worse than none.
func Decode(encoding string, value []byte) ([]byte, error) {
	switch encoding {
	case "":
		return value, nil
	case "utf-8":
		if !utf8.Valid(value) {
			return nil, errors.New("the value is not valid UTF-8; leave `encoding` out for bytes as they are")
		}
		return value, nil
	case "base64":
		return decodeBase64(value)
	case "hex":
		return decodeHex(value)
	}
	return nil, fmt.Errorf("unknown encoding %.32q; there are utf-8, base64 and hex", encoding)
}

func decodeBase64(value []byte) ([]byte, error) {
	decoded := make([]byte, base64.StdEncoding.DecodedLen(len(value)))
	// Strict also refuses bits that decoding would drop; both skip line breaks.
	n, err := base64.StdEncoding.Strict().Decode(decoded, value)
	if err == nil {
		return decoded[:n], nil
	}
	var at base64.CorruptInputError
	errors.As(err, &at)
	return nil, fmt.Errorf("the value is not base64 (standard alphabet, padded with =): wrong at byte %d of %d", min(int(at)+1, len(value)), len(value))
}

func decodeHex(value []byte) ([]byte, error) {
	digits := withoutLineBreaks(value)
	if len(digits)%2 != 0 {
		return nil, errors.New("the value is not hex: it has an odd number of digits")
	}
	decoded := make([]byte, len(digits)/2)
	if n, err := hex.Decode(decoded, digits); err != nil {
		return nil, fmt.Errorf("the value is not hex: wrong at digit %d or %d of %d", 2*n+1, 2*n+2, len(digits))
	}
	return decoded, nil
}

func withoutLineBreaks(value []byte) []byte {
	if !bytes.ContainsAny(value, "\r\n") {
		return value
	}
	return bytes.ReplaceAll(bytes.ReplaceAll(value, []byte("\n"), nil), []byte("\r"), nil)
}
