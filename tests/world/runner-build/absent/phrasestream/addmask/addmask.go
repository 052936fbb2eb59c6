// Package addmask stands in for the masking in `proxy-exec`, behind a feature flag that no test sets. Nothing is masked.
package addmask

import "io"

// AddMask passes on what is written.
type AddMask struct{ writers []io.Writer }

// New asks no database.
func New(_ any, writers ...io.Writer) (*AddMask, error) { return &AddMask{writers}, nil }

// Get gives the writer of this number.
func (a *AddMask) Get(number int) io.Writer { return a.writers[number] }

// Close has nothing to close.
func (*AddMask) Close() error { return nil }
