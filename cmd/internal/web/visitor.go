package web

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"sync"
)

// visitor is a connection to the server.
type visitor struct {
	net.Conn
	peer  string
	leave func() // the crowd of connections, once
}

// Close implements net.Conn.
func (v *visitor) Close() error {
	v.leave()
	return v.Conn.Close()
}

// visitors is a listener that never has a peer wait because of others: it accepts all, and closes
// the oldest connections of a peer that has too many.
type visitors struct {
	net.Listener
	crowd *crowd
}

// Accept implements net.Listener.
func (l *visitors) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	m := &member{peerOf(conn), func() { _ = conn.Close() }} // the server sees it fail, and closes the visitor
	l.crowd.enter(m)
	return &visitor{Conn: conn, peer: m.peer, leave: sync.OnceFunc(func() { l.crowd.leave(m) })}, nil
}

// peerOf names the peer of a connection: a user, where it comes by a Unix socket, or an address;
// of IPv6 a network of 64 bits, the least that one host has.
func peerOf(conn net.Conn) string {
	if unix, ok := conn.(*net.UnixConn); ok {
		return peerUser(unix)
	}
	a, err := netip.ParseAddrPort(conn.RemoteAddr().String())
	if err != nil {
		return ""
	}
	addr := a.Addr().Unmap().WithZone("")
	if addr.Is4() {
		return addr.String()
	}
	network, _ := addr.Prefix(64)
	return network.String()
}

type visitorKey struct{}

// withVisitor is for http.Server.ConnContext.
func withVisitor(ctx context.Context, conn net.Conn) context.Context {
	return context.WithValue(ctx, visitorKey{}, conn)
}

func visitorOf(r *http.Request) *visitor {
	v, _ := r.Context().Value(visitorKey{}).(*visitor)
	return v
}
