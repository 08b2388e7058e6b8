package main

import (
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"time"
)

// The first byte of a connection, and of each datagram, asks the far end for something.
const (
	askEcho = 'e' // send back the bytes that follow; of a datagram, the whole
	askSink = 's' // receive
	askSend = 'd' // send without end
)

const (
	chunkSize    = 128 << 10 // of a write to a TCP socket
	datagramSize = 1400      // fits into a packet of the usual MTU
	readBuffer   = 4 << 20   // of a UDP socket; the kernel may allow less
)

// farEnd is the server behind the router.
type farEnd struct {
	*counter
	sendUntil atomic.Int64 // when to stop sending datagrams, in nanoseconds of Unix time; each askSend moves it
	sending   atomic.Bool
}

// serve answers TCP and UDP at an address until one of them fails.
func (f *farEnd) serve(addr string) error {
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
	}
}

// echoTCP sends back the bytes that it reads. The first read has begun: n bytes, of which the first
// is not data.
func echoTCP(conn *net.TCPConn, buf []byte, n int) {
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
			f.sendUntil.Store(time.Now().Add(time.Second).UnixNano())
			if f.sending.CompareAndSwap(false, true) {
				go f.sendDatagrams(conn, from)
			}
		}
	}
}

// sendDatagrams sends as fast as it can, as long as the client asks for more.
func (f *farEnd) sendDatagrams(conn *net.UDPConn, to netip.AddrPort) {
	defer f.sending.Store(false)
	datagram := make([]byte, datagramSize)
	for time.Now().UnixNano() < f.sendUntil.Load() {
		_, _ = conn.WriteToUDPAddrPort(datagram, to) // datagrams that the kernel does not take are lost, as on the way
	}
}
