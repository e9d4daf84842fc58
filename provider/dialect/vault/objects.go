package vault

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/lanyardhq/lanyard/internal/strict"
	"github.com/lanyardhq/lanyard/provider/dialect"
	"github.com/lanyardhq/lanyard/provider/spec"
)

// The fields of an object.
const (
	fieldName       = "objectName"
	fieldPath       = "secretPath"
	fieldKey        = "secretKey"
	fieldMethod     = "method"
	fieldArgs       = "secretArgs"
	fieldPermission = "filePermission"
	fieldEncoding   = "encoding"
)

// entry is one object of the class.
type entry struct {
	Name       dialect.Text       `yaml:"objectName"`
	Path       dialect.Text       `yaml:"secretPath"`
	Key        dialect.Text       `yaml:"secretKey"`
	Method     dialect.Text       `yaml:"method"`
	Args       map[string]any     `yaml:"secretArgs"`
	Permission dialect.Permission `yaml:"filePermission"`
	Encoding   dialect.Text       `yaml:"encoding"`
}

func (p *parser) objects() []spec.Object {
	var objects []spec.Object
	requests := map[[2]dialect.Text]*firstEntry{}
	for i, e := range dialect.Entries(&p.Reader, p.parameters, parameterObjects, func(e entry) string { return string(e.Name) }) {
		objects = append(objects, p.object(i, e, requests))
	}
	objects = p.LastCounts(parameterObjects, fieldName, objects)
	shareWholeAnswers(objects)
	return objects
}

// firstEntry is the first entry of a path and a method.
type firstEntry struct {
	entry int // counted from one
	args  map[string]any
}

// args returns the arguments that are sent for an entry. The original makes one request
// of a path and a method as they are written, with the arguments of the first entry, and
// the others get its answer.
// https://github.com/hashicorp/vault-csi-provider/blob/main/internal/provider/provider.go
func (p *parser) args(i int, e entry, requests map[[2]dialect.Text]*firstEntry, idle func(field, why string)) map[string]any {
	request := [2]dialect.Text{e.Path, e.Method}
	first := requests[request]
	if first == nil {
		requests[request] = &firstEntry{entry: i + 1, args: e.Args}
		return e.Args
	}
	if len(e.Args) > 0 && !reflect.DeepEqual(e.Args, first.args) {
		idle(fieldArgs, fmt.Sprintf("has no effect: object %d has the same %s and %s, and one request with its %s is for both", first.entry, fieldPath, fieldMethod, fieldArgs))
	}
	return first.args
}

// object converts an entry.
func (p *parser) object(i int, e entry, requests map[[2]dialect.Text]*firstEntry) spec.Object {
	o := spec.Object{Path: string(e.Name), Store: p.product.Name, Entry: i + 1, Options: map[string]any{}}
	wrong := func(field, format string, args ...any) {
		p.WrongIn(parameterObjects, i, string(e.Name), field, format, args...)
	}
	idle := func(field, why string) {
		p.Ignored(dialect.InEntry(parameterObjects, i, string(e.Name), field, why))
	}
	misread := p.Misread(i)
	if e.Name == "" && !misread {
		wrong(fieldName, "missing; say which file the secret becomes")
	}
	method := p.method(string(e.Method), wrong)
	writes := method == http.MethodPost || method == http.MethodPut
	if method != http.MethodGet {
		o.Options["method"] = method
	}
	switch {
	case writes:
		if args := p.args(i, e, requests, idle); len(args) > 0 {
			o.Options["body"] = args
		}
	case len(e.Args) > 0:
		idle(fieldArgs, "has no effect with "+method+": arguments of a "+method+" go into the query of "+fieldPath)
	}
	if e.Path != "" || !misread {
		p.path(&o, string(e.Path), method, wrong)
	}
	if e.Key == "" {
		o.Options["whole"] = true
	} else {
		o.Property = dialect.Property(string(e.Key))
	}
	if e.Permission != 0 {
		mode := fs.FileMode(e.Permission)
		o.Mode = &mode
	}
	switch encoding := strings.ToLower(string(e.Encoding)); {
	case e.Key == "" && encoding != "" && encoding != "utf-8":
		idle(fieldEncoding, "has no effect without "+fieldKey)
	case !slices.Contains([]string{"", "utf-8", "base64", "hex"}, encoding):
		wrong(fieldEncoding, "%s", strict.Unknown("encoding", encoding, []string{"utf-8", "base64", "hex"}))
	case encoding != "utf-8": // which JSON's text is anyway
		o.Encoding = encoding
	}
	if len(o.Options) == 0 {
		o.Options = nil
	}
	return o
}

// method returns the HTTP method; the documentation has GET and PUT.
func (p *parser) method(given string, wrong func(field, format string, args ...any)) string {
	methods := []string{http.MethodGet, http.MethodPut, http.MethodPost, "LIST"}
	method := strings.ToUpper(given)
	switch {
	case method == "":
		return http.MethodGet
	case !slices.Contains(methods, method):
		wrong(fieldMethod, "must be one of %s", strings.Join(methods, ", "))
		return http.MethodGet
	}
	return method
}

// versionNumber is a version of KV version 2, counted from one. 0 means the latest
// and is passed on.
var versionNumber = regexp.MustCompile(`^[1-9][0-9]{0,9}$`)

// path splits secretPath into the path in Vault's API and the query. The original
// adds a missing /v1/, and Vault's client removes empty segments.
func (p *parser) path(o *spec.Object, given, method string, wrong func(field, format string, args ...any)) {
	if given == "" {
		wrong(fieldPath, "missing; give the path in %s, such as secret/data/prod/db", p.product.Title)
		return
	}
	path, query, _ := strings.Cut(given, "?")
	if o.Key = cleaned(strings.TrimPrefix(strings.TrimPrefix(path, "/"), "v1/")); o.Key == "" {
		wrong(fieldPath, "names no secret; give the path in %s, such as secret/data/prod/db", p.product.Title)
	}
	arguments, err := url.ParseQuery(query)
	if err != nil {
		wrong(fieldPath, "the arguments after the ? cannot be read; write them as name=value, joined by &")
		return
	}
	params := map[string]any{}
	for _, name := range slices.Sorted(maps.Keys(arguments)) {
		switch values := arguments[name]; {
		case len(values) > 1:
			wrong(fieldPath, "gives an argument twice after the ?; keep one")
		case name == "version" && method == http.MethodGet && versionNumber.MatchString(values[0]):
			o.Version = values[0]
		default:
			params[name] = values[0]
		}
	}
	if len(params) > 0 {
		o.Options["query"] = params
	}
}

// shareWholeAnswers makes objects that read one key of a secret take it from the
// whole response if another object shows that: one read serves both, so their values
// match.
func shareWholeAnswers(objects []spec.Object) {
	whole := map[string]bool{}
	for _, o := range objects {
		if o.Property == "" {
			whole[request(o)] = true
		}
	}
	for i, o := range objects {
		if o.Property == "" || !whole[request(o)] {
			continue
		}
		options := map[string]any{"whole": true}
		for name, value := range o.Options {
			options[name] = value
		}
		objects[i].Options = options
		objects[i].Property = insideAnswer + o.Property
	}
}

// insideAnswer selects from a whole response what the store returns as value: data,
// or the inner data of a KV version 2 secret, recognised by its shape (data and
// metadata with version and creation time).
const insideAnswer = "data.[[@][?length(keys(@)) == `2` && metadata.version >= `1` && type(metadata.created_time) == 'string'].data, [@]][] | [0]."

// request identifies the request that an object needs.
func request(o spec.Object) string {
	key, err := json.Marshal([]any{o.Key, o.Version, o.Options["method"], o.Options["query"], o.Options["body"]})
	if err != nil {
		return o.Key // arguments that are no JSON are refused by the store
	}
	return string(key)
}
