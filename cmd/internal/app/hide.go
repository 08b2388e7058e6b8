//go:build linux

package app

import (
	"github.com/sirupsen/logrus"

	"syntap/cmd/internal/isolate"
)

// hide keeps the memory of this process, which has packets and keys in it, from other processes,
// and from files.
func hide(log logrus.FieldLogger) {
	if err := isolate.Hide(); err != nil {
		log.WithError(err).Warn("other processes may read the memory of this one")
	}
	isolate.DumpNoCore()
}
