//go:build linux

package app

import (
	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"

	"syntap/cmd/internal/isolate"
)

// isolate has this process give up the rights that a router does not need. Where the kernel, or a
// sandbox around it, refuses that, the router works all the same.
func (r *Router) isolate() {
	if err := isolate.Enter(isolate.Needs{Children: r.children, Host: !r.kept, Files: !r.kept}); err != nil {
		r.Logger.WithError(err).Warn("this process keeps rights that a router does not need")
	}
}

// isolateKeeper does the same for the process that keeps the host, which goes on with the
// rights that its routers need, to give them to the next one.
func isolateKeeper(log logrus.FieldLogger) {
	for _, err := range []error{isolate.Hide(), isolate.Enter(isolate.Needs{Host: true, Files: true, Routers: true})} {
		if err != nil {
			log.WithError(err).Warn("the keeper has rights that it does not need")
		}
	}
}

// hide keeps the memory of this process, which has packets and keys in it, from other processes,
// and from files.
func hide(log logrus.FieldLogger) {
	if err := isolate.Hide(); err != nil {
		log.WithError(err).Warn("other processes may read the memory of this one")
	}
	_ = unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}) // a service manager may forbid that, having done it
}
