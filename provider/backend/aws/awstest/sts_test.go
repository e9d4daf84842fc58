package awstest

import (
	"fmt"
	"maps"
	"net/url"
	"strings"
	"testing"
)

func TestSessionTagsAreTakenAsSTSTakesThem(t *testing.T) {
	long := func(n int) string { return strings.Repeat("ü", n) }
	many := make([]string, 0, 102)
	for i := range 51 {
		many = append(many, fmt.Sprint(i), "v")
	}
	for name, test := range map[string]struct {
		tags []string // keys and values
		code string   // of the refusal
	}{
		"none":                 {nil, ""},
		"some":                 {[]string{"Team", "a b_.:/=+-@", "größe", ""}, ""},
		"the longest":          {[]string{long(128), long(256)}, ""},
		"as many as may be":    {many[:100], ""},
		"too many":             {many, "ValidationError"},
		"a key too long":       {[]string{long(129), ""}, "ValidationError"},
		"a value too long":     {[]string{"a", long(257)}, "ValidationError"},
		"an empty key":         {[]string{"", "a"}, "ValidationError"},
		"another character":    {[]string{"a,b", "c"}, "ValidationError"},
		"one of AWS":           {[]string{"Aws:team", "c"}, "ValidationError"},
		"one key in two cases": {[]string{"Team", "a", "team", "b"}, "InvalidParameterValue"},
	} {
		form, want := url.Values{}, map[string]string{}
		for i := 0; i < len(test.tags); i += 2 {
			member := fmt.Sprintf("Tags.member.%d", i/2+1)
			form.Set(member+".Key", test.tags[i])
			form.Set(member+".Value", test.tags[i+1])
			want[test.tags[i]] = test.tags[i+1]
		}
		got, failed := tagsOf(form)
		switch {
		case failed != nil && failed.Code != test.code, failed == nil && test.code != "":
			t.Errorf("%s: %v, want %q", name, failed, test.code)
		case failed == nil && !maps.Equal(got, want):
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
}

func TestSessionNamesAreTakenAsSTSTakesThem(t *testing.T) {
	s := New(t)
	for name, taken := range map[string]bool{"ab": true, "A9+=,.@_-": true, strings.Repeat("x", 64): true, "a": false, "": false, strings.Repeat("x", 65): false, "a b": false, "a/b": false, "ü1": false} {
		if _, failed := s.grant("arn:aws:iam::"+Account+":role/web", name); failed == nil != taken {
			t.Errorf("%q: %v", name, failed)
		}
	}
}
