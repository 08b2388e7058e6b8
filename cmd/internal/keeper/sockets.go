//go:build linux

package keeper

import (
	"os"

	"syntap/cmd/internal/channel"
	"syntap/cmd/internal/config"
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

// serve starts the server that makes a router's sockets, and returns the router's ends: of that
// server, and of the stream by which it is asked for its figures. A router that sends other
// messages is killed.
func (k *keeper) serve(c *child) (theirs []*os.File, err error) {
	ours, end, err := channel.Pair()
	if err != nil {
		return nil, err
	}
	theirs = append(theirs, end)
	v := sockets.NewServer(ours, k.socketSettings(k.config.Load()))
	k.sockets.Store(v)
	if k.sent.closed.Load() {
		v.Refuse()
	}
	go func() {
		defer v.Close()
		k.unlessLies(c, v.Serve())
	}()
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
