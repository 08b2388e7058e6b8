//go:build linux

package app

import (
	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"

	"syntap/cmd/internal/isolate"
)

// hide keeps the memory of this process, which has packets and keys in it, from other processes,
// and from files.
func hide(log logrus.FieldLogger) {
	if err := isolate.Hide(); err != nil {
		log.WithError(err).Warn("other processes may read the memory of this one")
	}
	_ = unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}) // a service manager may forbid that, having done it
}
