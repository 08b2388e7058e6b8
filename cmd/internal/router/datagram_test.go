//go:build linux

package router

import (
	"testing"

	"syntap/tun/flow"
)

// The end of a flow waits for the record by which the flow began, and that of a connection does
// not.
func TestEndsInOrder(t *testing.T) {
	t.Parallel()
	begins, begun := new(flow.Datagram), new(flow.Datagram)
	a := &attribution{datagrams: map[*flow.Datagram][]func(){begins: nil}}
	var ended []*flow.Datagram
	done := a.inOrder(func(f flow.Flow) { ended = append(ended, f.Datagram) })
	done(flow.Flow{Datagram: begins})
	done(flow.Flow{Datagram: begun})
	done(flow.Flow{})
	if len(ended) != 2 || ended[0] != begun || ended[1] != nil {
		t.Errorf("%d flows have ended, want the one that is on record and the connection", len(ended))
	}
	answered := false
	a.beforeDatagramAnswer(begins, func() { answered = true })
	for _, f := range a.datagrams[begins] { // it is on record
		f()
	}
	if !answered {
		t.Error("the client has no answer")
	}
	if len(ended) != 3 || ended[2] != begins {
		t.Errorf("%d flows have ended, want all", len(ended))
	}
}
