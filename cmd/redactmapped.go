package cmd

import (
	"strconv"
	"strings"
	surrogates "unicode/utf16"
	"unicode/utf8"
)

// mappedText is a text that was made from another, with the place that each of its bytes
// has there.
type mappedText struct {
	text     []byte
	from, to []int32
}

func asMapped(text string) mappedText {
	m := mappedText{text: []byte(text), from: make([]int32, len(text)), to: make([]int32, len(text))}
	for i := range len(text) {
		m.from[i], m.to[i] = int32(i), int32(i+1)
	}
	return m
}

func (m *mappedText) append(text []byte, from, to int32) {
	for _, letter := range text {
		m.text = append(m.text, letter)
		m.from = append(m.from, from)
		m.to = append(m.to, to)
	}
}

// squeeze leaves out spaces, quotes and backslashes, which differ with how a text is
// broken and quoted, and makes one alphabet of the two of base64.
func (m mappedText) squeeze() mappedText {
	out := mappedText{make([]byte, 0, len(m.text)), make([]int32, 0, len(m.text)), make([]int32, 0, len(m.text))}
	for i, letter := range m.text {
		switch {
		case letter <= ' ', letter == 0x7f, letter == '"', letter == '\'', letter == '\\':
			continue
		case letter == '-':
			letter = '+'
		case letter == '_':
			letter = '/'
		}
		out.text, out.from, out.to = append(out.text, letter), append(out.from, m.from[i]), append(out.to, m.to[i])
	}
	return out
}

// maxUnescape is how many times a text can be escaped: JSON in JSON in a URL.
const maxUnescape = 4

// unescape replaces the escapes of JSON, YAML, URLs and HTML, and those within them.
func (m mappedText) unescape() mappedText {
	all := m.depths()
	return all[len(all)-1]
}

// depths are the text as it is, and with the escapes replaced once, twice and so on: a value
// that has something like an escape in it is whole at one of them.
func (m mappedText) depths() []mappedText {
	all := []mappedText{m}
	for range maxUnescape {
		next, changed := m.unescapeOnce()
		if !changed {
			break
		}
		m = next
		all = append(all, m)
	}
	return all
}

func (m mappedText) unescapeOnce() (out mappedText, changed bool) {
	out = mappedText{make([]byte, 0, len(m.text)), make([]int32, 0, len(m.text)), make([]int32, 0, len(m.text))}
	for i := 0; i < len(m.text); {
		letters, length := escaped(m.text[i:])
		if length == 0 {
			out.append(m.text[i:i+1], m.from[i], m.to[i])
			i++
			continue
		}
		out.append(letters, m.from[i], m.to[i+length-1])
		changed = true
		i += length
	}
	return out, changed
}

// escaped is what an escape at the beginning of a text stands for, and its length, which is
// 0 if there is none.
func escaped(text []byte) (letters []byte, length int) {
	switch text[0] {
	case '\\':
		return backslashed(text)
	case '%':
		if letter, ok := hexByte(text, 1); ok {
			return []byte{letter}, 3
		}
	case '&':
		return entity(text)
	}
	return nil, 0
}

func backslashed(text []byte) ([]byte, int) {
	if len(text) < 2 {
		return nil, 0
	}
	switch text[1] {
	case 'n', 't', 'r', 'b', 'f', 'v', 'a', 'e', '0', '\n':
		return []byte{' '}, 2
	case '"', '\'', '\\', '/', ' ':
		return text[1:2], 2
	case 'x':
		if letter, ok := hexByte(text, 2); ok {
			return []byte{letter}, 4
		}
	case 'U':
		if code, ok := hexNumber(text, 2, 8); ok {
			return utf8.AppendRune(nil, code), 10
		}
	case 'u':
		code, ok := hexNumber(text, 2, 4)
		if !ok {
			break
		}
		if surrogates.IsSurrogate(code) && len(text) > 7 && text[6] == '\\' && text[7] == 'u' {
			if low, ok := hexNumber(text, 8, 4); ok {
				return utf8.AppendRune(nil, surrogates.DecodeRune(code, low)), 12
			}
		}
		return utf8.AppendRune(nil, code), 6
	}
	return nil, 0
}

func hexNumber(text []byte, at, digits int) (rune, bool) {
	if len(text) < at+digits {
		return 0, false
	}
	code, err := strconv.ParseInt(string(text[at:at+digits]), 16, 32)
	return rune(code), err == nil
}

func hexByte(text []byte, at int) (byte, bool) {
	if len(text) < at+2 {
		return 0, false
	}
	code, err := strconv.ParseUint(string(text[at:at+2]), 16, 8)
	return byte(code), err == nil
}

var entities = map[string]string{"amp": "&", "lt": "<", "gt": ">", "quot": `"`, "apos": "'"}

func entity(text []byte) ([]byte, int) {
	name, _, ends := strings.Cut(string(text[1:min(len(text), 12)]), ";")
	if !ends {
		return nil, 0
	}
	if letters, ok := entities[name]; ok {
		return []byte(letters), len(name) + 2
	}
	number, ok := strings.CutPrefix(name, "#")
	base := 10
	if digits, isHex := strings.CutPrefix(strings.ToLower(number), "x"); isHex {
		number, base = digits, 16
	}
	if code, err := strconv.ParseInt(number, base, 32); ok && err == nil {
		return utf8.AppendRune(nil, rune(code)), len(name) + 2
	}
	return nil, 0
}
