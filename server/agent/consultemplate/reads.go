package consultemplate

import (
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"text/template/parse"

	"github.com/lanyardhq/lanyard/internal/message"
)

// Read is what a template asks Vault for.
type Read struct {
	Path string
	// Query are the arguments behind the path's ?, such as version; nil for none.
	Query map[string]string
	// Body are the fields of a write, which makes something anew, such as a certificate;
	// nil for a secret that is only read.
	Body map[string]string
}

// Key is the same for equal reads alone.
func (r Read) Key() string {
	if r.Query == nil && r.Body == nil {
		return r.Path
	}
	parts := []string{r.Path}
	for _, fields := range []map[string]string{r.Query, r.Body} {
		parts = append(parts, strconv.FormatBool(fields != nil), strconv.Itoa(len(fields)))
		for _, name := range slices.Sorted(maps.Keys(fields)) {
			parts = append(parts, strconv.Quote(name), strconv.Quote(fields[name]))
		}
	}
	return strings.Join(parts, "\x00")
}

// The functions that read from Vault: an answer as it is, and a certificate of a PKI engine.
const (
	secretName  = "secret"
	pkiCertName = "pkiCert"
)

// readOf is what a call of one of them asks for. As in consul-template a certificate is
// always written, and a secret if there are fields.
// https://github.com/hashicorp/consul-template/blob/main/docs/templating-language.md#secret
func readOf(function, path string, fields []string) (Read, error) {
	r := Read{Path: strings.Trim(strings.TrimSpace(path), "/")}
	if function == pkiCertName {
		r.Body = map[string]string{}
	}
	for _, field := range fields {
		name, value, ok := strings.Cut(field, "=")
		switch name = strings.TrimSpace(name); {
		case field == "":
			continue
		case !ok || name == "":
			return Read{}, fmt.Errorf("%s: arguments behind the path must be NAME=VALUE, not %s", function, message.Printable(field))
		case r.Body == nil:
			r.Body = map[string]string{}
		}
		r.Body[name] = strings.TrimSpace(value)
	}
	before, query, ok := strings.Cut(r.Path, "?")
	if !ok {
		return r, nil
	}
	given, err := url.ParseQuery(query)
	if err != nil || r.Body != nil {
		return Read{}, fmt.Errorf("%s: a ? in the path goes with reading alone, and has NAME=VALUE behind it: secret/data/web?version=2", function)
	}
	r.Path, r.Query = before, map[string]string{}
	for name, values := range given {
		r.Query[name] = values[len(values)-1]
	}
	return r, nil
}

// read notes what a call of function asks Vault for, and leaves the key as its argument.
// misplaced says that its arguments do not all stand right after it.
func (w *walker) read(command *parse.CommandNode, function string, misplaced bool) {
	if misplaced || len(command.Args) < 2 {
		w.wrong(command, `%s needs its path as a text right after it: %[1]s "secret/data/web"`, function)
		return
	}
	texts, ok := literals(command.Args[1:])
	if !ok {
		w.wrong(command, `the path of %s must be written out, and what follows it too, so that it is known before anything is read: %[1]s "secret/data/web"`, function)
		return
	}
	read, err := readOf(function, texts[0], texts[1:])
	if err != nil {
		w.wrong(command, "%v", err)
		return
	}
	if !slices.ContainsFunc(w.requested, func(other Read) bool { return other.Key() == read.Key() }) {
		w.requested = append(w.requested, read)
	}
	key := command.Args[1].Copy().(*parse.StringNode) //nolint:forcetypeassert // literals saw it
	key.Text = read.Key()
	command.Args = append(command.Args[:1], key)
	if function == pkiCertName && !slices.Contains(w.certificates, read.Key()) {
		w.certificates = append(w.certificates, read.Key())
	}
}

// literals are the texts of nodes, if they are nothing else.
func literals(nodes []parse.Node) (texts []string, ok bool) {
	for _, node := range nodes {
		text, literal := node.(*parse.StringNode)
		if !literal {
			return nil, false
		}
		texts = append(texts, text.Text)
	}
	return texts, true
}

// certificateOf is the answer of a PKI engine as pkiCert gives it: texts of PEM that end
// with a line, which may stand below Data too.
// https://github.com/hashicorp/consul-template/blob/main/docs/templating-language.md#pkicert
func certificateOf(answer map[string]any) (map[string]any, error) {
	data, _ := answer["Data"].(map[string]any)
	text := func(value any) string {
		if of, ok := value.(string); ok && strings.TrimSpace(of) != "" {
			return strings.TrimSpace(of) + "\n"
		}
		return ""
	}
	certificate := firstCertificate(text(data["certificate"]))
	if certificate == "" {
		return nil, errors.New("the answer has no certificate; name an endpoint of a PKI engine, such as pki/issue/web")
	}
	chain := []any{}
	listed, _ := data["ca_chain"].([]any)
	for _, authority := range append([]any{data["issuing_ca"]}, listed...) {
		if one := text(authority); one != "" && !slices.Contains(chain, any(one)) {
			chain = append(chain, one)
		}
	}
	first := any("")
	if len(chain) > 0 {
		first = chain[0]
	}
	made := map[string]any{"Cert": certificate, "Key": text(data["private_key"]), "CA": first, "CAChain": chain}
	made["Data"] = maps.Clone(made)
	return made, nil
}

// firstCertificate is the first certificate of a text: with the format pem_bundle the key
// stands before it, and who signed it behind. A text without PEM stays as it is.
func firstCertificate(text string) string {
	for block, rest := pem.Decode([]byte(text)); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "CERTIFICATE" {
			return string(pem.EncodeToMemory(block))
		}
	}
	return text
}
