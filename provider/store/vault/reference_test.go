package vault

import (
	"errors"
	"strings"
	"testing"

	"github.com/lanyardhq/lanyard/provider/fault"
	"github.com/lanyardhq/lanyard/provider/store"
)

func TestCheckAcceptsOneSpellingOfEachReference(t *testing.T) {
	for name, test := range map[string]struct {
		ref  store.Reference
		want string // in the error; empty if the reference is right
	}{
		"kv2":                 {store.Reference{Key: "secret/data/prod/db"}, ""},
		"kv2 pinned":          {store.Reference{Key: "secret/data/prod/db", Version: "3"}, ""},
		"sys":                 {store.Reference{Key: "sys/health"}, ""},
		"pki":                 {store.Reference{Key: "pki/issue/web", Options: map[string]any{"method": "POST", "body": map[string]any{"common_name": "a.example"}}}, ""},
		"query":               {store.Reference{Key: "aws/creds/r", Options: map[string]any{"query": map[string]any{"ttl": "1h", "n": 3, "b": true}}}, ""},
		"list":                {store.Reference{Key: "secret/metadata/prod", Options: map[string]any{"method": "list"}}, ""},
		"utf-8":               {store.Reference{Key: "secret/data/größe"}, ""},
		"whole answer":        {store.Reference{Key: "a/b", Options: map[string]any{"whole": true}}, ""},
		"whole not a truth":   {store.Reference{Key: "a/b", Options: map[string]any{"whole": "true"}}, "options.whole: "},
		"empty":               {store.Reference{}, "key: is missing"},
		"parent":              {store.Reference{Key: "secret/../sys/raw"}, "key: "},
		"dot":                 {store.Reference{Key: "secret/./a"}, "key: "},
		"leading slash":       {store.Reference{Key: "/secret/a"}, "key: "},
		"trailing slash":      {store.Reference{Key: "secret/a/"}, "key: "},
		"double slash":        {store.Reference{Key: "secret//a"}, "key: "},
		"query in key":        {store.Reference{Key: "secret/a?version=1"}, "options.query"},
		"v1":                  {store.Reference{Key: "v1/secret/a"}, "key: must begin after"},
		"control character":   {store.Reference{Key: "secret/a\nb"}, "key: "},
		"what URLs escape":    {store.Reference{Key: `secret/a b#c%2e%2e\d`}, ""},
		"space at the end":    {store.Reference{Key: "secret/a "}, "key: "},
		"not UTF-8":           {store.Reference{Key: "secret/\xff"}, "key: "},
		"long":                {store.Reference{Key: strings.Repeat("a", 2000)}, "key: is 2000 bytes"},
		"version zero":        {store.Reference{Key: "secret/data/a", Version: "0"}, "version: "},
		"version spelled 03":  {store.Reference{Key: "secret/data/a", Version: "03"}, "version: "},
		"version latest":      {store.Reference{Key: "secret/data/a", Version: "latest"}, "version: "},
		"version of a write":  {store.Reference{Key: "pki/issue/a", Version: "1", Options: map[string]any{"method": "POST"}}, "version: "},
		"version twice":       {store.Reference{Key: "secret/data/a", Version: "1", Options: map[string]any{"query": map[string]any{"version": 2}}}, "options.query.version"},
		"unknown option":      {store.Reference{Key: "a/b", Options: map[string]any{"qery": 1}}, "query"},
		"delete":              {store.Reference{Key: "a/b", Options: map[string]any{"method": "DELETE"}}, "options.method: "},
		"method not text":     {store.Reference{Key: "a/b", Options: map[string]any{"method": 1}}, "options.method: "},
		"query not fields":    {store.Reference{Key: "a/b", Options: map[string]any{"query": "a=b"}}, "options.query: "},
		"query of lists":      {store.Reference{Key: "a/b", Options: map[string]any{"query": map[string]any{"a": []any{1}}}}, "options.query.a: "},
		"body not fields":     {store.Reference{Key: "a/b", Options: map[string]any{"method": "POST", "body": "x"}}, "options.body: "},
		"body with GET":       {store.Reference{Key: "a/b", Options: map[string]any{"method": "GET", "body": map[string]any{}}}, "options.body: needs"},
		"body too large":      {store.Reference{Key: "a/b", Options: map[string]any{"body": map[string]any{"a": strings.Repeat("x", 300<<10)}}}, "options.body: is"},
		"everything at once":  {store.Reference{Key: "", Version: "x", Options: map[string]any{"method": "X"}}, "options.method"},
		"unknown but no leak": {store.Reference{Key: "a/b", Options: map[string]any{"x\n\x00": 1}}, `options.x \x00`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := parseReference(test.ref)
			if test.want == "" {
				if err != nil {
					t.Errorf("refused: %v", err)
				}
				return
			}
			if !errors.Is(err, fault.ErrInvalid) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want fault.ErrInvalid with %q", err, test.want)
			}
		})
	}
}

func TestBodyImpliesPost(t *testing.T) {
	q, err := parseReference(store.Reference{Key: "pki/issue/web", Options: map[string]any{"body": map[string]any{"b": 1, "a": "x"}}})
	if err != nil || q.method != "POST" || string(q.body) != `{"a":"x","b":1}` {
		t.Errorf("got %+v, %v", q, err)
	}
}
