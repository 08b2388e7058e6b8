//go:build linux

package keeper

import (
	"os/exec"
	"time"

	"syntap/cmd/internal/logger"
)

// process is one that this process has started.
type process struct {
	*exec.Cmd
	relayed <-chan struct{} // closed when all is passed on that it wrote to its standard error
}

// Wait waits until the process has ended, and a while until all is passed on that it wrote.
func (p *process) Wait() error {
	err := p.Cmd.Wait()
	select {
	case <-p.relayed:
	case <-time.After(logger.LastChances): // a write that is stuck ends with this process
	}
	return err
}
