package resolver

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// Of the nameservers, the next is asked where one fails, or has not answered for a while. Its
// answer counts all the same, for as long as a libc asks by default (resolv.conf(5)).
const (
	turn    = 2 * time.Second
	timeout = 8 * time.Second
	rounds  = 2
)

// maxMessage is the longest message (RFC 1035 §4.2.2).
const maxMessage = 1<<16 - 1

// ask returns the first answer of a nameserver to a question. One that fails is not the last word:
// the next may do better.
func (r *Resolver) ask(
	ctx context.Context, name dnsmessage.Name, typ dnsmessage.Type,
) (*dnsmessage.Message, error) {
	select {
	case r.asking <- struct{}{}:
		defer func() { <-r.asking }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	type reply struct {
		m   *dnsmessage.Message
		err error
	}
	servers := slices.Repeat(r.o.Servers(), rounds)
	replies := make(chan reply, len(servers))
	var asked sync.WaitGroup
	defer asked.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	next := time.NewTimer(0)
	defer next.Stop()
	err := errors.New("there is no nameserver")
	for failed, left := 0, servers; failed < len(servers); {
		select {
		case <-next.C:
			if len(left) == 0 {
				continue
			}
			server := left[0]
			left = left[1:]
			asked.Go(func() {
				m, err := r.askOne(ctx, server, name, typ)
				replies <- reply{m, err}
			})
			next.Reset(r.turn)
		case one := <-replies:
			if one.err == nil {
				return one.m, nil
			}
			err = one.err
			failed++
			next.Reset(0)
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return nil, err
}

// askOne asks one nameserver: by UDP and, where the answer is too long for that, by TCP.
func (r *Resolver) askOne(
	ctx context.Context, server netip.AddrPort, name dnsmessage.Name, typ dnsmessage.Type,
) (*dnsmessage.Message, error) {
	for _, network := range []string{"udp", "tcp"} {
		q, err := newQuestion(name, typ)
		if err != nil {
			return nil, err
		}
		m, err := r.exchange(ctx, network, server, q)
		if err != nil {
			return nil, err
		}
		if m.Truncated && network == "udp" {
			continue
		}
		if m.RCode != dnsmessage.RCodeSuccess && m.RCode != dnsmessage.RCodeNameError {
			return nil, fmt.Errorf("nameserver %s: %v", server, m.RCode)
		}
		return m, nil
	}
	return nil, fmt.Errorf("nameserver %s cuts its answer", server)
}

func newQuestion(name dnsmessage.Name, typ dnsmessage.Type) ([]byte, error) {
	opt := dnsmessage.Resource{Body: &dnsmessage.OPTResource{}}
	if err := opt.Header.SetEDNS0(payloadSize, 0, false); err != nil {
		return nil, err
	}
	m := dnsmessage.Message{
		Header:      dnsmessage.Header{ID: uint16(rand.Uint32()), RecursionDesired: true},
		Questions:   []dnsmessage.Question{{Name: name, Type: typ, Class: dnsmessage.ClassINET}},
		Additionals: []dnsmessage.Resource{opt},
	}
	return m.Pack()
}

// exchange sends a question and returns the message that answers it; others are not looked at.
func (r *Resolver) exchange(
	ctx context.Context, network string, server netip.AddrPort, q []byte,
) (*dnsmessage.Message, error) {
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	c, err := r.o.Dial(ctx, network, server)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })()
	if network == "tcp" {
		q = append(binary.BigEndian.AppendUint16(nil, uint16(len(q))), q...)
	}
	if _, err := c.Write(q); err != nil {
		return nil, err
	}
	if network == "tcp" {
		b, err := readTCP(c)
		if err != nil {
			return nil, err
		}
		if m := answerTo(q[2:], b); m != nil {
			return m, nil
		}
		return nil, fmt.Errorf("nameserver %s answers another question", server)
	}
	b := make([]byte, maxMessage)
	for {
		n, err := c.Read(b)
		if err != nil {
			return nil, err
		}
		if m := answerTo(q, b[:n]); m != nil {
			return m, nil
		}
	}
}

// answerTo parses a message, and returns nil unless it answers a question.
func answerTo(q, b []byte) *dnsmessage.Message {
	end := questionEnd(q)
	if len(b) < end || b[0] != q[0] || b[1] != q[1] || b[2]&0x80 == 0 ||
		!bytes.EqualFold(b[headerLen:end], q[headerLen:end]) {
		return nil
	}
	m := new(dnsmessage.Message)
	if m.Unpack(b) == nil {
		return m
	}
	// A record that cannot be read spoils no other section: the answers count.
	var p dnsmessage.Parser
	h, err := p.Start(b)
	if err != nil || p.SkipAllQuestions() != nil {
		return nil
	}
	m = &dnsmessage.Message{Header: h}
	if m.Answers, err = p.AllAnswers(); err != nil {
		return nil
	}
	return m
}

func readTCP(c net.Conn) ([]byte, error) {
	var size [2]byte
	if _, err := io.ReadFull(c, size[:]); err != nil {
		return nil, err
	}
	b := make([]byte, binary.BigEndian.Uint16(size[:]))
	_, err := io.ReadFull(c, b)
	return b, err
}
