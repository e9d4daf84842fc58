package jmespath

import (
	"errors"
	"fmt"

	"github.com/jmespath-community/go-jmespath/pkg/parsing"
)

// checkNode refuses what the parser knows beyond the specification, unknown
// functions, wrong numbers of arguments, and expression references anywhere but
// where a function takes one.
func checkNode(node parsing.ASTNode) error {
	switch node.NodeType {
	case parsing.ASTArithmeticExpression, parsing.ASTArithmeticUnaryExpression:
		return errors.New("arithmetic is not supported, and a dash is read as minus")
	case parsing.ASTRootNode, parsing.ASTVariable, parsing.ASTLetExpression, parsing.ASTBindings, parsing.ASTBinding:
		return errors.New("$ and let are not supported")
	case parsing.ASTExpRef:
		return errors.New("& may only stand before an argument of map, sort_by, min_by and max_by")
	case parsing.ASTFunctionExpression:
		return checkCall(node)
	case parsing.ASTSlice:
		if step := node.Value.([]*int)[2]; step != nil && *step == 0 {
			return errors.New("the step of a slice cannot be 0")
		}
	}
	return checkChildren(node.Children)
}

func checkChildren(nodes []parsing.ASTNode) error {
	for _, node := range nodes {
		if err := checkNode(node); err != nil {
			return err
		}
	}
	return nil
}

func checkCall(node parsing.ASTNode) error {
	name, _ := node.Value.(string)
	function, ok := functions[name]
	if !ok {
		return fmt.Errorf("there is no function %.32q", name)
	}
	if got := len(node.Children); got < function.args || got > function.args && !function.variadic {
		return fmt.Errorf("%s takes %s, not %d", name, function.takes(), got)
	}
	for i, arg := range node.Children {
		isReference := arg.NodeType == parsing.ASTExpRef
		if isReference != (function.reference == i+1) {
			if isReference {
				return checkNode(arg)
			}
			return fmt.Errorf("argument %d of %s must be an expression with & before it", i+1, name)
		}
		if isReference {
			if err := checkChildren(arg.Children); err != nil {
				return err
			}
		} else if err := checkNode(arg); err != nil {
			return err
		}
	}
	return nil
}
