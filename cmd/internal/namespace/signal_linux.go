package namespace

import (
	"os"
	"os/signal"

	"golang.org/x/sys/unix"
)

// relaySignals subscribes to signals that are meant for the command and reach only this process.
func relaySignals(signals chan os.Signal) {
	signal.Notify(signals, unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGTERM, unix.SIGUSR1, unix.SIGUSR2,
		unix.SIGTSTP, unix.SIGTTIN, unix.SIGCONT)
}

// relay passes a signal on to the command unless it has got the signal as we did, from the
// terminal.
func (s *Session) relay(sig os.Signal) {
	switch sig {
	case unix.SIGTTIN: // because a member of our group wants to read
		return
	case unix.SIGINT, unix.SIGQUIT:
		if s.terminal.talksToCommand() {
			return
		}
	case unix.SIGTSTP:
		// A signal that stops our group stops the command, too. The owner of the terminal does not
		// tell that any more: when the command's stop was reported first, we have been stopped and
		// continued since.
		if s.terminal.sharesGroup() {
			return
		}
	case unix.SIGCONT:
		s.terminal.lend()
	}
	_ = s.channel.Send(order{Signal: sig.(unix.Signal)}) // if init is gone, so is the command
}
