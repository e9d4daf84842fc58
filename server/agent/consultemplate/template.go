// Package consultemplate renders templates as Vault Agent does, which takes them from
// consul-template, over secrets that somebody else has read. It knows the functions that
// the Vault Agent injector's pages show and no others, and is bounded in steps and memory.
//
// Start with Parse. A template names its secrets and the files that it writes by literal
// paths, so that all are known before anything is read.
package consultemplate

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	gotemplate "text/template"
	"text/template/parse"

	"github.com/lanyardhq/lanyard/internal/message"
)

const (
	// maxText and maxOutput bound a template and what it becomes, in bytes.
	maxText   = 64 << 10
	maxOutput = 1 << 20
	// maxSteps bounds the iterations of all loops together.
	maxSteps = 100_000
)

// Default is the template of a secret for which none is given.
// https://github.com/hashicorp/vault-k8s/blob/v1.7.0/agent-inject/agent/config.go
func Default(path string) string {
	return fmt.Sprintf("{{ with secret %q }}{{ range $k, $v := .Data }}{{ $k }}: {{ $v }}\n{{ end }}{{ end }}", path)
}

// Template is a parsed template. It is safe for concurrent use.
type Template struct {
	tree  *parse.Tree
	reads []Read
	// certificates are the keys of the reads that pkiCert makes.
	certificates []string
	files        []string
}

// name is that of every template, and shows in no error.
const name = "template"

// The functions that Parse adds to what the text says.
const (
	printsName = "lanyardPrints"
	stepName   = "lanyardStep"
	paidName   = "lanyardPaid"
)

// Parse parses a template. The error says in which line it goes wrong, and names what is
// not supported.
func Parse(text string) (*Template, error) {
	if len(text) > maxText {
		return nil, fmt.Errorf("the template has %d bytes; at most %d are allowed", len(text), maxText)
	}
	known := map[string]any{secretName: true, pkiCertName: true, writeName: true}
	for _, builtin := range append([]string{"and", "or", "not", "slice", "len"}, readers...) {
		known[builtin] = true
	}
	maps.Copy(known, escapers)
	maps.Copy(known, functions)
	trees, err := parse.Parse(name, text, "", "", known)
	if err != nil {
		return nil, parseError(err)
	}
	tree := trees[name]
	if len(trees) != 1 || tree == nil {
		return nil, errors.New("define and block are not supported; write the text where it is used")
	}
	w := walker{tree: tree}
	w.list(tree.Root)
	if len(w.problems) > 0 {
		return nil, errors.Join(w.problems...)
	}
	return &Template{tree: tree, reads: w.requested, certificates: w.certificates, files: w.files}, nil
}

// parseError is an error of the parser without the name that it begins with.
func parseError(err error) error {
	text := strings.TrimPrefix(err.Error(), "template: "+name+":")
	line, rest, ok := strings.Cut(text, ": ")
	if !ok {
		return errors.New("the template cannot be parsed")
	}
	if function, unknown := strings.CutPrefix(rest, "function "); unknown {
		function, _, _ = strings.Cut(function, " ")
		return fmt.Errorf("line %s: function %s is not supported; supported are %s", line, function, strings.Join(functionNames(), ", "))
	}
	return fmt.Errorf("line %s: %s", line, rest)
}

// Reads are what the template asks Vault for, each once.
func (t *Template) Reads() []Read { return t.reads }

// Files are the paths of the further files that the template may write, each once.
func (t *Template) Files() []string { return t.files }

// walker looks through a tree, and adds what bounds its execution and what refuses to
// print nothing.
type walker struct {
	tree         *parse.Tree
	requested    []Read
	certificates []string
	files        []string
	nodes        int
	problems     []error
}

func (w *walker) wrong(node parse.Node, format string, args ...any) {
	location, _ := w.tree.ErrorContext(node)
	_, line, _ := strings.Cut(location, ":")
	line, _, _ = strings.Cut(line, ":")
	w.problems = append(w.problems, fmt.Errorf("line %s: %s", line, fmt.Sprintf(format, args...)))
}

func (w *walker) call(function string, pos parse.Pos) *parse.CommandNode {
	return &parse.CommandNode{NodeType: parse.NodeCommand, Pos: pos, Args: []parse.Node{parse.NewIdentifier(function).SetPos(pos).SetTree(w.tree)}}
}

// pipeOf is a pipe of commands.
func (w *walker) pipeOf(pos parse.Pos, commands ...*parse.CommandNode) *parse.PipeNode {
	return &parse.PipeNode{NodeType: parse.NodePipe, Pos: pos, Cmds: commands}
}

func (w *walker) list(list *parse.ListNode) {
	if list == nil {
		return
	}
	for _, node := range list.Nodes {
		w.nodes++
		switch n := node.(type) {
		case *parse.ActionNode:
			w.pipe(n.Pipe)
			if len(n.Pipe.Decl) == 0 {
				n.Pipe.Cmds = append(n.Pipe.Cmds, w.call(printsName, n.Pos))
			}
		case *parse.IfNode:
			w.branch(&n.BranchNode)
		case *parse.WithNode:
			w.branch(&n.BranchNode)
		case *parse.RangeNode:
			before := w.nodes
			w.branch(&n.BranchNode)
			// Before a loop its value is sorted, and each step costs what is in the loop.
			n.Pipe.Cmds = append(n.Pipe.Cmds, w.call(paidName, n.Pos))
			step := w.call(stepName, n.Pos)
			inside := w.nodes - before
			step.Args = append(step.Args, &parse.NumberNode{NodeType: parse.NodeNumber, Pos: n.Pos, IsInt: true, Int64: int64(inside), Text: strconv.Itoa(inside)})
			n.List.Nodes = append([]parse.Node{&parse.ActionNode{NodeType: parse.NodeAction, Pos: n.Pos, Pipe: w.pipeOf(n.Pos, step)}}, n.List.Nodes...)
		case *parse.TemplateNode:
			w.wrong(n, "template is not supported; write the text where it is used")
		}
	}
}

func (w *walker) branch(n *parse.BranchNode) {
	w.pipe(n.Pipe)
	w.list(n.List)
	w.list(n.ElseList)
}

func (w *walker) pipe(pipe *parse.PipeNode) {
	var commands []*parse.CommandNode
	for i, command := range pipe.Cmds {
		w.command(command, i > 0)
		if w.reads(command) && i > 0 {
			commands = append(commands, w.call(paidName, command.Pos))
		}
		commands = append(commands, command)
	}
	pipe.Cmds = commands
}

// reads says that a command is a call of one of readers, and has its arguments paid for.
func (w *walker) reads(command *parse.CommandNode) bool {
	function, ok := command.Args[0].(*parse.IdentifierNode)
	if !ok || !slices.Contains(readers, function.Ident) {
		return false
	}
	for i, arg := range command.Args[1:] {
		switch arg.(type) {
		case *parse.FieldNode, *parse.VariableNode, *parse.ChainNode, *parse.PipeNode, *parse.DotNode:
			call := w.call(paidName, arg.Position())
			call.Args = append(call.Args, arg)
			command.Args[i+1] = w.pipeOf(arg.Position(), call)
		}
	}
	return true
}

// command notes what a command reads and writes. piped says that it gets one more argument
// from the command before it.
func (w *walker) command(command *parse.CommandNode, piped bool) {
	for i, arg := range command.Args {
		w.nodes++
		switch a := arg.(type) {
		case *parse.PipeNode:
			w.pipe(a)
		case *parse.ChainNode:
			if inner, ok := a.Node.(*parse.PipeNode); ok {
				w.pipe(inner)
			}
		case *parse.IdentifierNode:
			switch a.Ident {
			case secretName, pkiCertName:
				w.read(command, a.Ident, i > 0 || piped)
			case writeName:
				w.write(command, i > 0, piped)
			}
		}
	}
}

// Render returns the template's text, and the further files that it writes. answers has
// Vault's answer for the key of each read, in JSON, as its API writes it. The error holds no
// value.
func (t *Template) Render(answers map[string][]byte) ([]byte, []File, error) {
	x := &execution{}
	read, certificates := map[string]map[string]any{}, map[string]map[string]any{}
	for _, r := range t.reads {
		key := r.Key()
		answer, err := secretOf(answers[key])
		if err == nil && slices.Contains(t.certificates, key) {
			certificates[key], err = certificateOf(answer)
		}
		if err != nil {
			return nil, nil, fmt.Errorf("secret %s: %w", message.Printable(r.Path), err)
		}
		read[key] = answer
	}
	call := gotemplate.FuncMap{
		secretName: func(key string) map[string]any { return read[key] }, pkiCertName: func(key string) map[string]any { return certificates[key] },
		writeName: x.charged(writeName, x.write),
		stepName:  x.step, printsName: x.prints, paidName: x.charged(paidName, func(v any) any { return v }),
	}
	for _, some := range []map[string]any{functions, escapers} {
		for function, f := range some {
			call[function] = x.charged(function, f)
		}
	}
	// The names are known since Parse; an execution of its own does not change the tree.
	made, err := gotemplate.New(name).Funcs(call).AddParseTree(name, t.tree)
	if err != nil {
		return nil, nil, errors.New("the template cannot be executed")
	}
	if err := made.Execute(&x.output, nil); err != nil {
		return nil, nil, executeError(err)
	}
	return x.output.Bytes(), x.files, nil
}

// secretOf is an answer with the names that templates use.
// https://pkg.go.dev/github.com/hashicorp/consul-template/dependency#Secret
func secretOf(text []byte) (map[string]any, error) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var answer struct {
		LeaseID       string         `json:"lease_id"`
		LeaseDuration json.Number    `json:"lease_duration"`
		Renewable     bool           `json:"renewable"`
		Data          map[string]any `json:"data"`
	}
	if decoder.Decode(&answer) != nil {
		return nil, errors.New("the answer is no object of JSON")
	}
	return map[string]any{"LeaseID": answer.LeaseID, "LeaseDuration": answer.LeaseDuration, "Renewable": answer.Renewable, "Data": answer.Data}, nil
}

// execution is one rendering.
type execution struct {
	output output
	files  []File
	filed  int // bytes of files
	steps  int
	work   int // in bytes
}

// step counts an iteration over that many nodes.
func (x *execution) step(nodes int) (string, error) {
	if x.steps++; x.steps > maxSteps {
		return "", problemf("its loops have more than %d iterations", maxSteps)
	}
	return "", x.pay(nodes * nodeCost)
}

// prints refuses nothing: a key that is not there would be printed as <no value>.
func (x *execution) prints(value any) (any, error) {
	if value == nil {
		return nil, problemf("there is no such key; put it within if or with where it may be missing")
	}
	return value, nil
}

// output is a buffer of at most maxOutput bytes.
type output struct{ bytes.Buffer }

// Write adds to the output.
func (o *output) Write(p []byte) (int, error) {
	if o.Len()+len(p) > maxOutput {
		return 0, problemf("it makes more than %d bytes", maxOutput)
	}
	return o.Buffer.Write(p)
}

// problem is an error that holds no value.
type problem struct{ text string }

func (p *problem) Error() string { return p.text }

func problemf(format string, args ...any) error { return &problem{fmt.Sprintf(format, args...)} }

// executeError says where execution failed, and why where that is known to hold no value.
func executeError(err error) error {
	place := "the template"
	if _, rest, ok := strings.Cut(err.Error(), "template: "+name+":"); ok {
		parts := strings.SplitN(rest, ":", 3)
		if len(parts) == 3 {
			place = fmt.Sprintf("line %s, column %s", parts[0], parts[1])
		}
	}
	var known *problem
	if errors.As(err, &known) {
		return fmt.Errorf("%s: %w", place, known)
	}
	return fmt.Errorf("%s: cannot be executed: a value is of another kind, or a place is not in it", place)
}
