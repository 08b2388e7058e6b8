//go:build linux

package router

import (
	"os"

	"github.com/sirupsen/logrus"

	"syntap/cmd/internal/isolate"
	"syntap/cmd/internal/owner"
)

// isolate has this process give up the rights that a router does not need. Where the kernel, or a
// sandbox around it, refuses that, the router works all the same.
func (r *router) isolate() {
	var needs isolate.Needs
	if root := owner.CgroupRoot(); root != "" {
		needs.Names = []string{root}
	}
	needs.Memory = spareMemory + 4*uint64(r.config.Limits.Memory)
	files, err := isolate.Open(os.Getpid()) // it opens none later
	if err != nil {
		r.logger.WithError(err).Warn("cannot tell the rights of this process")
	} else {
		defer files.Close()
	}
	landlock, err := isolate.Enter(needs)
	switch {
	case err != nil:
		r.logger.WithError(err).Warn("this process keeps rights that a router does not need")
	case !landlock && r.logsSummary: // of run: exec's standard error is the command's, too
		r.logger.Info("landlock does not hold this process: the filter of system calls alone keeps files from it")
	}
	if files == nil || r.isolated == nil {
		return
	}
	p, err := files.Read(isolate.Router)
	if err != nil {
		r.logger.WithError(err).Warn("cannot tell the rights of this process")
		return
	}
	p.Hold(landlock)
	r.isolated(p)
}

// spareMemory is the room for the data of a router beside limits.memory, in bytes, as the kernel
// counts them (RLIMIT_DATA): Go's runtime reserves more than it uses.
const spareMemory = 4 << 30

// hide keeps the memory of this process, which has packets and keys in it, from other processes,
// and from files.
func hide(log logrus.FieldLogger) {
	if err := isolate.Hide(); err != nil {
		log.WithError(err).Warn("other processes may read the memory of this one")
	}
	isolate.DumpNoCore()
}
