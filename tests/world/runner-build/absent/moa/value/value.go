// Package value names the values of expressions. Each is null here.
package value

import (
	"errors"
	"iter"
)

// Kind is a value's type.
type Kind string

// The kinds.
const (
	NullKind   Kind = "null"
	StringKind Kind = "string"
	NumberKind Kind = "number"
	BoolKind   Kind = "bool"
	ArrayKind  Kind = "array"
	ObjectKind Kind = "object"
)

// What a lookup fails with.
var (
	ErrAttributeNotFound = errors.New("attribute not found")
	ErrInvalidKey        = errors.New("invalid key")
)

// Mapper is what an object is made of.
type Mapper interface {
	All() iter.Seq2[Value, Value]
	Attr(string) (Value, error)
	Get(Value) (Value, error)
	Keys() iter.Seq[Value]
	Len() int
	Values() iter.Seq[Value]
	WithMarks(uint16) Mapper
}

// Value is null.
type Value struct{}

// Null is the value that there is.
func Null() Value { return Value{} }

// String is null here.
func String(string) Value { return Value{} }

// Object is null here.
func Object(Mapper) Value { return Value{} }

// Kind is always null's.
func (Value) Kind() Kind { return NullKind }

// WithMarks keeps no mark.
func (v Value) WithMarks(uint16) Value { return v }

// HasMarks finds no mark.
func (Value) HasMarks(uint16) bool { return false }

// String is null's text.
func (Value) String() string { return "null" }
