//go:build linux

package stack

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/waiter"

	"syntap/stack/dial"
	"syntap/stack/sched"
	tunflow "syntap/tun/flow"
)

// flow is one TCP connection of a client: first an attempt to reach the far side, then a relay
// between a netstack endpoint and a host socket.
//
//	SYN ──▶ dialling ── far side accepted ──▶ answering ── client's ACK, record ──▶ open ── both halves done ──▶ closing ──▶ gone
//	          │  ╰─ local failure: the next SYN dials again          │                 client has acknowledged all ─╯
//	          ├─ refused, unreachable, denied: client told ──▶ gone  ╰─ HandshakeTimeout, client's RST ──▶ gone
//	          ╰─ DialTimeout ──▶ gone: the next SYN dials again
type flow struct {
	watch   sched.Watch
	stack   *Stack
	key     flowKey
	isn     uint32   // of the client's SYN
	isLocal bool     // the client is a program of this host
	next    *nextSYN // nil = none; guarded by stack.mu

	phase      atomic.Uint32 // a phase; written with stack.mu held
	addressing addressing    // guarded by addresses.mu
	fd         int           // host socket, -1 = none; guarded by stack.mu until open, then constant until released
	syn        []byte        // the client's SYN, until open
	started    time.Time

	timer     *time.Timer   // until open; guarded by stack.mu, like the rest up to wq
	deadline  time.Time     // of the present phase
	graced    bool          // the deadline has been put off
	accepting bool          // netstack is making the endpoint
	trying    bool          // dial is at work and owns the socket
	unwanted  bool          // with trying: dial is to close it
	joined    bool          // netstack has the connection
	recorded  bool          // its handshake is on record
	serverISN uint32        // of the SYN-ACK, with recorded
	upstream  upstream      // addresses of the socket
	mss       int           // set on the socket, 0 = the kernel's
	dscp      byte          // of the client's segments, and the socket's
	failure   syscall.Errno // last local failure while dialling

	wq    waiter.Queue
	ep    tcpip.Endpoint
	entry waiter.Entry

	outbound, inbound half
	halves            atomic.Int32 // not yet done

	hangup     atomic.Bool   // the host socket has ended or failed: read until it says so
	urgent     atomic.Bool   // the far side has sent urgent data: a read ends before it though there is more
	finSent    atomic.Bool   // towards the client
	sentAll    atomic.Bool   // the client's FIN has gone to the far side, behind all its bytes
	resetHost  atomic.Bool   // the client reset: so do we, towards the far side
	resetGuest atomic.Bool   // the far side reset, or we stop: so do we, towards the client
	end        atomic.Uint32 // a tunflow.End
	ended      time.Time     // when both halves were done; written before the phase closing
	moved      atomic.Bool   // a byte has crossed since the last sweep
	still      int           // ticks of the sweeper in which nothing has moved, up to when the halves know; owned by the sweeper
	said       said          // owned by who holds netstack's lock of the endpoint
	probe      *probe        // the client has asked whether the far side is there; nil = it has not; guarded by stack.mu
	unsent     []byte        // read from the host socket, not yet taken by netstack; owned by the inbound half
	buffer     *readBuffer   // that unsent stands in, if the flow keeps it; owned by the inbound half

	payer    payer         // of all that the flow holds
	fixed    int64         // charged to memory besides room and large buffers; guarded by stack.mu
	room     atomic.Int64  // charged for its buffers; -1 = gone
	kept     atomic.Int64  // bytes of memory behind unsent
	tight    atomic.Bool   // its buffers are tight
	loosened atomic.Bool   // its room is lent
	sizing   sync.Mutex    // held while buffers are resized
	socket   atomic.Uint32 // the socketSize of the host socket; written with sizing held
}

type flowKey struct{ client, server netip.AddrPort }

// name returns the key of the handshake that the client began with isn.
func (k flowKey) name(isn uint32) tunflow.Key {
	return tunflow.Key{Client: k.client, Server: k.server, ISN: isn}
}

func (f *flow) name() tunflow.Key { return f.key.name(f.isn) }

type phase = uint32

const (
	dialling phase = iota
	answering
	open
	closing
	gone
)

// newFlow returns a flow about to dial.
func newFlow(s *Stack, key flowKey, isn uint32, syn []byte) *flow {
	f := &flow{stack: s, key: key, isn: isn, syn: syn, fd: -1, started: time.Now()}
	f.outbound.init(f, moveOutbound)
	f.inbound.init(f, moveInbound)
	f.halves.Store(2)
	return f
}

// streamEvents are the events of a host socket that a flow acts on.
const streamEvents = unix.EPOLLIN | unix.EPOLLPRI | unix.EPOLLOUT | unix.EPOLLRDHUP

// Ready implements sched.Watcher: there is news from the host socket.
func (f *flow) Ready(events uint32) {
	const ended = unix.EPOLLRDHUP | unix.EPOLLHUP | unix.EPOLLERR
	if events&ended != 0 {
		f.hangup.Store(true)
	}
	if events&unix.EPOLLPRI != 0 {
		f.urgent.Store(true)
	}
	switch f.phase.Load() {
	case dialling:
		if events&(unix.EPOLLOUT|unix.EPOLLERR|unix.EPOLLHUP) != 0 {
			f.stack.connected(f)
		}
	case open: // before, events may pass: both halves look for themselves once the flow is open
		if events&(unix.EPOLLIN|ended) != 0 {
			f.inbound.WakeInline()
		}
		if events&(unix.EPOLLOUT|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
			f.outbound.WakeInline()
		}
	}
}

// NotifyEvent implements waiter.EventListener: there is news from the client. Netstack holds the
// endpoint's locks.
func (f *flow) NotifyEvent(mask waiter.EventMask) {
	const failed = waiter.EventHUp | waiter.EventErr
	switch f.phase.Load() {
	case open:
		if mask&(waiter.ReadableEvents|failed) != 0 {
			f.outbound.Wake()
		}
		if mask&(waiter.WritableEvents|failed) != 0 {
			f.inbound.Wake()
		}
	case closing:
		f.forgetIfClosed()
	}
}

// join gives the flow its connection to the client. It comes before the phase open, in which others
// use it.
func (f *flow) join(ep tcpip.Endpoint) {
	f.ep = ep
	f.inbound.setBuffer(f.inbound.smallBuffer()) // else netstack lets it grow by itself
	f.stack.mu.Lock()
	keepalive := f.stack.o.Keepalive
	f.stack.mu.Unlock()
	keepAlive(ep, keepalive)
	if ep, ok := ep.(*tcp.Endpoint); ok {
		f.own(ep)
	}
	f.entry.Init(f, waiter.ReadableEvents|waiter.WritableEvents|waiter.EventHUp|waiter.EventErr)
	f.wq.EventRegister(&f.entry)
}

// finish marks a half done. The last one gives everything back.
func (f *flow) finish(h *half) {
	h.done = true
	if f.halves.Add(-1) == 0 {
		f.release()
	}
}

// abort ends a flow from any goroutine: each half finishes when it is next run. A far side that has
// all that the client sent need not take it for cut short.
func (f *flow) abort() {
	f.began(tunflow.RouterRST)
	f.resetGuest.Store(true)
	f.resetHost.Store(!f.sentAll.Load())
	f.outbound.Wake()
	f.inbound.Wake()
	if f.phase.Load() == closing {
		f.ep.Abort()
		f.forgetIfClosed()
	}
}

func (f *flow) release() {
	s := f.stack
	f.ended = time.Now()
	s.mu.Lock()
	delete(s.upstreams, f.upstream)
	s.endProbe(f)
	f.phase.Store(closing)
	s.mu.Unlock()
	if !f.resetHost.Load() {
		_ = dial.EndInOrder(f.fd) // fails only for what is no socket
	}
	s.closeSocket(f.fd)
	f.setRoom(f.inbound.smallBuffer()) // what netstack may still have to send
	f.outbound.giveBufferBack()
	if f.resetGuest.Load() {
		f.ep.Abort()
	} else {
		f.ep.Close()
	}
	f.forgetIfClosed()
}

// forgetIfClosed ends a closing flow when netstack has finished with it too.
func (f *flow) forgetIfClosed() {
	switch tcp.EndpointState(f.ep.State()) {
	case tcp.StateClose, tcp.StateError:
		if f.phase.CompareAndSwap(closing, gone) {
			f.inbound.giveBufferBack() // netstack had sent it all, or lost it
			f.stack.flowDone(f)
			f.stack.forget(f)
		}
	}
}
