//go:build linux

package app

import (
	"syntap/cmd/internal/attempt"
	"syntap/cmd/internal/record"
)

// attemptedDatagram hands on the attempt of a flow without a handshake.
func (r *Router) attemptedDatagram(d *record.AttributedDatagram) {
	a := attempt.OfDatagram(d)
	if a.Denied() {
		if name := r.judge.deniedName(d.DNS, a.Owner); name != "" {
			a.Name, a.Question = name, true
		}
	}
	r.Attempted(&a)
}
