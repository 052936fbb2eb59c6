// Package server listens to nobody.
package server

import "net"

// Server does nothing.
type Server struct{}

// New makes one.
func New(...any) *Server { return &Server{} }

// Listen returns at once.
func (*Server) Listen(net.Listener) {}

// Stop has nothing to stop.
func (*Server) Stop() {}
