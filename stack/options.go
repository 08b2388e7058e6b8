//go:build linux

package stack

import (
	"net/netip"
	"time"

	"github.com/sirupsen/logrus"

	"syntap/stack/dial"
	"syntap/stack/gate"
	"syntap/stack/nat/mappings"
	tunflow "syntap/tun/flow"
	"syntap/tun/packet"
)

// Options of a Stack. Zero values select the defaults named with each field.
type Options struct {
	DialTimeout      time.Duration // of one handshake, all tries together; 10 s
	HandshakeTimeout time.Duration // from our SYN-ACK to the client's ACK; 5 s

	Keepalive dial.Keepalive // of connections to clients; that of host sockets is the Dialer's

	TCPFlows          int // handshakes and connections together; 16384
	HalfOpen          int // handshakes that wait for the ACK of their client; 4096
	HalfOpenPerSource int // the same of one client; an IPv6 /64 that is not Local has twice as many; 1024

	// Memory bounds the memory of all connections in bytes: in netstack, here and in the kernel's
	// sockets; 256 MiB.
	Memory int64

	Datagrams mappings.Limits // of UDP and echoes

	// Sources reports whether an address may send datagrams and echo requests; nil allows all. It
	// must not block.
	Sources func(netip.Addr) bool

	// Host are the addresses of this host; nil makes a set of them for sockets without mark. Run
	// closes it.
	Host *dial.HostAddrs

	// Local reports by its address whether a client is a program of this host. Such clients
	// together may have all but an eighth of the mappings of Datagrams. nil means Host.Contains. It
	// must not block.
	Local func(netip.Addr) bool

	// KeepSource reports whether the host sockets of a client get the client's own address, which
	// must be one of the host's. Then the host's rules that select by source address match them,
	// and far ends see the address that the client has told them. nil means never.
	KeepSource func(client netip.Addr) bool

	// Workers is the number of goroutines that move the payload of connections: as many as Go's
	// runtime runs at a time (GOMAXPROCS); 1.
	Workers int

	// BusyPoll is how long the poller busy-polls after traffic before it blocks, if that pays
	// (sched.BusyPoll); 0 disables it. It occupies a processor meanwhile, so it needs a machine
	// with more processors than Workers.
	BusyPoll time.Duration

	// DialDone receives the end of each dial before the client is answered. It runs on the packet
	// path and must not block. nil disables it.
	DialDone func(tunflow.Dial)

	// BeforeAnswer holds back the answer to a client whose dial has ended until it calls answer,
	// once and from any goroutine. It must not block. It is not called for a dial without an
	// answer. nil disables it.
	BeforeAnswer func(k tunflow.Key, answer func())

	// ClientEnds receives the client of each FIN and RST that comes from one, before the far side
	// has it. It runs on the packet path and must not block. nil disables it.
	ClientEnds func(client netip.AddrPort)

	// Denied receives the destination of each SYN or datagram that the dialer's policy forbids, and
	// the decision. It runs on the packet path and must not block. nil disables it.
	Denied func(server netip.Addr, d *tunflow.Decision)

	// AwaitRecord holds back the payload of every connection, in both directions, until
	// Stack.Recorded reports its handshake. A connection that waits longer than HandshakeTimeout is
	// reset.
	AwaitRecord bool

	// DatagramOpened receives each flow without a handshake before its first datagram leaves, and
	// each that policy forbids or to which the host has no route. If it returns Admit, the
	// datagrams of the flow wait for Stack.DatagramRecorded, which it may call itself. With Wait
	// they are dropped, with Refuse they are also answered. It owns the Datagram, runs on the
	// packet path and must not block. nil disables records of datagrams.
	DatagramOpened func(*tunflow.Datagram) tunflow.Admission

	// BeforeDatagramAnswer is BeforeAnswer for the first datagram d of a flow that policy forbids
	// or to which the host has no route. nil disables it.
	BeforeDatagramAnswer func(d *tunflow.Datagram, answer func())

	// SameSender reports whether a client still sends through the socket that has begun a UDP flow.
	// It is called after a pause of the client; if it returns false, a new flow begins. nil
	// disables it.
	SameSender func(*tunflow.Datagram) bool

	// DNSAnswered receives each response to a DNS query before the client does, with the Opening of
	// the query's Datagram or, of a query by TCP, of its connection. It needs DatagramOpened, runs
	// on the packet path and must not block. nil disables it.
	DNSAnswered func(client netip.AddrPort, opening tunflow.Opening, response *tunflow.DNS)

	// Question decides on a client's DNS query if the ruling on its flow has Names, or if only DNS
	// queries may go to its server. A denied query does not leave: the client gets the response of
	// resolver.Blocked. A query by TCP that is not complete within 30 s resets its connection.
	// opening is that of the connection, nil for UDP. It runs on the packet path and must not
	// block. nil disables it.
	Question func(
		p tunflow.Proto, client, server netip.AddrPort, opening tunflow.Opening, query *tunflow.DNS,
	) *tunflow.Decision

	// Contradicts reports whether the first bytes of a client say another name than that of its
	// connection, which is then reset before any of them leaves. The bytes wait until they say a
	// name, or show that they will not, or until the far side has sent something. After 30 s, or if
	// a server may read a name that inspect.Strict cannot, the connection is reset, too. Of the
	// flow, only Key, Opening, Hello and HTTPHost are set. It must not block. nil disables it.
	Contradicts func(f *tunflow.Flow) bool

	// Strict reports whether Contradicts applies to a new connection with this opening. The first
	// bytes of others do not wait. nil means always.
	Strict func(opening tunflow.Opening) bool

	// Forbidden receives each connection that will be reset, and each QUIC flow whose datagrams
	// will all be dropped, because of the name that the client says, or because it cannot be read.
	// Of the flow, the same fields are set as for Contradicts; Hello and HTTPHost are empty if the
	// name cannot be read. remote is the far side. It must not block. nil disables it.
	Forbidden func(f tunflow.Flow, remote netip.AddrPort)

	// FlowDone receives the end of each connection, and of each flow that DatagramOpened has
	// admitted and policy has not denied. It may be called with locks of netstack and package nat
	// held and must not block. nil disables it.
	FlowDone func(tunflow.Flow)

	// Stalled receives each leg of a connection that makes no progress although its client or
	// server waits for some: once a second, from the second second on, for 20 s, and when its
	// client gives it up. Connections that do not stall cost nothing. It must not block. nil
	// disables it.
	Stalled func(tunflow.Stall)

	// First reports how to send the first bytes to a port. With learn, Stalled knows whether the
	// far side has sent bytes that have not arrived (package farseq). With short, the first segment
	// of an upload is short, so that it is acknowledged even if full ones vanish. It must not
	// block. nil means neither.
	First func(port uint16) (learn, short bool)

	// Attach does for a host socket what farseq.Attach does, where this process lacks the
	// capability; where it fails, lost answers look slow. It is called once a second at most for a
	// connection that stalls, with a lock held that new connections take. nil means farseq.Attach.
	Attach func(fd int, ack, seq uint32) error

	// Gone receives the key of each handshake when nothing is left of it and its connection, before
	// the next one on its 4-tuple begins. It may be called with netstack's locks held and must not
	// block. nil disables it.
	Gone func(tunflow.Key)

	// MSS bounds the segments that the host socket of a TCP connection announces and sends
	// (TCP_MAXSEG). 0, or a nil function: the kernel decides. It must not block.
	MSS func(client, server netip.AddrPort) packet.MSS

	// DF returns the don't-fragment policy of the host socket of a flow. If nil, the kernel
	// decides, or for a datagram the client. A socket for datagrams follows the first destination
	// of its client. For an echo, the client's port is its identifier, and the server's is 0. It
	// must not block.
	DF func(client, server netip.AddrPort) packet.DF

	// ClientMTU returns the MTU of the host's route to a client, 0 if there is none. If nil, all
	// clients are at the other end of the link, which takes packets of any size. It may be called
	// with netstack's locks held and must not block.
	ClientMTU func(client netip.Addr) packet.MTU

	Log logrus.FieldLogger // nil = silent

	sweepInterval time.Duration // between looks at idle connections; tests shorten it
	gateWithin    time.Duration // how long bytes wait for more; tests shorten it
}

func (o *Options) setDefaults() {
	def := func(p *int, v int) {
		if *p == 0 {
			*p = v
		}
	}
	def(&o.Workers, 1)
	def(&o.TCPFlows, 16384)
	def(&o.HalfOpen, 4096)
	def(&o.HalfOpenPerSource, 1024)
	if o.Memory == 0 {
		o.Memory = 256 << 20
	}
	if o.DialTimeout == 0 {
		o.DialTimeout = 10 * time.Second
	}
	if o.HandshakeTimeout == 0 {
		o.HandshakeTimeout = 5 * time.Second
	}
	if o.sweepInterval == 0 {
		o.sweepInterval = 5 * time.Second
	}
	if o.gateWithin == 0 {
		o.gateWithin = gate.Within
	}
	if o.Log == nil {
		silent := logrus.New()
		silent.SetLevel(logrus.PanicLevel)
		o.Log = silent
	}
}
