// Package api stands in for the remote control of `gitlab-runner wrapper`, a command that no test runs.
package api

import (
	"context"
	"errors"

	"github.com/sirupsen/logrus"
)

// Status is how the wrapped process does.
type Status string

// The states.
const (
	StatusUnknown    Status = "unknown"
	StatusRunning    Status = "running"
	StatusStopped    Status = "stopped"
	StatusInShutdown Status = "in shutdown"
)

// String is the state's name.
func (s Status) String() string { return string(s) }

// ErrProcessNotInitialized says that there is no process yet.
var ErrProcessNotInitialized = errors.New("process not initialized")

type (
	// ShutdownCallbackDef says whom to call.
	ShutdownCallbackDef interface {
		URL() string
		Method() string
	}
	// InitGracefulShutdownRequest asks for the end.
	InitGracefulShutdownRequest interface{ ShutdownCallbackDef() ShutdownCallbackDef }
	// ShutdownCallback calls.
	ShutdownCallback interface{ Run(context.Context) }
	nobody           struct{}
)

func (nobody) Run(context.Context) {}

// NewShutdownCallback calls nobody.
func NewShutdownCallback(logrus.FieldLogger, ShutdownCallbackDef) ShutdownCallback { return nobody{} }
