package consultemplate

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v3"
)

// functions are those of consul-template that are supported, with its order of arguments:
// what a pipeline passes comes last.
// https://github.com/hashicorp/consul-template/blob/main/docs/templating-language.md#helper-functions
var functions = map[string]any{
	"toJSON":          toJSON,
	"toJSONPretty":    toJSONPretty,
	"toUnescapedJSON": toUnescapedJSON,
	"toYAML":          toYAML,
	"parseJSON":       parseJSON,
	"base64Encode":    encoder(base64.StdEncoding),
	"base64Decode":    decoder(base64.StdEncoding),
	"base64URLEncode": encoder(base64.URLEncoding),
	"base64URLDecode": decoder(base64.URLEncoding),
	"toLower":         strings.ToLower,
	"toUpper":         strings.ToUpper,
	"toTitle":         toTitle,
	"trim":            func(cut, s string) string { return strings.Trim(s, cut) },
	"trimSpace":       strings.TrimSpace,
	"trimPrefix":      func(prefix, s string) string { return strings.TrimPrefix(s, prefix) },
	"trimSuffix":      func(suffix, s string) string { return strings.TrimSuffix(s, suffix) },
	"replaceAll":      replaceAll,
	"split":           func(separator, s string) []string { return strings.Split(s, separator) },
	"join":            join,
	"indent":          indent,
	"printf":          printf,
	"print":           fmt.Sprint,
	"println":         fmt.Sprintln,
	"contains":        contains,
}

// functionNames are all that a template may call, but for what Go's templates have.
func functionNames() []string {
	return slices.Sorted(slices.Values(append(slices.Collect(maps.Keys(functions)), secretName, pkiCertName, writeName)))
}

func toJSON(v any) (string, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return "", problemf("toJSON: the value is no JSON")
	}
	return sized("toJSON", string(text))
}

func toJSONPretty(v any) (string, error) {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return "", problemf("toJSONPretty: the value is no JSON")
	}
	return sized("toJSONPretty", string(text))
}

func toUnescapedJSON(v any) (string, error) {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return "", problemf("toUnescapedJSON: the value is no JSON")
	}
	return sized("toUnescapedJSON", strings.TrimSuffix(text.String(), "\n"))
}

func toYAML(v any) (string, error) {
	text, err := yaml.Marshal(plain(v))
	if err != nil {
		return "", problemf("toYAML: the value is no YAML")
	}
	return sized("toYAML", strings.TrimSpace(string(text)))
}

// plain has numbers as numbers, and not as the texts that keep their digits.
func plain(v any) any {
	switch v := v.(type) {
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n
		}
		if f, err := v.Float64(); err == nil {
			return f
		}
		return v.String()
	case map[string]any:
		made := make(map[string]any, len(v))
		for key, value := range v {
			made[key] = plain(value)
		}
		return made
	case []any:
		made := make([]any, len(v))
		for i, value := range v {
			made[i] = plain(value)
		}
		return made
	}
	return v
}

func parseJSON(s string) (v any, err error) {
	if s == "" {
		return map[string]any{}, nil
	}
	decoder := json.NewDecoder(strings.NewReader(s))
	decoder.UseNumber()
	if decoder.Decode(&v) != nil || decoder.More() {
		return nil, problemf("parseJSON: the value is not JSON")
	}
	return v, nil
}

func encoder(encoding *base64.Encoding) func(string) (string, error) {
	return func(s string) (string, error) { return sized("base64", encoding.EncodeToString([]byte(s))) }
}

func decoder(encoding *base64.Encoding) func(string) (string, error) {
	return func(s string) (string, error) {
		text, err := encoding.DecodeString(s)
		if err != nil {
			return "", problemf("the value is not base64")
		}
		return string(text), nil
	}
}

// toTitle begins each word with a capital.
func toTitle(s string) string {
	before := ' '
	return strings.Map(func(r rune) rune {
		begins := !unicode.IsLetter(before) && !unicode.IsDigit(before) && before != '_' && before != '\''
		before = r
		if begins {
			return unicode.ToTitle(r)
		}
		return r
	}, s)
}

// bounded refuses a text of that many bytes.
func bounded(function string, bytes int) error {
	if bytes > maxOutput {
		return problemf("%s: makes more than %d bytes", function, maxOutput)
	}
	return nil
}

// sized is a text that is not too large.
func sized(function, text string) (string, error) {
	if err := bounded(function, len(text)); err != nil {
		return "", err
	}
	return text, nil
}

func replaceAll(from, to, s string) (string, error) {
	if err := bounded("replaceAll", len(s)+strings.Count(s, from)*len(to)); err != nil {
		return "", err
	}
	return strings.ReplaceAll(s, from, to), nil
}

func join(separator string, list any) (string, error) {
	var parts []string
	switch list := list.(type) {
	case []string:
		parts = list
	case []any:
		for _, part := range list {
			text, ok := part.(string)
			if !ok {
				return "", problemf("join: the list has more than texts")
			}
			parts = append(parts, text)
		}
	default:
		return "", problemf("join: takes a list")
	}
	size := len(separator) * len(parts)
	for _, part := range parts {
		size += len(part)
	}
	if err := bounded("join", size); err != nil {
		return "", err
	}
	return strings.Join(parts, separator), nil
}

func indent(spaces int, s string) (string, error) {
	if spaces < 0 || spaces > 1000 {
		return "", problemf("indent: takes from 0 to 1000 spaces")
	}
	if err := bounded("indent", len(s)+(strings.Count(s, "\n")+1)*spaces); err != nil {
		return "", err
	}
	lines := strings.Split(s, "\n")
	for i, line := range lines {
		if line != "" {
			lines[i] = strings.Repeat(" ", spaces) + line
		}
	}
	return strings.Join(lines, "\n"), nil
}

// wide are the formats that make long texts of nothing, and width those that make text of
// each part of a value wider.
var (
	wide  = regexp.MustCompile(`%[-+# 0]*(?:\*|[0-9]{4,}|[0-9]*\.(?:\*|[0-9]{4,}))|%\[`)
	width = regexp.MustCompile(`%[-+# 0]*([0-9]*)(?:\.([0-9]*))?`)
)

func printf(format string, args ...any) (string, error) {
	if wide.MatchString(format) {
		return "", problemf("printf: widths are below 1000, and arguments are in their order")
	}
	widest := 0
	for _, found := range width.FindAllStringSubmatch(format, -1) {
		for _, digits := range found[1:] {
			if n, err := strconv.Atoi(digits); err == nil {
				widest = max(widest, n)
			}
		}
	}
	// No verb makes more of a part than its type, and these make up to five bytes of one.
	m := measure{leaf: 80 + widest, limit: maxOutput}
	m.value(args, 0)
	if strings.ContainsAny(format, "xXq#") {
		m.size *= 5
	}
	if err := bounded("printf", len(format)+m.size); err != nil {
		return "", err
	}
	return fmt.Sprintf(format, args...), nil
}

// contains says whether a list has a text, or an object a key.
func contains(value, in any) (bool, error) {
	switch in := in.(type) {
	case []any:
		return slices.ContainsFunc(in, func(one any) bool {
			text, isText := one.(string)
			wanted, ok := value.(string)
			return isText && ok && text == wanted
		}), nil
	case []string:
		text, ok := value.(string)
		return ok && slices.Contains(in, text), nil
	case map[string]any:
		text, ok := value.(string)
		_, has := in[text]
		return ok && has, nil
	}
	return false, problemf("contains: takes a list or an object")
}
