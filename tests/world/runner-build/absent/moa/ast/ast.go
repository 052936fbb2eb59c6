// Package ast names the types of an expression's tree.
package ast

// Expr is a node.
type Expr interface {
	Walk(Visitor) (Expr, error)
}

// Visitor is called before and after each node.
type Visitor interface {
	Enter(Expr) (Visitor, error)
	Exit(Expr) (Expr, error)
}

// Template is text with expressions in it.
type Template struct{}

// Walk has nothing to visit.
func (t *Template) Walk(Visitor) (Expr, error) { return t, nil }
