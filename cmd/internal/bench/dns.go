package main

import (
	"fmt"
	"net"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// serveDNS answers each query at an address with one A record, until it fails.
func serveDNS(addr string) error {
	conn, err := net.ListenPacket("udp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	buf := make([]byte, 512)
	for {
		n, from, err := conn.ReadFrom(buf)
		if err != nil {
			return err
		}
		var m dnsmessage.Message
		if m.Unpack(buf[:n]) != nil || len(m.Questions) != 1 {
			continue
		}
		m.Response = true
		q := m.Questions[0]
		header := dnsmessage.ResourceHeader{Name: q.Name, Class: dnsmessage.ClassINET, TTL: 60}
		address := &dnsmessage.AResource{A: [4]byte{203, 0, 113, 9}}
		m.Answers = []dnsmessage.Resource{{Header: header, Body: address}}
		if answer, err := m.Pack(); err == nil {
			_, _ = conn.WriteTo(answer, from) // the client counts losses
		}
	}
}

// lookUp asks for one name after the other, each from a socket of its own as a resolver of libc
// does.
func lookUp(c *counter, target string) error {
	for i := 0; ; i++ {
		if err := c.query(target, uint16(i)); err != nil {
			c.failed.Add(1)
		}
	}
}

// query asks for the address of one of a thousand names.
func (c *counter) query(target string, id uint16) error {
	name, err := dnsmessage.NewName(fmt.Sprintf("host%d.bench.example.com.", id%1000))
	if err != nil {
		return err
	}
	q := dnsmessage.Question{Name: name, Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET}
	m := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: id, RecursionDesired: true},
		Questions: []dnsmessage.Question{q},
	}
	question, err := m.Pack()
	if err != nil {
		return err
	}
	start := time.Now()
	conn, err := net.Dial("udp", target)
	if err != nil {
		return err
	}
	defer conn.Close()
	_ = conn.SetDeadline(start.Add(datagramPatience))
	if _, err := conn.Write(question); err != nil {
		return err
	}
	answer := make([]byte, 512)
	n, err := conn.Read(answer)
	if err != nil {
		return err
	}
	if err := m.Unpack(answer[:n]); err != nil || m.ID != id || len(m.Answers) == 0 {
		return fmt.Errorf("query %s: no answer: %w", name, err)
	}
	c.operation(time.Since(start))
	return nil
}
