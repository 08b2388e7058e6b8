package main

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// The first byte of a connection, and of each datagram, asks the far end for something.
const (
	askEcho = 'e' // send back the bytes that follow; of a datagram, the whole
	askSink = 's' // receive
	askSend = 'd' // send without end
	askTLS  = 22  // a TLS record of a handshake (RFC 8446, section 5.1): echo within TLS
)

const (
	chunkSize    = 128 << 10 // of a write to a TCP socket
	datagramSize = 1400      // fits into a packet of the usual MTU
	readBuffer   = 4 << 20   // of a UDP socket; the kernel may allow less
)

// farEnd is the server behind the router.
type farEnd struct {
	*counter
	tls *tls.Config

	// By client, netip.AddrPort: when to stop sending datagrams, *atomic.Int64 in nanoseconds of
	// Unix time.
	sendUntil sync.Map
}

// serve answers TCP and UDP at an address until one of them fails.
func (f *farEnd) serve(addr string) error {
	var err error
	if f.tls, err = selfSigned(); err != nil {
		return err
	}
	packets, err := net.ListenPacket("udp", addr)
	if err != nil {
		return err
	}
	defer packets.Close()
	conn := packets.(*net.UDPConn)
	_ = conn.SetReadBuffer(readBuffer)
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	defer l.Close()
	failed := make(chan error, 2)
	go func() { failed <- serveTCP(l, f.handle) }()
	go func() { failed <- f.serveUDP(conn) }()
	return <-failed
}

// handle serves one connection. An idle one holds little memory.
func (f *farEnd) handle(conn *net.TCPConn) {
	defer conn.Close()
	buf := make([]byte, 1<<10)
	n, err := conn.Read(buf)
	if err != nil {
		return
	}
	switch buf[0] {
	case askEcho:
		echoTCP(conn, buf, n)
	case askSink:
		_ = receive(conn, f.counter)
	case askSend:
		_ = send(conn)
	case askTLS:
		f.echoTLS(conn, buf, n)
	}
}

// echoTCP sends back the bytes that it reads. The first read has begun: n bytes, of which the first
// is not data.
func echoTCP(conn net.Conn, buf []byte, n int) {
	for data := buf[1:n]; ; data = buf[:n] {
		if _, err := conn.Write(data); err != nil {
			return
		}
		var err error
		if n, err = conn.Read(buf); err != nil {
			return
		}
	}
}

// receive counts the bytes that arrive at a TCP or UDP socket, until it fails.
func receive(conn net.Conn, c *counter) error {
	buf := make([]byte, chunkSize)
	for {
		n, err := conn.Read(buf)
		c.bytes.Add(int64(n))
		if err != nil {
			return fmt.Errorf("receive: %w", err)
		}
	}
}

// send writes to a TCP connection until it fails.
func send(conn net.Conn) error {
	chunk := make([]byte, chunkSize)
	for {
		if _, err := conn.Write(chunk); err != nil {
			return fmt.Errorf("send: %w", err)
		}
	}
}

func (f *farEnd) serveUDP(conn *net.UDPConn) error {
	buf := make([]byte, 64<<10)
	for {
		n, from, err := conn.ReadFromUDPAddrPort(buf)
		if err != nil {
			return err
		}
		if n == 0 {
			continue
		}
		switch buf[0] {
		case askEcho:
			_, _ = conn.WriteToUDPAddrPort(buf[:n], from) // the client counts losses
		case askSink:
			f.bytes.Add(int64(n))
		case askSend:
			until, asked := f.sendUntil.LoadOrStore(from, new(atomic.Int64))
			until.(*atomic.Int64).Store(time.Now().Add(time.Second).UnixNano())
			if !asked {
				go sendDatagrams(conn, from, until.(*atomic.Int64))
			}
		}
	}
}

// sendDatagrams sends as fast as it can, as long as the client asks for more.
func sendDatagrams(conn *net.UDPConn, to netip.AddrPort, until *atomic.Int64) {
	datagram := make([]byte, datagramSize)
	for {
		if time.Now().UnixNano() > until.Load() {
			time.Sleep(10 * time.Millisecond)
			continue
		}
		_, _ = conn.WriteToUDPAddrPort(datagram, to) // datagrams that the kernel does not take are lost, as on the way
	}
}
