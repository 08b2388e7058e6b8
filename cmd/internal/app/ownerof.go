//go:build linux

package app

import (
	"syntap/cmd/internal/owner"
	"syntap/cmd/internal/record"
)

// ownerOf returns the owner of a socket.
func ownerOf(f finder, s owner.Socket, p owner.Process) record.Owner {
	if p.PID == 0 {
		p.Unit, p.Container = f.Place(s)
	}
	return record.Owner{
		UID: s.UID, User: f.User(s.UID),
		PID: p.PID, Process: p.Name, Exe: p.Exe, Unit: p.Unit, Container: p.Container,
	}
}
