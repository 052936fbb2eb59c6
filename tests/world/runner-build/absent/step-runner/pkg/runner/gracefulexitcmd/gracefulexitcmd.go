// Package gracefulexitcmd makes commands that get a moment between being asked to end and being ended.
package gracefulexitcmd

import (
	"context"
	"os/exec"
	"syscall"
	"time"
)

// New makes one.
func New(ctx context.Context, delay time.Duration, name string, arguments ...string) *exec.Cmd {
	command := exec.CommandContext(ctx, name, arguments...)
	command.Cancel = func() error { return command.Process.Signal(syscall.SIGTERM) }
	command.WaitDelay = delay
	return command
}
