//go:build linux

package app

import (
	"syntap/cmd/internal/record"
	"syntap/tun/flow"
)

// opener returns the function that takes the beginning of each flow without a handshake, for
// stack.Options.DatagramOpened. names may be nil.
func (r *Router) opener(names *namer) func(*flow.Datagram) flow.Admission {
	return func(d *flow.Datagram) flow.Admission {
		if a := r.Log.DatagramAdmission(d.Time); a != flow.Admit {
			return a
		}
		o := new(record.Opening)
		d.Opening = o
		if names != nil {
			o.Name = names.datagram(d, nil)
		}
		r.Log.Datagram(&record.AttributedDatagram{Datagram: d, Opening: o})
		return flow.Admit
	}
}
