package main

import (
	"io"
	"net"
	"sync"
)

// relay joins each connection that l accepts with one of its own to target, and copies both ways.
func relay(l net.Listener, target string) error {
	return serveTCP(l, func(client *net.TCPConn) {
		defer client.Close()
		conn, err := net.Dial("tcp", target)
		if err != nil {
			return
		}
		defer conn.Close()
		upstream := conn.(*net.TCPConn)
		var upload sync.WaitGroup
		upload.Go(func() { copyAndClose(upstream, client) })
		copyAndClose(client, upstream)
		upload.Wait()
	})
}

// copyAndClose copies until src has no more, and passes its end on. The bytes go through user
// memory, as they must in a router behind a TUN: the wrappers hide the sockets from io.CopyBuffer,
// which would use splice(2).
func copyAndClose(dst, src *net.TCPConn) {
	if _, err := io.CopyBuffer(struct{ io.Writer }{dst}, struct{ io.Reader }{src}, make([]byte, 256<<10)); err != nil {
		_ = dst.SetLinger(0) // src was reset, or dst is
	}
	_ = dst.CloseWrite()
}

// serveTCP hands each connection to a goroutine of its own, until the listener fails.
func serveTCP(l net.Listener, handle func(*net.TCPConn)) error {
	for {
		conn, err := l.Accept()
		if err != nil {
			return err
		}
		go handle(conn.(*net.TCPConn))
	}
}
