// Package schema names the fields of a step of the `run` keyword, which no test uses.
package schema

// StepInputs are a step's inputs.
type StepInputs map[string]any

// Step is one step.
type Step struct {
	Name   *string    `json:"name,omitempty" yaml:"name,omitempty"`
	Step   any        `json:"step,omitempty" yaml:"step,omitempty"`
	Inputs StepInputs `json:"inputs,omitempty" yaml:"inputs,omitempty"`
	Run    []Step     `json:"run,omitempty" yaml:"run,omitempty"`
}
