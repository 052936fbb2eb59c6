// Package di stands in for the making of the step runner.
package di

import (
	"errors"
	"log/slog"

	"gitlab.com/gitlab-org/step-runner/pkg/runner"
)

// Container makes nothing.
type Container struct{}

// NewContainer makes one.
func NewContainer(...func(*Container)) *Container { return &Container{} }

// WithBuiltinFunc registers nothing.
func WithBuiltinFunc(string, runner.BuiltinFunction) func(*Container) { return func(*Container) {} }

// WithOperatorLogger logs nothing.
func WithOperatorLogger(*slog.Logger) func(*Container) { return func(*Container) {} }

// StepRunnerService fails.
func (*Container) StepRunnerService() (any, error) {
	return nil, errors.New("this build of gitlab-runner has no step runner")
}
