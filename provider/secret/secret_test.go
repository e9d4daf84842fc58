package secret_test

import (
	"bytes"
	"encoding/base64"
	"encoding/gob"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
	"k8s.io/klog/v2"

	"github.com/lanyardhq/lanyard/provider/secret"
)

const planted = "planted-7d1c3"

// shows tells whether text holds the planted value in any form in which an
// encoder might write bytes.
func shows(text string) bool {
	numbers := strings.Trim(fmt.Sprintf("%v", []byte(planted)), "[]")
	for _, form := range []string{
		planted,
		hex.EncodeToString([]byte(planted)), strings.ToUpper(hex.EncodeToString([]byte(planted))), fmt.Sprintf("% x", planted),
		base64.StdEncoding.EncodeToString([]byte(planted))[:16],
		numbers, strings.ReplaceAll(numbers, " ", ","), strings.ReplaceAll(numbers, " ", ", "),
	} {
		if strings.Contains(text, form) {
			return true
		}
	}
	return strings.Contains(text, fmt.Sprintf("%#v", []byte(planted))[7:20])
}

// Every way in which a Bytes may lie in something that is printed.
func carriers() map[string]any {
	value := secret.NewString(planted)
	type named struct{ Value secret.Bytes }
	type embedded struct{ secret.Bytes }
	type unexported struct{ value secret.Bytes }
	return map[string]any{
		"itself":            value,
		"pointer":           &value,
		"field":             named{value},
		"pointer to field":  &named{value},
		"embedded":          embedded{value},
		"unexported field":  unexported{value},
		"nested unexported": []any{map[string]*unexported{"a": {value}}, unexported{value}},
		"slice":             []secret.Bytes{value},
		"map value":         map[string]secret.Bytes{"a": value},
		"interface":         []any{value},
		"error":             fmt.Errorf("wraps: %v", value),
		"joined errors":     errors.Join(fmt.Errorf("%w: %s", errors.New("a"), value), fmt.Errorf("%+v", value)),
	}
}

func TestNoVerbShowsTheValue(t *testing.T) {
	verbs := []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "% x", "%d", "%o", "%b", "%c", "%U", "%t", "%e", "%p", "%20v", "%-40.3s", "%!"}
	for name, carrier := range carriers() {
		for _, verb := range verbs {
			if printed := fmt.Sprintf(verb, carrier); shows(printed) {
				t.Errorf("%s of %s shows the value: %s", verb, name, printed)
			}
		}
	}
}

func TestNoEncoderShowsTheValue(t *testing.T) {
	encoders := map[string]func(any) (string, error){
		"JSON": func(v any) (string, error) { b, err := json.Marshal(v); return string(b), err },
		"YAML": func(v any) (string, error) { b, err := yaml.Marshal(v); return string(b), err },
		"XML":  func(v any) (string, error) { b, err := xml.Marshal(v); return string(b), err },
		"gob": func(v any) (string, error) {
			var b bytes.Buffer
			err := gob.NewEncoder(&b).Encode(v)
			return b.String(), err
		},
		"slog text": func(v any) (string, error) {
			var b bytes.Buffer
			slog.New(slog.NewTextHandler(&b, nil)).Info("m", "v", v)
			return b.String(), nil
		},
		"slog JSON": func(v any) (string, error) {
			var b bytes.Buffer
			slog.New(slog.NewJSONHandler(&b, nil)).Info("m", "v", v)
			return b.String(), nil
		},
		"log": func(v any) (string, error) {
			var b bytes.Buffer
			log.New(&b, "", 0).Print(v, "\n")
			return b.String(), nil
		},
	}
	for name, carrier := range carriers() {
		for encoder, encode := range encoders {
			encoded, err := encode(carrier)
			if shows(encoded) || err != nil && shows(err.Error()) {
				t.Errorf("%s of %s shows the value: %q, %v", encoder, name, encoded, err)
			}
		}
	}
}

func TestKlogDoesNotShowTheValue(t *testing.T) {
	var out bytes.Buffer
	klog.LogToStderr(false)
	klog.SetOutput(&out)
	defer klog.LogToStderr(true)
	for _, carrier := range carriers() {
		klog.InfoS("message", "value", carrier)
		klog.Infof("message %v", carrier)
	}
	klog.Flush()
	if shows(out.String()) || !strings.Contains(out.String(), secret.Redacted) {
		t.Errorf("klog shows the value:\n%s", out.String())
	}
}

func TestRedactedStandsForTheValue(t *testing.T) {
	value := secret.NewString(planted)
	if got := fmt.Sprint(value); got != secret.Redacted {
		t.Errorf("Sprint = %q", got)
	}
	if got, err := json.Marshal(map[string]secret.Bytes{"v": value}); err != nil || string(got) != `{"v":"[redacted]"}` {
		t.Errorf("JSON = %s, %v", got, err)
	}
	if got, err := yaml.Marshal(map[string]secret.Bytes{"v": value}); err != nil || !strings.Contains(string(got), secret.Redacted) {
		t.Errorf("YAML = %s, %v", got, err)
	}
}

func TestRevealReturnsTheValue(t *testing.T) {
	for _, plain := range []string{"", "x", "\x00\xff", planted} {
		for name, value := range map[string]secret.Bytes{"New": secret.New([]byte(plain)), "NewString": secret.NewString(plain)} {
			if string(value.Reveal()) != plain || value.RevealString() != plain || value.Len() != len(plain) {
				t.Errorf("%s(%q): Reveal does not return it", name, plain)
			}
		}
	}
	var zero secret.Bytes
	if zero.Len() != 0 || zero.RevealString() != "" || fmt.Sprint(zero) != secret.Redacted {
		t.Error("the zero Bytes is not empty and redacted")
	}
}
