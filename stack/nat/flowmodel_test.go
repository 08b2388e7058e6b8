//go:build linux

package nat

import (
	"bytes"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"syntap/stack/dial"
	"syntap/stack/nat/flows"
	"syntap/stack/nat/hostsock"
	"syntap/stack/nat/mappings"
	tunflow "syntap/tun/flow"
	"syntap/tun/tuntest"
)

// flowModel is a NAT whose far ends are sockets of the test, beside a model of its flows.
type flowModel struct {
	t      *testing.T
	router *testRouter
	log    *testLog
	far    [3]int // the last refuses datagrams
	ports  [3]uint16
	peers  map[[2]int]netip.AddrPort // of a client's socket, by client and far end
	open   map[[2]int]*modelFlow     // by client and far end
	all    []*modelFlow
	sent   byte // numbers the frames
}

type modelFlow struct {
	opened       *tunflow.Datagram
	client, far  int
	recorded     bool
	held         []modelFrame
	packets, out uint64
	replies      uint64
}

// modelFrame is n datagrams that hold a number.
type modelFrame struct {
	number byte
	n      int
}

const modelSize = 100 // of a datagram

// client returns one of two, each with an address of its own.
func (m *flowModel) client(c int) netip.AddrPort {
	return netip.AddrPortFrom([]netip.Addr{clientV4, clientV4.Next()}[c], 5000)
}

// FuzzFlows has flows begin, get on record, wait in vain, be answered, idle and end, in any order.
// What reaches a far end is on record and in order, and each flow ends once with its counts.
func FuzzFlows(f *testing.F) {
	f.Add([]byte{0x00, 0x08, 0x01, 0x02, 0x03, 0x00, 0x04, 0x00, 0x02, 0x05})
	f.Add([]byte{0x06, 0x00, 0x06, 0x00, 0x07, 0x02, 0x00, 0x10, 0x02, 0x10, 0x0b, 0x13})
	f.Add(bytes.Repeat([]byte{0x00, 0x01, 0x09}, 40))
	f.Fuzz(func(t *testing.T, ops []byte) {
		if len(ops) > 200 {
			t.Skip()
		}
		m := newFlowModel(t)
		for _, op := range ops {
			m.do(op)
		}
		m.finish()
	})
}

func newFlowModel(t *testing.T) *flowModel {
	m := &flowModel{
		t: t, log: newTestLog(false),
		peers: make(map[[2]int]netip.AddrPort), open: make(map[[2]int]*modelFlow),
	}
	for i := range m.far {
		m.far[i], m.ports[i] = lonePeer(t)
	}
	// A socket with a peer refuses the datagrams of others.
	if err := unix.Connect(m.far[2], &unix.SockaddrInet4{Port: 9, Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	d := dial.Options{Redirect: tuntest.ToLoopback}
	m.router = newRouter(t, &sink{}, d, m.log.options(Options{}))
	m.log.nat = m.router.NAT
	m.router.recorder.Patience = time.Hour
	return m
}

// do takes a step: the low bits of op choose it, the others its parameters.
func (m *flowModel) do(op byte) {
	arg := int(op >> 3)
	c, far := arg&1, arg>>1%3
	switch op & 7 {
	case 0:
		m.send(c, far, 1)
	case 1:
		m.send(c, far, 3)
	case 2:
		m.record(arg)
	case 3:
		m.reply(c, far)
	case 4:
		if mapping := m.mapping(c); mapping != nil {
			mapping.EndIdleFlows(m.router.table.Now())
			m.endAll(c)
		}
	case 5:
		m.closeMapping(c)
	case 6:
		m.log.admit(tunflow.Wait - m.log.admission)
	case 7:
		m.router.recorder.Patience = 0
		m.router.recorder.Turn()
		m.router.recorder.Patience = time.Hour
		for _, l := range m.open {
			l.held = nil
		}
	}
	m.relayErrors()
}

func (m *flowModel) mapping(c int) *mapping {
	return m.router.mappingAt(mappings.Key{Client: mappings.UDP(m.client(c)), Local: loopbackV4})
}

// relayErrors has the NAT read the errors of its sockets, so that none meets a later send.
func (m *flowModel) relayErrors() {
	for c := range 2 {
		if mapping := m.mapping(c); mapping != nil {
			m.router.replies.ready(mapping, unix.EPOLLERR)
		}
	}
}

// send has a client send a frame of n datagrams.
func (m *flowModel) send(c, far, n int) {
	m.sent++
	server := netip.AddrPortFrom(serverV4, m.ports[far])
	payload := bytes.Repeat([]byte{m.sent}, n*modelSize)
	segment := uint16(0)
	if n > 1 {
		segment = modelSize
	}
	before := len(m.log.opened)
	m.router.route(tuntest.Offloaded(datagram(m.client(c), server, payload), segment))
	k := [2]int{c, far}
	l := m.open[k]
	if l == nil {
		if m.log.admission != tunflow.Admit {
			return
		}
		if len(m.log.opened) != before+1 {
			m.t.Fatalf("%d openings for the first frame of a flow", len(m.log.opened)-before)
		}
		l = &modelFlow{opened: m.log.opened[before], client: c, far: far}
		m.open[k] = l
		m.all = append(m.all, l)
	} else if len(m.log.opened) != before {
		m.t.Fatal("an open flow is opened again")
	}
	frame := modelFrame{m.sent, n}
	if l.recorded {
		m.arrives(l, frame)
		return
	}
	held := n
	for _, h := range l.held {
		held += h.n
	}
	if held <= flows.MaxHeld {
		l.held = append(l.held, frame)
	}
}

// arrives wants the datagrams of a frame at their far end next.
func (m *flowModel) arrives(l *modelFlow, frame modelFrame) {
	m.t.Helper()
	l.packets += uint64(frame.n)
	l.out += uint64(frame.n * modelSize)
	if l.far == 2 {
		return
	}
	var msg hostsock.Msghdr
	b := make([]byte, 2*modelSize)
	for range frame.n {
		tuntest.Wait(m.t, "a datagram", func() bool {
			n, errno := msg.Receive(m.far[l.far], b, 0)
			return errno == 0 && n == modelSize
		})
		if b[0] != frame.number {
			m.t.Fatalf("far end %d got frame %d, want %d", l.far, b[0], frame.number)
		}
	}
	m.peers[[2]int{l.client, l.far}] = msg.Peer.AddrPort()
}

// record puts the nth flow on record, again perhaps.
func (m *flowModel) record(n int) {
	if len(m.all) == 0 {
		return
	}
	l := m.all[n%len(m.all)]
	m.router.Recorded(l.opened)
	m.router.recorder.Turn()
	if m.open[[2]int{l.client, l.far}] != l {
		return
	}
	l.recorded = true
	for _, frame := range l.held {
		m.arrives(l, frame)
	}
	l.held = nil
}

// reply has a far end answer a client.
func (m *flowModel) reply(c, far int) {
	peer, ok := m.peers[[2]int{c, far}]
	mapping := m.mapping(c)
	if !ok || mapping == nil || mapping.Own != peer {
		return
	}
	frames := m.router.link.(*sink)
	before := frames.frames
	var msg hostsock.Msghdr
	if errno := msg.Send(m.far[far], peer, 0, make([]byte, modelSize)); errno != 0 {
		m.t.Fatal(errno)
	}
	tuntest.Wait(m.t, "a reply", func() bool {
		m.router.replies.ready(mapping, unix.EPOLLIN)
		return frames.frames > before
	})
	if l := m.open[[2]int{c, far}]; l != nil {
		l.replies++
	}
}

// endAll notes that the flows of a client have ended.
func (m *flowModel) endAll(c int) {
	for far := range m.far {
		k := [2]int{c, far}
		if l := m.open[k]; l != nil {
			delete(m.open, k)
			if _, ok := m.log.ended[l.opened]; !ok {
				m.t.Errorf("flow of client %d to far end %d lives on", c, far)
			}
		}
	}
}

// closeMapping ends the mapping of a client, if it may give way.
func (m *flowModel) closeMapping(c int) {
	if m.router.table.EvictOf(m.client(c).Addr(), false) {
		m.endAll(c)
	}
}

// finish ends all and compares.
func (m *flowModel) finish() {
	m.router.stop()
	for c := range 2 {
		m.endAll(c)
	}
	var msg hostsock.Msghdr
	for i, fd := range m.far[:2] {
		if _, errno := msg.Receive(fd, make([]byte, 2*modelSize), 0); errno != unix.EAGAIN {
			m.t.Errorf("far end %d has got more", i)
		}
	}
	m.log.ends(m.t)
	if n := m.log.endings(); n != len(m.all) {
		m.t.Errorf("%d flows have ended, want %d", n, len(m.all))
	}
	for _, l := range m.all {
		got := m.log.ended[l.opened]
		if l.far == 2 { // errors may have kept some here
			if got.OutboundPackets > l.packets || got.Outcome == tunflow.Answered {
				m.t.Errorf("%+v, want %d packets at most", got, l.packets)
			}
			continue
		}
		outcome := tunflow.NoAnswer
		if l.replies > 0 {
			outcome = tunflow.Answered
		}
		if got.OutboundPackets != l.packets || got.Outbound != l.out || got.Outcome != outcome ||
			got.InboundPackets != l.replies || got.Inbound != l.replies*modelSize {
			m.t.Errorf("%+v, want %+v", got, l)
		}
	}
	left := tuntest.Filled(m.router.recorder, "recorder", "syntap/stack/nat")
	if len(left) > 0 {
		m.t.Errorf("left: %v", left)
	}
}
