//go:build linux

package keeper

import (
	"net"
	"os"

	"syntap/cmd/internal/channel"
	"syntap/cmd/internal/config"
	"syntap/cmd/internal/owner"
	"syntap/cmd/internal/sockets"
	"syntap/cmd/internal/web"
	"syntap/stack/nat/hostsock"
)

// socketSettings are those of upstream sockets that take rights; the router makes the others. The
// sockets of exec have no mark: nothing of the host tells them from others.
func (k *keeper) socketSettings(c *config.Config) sockets.Settings {
	s := sockets.Settings{Interface: c.Egress.Interface, Buffer: hostsock.BufferSize}
	if k.command == nil {
		s.Mark = uint32(c.Route.Mark)
	}
	return s
}

// server does for a router, by a socket between the two, all that takes rights.
type server interface {
	Serve() error // until the router is gone, which is no error, or sends a message that no router sends
	Close() error
}

// serve starts the servers of a router, and returns its ends of their sockets: of the server that
// makes its sockets, of the one that searches, and of the stream by which it is asked for its
// figures. A router that sends them other messages is killed.
func (k *keeper) serve(c *child) (theirs []*os.File, err error) {
	starts := []func(*net.UnixConn) server{func(conn *net.UnixConn) server {
		v := sockets.NewServer(conn, k.socketSettings(k.config.Load()))
		k.sockets.Store(v)
		if k.sent.closed.Load() {
			v.Refuse()
		}
		return v
	}}
	if k.finder != nil {
		starts = append(starts, func(conn *net.UnixConn) server { return owner.NewServer(k.finder, conn) })
	}
	for _, start := range starts {
		ours, end, err := channel.Pair()
		if err != nil {
			channel.CloseFiles(theirs)
			return nil, err
		}
		theirs = append(theirs, end)
		v := start(ours)
		go func() {
			defer v.Close()
			k.unlessLies(c, v.Serve())
		}()
	}
	if k.page != nil {
		ours, end, err := channel.Stream()
		if err != nil {
			channel.CloseFiles(theirs)
			return nil, err
		}
		theirs = append(theirs, end)
		figures := channel.NewAsker(ours, web.MaxAnswer)
		c.figures.Store(figures)
		go func() { k.unlessLies(c, figures.Listen()) }()
	}
	return theirs, nil
}

// unlessLies kills a router that has sent a server a message that no router sends.
func (k *keeper) unlessLies(c *child, err error) {
	if err != nil {
		k.log.WithError(err).Error("the router says what no router says")
		_ = c.cmd.Process.Kill()
	}
}
