package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"time"
)

// load is a kind of traffic towards target, counted in c. It goes on until it fails.
type load func(c *counter, target string) error

// loads returns the kinds of load by name.
func loads() map[string]load {
	opening := make(chan struct{}, 16)
	return map[string]load{
		"up":       upload,
		"down":     download,
		"connect":  connect,
		"tls":      connectTLS,
		"echo":     roundTrips,
		"hold":     func(c *counter, target string) error { return hold(c, target, opening) },
		"udp-up":   blast,
		"udp-down": collect,
		"udp-echo": datagramTrips,
		"dns":      lookUp,
	}
}

// parallel starts a load n times and returns the first error, or nil once all have ended.
func (l load) parallel(c *counter, target string, n int) error {
	ended := make(chan error, n)
	for range n {
		go func() { ended <- l(c, target) }()
	}
	for range n {
		if err := <-ended; err != nil {
			return err
		}
	}
	return nil
}

// How long a load waits for one answer. A datagram may be lost.
const (
	patience         = 3 * time.Second
	datagramPatience = 200 * time.Millisecond
)

// open makes a TCP connection and asks the far end for something.
func open(target, ask string) (*net.TCPConn, error) {
	conn, err := net.DialTimeout("tcp", target, patience)
	if err != nil {
		return nil, err
	}
	if _, err := io.WriteString(conn, ask); err != nil {
		conn.Close()
		return nil, err
	}
	return conn.(*net.TCPConn), nil
}

func upload(_ *counter, target string) error {
	conn, err := open(target, string(askSink))
	if err != nil {
		return err
	}
	defer conn.Close()
	return send(conn)
}

func download(c *counter, target string) error {
	conn, err := open(target, string(askSend))
	if err != nil {
		return err
	}
	defer conn.Close()
	return receive(conn, c)
}

// connect opens one connection after the other. One that echoes a byte is done.
func connect(c *counter, target string) error {
	for {
		start := time.Now()
		conn, err := openEcho(target)
		if err != nil {
			c.failed.Add(1)
			continue
		}
		c.operation(time.Since(start))
		_ = conn.SetLinger(0) // a port in TIME_WAIT is one less to connect from
		conn.Close()
	}
}

// openEcho makes a connection that has echoed one byte.
func openEcho(target string) (*net.TCPConn, error) {
	conn, err := open(target, string(askEcho)+"1")
	if err != nil {
		return nil, err
	}
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	if _, err := io.ReadFull(conn, make([]byte, 1)); err != nil {
		conn.Close()
		return nil, fmt.Errorf("wait for echo: %w", err)
	}
	_ = conn.SetReadDeadline(time.Time{})
	return conn, nil
}

// roundTripSize is that of a small request and its answer.
const roundTripSize = 64

func roundTrips(c *counter, target string) error {
	conn, err := openEcho(target)
	if err != nil {
		return err
	}
	defer conn.Close()
	message := make([]byte, roundTripSize)
	for {
		if err := roundTrip(c, conn, message); err != nil {
			return err
		}
	}
}

// datagramTrips counts as failed a datagram whose answer does not come.
func datagramTrips(c *counter, target string) error {
	conn, err := net.Dial("udp", target)
	if err != nil {
		return err
	}
	defer conn.Close()
	message := make([]byte, roundTripSize)
	message[0] = askEcho
	for n := uint64(0); ; n++ {
		binary.BigEndian.PutUint64(message[1:], n)
		if datagramTrip(c, conn, message) != nil {
			c.failed.Add(1)
		}
	}
}

// datagramTrip skips the answers to earlier messages that were given up: a client that is stopped
// for its turn finds one later.
func datagramTrip(c *counter, conn net.Conn, message []byte) error {
	start := time.Now()
	_ = conn.SetDeadline(start.Add(datagramPatience))
	if _, err := conn.Write(message); err != nil {
		return err
	}
	for answer := make([]byte, len(message)); !bytes.Equal(answer, message); {
		if _, err := conn.Read(answer); err != nil {
			return err
		}
	}
	c.operation(time.Since(start))
	return nil
}

func roundTrip(c *counter, conn net.Conn, message []byte) error {
	start := time.Now()
	_ = conn.SetDeadline(start.Add(patience))
	if _, err := conn.Write(message); err != nil {
		return err
	}
	if _, err := io.ReadFull(conn, message); err != nil {
		return err
	}
	c.operation(time.Since(start))
	return nil
}

// hold opens a connection and leaves it open. The capacity of opening is how many may be opened at
// once.
func hold(c *counter, target string, opening chan struct{}) error {
	opening <- struct{}{}
	conn, err := openEcho(target)
	<-opening
	if err != nil {
		c.failed.Add(1)
		return nil
	}
	defer conn.Close()
	c.done.Add(1)
	_, err = conn.Read(make([]byte, 1))
	return fmt.Errorf("hold a connection: %w", err)
}

// blast sends datagrams as fast as the kernel takes them.
func blast(_ *counter, target string) error {
	conn, err := net.Dial("udp", target)
	if err != nil {
		return err
	}
	defer conn.Close()
	datagram := make([]byte, datagramSize)
	datagram[0] = askSink
	for {
		_, _ = conn.Write(datagram) // datagrams that the kernel does not take are lost, as on the way
	}
}

// collect asks for datagrams, again and again, and counts those that arrive.
func collect(c *counter, target string) error {
	conn, err := net.Dial("udp", target)
	if err != nil {
		return err
	}
	defer conn.Close()
	_ = conn.(*net.UDPConn).SetReadBuffer(readBuffer)
	go func() {
		for {
			_, _ = conn.Write([]byte{askSend})
			time.Sleep(50 * time.Millisecond)
		}
	}()
	return receive(conn, c)
}
