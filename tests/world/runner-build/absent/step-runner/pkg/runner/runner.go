// Package runner names what a builtin step gets and gives.
package runner

import (
	"context"
	"io"
	"time"

	"google.golang.org/protobuf/types/known/structpb"

	"gitlab.com/gitlab-org/step-runner/proto"
)

// Kind is the type of a value.
type Kind int

// The kinds.
const (
	KindString Kind = iota
	KindBool
	KindList
)

type (
	// BuiltinResult is empty.
	BuiltinResult struct{}
	// BuiltinFunction is a step in the helper itself.
	BuiltinFunction interface {
		Spec() *proto.Spec
		Run(context.Context, BuiltinContext) (BuiltinResult, error)
	}
	// BuiltinContext is what such a step can ask.
	BuiltinContext interface {
		GetInput(string, Kind) (*structpb.Value, error)
		GetInputWithDefault(string, Kind, map[string]*proto.Spec_Content_Input) (*structpb.Value, error)
		GetJobVars() map[string]*structpb.Value
		GetEnvs() map[string]string
		GetEnvList() []string
		Pipe() (io.Writer, io.Writer)
		WorkDir() string
		GracefulExitDelay() time.Duration
		ListenCancel(context.Context) (context.Context, context.CancelFunc)
	}
)
