package main

import (
	"fmt"
	"net"
)

// at is a case in a lab of its own form.
func at(p place, c benchCase) benchCase {
	c.place = p
	return c
}

// option is a case that is measured with the variants of syntap too.
func option(c benchCase) benchCase {
	c.option = true
	return c
}

// beside is a case while other streams have all the room there is.
func beside(kind string, streams int, c benchCase) benchCase {
	return after(c, func(t *trial) error { return t.startBulk(kind, streams) })
}

// besideIdle is a case while many connections are open and idle.
func besideIdle(c benchCase) benchCase {
	return after(c, func(t *trial) error {
		n, err := holdable(t.beside)
		if err != nil {
			return err
		}
		client, err := t.hold(n)
		if err != nil {
			return err
		}
		if err := t.wait(t.window); err != nil { // the router may have work left from opening them
			return err
		}
		s, err := client.sample()
		if err == nil && s.Done < int64(n) {
			err = fmt.Errorf("%d of %d could be opened", s.Done, n)
		}
		return err
	})
}

// withDNS is a case beside a name server.
func withDNS(c benchCase) benchCase {
	c.udp = true
	return after(c, func(t *trial) error {
		_, err := t.startChild(t.lab.far, "dns", net.JoinHostPort(farAddr, dnsPort))
		return err
	})
}

// overQUIC is a case whose far end is the program of tools/quicload.
func overQUIC(c benchCase) benchCase {
	c.udp, c.quic = true, true
	return after(c, func(t *trial) (err error) {
		command := []string{t.paths[quicload.command], "serve", net.JoinHostPort(farAddr, quicPort)}
		if t.far, err = t.startOther(t.lab.far, command); err == nil {
			_, err = t.far.sample() // it answers when it listens
		}
		return err
	})
}

// after is a case that needs more preparation.
func after(c benchCase, prepare func(t *trial) error) benchCase {
	start := c.start
	c.start = func(t *trial) (*child, error) {
		if err := prepare(t); err != nil {
			return nil, err
		}
		return start(t)
	}
	return c
}
