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

// socketSettings are those of upstream sockets. The router sets the others: they take no rights.
// Nothing of the host tells those of exec from others.
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

// serve has servers serve a router, which is killed if it sends other messages. It returns the
// router's ends: of the server of its sockets, of that of its searches, and of the stream by which
// it is asked for its figures.
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

// unlessLies kills a router of which a server has heard an error.
func (k *keeper) unlessLies(c *child, err error) {
	if err != nil {
		k.log.WithError(err).Error("the router says what no router says")
		_ = c.cmd.Process.Kill()
	}
}
