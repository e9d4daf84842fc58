package vault

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/lanyardhq/lanyard/internal/message"
	"github.com/lanyardhq/lanyard/internal/strict"
	"github.com/lanyardhq/lanyard/provider/backend/remote"
	"github.com/lanyardhq/lanyard/provider/backend/vault"
	"github.com/lanyardhq/lanyard/provider/store"
)

// maxBodyBytes bounds the body of a write.
const maxBodyBytes = 256 << 10

// methodList is sent as GET with a query, which every proxy passes on.
// https://developer.hashicorp.com/vault/api-docs#api-operations
const methodList = "LIST"

// query is a parsed reference.
type query struct {
	key    string
	method string
	params url.Values
	body   json.RawMessage
	pinned string // the version asked for; empty for the current one
	whole  bool   // the value is all of the answer, not its data alone
}

// writes reports whether the request may change something at the server.
func (q *query) writes() bool { return q.method == http.MethodPost || q.method == http.MethodPut }

// parseReference parses ref. The error wraps fault.ErrInvalid and names every wrong
// field.
func parseReference(ref store.Reference) (*query, error) {
	var problems remote.Problems
	q := &query{key: ref.Key, method: http.MethodGet, params: url.Values{}, pinned: ref.Version}
	checkKey(ref.Key, &problems)
	known := []string{"method", "query", "body", "whole"}
	for _, name := range slices.Sorted(maps.Keys(ref.Options)) {
		switch name {
		case "method":
			q.setMethod(ref.Options[name], &problems)
		case "query":
			q.setParams(ref.Options[name], &problems)
		case "body":
			q.setBody(ref.Options[name], &problems)
		case "whole":
			var ok bool
			if q.whole, ok = ref.Options[name].(bool); !ok {
				problems.Add("options.whole", "must be true or false, without quotes")
			}
		default:
			problems.Add("options."+message.Excerpt(name), "%s", strict.Unknown("option", message.Excerpt(name), known))
		}
	}
	if q.body != nil && ref.Options["method"] == nil {
		q.method = http.MethodPost
	}
	if q.body != nil && !q.writes() {
		problems.Add("options.body", "needs options.method to be POST or PUT")
	}
	q.setVersion(ref.Version, &problems)
	if q.method == methodList {
		q.method = http.MethodGet
		q.params.Set("list", "true")
	}
	return q, problems.Err()
}

// checkKey accepts exactly one spelling of each path.
func checkKey(key string, problems *remote.Problems) {
	switch {
	case key == "":
		problems.Add("key", "is missing; it is the path in Vault's API, such as secret/data/prod/db")
	case len(key) > vault.MaxNameBytes:
		problems.Add("key", "is %d bytes long; the most is %d", len(key), vault.MaxNameBytes)
	case strings.Contains(key, "?"):
		problems.Add("key", "must not hold a ?; arguments go into `options.query`")
	case strings.HasPrefix(key, "v1/") || strings.HasPrefix(key, "/v1/"):
		problems.Add("key", "must begin after /v1/")
	case !utf8.ValidString(key) || strings.ContainsFunc(key, unicode.IsControl):
		problems.Add("key", "must be UTF-8 without control characters")
	case strings.TrimSpace(key) != key || !vault.CleanPath(key):
		problems.Add("key", "must be a path such as secret/data/prod/db: no slash or space at either end, no empty part, no . or .. as a part")
	}
}

func (q *query) setMethod(value any, problems *remote.Problems) {
	methods := []string{http.MethodGet, methodList, http.MethodPost, http.MethodPut}
	text, ok := value.(string)
	if !ok || !slices.Contains(methods, strings.ToUpper(text)) {
		problems.Add("options.method", "must be one of %s", strings.Join(methods, ", "))
		return
	}
	q.method = strings.ToUpper(text)
}

func (q *query) setParams(value any, problems *remote.Problems) {
	fields, ok := asFields(value)
	if !ok {
		problems.Add("options.query", "must be fields with text, such as {format: pem}")
		return
	}
	for name, value := range fields {
		switch value := value.(type) {
		case string:
			q.params.Set(name, value)
		case bool:
			q.params.Set(name, strconv.FormatBool(value))
		case int:
			q.params.Set(name, strconv.Itoa(value))
		case json.Number:
			q.params.Set(name, value.String())
		default:
			problems.Add("options.query."+message.Excerpt(name), "must be text, a whole number, true or false")
		}
	}
}

func (q *query) setBody(value any, problems *remote.Problems) {
	if _, ok := asFields(value); !ok {
		problems.Add("options.body", "must be fields, such as {common_name: web.example.com}")
		return
	}
	body, err := json.Marshal(value) // sorts the names: one body, one spelling
	switch {
	case err != nil:
		problems.Add("options.body", "cannot be written as JSON; use text, numbers, true, false, lists and fields")
	case len(body) > maxBodyBytes:
		problems.Add("options.body", "is %d bytes of JSON; the most is %d", len(body), maxBodyBytes)
	default:
		q.body = body
	}
}

// asFields accepts the map types of all dialects.
func asFields(value any) (map[string]any, bool) {
	switch value := value.(type) {
	case map[string]any:
		return value, true
	case map[string]string:
		fields := make(map[string]any, len(value))
		for name, text := range value {
			fields[name] = text
		}
		return fields, true
	}
	return nil, false
}

// setVersion pins a version of KV v2, which counts them from one.
func (q *query) setVersion(version string, problems *remote.Problems) {
	if version == "" {
		return
	}
	number, err := strconv.ParseInt(version, 10, 32)
	switch {
	case err != nil || number < 1 || strconv.FormatInt(number, 10) != version:
		problems.Add("version", "must be a version of KV version 2: a whole number from 1")
	case q.writes() || q.method == methodList:
		problems.Add("version", "goes with reading a secret of KV version 2 only, not with options.method %s", q.method)
	case q.params.Has("version"):
		problems.Add("options.query.version", "`version` says it already; leave one of the two out")
	default:
		q.params.Set("version", version)
	}
}
