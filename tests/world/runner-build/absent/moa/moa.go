// Package moa stands in for the expressions of job inputs, which no test uses: a job with inputs is refused.
package moa

import (
	"errors"

	"gitlab.com/gitlab-org/moa/ast"
)

// ParseTemplate refuses: there are no expressions in this build.
func ParseTemplate(string) (ast.Expr, error) {
	return nil, errors.New("this build of gitlab-runner has no expressions")
}

// EscapeTemplate changes nothing, because nothing is expanded.
func EscapeTemplate(text string) string { return text }
