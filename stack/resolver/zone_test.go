package resolver

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"syntap/tun/tuntest"
)

// zone is a nameserver that answers from a table, by UDP and TCP.
type zone struct {
	addr netip.AddrPort

	mu    sync.Mutex
	asked []string
	names map[string][]dnsmessage.ResourceBody // by name and type
	ttl   uint32
	cut   bool            // answers by UDP are cut
	fails dnsmessage.Type // questions for it have the answer SERVFAIL
	soa   uint32          // the TTL of answers without records; 0 = they have none
	holds dnsmessage.Type // answers by UDP to questions for it wait in held
	held  []func()
}

func serveZone(t *testing.T, names map[string][]dnsmessage.ResourceBody) *zone {
	t.Helper()
	z := &zone{names: names, ttl: 300}
	udp, tcp := listenBoth(t)
	z.addr = udp.LocalAddr().(*net.UDPAddr).AddrPort()
	var serving sync.WaitGroup
	serving.Go(func() {
		b := make([]byte, maxMessage)
		for {
			n, from, err := udp.ReadFromUDPAddrPort(b)
			if err != nil {
				return
			}
			a := z.answer(b[:n], true)
			z.send(a, func() { _, _ = udp.WriteToUDPAddrPort(a, from) })
		}
	})
	serving.Go(func() {
		for {
			c, err := tcp.Accept()
			if err != nil {
				return
			}
			if q, err := readTCP(c); err == nil {
				a := z.answer(q, false)
				_, _ = c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(a))), a...))
			}
			_ = c.Close()
		}
	})
	t.Cleanup(func() { _ = udp.Close(); _ = tcp.Close(); serving.Wait() })
	return z
}

// listenBoth listens at a port that is free for UDP and TCP.
func listenBoth(t *testing.T) (udp *net.UDPConn, tcp net.Listener) {
	t.Helper()
	for deadline := time.Now().Add(tuntest.Patience); ; {
		udp, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			t.Fatal(err)
		}
		tcp, err := net.Listen("tcp4", udp.LocalAddr().String())
		if err == nil {
			return udp, tcp
		}
		_ = udp.Close()
		if !errors.Is(err, syscall.EADDRINUSE) || time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

func (z *zone) answer(q []byte, udp bool) []byte {
	z.mu.Lock()
	defer z.mu.Unlock()
	var m dnsmessage.Message
	if err := m.Unpack(q); err != nil {
		return nil
	}
	question := m.Questions[0]
	name := strings.TrimSuffix(strings.ToLower(question.Name.String()), ".")
	z.asked = append(z.asked, name+" "+strings.TrimPrefix(question.Type.String(), "Type"))
	a := dnsmessage.Message{Header: dnsmessage.Header{ID: m.ID, Response: true}, Questions: m.Questions}
	bodies, ok := z.names[name]
	if !ok {
		a.RCode = dnsmessage.RCodeNameError
	}
	if question.Type == z.fails {
		a.RCode, bodies = dnsmessage.RCodeServerFailure, nil
	}
	if z.cut && udp {
		a.Truncated, bodies = true, nil
	}
	for _, body := range bodies {
		r := dnsmessage.Resource{Header: dnsmessage.ResourceHeader{Name: question.Name, Class: 1, TTL: z.ttl}, Body: body}
		if typeOf(body) == question.Type {
			a.Answers = append(a.Answers, r)
		}
	}
	if z.soa > 0 && len(a.Answers) == 0 {
		root := dnsmessage.MustNewName(".")
		a.Authorities = []dnsmessage.Resource{{
			Header: dnsmessage.ResourceHeader{Name: root, Class: 1, TTL: 2 * z.soa},
			Body:   &dnsmessage.SOAResource{NS: root, MBox: root, MinTTL: z.soa},
		}}
	}
	b, err := a.Pack()
	if err != nil {
		panic(err)
	}
	return b
}

// hold has answers to questions for a type wait until release is called.
func (z *zone) hold(typ dnsmessage.Type) (release func()) {
	z.change(func() { z.holds = typ })
	return func() {
		z.change(func() {
			for _, send := range z.held {
				send()
			}
			z.holds, z.held = 0, nil
		})
	}
}

// send calls send, or keeps it where the answer has to wait.
func (z *zone) send(answer []byte, send func()) {
	z.mu.Lock()
	defer z.mu.Unlock()
	var m dnsmessage.Message
	if m.Unpack(answer) == nil && m.Questions[0].Type == z.holds {
		z.held = append(z.held, send)
		return
	}
	send()
}

func typeOf(body dnsmessage.ResourceBody) dnsmessage.Type {
	switch body := body.(type) {
	case *dnsmessage.AResource:
		return dnsmessage.TypeA
	case *dnsmessage.AAAAResource:
		return dnsmessage.TypeAAAA
	case *dnsmessage.TXTResource:
		return dnsmessage.TypeTXT
	case *dnsmessage.MXResource:
		return dnsmessage.TypeMX
	case *dnsmessage.HTTPSResource:
		return dnsmessage.TypeHTTPS
	case *dnsmessage.UnknownResource:
		return body.Type
	}
	return 0
}

func (z *zone) change(f func()) {
	z.mu.Lock()
	defer z.mu.Unlock()
	f()
}

func (z *zone) times(question string) int {
	z.mu.Lock()
	defer z.mu.Unlock()
	n := 0
	for _, a := range z.asked {
		if a == question {
			n++
		}
	}
	return n
}

func a4(s string) dnsmessage.ResourceBody {
	return &dnsmessage.AResource{A: netip.MustParseAddr(s).As4()}
}

func a6(s string) dnsmessage.ResourceBody {
	return &dnsmessage.AAAAResource{AAAA: netip.MustParseAddr(s).As16()}
}
