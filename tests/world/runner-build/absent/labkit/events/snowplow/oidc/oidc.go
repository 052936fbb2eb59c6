// Package oidc names the options of a source of tokens that does not exist here.
package oidc

// Option configures nothing.
type Option struct{}

// Source gives no token.
type Source struct{}

// WithSkipIfUnsupportedCloud configures nothing.
func WithSkipIfUnsupportedCloud(bool) Option { return Option{} }

// NewSource gives no token.
func NewSource(...Option) *Source { return &Source{} }
