package source_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/lanyardhq/lanyard/provider/seal"
	"github.com/lanyardhq/lanyard/provider/seal/source"
)

// told is values as "path@line=value", one in each place.
func told(values []source.Value) []string {
	var all []string
	for _, v := range values {
		all = append(all, fmt.Sprintf("%s@%d=%s", v.Path, v.Line, v.Data.RevealString()))
	}
	return all
}

func secrets(data []byte) ([]source.Value, error) {
	values, _, err := source.Secrets(data)
	return values, err
}

const secretHead = "apiVersion: v1\nkind: Secret\nmetadata: {name: web, namespace: prod}\n"

func TestReads(t *testing.T) {
	for name, c := range map[string]struct {
		read func([]byte) ([]source.Value, error)
		file string
		want []string
	}{
		"env: what all programs agree on": {source.Env, "# comment\n\nA=1\nexport B_2=x=y/z:w+%@\nexport\tC=3\n  D=indented\n", []string{"A@3=1", "B_2@4=x=y/z:w+%@", "C@5=3", "D@6=indented"}},
		"env: a variable called export":   {source.Env, "export=1\n", []string{"export@1=1"}},
		"env: words and a comment":        {source.Env, "A=two words  # and not more\nB=x \t\n", []string{"A@1=two words", "B@2=x"}},
		"env: single quotes keep all":     {source.Env, "A='$x `y` \\n \"z\" # w'  # comment\n", []string{`A@1=$x ` + "`y`" + ` \n "z" # w`}},
		"env: escapes in double quotes":   {source.Env, `A="a\nb\r\t\\\"\$\` + "`" + `c # d"` + "\n", []string{"A@1=a\nb\r\t\\\"$`c # d"}},
		"env: values of several lines":    {source.Env, "A='-----BEGIN\nx\n-----END\n'\nB=\"1\n2\"\nC=3", []string{"A@1=-----BEGIN\nx\n-----END\n", "B@5=1\n2", "C@7=3"}},
		"env: a file of Windows":          {source.Env, "\uFEFFA=1\r\nB='2'\r\nC=3\r", []string{"A@1=1", "B@2=2", "C@3=3"}},
		"json: text, numbers and truth":   {source.JSON, "{\n \"b\": \"x\\ny\",\n \"a\": 1.50, \"t\": true, \"f\": false, \"n\": -1e3\n}\n", []string{"b@2=x\ny", "a@3=1.50", "t@3=true", "f@3=false", "n@3=-1e3"}},
		"json: objects are folders":       {source.JSON, `{"db": {"user": "u", "tls": {"key": "k"}}, "x": "y"}`, []string{"db/user@1=u", "db/tls/key@1=k", "x@1=y"}},
		"json: characters in pairs":       {source.JSON, `{"a": "\ud83d\ude00"}`, []string{"a@1=😀"}},
		"secret: data and stringData":     {secrets, secretHead + "data:\n  b: aGk=\n  a: |\n    aG\n    k=\nstringData:\n  port: \"5432\"\n", []string{"b@5=hi", "a@6=hi", "port@10=5432"}},
		"secret: JSON":                    {secrets, `{"apiVersion": "v1", "kind": "Secret", "stringData": {"a": "b"}}`, []string{"a@1=b"}},
		"secret: TLS":                     {secrets, secretHead + "type: kubernetes.io/tls\nstringData: {tls.crt: c, tls.key: k}\n", []string{"tls.crt@5=c", "tls.key@5=k"}},
		"secret: registry credentials":    {secrets, secretHead + "type: kubernetes.io/dockerconfigjson\nstringData: {.dockerconfigjson: '{}'}\n", []string{"config.json@5={}"}},
		"secret: another type's same key": {secrets, secretHead + "type: Opaque\nstringData: {.dockerconfigjson: '{}'}\n", []string{".dockerconfigjson@5={}"}},
		"secret: among other documents":   {secrets, "kind: ConfigMap\n---\n- x\n---\n" + secretHead + "stringData: {a: b}\n---\n# nothing\n", []string{"a@8=b"}},
		"secret: several have folders":    {secrets, "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Secret\n  metadata: {name: one}\n  stringData: {a: b}\n- apiVersion: v1\n  kind: Secret\n  metadata: {name: two}\n  stringData: {a: c}\n", []string{"one/a@7=b", "two/a@11=c"}},
	} {
		t.Run(name, func(t *testing.T) {
			values, err := c.read([]byte(c.file))
			if got := told(values); err != nil || fmt.Sprint(got) != fmt.Sprint(c.want) {
				t.Errorf("read %q, %v; want %q", got, err, c.want)
			}
		})
	}
}

// Every refusal tells its line, and none tells a value: each file here holds the
// text "hunter" wherever a value is.
func TestRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		read  func([]byte) ([]source.Value, error)
		file  string
		tells []string
	}{
		"env: nothing":                      {source.Env, "# only this\n", []string{"holds no values"}},
		"env: all that is wrong at once":    {source.Env, "A =hunter\nB\nC=hunter\n=hunter\nC=hunter2\n", []string{"line 1: has no =", "line 2: has no =", "line 4: does not begin", "line 5: stands in line 3"}},
		"env: blanks after the =":           {source.Env, "A= hunter\n", []string{"line 1: has blanks"}},
		"env: an empty value":               {source.Env, "A=\nB=''\nC= # hunter\n", []string{"line 1: is empty", "line 2: is empty", "line 3: is empty"}},
		"env: a dollar":                     {source.Env, "A=hunter$x\nB=\"hunter$x\"\n", []string{"line 1: has a quote, backquote", "line 2: has a bare dollar"}},
		"env: a command":                    {source.Env, "A=`hunter`\nB=\"`hunter`\"\n", []string{"line 1", "line 2"}},
		"env: a backslash":                  {source.Env, "A=hunter\\n\nB=\"\\hunter\"\n", []string{"line 1", "line 2: has a backslash"}},
		"env: a # within":                   {source.Env, "A=hunter#2\n", []string{"line 1: has a #"}},
		"env: quotes within":                {source.Env, "A=hunter'2'\nB='hunter'2\nC='hunter'#\n", []string{"line 1", "line 2: goes on", "line 3: goes on"}},
		"env: an open single quote":         {source.Env, "B=1\nA='hunter\nC=2\n", []string{"line 2: has no closing single quote"}},
		"env: an open double quote":         {source.Env, "A=\"hunter\\", []string{"line 1: has no closing double quote"}},
		"env: wrong within several lines":   {source.Env, "A=\"hunter\n$x\n\"\nB=\n", []string{"line 1: has a bare dollar", "line 4: is empty"}},
		"env: lines of a key without quote": {source.Env, "A=-----BEGIN PRIVATE KEY-----\nhunter==\n", []string{"line 1: looks like the first of several lines"}},
		"env: a carriage return":            {source.Env, "A='hunter\r\n'\n", []string{"line 1: has a control character"}},
		"env: a control character":          {source.Env, "A=hunter\x00\nB=\"\x1b\"\n", []string{"line 1", "line 2"}},
		"env: other encodings":              {source.Env, "A=1\nB=hunter\xff\n", []string{"line 2: is not UTF-8"}},
		"json: a list":                      {source.JSON, `["hunter"]`, []string{"line 1: must be an object"}},
		"json: null, lists, empty, twice":   {source.JSON, "{\"a\": null,\n\"b\": [\"hunter\", {\"x\": []}],\n\"c\": \"\",\n\"d\": \"hunter\",\n\"d\": \"hunter\", \"e\": {\"f\": 1}, \"e/f\": 2}", []string{"line 1: a: is null", "line 2: b: is a list", "line 3: c: is empty", "line 5: d: stands in line 4", "line 5: e/f: stands"}},
		"json: one folder twice":            {source.JSON, `{"a": {"b": "hunter"}, "a": {"c": "hunter"}}`, []string{"line 1: a: stands twice"}},
		"json: what is not JSON":            {source.JSON, "{\"a\": \"hunter\",\n hunter}", []string{"line 2: is not valid JSON"}},
		"json: a comma at the end":          {source.JSON, `{"a": "hunter",}`, []string{"is not valid JSON"}},
		"json: cut off":                     {source.JSON, `{"a": "hunter"`, []string{"is not valid JSON"}},
		"json: two objects":                 {source.JSON, `{"a": "hunter"}{}`, []string{"goes on after the object"}},
		"json: half a pair":                 {source.JSON, `{"a": "hunter\ud83d"}`, []string{"broken character"}},
		"json: no name":                     {source.JSON, `{"": "hunter"}`, []string{"is no name"}},
		"json: too deep":                    {source.JSON, strings.Repeat(`{"a":`, 40) + `"hunter"` + strings.Repeat("}", 40), []string{"too deep"}},
		"secret: none":                      {secrets, "kind: ConfigMap\ndata: {a: hunter}\n", []string{"no document of kind Secret"}},
		"secret: what is not YAML":          {secrets, secretHead + "data: {a: hunter\n", []string{"is not valid YAML"}},
		"secret: not base64":                {secrets, secretHead + "data:\n  a: hunter!\n", []string{"line 5: data.a: is not base64"}},
		"secret: a number":                  {secrets, secretHead + "stringData:\n  a: 5432\n  b: true\n  c: [hunter]\n  d: &x hunter\n  e: *x\n", []string{"line 5: stringData.a: must be text", "line 6: stringData.b", "line 7: stringData.c", "line 9: stringData.e"}},
		"secret: one key in both":           {secrets, secretHead + "data: {a: aGk=}\nstringData:\n  a: hunter\n", []string{"line 6: stringData.a: stands in line 4"}},
		"secret: data twice":                {secrets, secretHead + "stringData: {a: hunter}\nstringData: {b: hunter}\n", []string{"line 5: stringData: stands twice"}},
		"secret: a strange key":             {secrets, secretHead + "stringData: {'../a': hunter, b: x}\n", []string{"line 4: stringData: has a key"}},
		"secret: TLS without its key":       {secrets, secretHead + "type: kubernetes.io/tls\nstringData: {tls.crt: hunter}\n", []string{"has no tls.key"}},
		"secret: another version":           {secrets, "apiVersion: v2\nkind: Secret\nstringData: {a: hunter}\n", []string{"apiVersion: must be v1"}},
		"secret: two namespaces":            {secrets, secretHead + "stringData: {a: hunter}\n---\napiVersion: v1\nkind: Secret\nmetadata: {name: x, namespace: test}\nstringData: {a: hunter}\n", []string{"line 6: metadata.namespace"}},
		"secret: no values":                 {secrets, secretHead + "data:\n", []string{"holds no values"}},
	} {
		t.Run(name, func(t *testing.T) {
			values, err := c.read([]byte(c.file))
			if err == nil || values != nil {
				t.Fatalf("read %q, %v", told(values), err)
			}
			for _, tells := range c.tells {
				if !strings.Contains(err.Error(), tells) {
					t.Errorf("error %q does not tell %q", err, tells)
				}
			}
			if strings.Contains(err.Error(), "hunter") {
				t.Errorf("error %q tells a value", err)
			}
		})
	}
}

func TestBounds(t *testing.T) {
	var many strings.Builder
	for i := range source.MaxValues + 1 {
		fmt.Fprintf(&many, "A%d=1\n", i)
	}
	for name, c := range map[string]struct{ file, tells string }{
		"too many values":    {many.String(), "line 1001"},
		"too long a value":   {"A=" + strings.Repeat("x", seal.MaxValue+1), "1048577 bytes"},
		"too large a file":   {strings.Repeat("#\n", source.MaxFile/2+1), "bytes"},
		"many that is wrong": {strings.Repeat("x\n", 1000), "there is more"},
	} {
		if _, err := source.Env([]byte(c.file)); err == nil || !strings.Contains(err.Error(), c.tells) || len(err.Error()) > 32<<10 {
			t.Errorf("%s: %.200v", name, err)
		}
	}
}

func TestNamespaceOfSecrets(t *testing.T) {
	if _, namespace, err := source.Secrets([]byte(secretHead + "stringData: {a: b}\n")); namespace != "prod" || err != nil {
		t.Errorf("namespace %q, %v", namespace, err)
	}
}

// Whatever is read obeys the bounds, and reads the same when it is written again
// between single quotes.
func FuzzEnv(f *testing.F) {
	f.Add([]byte("# c\nexport A='x'\nB=\"a\\n\" # d\nC=1 2 # e\r\n"))
	f.Add([]byte("A='1\n2'\nB=$x\n\uFEFFC=`"))
	f.Fuzz(func(t *testing.T, data []byte) {
		values, err := source.Env(data)
		if err != nil {
			return
		}
		var again strings.Builder
		for _, v := range values {
			if v.Path == "" || v.Data.Len() == 0 || v.Line < 1 {
				t.Fatalf("read %q", told(values))
			}
			if strings.ContainsAny(v.Data.RevealString(), "'\r") {
				return
			}
			fmt.Fprintf(&again, "%s='%s'\n", v.Path, v.Data.RevealString())
		}
		reread, err := source.Env([]byte(again.String()))
		if err != nil || len(reread) != len(values) {
			t.Fatalf("read %q, again %q, %v", told(values), told(reread), err)
		}
		for i := range values {
			if values[i].Path != reread[i].Path || values[i].Data.RevealString() != reread[i].Data.RevealString() {
				t.Errorf("read %q, again %q", told(values), told(reread))
			}
		}
	})
}

// What is read of JSON is JSON, and every value of a flat object is the decoder's.
func FuzzJSON(f *testing.F) {
	f.Add([]byte(`{"a": "b", "c": {"d": 1.5, "e": [null]}, "f": true}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		values, err := source.JSON(data)
		if err != nil {
			return
		}
		data = []byte(strings.TrimPrefix(string(data), "\uFEFF"))
		var object map[string]any
		if !json.Valid(data) || json.Unmarshal(data, &object) != nil {
			t.Fatalf("read what is not JSON: %q", told(values))
		}
		for _, v := range values {
			if text, ok := object[v.Path].(string); ok && text != v.Data.RevealString() {
				t.Errorf("%q is %q", v.Path, v.Data.RevealString())
			}
		}
	})
}

func FuzzSecrets(f *testing.F) {
	f.Add([]byte(secretHead + "data: {a: aGk=}\nstringData: {b: c}\n"))
	f.Add([]byte(secretHead + "type: kubernetes.io/tls\ndata:\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		values, _, err := source.Secrets(data)
		if (err == nil) != (len(values) > 0) {
			t.Fatalf("%d values, %v", len(values), err)
		}
	})
}
