package spec

import (
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/secrets-store-csi-driver/pkg/util/fileutil"
	driver "sigs.k8s.io/secrets-store-csi-driver/provider/v1alpha1"
)

// from is an object that is read from a store.
func from(change func(*Object)) Object {
	o := Object{Path: "a", Store: "v", Key: "k"}
	change(&o)
	return o
}

func TestValidateAccepts(t *testing.T) {
	mode := fs.FileMode(0o440)
	class := Class{
		Refresh: time.Minute,
		Stores:  map[string]map[string]any{"v-1.x_y": {}},
		Objects: []Object{
			{Path: "db/password", Store: "v", Key: "k", Version: "1", Property: "p", Encoding: "hex", Mode: &mode, Optional: true, Refresh: time.Second, Options: map[string]any{"a": 1}},
			{Path: "db/user", Name: "user", Store: "v", Key: "k"},
			{Path: "all", Store: "v", Key: "k", Expand: true, Encoding: "base64", Property: "p"},
			{Path: "all-of-it", Store: "v", Key: "k"},
			{Name: "only for templates", Sealed: "s", Property: "p", Optional: true, Refresh: time.Hour},
			{Path: "same", Name: "same", Template: "t", Mode: &mode},
			{Path: ".hidden/..x", Sealed: "s", Encoding: "utf-8"},
		},
	}
	if problems := class.Validate(); len(problems) > 0 {
		t.Errorf("Validate: %v", problems)
	}
}

func TestValidateRefusesByObjectFieldAndRemedy(t *testing.T) {
	mode, setuid := fs.FileMode(0o440), fs.FileMode(0o440)|fs.ModeSetuid
	const beside = "set it on the objects that the template uses"
	tests := map[string]struct {
		object Object
		want   string
	}{
		"nothing":                 {Object{}, "object 1: has no source; give store and key to read it from a store, sealed for a ciphertext, or template to make it of other objects; object 1: path: missing; give a path to make a file, or a name to use the value in templates alone"},
		"no source":               {Object{Path: "a"}, "object 1 (a): has no source; give store and key to read it from a store, sealed for a ciphertext, or template to make it of other objects"},
		"key and sealed":          {from(func(o *Object) { o.Sealed = "s" }), "object 1 (a): sealed: key and sealed are given, and an object takes its value from one of them; keep key, with its store, to read it from there, or sealed to open the ciphertext, and remove the rest"},
		"all sources":             {from(func(o *Object) { o.Sealed, o.Template = "s", "t" }), "object 1 (a): template: key and sealed and template are given, and an object takes its value from one of them; keep key, with its store, to read it from there, or sealed to open the ciphertext, or template to make it of other objects, and remove the rest"},
		"store without key":       {from(func(o *Object) { o.Key = "" }), "object 1 (a): key: missing; give the store's own name for the secret"},
		"key without store":       {from(func(o *Object) { o.Store = "" }), "object 1 (a): store: missing; name the store that key is read from"},
		"store's name":            {from(func(o *Object) { o.Store = "my vault" }), "object 1 (a): store: " + badStoreName},
		"sealed with store":       {Object{Path: "a", Sealed: "s", Store: "v"}, "object 1 (a): store: has no meaning beside sealed; remove it"},
		"sealed with version":     {Object{Path: "a", Sealed: "s", Version: "1"}, "object 1 (a): version: has no meaning beside sealed; remove it"},
		"template with store":     {Object{Path: "a", Template: "t", Store: "v"}, "object 1 (a): store: has no meaning beside template; remove it"},
		"template with property":  {Object{Path: "a", Template: "t", Property: "p"}, "object 1 (a): property: has no meaning beside template; remove it, and " + beside},
		"template with encoding":  {Object{Path: "a", Template: "t", Encoding: "hex"}, "object 1 (a): encoding: has no meaning beside template; remove it, and " + beside},
		"template with optional":  {Object{Path: "a", Template: "t", Optional: true}, "object 1 (a): optional: has no meaning beside template; remove it, and " + beside},
		"template with refresh":   {Object{Path: "a", Template: "t", Refresh: time.Minute}, "object 1 (a): refresh: has no meaning beside template; remove it, and " + beside},
		"template with expand":    {Object{Path: "a", Template: "t", Expand: true}, "object 1 (a): expand: has no meaning beside template; remove it; a template makes one file"},
		"template without path":   {Object{Name: "a", Template: "t"}, "object 1 (a): path: missing; say which file the template makes"},
		"expand without path":     {from(func(o *Object) { o.Path, o.Name, o.Expand = "", "n", true }), "object 1 (n): path: missing; say below which directory expand puts its files"},
		"mode without path":       {from(func(o *Object) { o.Path, o.Name, o.Mode = "", "n", &mode }), "object 1 (n): mode: has no meaning without a path; remove it, or give a path to make a file"},
		"mode beyond permissions": {from(func(o *Object) { o.Mode = &setuid }), `object 1 (a): mode: must be permission bits alone, from "0000" to "0777"`},
		"encoding":                {from(func(o *Object) { o.Encoding = "UTF-8" }), "object 1 (a): encoding: must be base64 or hex to decode the value, utf-8 to accept text alone, or left out for bytes as they are"},
		"refresh too short":       {from(func(o *Object) { o.Refresh = time.Millisecond }), "object 1 (a): refresh: must be from 1s to 720h"},
		"refresh too long":        {from(func(o *Object) { o.Refresh = 721 * time.Hour }), "object 1 (a): refresh: must be from 1s to 720h"},
		"name too long":           {from(func(o *Object) { o.Name = strings.Repeat("n", 254) }), "object 1 (" + strings.Repeat("n", 128) + "…): name: is longer than 253 bytes; shorten it"},
		"name with a line break":  {from(func(o *Object) { o.Name = "a\nb" }), `object 1 (a\nb): name: holds a control character; remove it`},
		"name not UTF-8":          {from(func(o *Object) { o.Name = "a\xff" }), `object 1 (a\xff): name: is not UTF-8 text`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			class := Class{Objects: []Object{test.object}}
			if got := class.Validate().Error(); got != test.want {
				t.Errorf("Validate\n%s\nwant\n%s", got, test.want)
			}
		})
	}
}

func TestValidateRefusesParameters(t *testing.T) {
	class := Class{Refresh: time.Millisecond, Stores: map[string]map[string]any{"my vault": nil}}
	const want = "objects: has no entries; list at least one object; refresh: must be from 1s to 720h; stores.my vault: " + badStoreName
	if got := class.Validate().Error(); got != want {
		t.Errorf("Validate\n%s\nwant\n%s", got, want)
	}
}

func TestPathsThatTheDriverRefusesAreRefused(t *testing.T) {
	for path, want := range map[string]string{
		"/etc/passwd":              "must be relative to the volume; remove the leading /",
		"..":                       "must not leave the volume; remove the ..",
		"../a":                     "must not leave the volume; remove the ..",
		"a/../b":                   "must not leave the volume; remove the ..",
		"a/..":                     "must not leave the volume; remove the ..",
		"..data":                   "begins with two dots, which the driver keeps for itself; rename it",
		"..data/a":                 "begins with two dots, which the driver keeps for itself; rename it",
		"...":                      "begins with two dots, which the driver keeps for itself; rename it",
		".":                        "must name a file, without a slash at its end, empty parts, or parts that are a single dot",
		"./a":                      "must name a file, without a slash at its end, empty parts, or parts that are a single dot",
		"a/":                       "must name a file, without a slash at its end, empty parts, or parts that are a single dot",
		"a//b":                     "must name a file, without a slash at its end, empty parts, or parts that are a single dot",
		"a/./b":                    "must name a file, without a slash at its end, empty parts, or parts that are a single dot",
		"a\x00b":                   "holds a control character; remove it",
		"a\nb":                     "holds a control character; remove it",
		"a\xff":                    "is not UTF-8 text",
		strings.Repeat("a", 256):   "has a part that is longer than 255 bytes; shorten it",
		strings.Repeat("a/", 2100): "is longer than 4096 bytes; shorten it",
		"a":                        "",
		"a/.b/..c/d..":             "",
		strings.Repeat("é", 127):   "",
		"a b":                      "",
	} {
		if got := WrongPath(path); got != want {
			t.Errorf("WrongPath(%.20q) = %q, want %q", path, got, want)
		}
	}
}

// The driver's own check is the reference: what passes here passes there.
func FuzzPathsThatPassPassTheDriver(f *testing.F) {
	for _, seed := range []string{"a", "a/b", "../a", "..a", "a/../b", ".", "a/", "/a", "a//b", "a/..b"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, path string) {
		if path == "" || WrongPath(path) != "" {
			return
		}
		if err := fileutil.Validate([]*driver.File{{Path: path}}); err != nil {
			t.Errorf("%q passes here, and the driver says: %v", path, err)
		}
	})
}

func TestObjectsInEachOthersWay(t *testing.T) {
	file := func(path string) Object { return Object{Path: path, Sealed: "s"} }
	named := func(path, name string) Object { return Object{Path: path, Name: name, Sealed: "s"} }
	expand := func(path string) Object { return Object{Path: path, Sealed: "s", Expand: true} }
	tests := map[string]struct {
		objects []Object
		want    string
	}{
		"same path":                       {[]Object{file("a"), file("b"), file("a")}, "object 3 (a): path: object 1 (a) has the same path; give each object a file of its own"},
		"same path thrice":                {[]Object{file("a"), file("a"), file("a")}, "object 2 (a): path: object 1 (a) has the same path; give each object a file of its own; object 3 (a): path: object 1 (a) has the same path; give each object a file of its own"},
		"same name":                       {[]Object{named("a", "n"), named("", "n")}, "object 2 (n): name: object 1 (n) has the same name; rename one of the two"},
		"name is another's path":          {[]Object{file("a"), named("b", "a")}, "object 2 (a): name: is also the path of object 1, and templates could not tell them apart; rename one of the two"},
		"path is another's name":          {[]Object{named("b", "a"), file("a")}, "object 2 (a): path: is also the name of object 1, and templates could not tell them apart; rename one of the two"},
		"name is its own path":            {[]Object{named("a", "a")}, ""},
		"directory after file":            {[]Object{file("a"), file("a/b")}, "object 2 (a/b): path: needs a directory where object 1 (a) has a file; rename one of the two"},
		"directory before file":           {[]Object{file("a/b/c"), file("a")}, "object 1 (a/b/c): path: needs a directory where object 2 (a) has a file; rename one of the two"},
		"others between":                  {[]Object{file("a/b"), file("a-b"), file("a.b"), file("a")}, "object 1 (a/b): path: needs a directory where object 4 (a) has a file; rename one of the two"},
		"several below":                   {[]Object{file("a"), file("a/b"), file("a/c/d"), file("ab")}, "object 2 (a/b): path: needs a directory where object 1 (a) has a file; rename one of the two; object 3 (a/c/d): path: needs a directory where object 1 (a) has a file; rename one of the two"},
		"file among expanded":             {[]Object{expand("a"), file("a/b")}, "object 2 (a/b): path: lies among the files of object 1 (a), which expands there; choose a path outside a"},
		"expanded below a file":           {[]Object{expand("a/b"), file("a")}, "object 1 (a/b): path: needs a directory where object 2 (a) has a file; rename one of the two"},
		"two expand to one place":         {[]Object{expand("a"), expand("a")}, "object 2 (a): path: object 1 (a) has the same path; give each object a file of its own"},
		"names that begin alike":          {[]Object{file("a"), file("ab"), file("a-b/c"), expand("a.b")}, ""},
		"bad paths are reported but once": {[]Object{file("/a"), file("/a/b")}, "object 1 (/a): path: must be relative to the volume; remove the leading /; object 2 (/a/b): path: must be relative to the volume; remove the leading /"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			class := Class{Objects: test.objects}
			if got := class.Validate().Error(); got != test.want {
				t.Errorf("Validate\n%s\nwant\n%s", got, test.want)
			}
		})
	}
}

func TestProblemsAddLeavesOutWhatFollowsFromTheFirst(t *testing.T) {
	syntax := Problems{{Field: "refresh", Text: "1"}, {Field: "objects[0].mode", Object: 1, Text: "2"}}
	meaning := Problems{{Field: "stores.v", Text: "3"}, {Field: "objects[0]", Object: 1, Text: "4"}, {Field: "objects[1].path", Object: 2, Text: "5"}}
	const want = "refresh: 1; stores.v: 3; object 1: mode: 2; object 2: path: 5"
	if got := syntax.Add(meaning).Error(); got != want {
		t.Errorf("Add\n%s\nwant\n%s", got, want)
	}
	missing := Problems{{Field: "objects", Text: "missing"}}
	if got := missing.Add(Problems{{Field: "objects", Text: "has no entries"}}); len(got) != 1 {
		t.Errorf("Add = %v, want the first alone", got)
	}
}

func TestProblemsListTwenty(t *testing.T) {
	var class Class
	for i := range 50 {
		class.Objects = append(class.Objects, Object{Path: fmt.Sprintf("f%d", i)})
	}
	text := class.Validate().Error()
	if !strings.HasSuffix(text, "; and 30 more") || !strings.Contains(text, "object 20 (f19)") || strings.Contains(text, "object 21") {
		t.Errorf("error %s", text)
	}
}
