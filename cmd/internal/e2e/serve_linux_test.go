package e2e_test

import (
	"errors"
	"io"
	"net"

	"syntap/tun/tuntest"
)

// serveAll serves connections, each in a goroutine of its own, until the listener is closed.
func serveAll(l net.Listener, serve func(*net.TCPConn)) {
	for {
		conn, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			panic(err) // a server that is gone looks like a router that loses connections
		}
		go func() {
			defer conn.Close()
			serve(conn.(*net.TCPConn))
		}()
	}
}

// serveEcho is an echo server of ns on a TCP address, until the test ends.
func serveEcho(ns *tuntest.Namespace, address string) {
	go serveAll(ns.Listen("tcp", address), func(conn *net.TCPConn) { _, _ = io.Copy(conn, conn) })
}
