// Package client names what the step runner is asked and says.
package client

import "time"

// State is how a job of steps does.
type State int

// The states.
const (
	StateSuccess State = iota
	StateCancelled
	StateFailure
)

// String is the state's name.
func (s State) String() string { return [...]string{"success", "cancelled", "failure"}[s] }

// ErrorKind is why one failed.
type ErrorKind int

// The kinds.
const (
	ErrorUnknown ErrorKind = iota
	ErrorInternal
	ErrorStepFailure
	ErrorCancelled
	ErrorTimeout
)

type (
	// Status is what became of it.
	Status struct {
		State     State
		Message   string
		ErrorKind ErrorKind
	}
	// Variable is a variable of the job.
	Variable struct {
		Key, Value   string
		File, Masked bool
	}
	// RunRequest asks for steps.
	RunRequest struct {
		Id, WorkDir, BuildDir, Steps string
		Timeout                      *time.Duration
		Env                          map[string]string
		Variables                    []Variable
	}
)
