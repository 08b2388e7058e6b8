//go:build linux

package app

import (
	"errors"
	"math"

	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"

	"syntap/cmd/internal/hint"
)

// spareDescriptors are for all that is no connection: logs, the TUN, listeners.
const spareDescriptors = 64

// moreDescriptors is the remedy where there are too few to start.
const moreDescriptors = "let it have more descriptors: ulimit -n 65536, or LimitNOFILE= in its unit"

// explainFew adds that remedy to an error, if it is one.
func explainFew(err error) error {
	if errors.Is(err, unix.EMFILE) {
		return hint.Fail(err, moreDescriptors)
	}
	return err
}

// warnDescriptors says when there will be fewer connections than limits.tcp_flows allows: each has
// a descriptor.
func (r *Router) warnDescriptors() {
	limit, flows := descriptorLimit(), r.Config.Limits.TCPFlows
	if limit >= uint64(flows)+spareDescriptors {
		return
	}
	r.Logger.WithFields(logrus.Fields{
		"limit": limit, "tcp_flows": flows,
		"hint": "raise it, LimitNOFILE= of the unit or ulimit -Hn, or lower limits.tcp_flows",
	}).Warn("the limit of open files is below limits.tcp_flows: connections beyond it will wait, or time out")
}

// descriptorLimit returns how many files the process may have open. Go's runtime has raised the
// soft limit to the hard one.
func descriptorLimit() uint64 {
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) != nil {
		return math.MaxUint64
	}
	return limit.Cur
}
