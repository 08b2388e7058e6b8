//go:build linux

package router

import (
	"github.com/sirupsen/logrus"

	"syntap/cmd/internal/limits"
)

// warnDescriptors says when there will be fewer connections than limits.tcp_flows allows: each has
// a descriptor.
func (r *router) warnDescriptors() {
	limit, flows := limits.Descriptors(), r.config.Limits.TCPFlows
	if limit >= uint64(flows)+limits.LeastDescriptors {
		return
	}
	r.logger.WithFields(logrus.Fields{
		"limit": limit, "tcp_flows": flows,
		"hint": "raise it, LimitNOFILE= of the unit or ulimit -Hn, or lower limits.tcp_flows",
	}).Warn("the limit of open files is below limits.tcp_flows: connections beyond it will wait, or time out")
}
