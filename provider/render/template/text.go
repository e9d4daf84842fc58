package template

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	gotemplate "text/template"

	"github.com/lanyardhq/lanyard/provider/render"
)

// text is what a template prints for v: text as it is, numbers in plain digits.
// Lists and objects have no text of their own, and null must not become one.
func text(v any) (string, error) {
	switch v := v.(type) {
	case string:
		return v, nil
	case json.Number:
		return string(v), nil
	case bool:
		return strconv.FormatBool(v), nil
	case float64:
		return render.FormatFloat(v), nil
	case nil:
		return "", errors.New("there is nothing to print: the value is null or missing; use default to print something instead")
	}
	switch r := reflect.ValueOf(v); r.Kind() {
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return strconv.FormatInt(r.Int(), 10), nil
	case reflect.Slice:
		return "", errors.New("a list cannot be printed; use join or toJson")
	case reflect.Map:
		return "", errors.New("an object cannot be printed; use one of its keys, or toJson")
	}
	return "", errors.New("this cannot be printed")
}

func texts(values []any) ([]string, error) {
	all := make([]string, len(values))
	for i, v := range values {
		var err error
		if all[i], err = text(v); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// printed and printedLine are print and println: they put spaces as fmt does.
func printed(values ...any) (string, error) {
	if _, err := texts(values); err != nil {
		return "", err
	}
	return fmt.Sprint(values...), nil
}

func printedLine(values ...any) (string, error) {
	all, err := texts(values)
	return strings.Join(all, " ") + "\n", err
}

func quoted(values ...any) (string, error) {
	all, err := texts(values)
	for i := range all {
		all[i] = strconv.Quote(all[i])
	}
	return strings.Join(all, " "), err
}

func squoted(values ...any) (string, error) {
	all, err := texts(values)
	for i := range all {
		all[i] = "'" + all[i] + "'"
	}
	return strings.Join(all, " "), err
}

func escapeHTML(v any) (string, error) {
	s, err := text(v)
	if strings.ContainsRune(s, 0) {
		return "", errors.New("HTML cannot express the character U+0000")
	}
	return gotemplate.HTMLEscapeString(s), err
}

func escapeQuery(v any) (string, error) {
	s, err := text(v)
	return gotemplate.URLQueryEscaper(s), err
}

// elements returns what a list holds.
func elements(list any) ([]any, error) {
	switch list := list.(type) {
	case []any:
		return list, nil
	case []string:
		all := make([]any, len(list))
		for i, element := range list {
			all[i] = element
		}
		return all, nil
	}
	return nil, errors.New("it takes a list")
}

func joined(separator string, list any) (string, error) {
	all, err := elements(list)
	if err != nil {
		return "", err
	}
	parts, err := texts(all)
	return strings.Join(parts, separator), err
}

func b64dec(s string) (string, error) {
	decoded, err := render.Decode("base64", []byte(s))
	return string(decoded), err
}

func fromJSON(s string) (any, error) { return render.ParseJSON([]byte(s)) }

func toJSON(v any) (string, error) {
	encoded, err := render.AppendJSON(nil, v, render.MaxBytes)
	return string(encoded), err
}
