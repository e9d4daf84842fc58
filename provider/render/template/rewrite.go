package template

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"text/template/parse"

	"github.com/lanyardhq/lanyard/provider/render"
)

// templateName stands in the messages of text/template, from which
// executeError takes the place.
const templateName = "template"

// The functions that only rewriting puts into a template. Nobody can write
// them in one, because the parser does not know them.
const (
	stepFunction  = "_step"
	printFunction = "_print"
)

// maxNesting is how deep blocks, parentheses and pipelines may be nested.
const maxNesting = 200

// rewriter makes a parsed template bounded: each turn of a loop takes steps
// first, as many as its body has nodes, and everything printed goes through
// printFunction. On its way it notes the functions and names in use.
type rewriter struct {
	tree  *parse.Tree
	calls map[string]bool
	names map[string]bool
	paths map[string]bool // names with what follows them after a dot
	depth int
	nodes int // visited so far
}

func (r *rewriter) rewrite() error {
	if r.tree.Root == nil {
		return nil
	}
	return r.list(r.tree.Root, true)
}

// list visits the nodes of a block. atTop tells whether the dot is the top.
func (r *rewriter) list(list *parse.ListNode, atTop bool) error {
	if list == nil {
		return nil
	}
	if r.depth++; r.depth > maxNesting {
		return fmt.Errorf("the template is nested deeper than %d blocks", maxNesting)
	}
	defer func() { r.depth-- }()
	for _, node := range list.Nodes {
		if err := r.node(node, atTop); err != nil {
			return err
		}
	}
	return nil
}

func (r *rewriter) node(node parse.Node, atTop bool) error {
	r.nodes++
	switch n := node.(type) {
	case *parse.ActionNode:
		if err := r.pipe(n.Pipe, atTop); err != nil {
			return err
		}
		if len(n.Pipe.Decl) == 0 {
			n.Pipe.Cmds = append(n.Pipe.Cmds, r.command(printFunction, n.Pipe.Pos))
		}
		return nil
	case *parse.IfNode:
		return r.branch(&n.BranchNode, atTop, atTop)
	case *parse.WithNode:
		return r.branch(&n.BranchNode, atTop, false)
	case *parse.RangeNode:
		before := r.nodes
		if err := r.branch(&n.BranchNode, atTop, false); err != nil {
			return err
		}
		step := r.command(stepFunction, n.Pos)
		count := r.nodes - before
		step.Args = append(step.Args, &parse.NumberNode{NodeType: parse.NodeNumber, Pos: n.Pos, IsInt: true, Int64: int64(count), Text: fmt.Sprint(count)})
		// An action with a declaration prints nothing; this one prints "".
		action := &parse.ActionNode{NodeType: parse.NodeAction, Pos: n.Pos, Pipe: &parse.PipeNode{NodeType: parse.NodePipe, Pos: n.Pos, Cmds: []*parse.CommandNode{step}}}
		n.List.Nodes = append([]parse.Node{action}, n.List.Nodes...)
		return nil
	case *parse.TextNode, *parse.BreakNode, *parse.ContinueNode, *parse.CommentNode:
		return nil
	case *parse.TemplateNode:
		return errors.New("template is not supported; write the text where it is used")
	}
	return errors.New("the template holds a construct that is not supported")
}

func (r *rewriter) branch(n *parse.BranchNode, atTop, bodyAtTop bool) error {
	if err := r.pipe(n.Pipe, atTop); err != nil {
		return err
	}
	if err := r.list(n.List, bodyAtTop); err != nil {
		return err
	}
	return r.list(n.ElseList, atTop)
}

func (r *rewriter) command(function string, pos parse.Pos) *parse.CommandNode {
	r.calls[function] = true
	identifier := parse.NewIdentifier(function).SetTree(r.tree).SetPos(pos)
	return &parse.CommandNode{NodeType: parse.NodeCommand, Pos: pos, Args: []parse.Node{identifier}}
}

// pipe visits a pipeline, which it leaves as it is.
func (r *rewriter) pipe(pipe *parse.PipeNode, atTop bool) error {
	if pipe == nil {
		return nil
	}
	if r.depth++; r.depth > maxNesting {
		return fmt.Errorf("the template is nested deeper than %d parentheses", maxNesting)
	}
	defer func() { r.depth-- }()
	for _, command := range pipe.Cmds {
		if len(command.Args) >= 3 && isIdentifier(command.Args[0], "index") && isTop(command.Args[1], atTop) {
			if name, ok := command.Args[2].(*parse.StringNode); ok {
				r.names[name.Text] = true
			}
		}
		for _, arg := range command.Args {
			if err := r.arg(arg, atTop); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *rewriter) arg(arg parse.Node, atTop bool) error {
	r.nodes++
	switch n := arg.(type) {
	case *parse.PipeNode:
		return r.pipe(n, atTop)
	case *parse.ChainNode:
		return r.arg(n.Node, atTop)
	case *parse.IdentifierNode:
		r.calls[n.Ident] = true
	case *parse.NumberNode:
		return r.exactLiteral(n)
	case *parse.FieldNode:
		if atTop {
			r.names[n.Ident[0]] = true
			r.paths[strings.Join(n.Ident, ".")] = true
		}
	case *parse.VariableNode:
		if n.Ident[0] == "$" && len(n.Ident) > 1 {
			r.names[n.Ident[1]] = true
			r.paths[strings.Join(n.Ident[1:], ".")] = true
		}
	}
	return nil
}

// exactLiteral refuses a number that text/template would round, and one that is
// neither whole nor decimal.
func (r *rewriter) exactLiteral(n *parse.NumberNode) error {
	if _, err := strconv.ParseInt(n.Text, 0, 64); err == nil || n.Text[0] == '\'' {
		return nil
	}
	digits := json.Number(strings.TrimPrefix(n.Text, "+"))
	if n.IsFloat {
		if order, err := render.CompareNumbers(digits, json.Number(render.FormatFloat(n.Float64))); err == nil && order == 0 {
			return nil
		}
	}
	location, _ := r.tree.ErrorContext(n)
	line := strings.Split(location, ":")[1]
	return fmt.Errorf("template line %s: the number %.40s is not decimal, or has more digits than a template keeps; write it as text", line, n.Text)
}

func isIdentifier(node parse.Node, name string) bool {
	n, ok := node.(*parse.IdentifierNode)
	return ok && n.Ident == name
}

// isTop tells whether a node is the map of all objects.
func isTop(node parse.Node, atTop bool) bool {
	switch n := node.(type) {
	case *parse.DotNode:
		return atTop
	case *parse.VariableNode:
		return len(n.Ident) == 1 && n.Ident[0] == "$"
	}
	return false
}
