// Package proto names what a step declares.
package proto

import "google.golang.org/protobuf/types/known/structpb"

// ValueType is the type of an input.
type ValueType int

// The types.
const (
	ValueType_string ValueType = iota
	ValueType_boolean
	ValueType_array
)

type (
	// Spec is what a step declares.
	Spec struct{ Spec *Spec_Content }
	// Spec_Content are its inputs.
	Spec_Content struct {
		Inputs map[string]*Spec_Content_Input
	}
	// Spec_Content_Input is one input.
	Spec_Content_Input struct {
		Type      ValueType
		Default   *structpb.Value
		Sensitive bool
	}
)

// GetSpec gives the content.
func (s *Spec) GetSpec() *Spec_Content { return s.Spec }

// GetInputs gives the inputs.
func (s *Spec_Content) GetInputs() map[string]*Spec_Content_Input { return s.Inputs }

// RegisterStepRunnerServer registers nothing.
func RegisterStepRunnerServer(...any) {}
