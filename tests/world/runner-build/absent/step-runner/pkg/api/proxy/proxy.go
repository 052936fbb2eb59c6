// Package proxy stands in for a pipe to the step runner.
package proxy

import (
	"errors"
	"io"
	"net"
)

// Proxy refuses.
func Proxy(io.Reader, io.Writer, net.Conn) error {
	return errors.New("this build of gitlab-runner has no step runner")
}
