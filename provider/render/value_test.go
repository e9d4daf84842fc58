package render

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestDecode(t *testing.T) {
	for name, c := range map[string]struct{ encoding, value, want string }{
		"none":                     {"", "any\x00\xff", "any\x00\xff"},
		"nothing of none":          {"", "", ""},
		"utf-8":                    {"utf-8", "é", "é"},
		"base64":                   {"base64", "AP8=", "\x00\xff"},
		"base64 in lines":          {"base64", "AAEC\nAwQF\r\nBg==\n", "\x00\x01\x02\x03\x04\x05\x06"},
		"base64 of nothing":        {"base64", "", ""},
		"base64 without remainder": {"base64", "AAEC", "\x00\x01\x02"},
		"hex":                      {"hex", "00ff", "\x00\xff"},
		"hex of both cases":        {"hex", "aBCd", "\xab\xcd"},
		"hex in lines":             {"hex", "00\nff\r\n", "\x00\xff"},
		"hex of nothing":           {"hex", "", ""},
	} {
		if got, err := Decode(c.encoding, []byte(c.value)); err != nil || string(got) != c.want {
			t.Errorf("%s: %q, %v; want %q", name, got, err, c.want)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	for name, c := range map[string]struct{ encoding, value, says string }{
		"unknown encoding":         {"base32", "planted", "utf-8, base64 and hex"},
		"encoding in capitals":     {"BASE64", "AAEC", "utf-8, base64 and hex"},
		"bytes as utf-8":           {"utf-8", "planted\xff", "not valid UTF-8"},
		"base64 without padding":   {"base64", "AP8", "padded with ="},
		"base64 for URLs":          {"base64", "_-__", "byte 1 of 4"},
		"base64 with spaces":       {"base64", "AA EC", "byte 3 of 5"},
		"base64 with a tail":       {"base64", "AP8=AAEC", "not base64"},
		"base64 with stray bits":   {"base64", "AP9=", "not base64"},
		"base64 only padding":      {"base64", "====", "not base64"},
		"base64 of something else": {"base64", "planted value!", "not base64"},
		"hex of odd length":        {"hex", "abc", "odd number"},
		"hex with other digits":    {"hex", "00planted0", "digit 3 or 4 of 10"},
		"hex with a prefix":        {"hex", "0x00", "not hex"},
		"hex with spaces":          {"hex", "00 11 ", "not hex"},
	} {
		got, err := Decode(c.encoding, []byte(c.value))
		if err == nil || got != nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "planted") {
			t.Errorf("%s: %q, %v; want an error that says %q", name, got, err, c.says)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add("AP8=")
	f.Add("00fF\n")
	f.Fuzz(func(t *testing.T, value string) {
		for _, encoding := range []string{"", "utf-8", "base64", "hex"} {
			got, err := Decode(encoding, []byte(value))
			if err != nil && got != nil || len(got) > len(value) {
				t.Errorf("%s: %d bytes, %v", encoding, len(got), err)
			}
		}
	})
}

func TestExpand(t *testing.T) {
	entries, err := Expand([]byte(`{"b":"text\n","a":12345678901234567890,"c":{"y":[1,true],"x":null},"d":null,"e":"","f":false,".g":"x","é":"y","g/h/i":"deep","g/h.i":"","g/none":null,"g/none/j":1}`))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, entry := range entries {
		got = append(got, fmt.Sprintf("%s=%s", entry.Name, entry.Data))
	}
	want := []string{".g=x", "a=12345678901234567890", "b=text\n", `c={"x":null,"y":[1,true]}`, "e=", "f=false", "g/h.i=", "g/h/i=deep", "g/none/j=1", "é=y"}
	if strings.Join(got, "|") != strings.Join(want, "|") {
		t.Errorf("Expand = %q, want %q", got, want)
	}
}

func TestExpandOfNothing(t *testing.T) {
	for _, value := range []string{`{}`, `{"a":null}`} {
		if entries, err := Expand([]byte(value)); !errors.Is(err, ErrNothing) || entries != nil {
			t.Errorf("Expand(%s) = %v, %v; want ErrNothing", value, entries, err)
		}
	}
}

func TestExpandRefuses(t *testing.T) {
	long := strings.Repeat("k", 256)
	for name, c := range map[string]struct {
		value string
		says  []string
	}{
		"a list":                {`["planted"]`, []string{"not a JSON object"}},
		"text":                  {`"planted"`, []string{"not a JSON object"}},
		"null":                  {`null`, []string{"not a JSON object"}},
		"no JSON":               {`planted`, []string{"not JSON"}},
		"a leading slash":       {`{"/b":"planted"}`, []string{`key "/b" has a part that is empty and cannot be a file name`}},
		"a slash at the end":    {`{"b/":"planted"}`, []string{`key "b/" has a part that is empty`}},
		"a way out":             {`{"a/../../b":"planted"}`, []string{`key "a/../../b" has a part that begins with two dots`}},
		"the same directory":    {`{"a/./b":"planted"}`, []string{`key "a/./b" has a part that cannot be a file name`}},
		"a long part":           {`{"a/` + strings.Repeat("x", 256) + `":"planted"}`, []string{`has a part that is longer than a file name may be`}},
		"too deep":              {`{"` + strings.Repeat("a/", 16) + `b":"planted"}`, []string{`has more than 16 parts between slashes`}},
		"a file as a directory": {`{"a":"file","a/b":"planted","a/b/c":1}`, []string{`key "a/b" needs a directory where key "a" is a file`, `key "a/b/c" needs a directory where key "a" is a file`}},
		"up":                    {`{"..":"planted"}`, []string{`key ".."`}},
		"here":                  {`{".":"planted"}`, []string{`key "."`}},
		"the kubelet's own":     {`{"..data":"planted"}`, []string{`key "..data" begins with two dots`}},
		"empty":                 {`{"":"planted"}`, []string{"is empty"}},
		"control character":     {`{"a\u0000":"planted","b\nc":1}`, []string{`key "a\x00" holds a control`, `key "b\nc"`}},
		"too long":              {`{"` + long + `":"planted"}`, []string{"255 bytes"}},
		"all of them at once":   {`{"a//b":1,"..":2,"ok":3}`, []string{`key "a//b"`, `key ".."`, "`property` instead"}},
		"more than can be read": {`{"/0":1,"/1":1,"/2":1,"/3":1,"/4":1,"/5":1,"/6":1,"/7":1,"/8":1,"/9":1,"/a":1,"/b":1}`, []string{"and 2 more"}},
	} {
		t.Run(name, func(t *testing.T) {
			entries, err := Expand([]byte(c.value))
			if err == nil || entries != nil || strings.Contains(err.Error(), "planted") || len(err.Error()) > 2000 {
				t.Fatalf("Expand = %v, %v", entries, err)
			}
			for _, text := range c.says {
				if !strings.Contains(err.Error(), text) {
					t.Errorf("error %q does not say %q", err, text)
				}
			}
		})
	}
}

func TestExpandKeepsToItsBounds(t *testing.T) {
	var many bytes.Buffer
	for i := range 1001 {
		fmt.Fprintf(&many, `,"k%d":1`, i)
	}
	for name, value := range map[string]string{
		"keys":  "{" + many.String()[1:] + "}",
		"bytes": fmt.Sprintf(`{"a":"%s","b":"%[1]s"}`, strings.Repeat("x", MaxBytes/2+1)),
	} {
		if _, err := Expand([]byte(value)); !errors.Is(err, ErrTooLarge) {
			t.Errorf("%s: %v, want ErrTooLarge", name, err)
		}
	}
}
