//go:build linux

package keeper

import (
	"syntap/cmd/internal/isolate"
)

// isolate has the keeper give up the rights that neither it nor its routers need. It keeps those of
// its routers for the next one. That of exec has a command.
func (k *keeper) isolate() {
	command := k.command != nil
	_, err := isolate.Enter(isolate.Needs{
		Host: true, Files: true, Routers: true, Alone: k.alone, Sockets: true, Children: command,
	})
	errs := []error{err}
	if !command {
		errs = append(errs, isolate.Hide())
	}
	for _, err := range errs {
		if err != nil {
			k.log.WithError(err).Warn(keeperKeeps)
		}
	}
}

const keeperKeeps = "the keeper has rights that it does not need"

// limit begins that while the first router starts: the keeper of run has nothing to do meanwhile.
func (k *keeper) limit() {
	if k.command != nil {
		return
	}
	if err := isolate.LimitKeeper(); err != nil {
		k.log.WithError(err).Warn(keeperKeeps)
	}
}
