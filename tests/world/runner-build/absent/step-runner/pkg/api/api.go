// Package api says where the step runner would listen.
package api

import "net"

// DefaultSocketPath is nobody's.
func DefaultSocketPath() string { return "/tmp/step-runner.sock" }

// SocketAddr is an address of a socket.
func SocketAddr(path string) *net.UnixAddr { return &net.UnixAddr{Name: path, Net: "unix"} }
