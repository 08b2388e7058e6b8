//go:build linux

package stack

import (
	"net/netip"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/waiter"
)

// flow is one TCP connection of a client: first an attempt to reach the far side, then a relay between a netstack
// endpoint and a host socket.
//
//	SYN ──▶ dialling ── far side accepted ──▶ answering ── client's ACK ──▶ open ── both halves done ──▶ gone
//	          │  ╰─ local failure: the next SYN dials again          │
//	          ├─ refused, unreachable, denied: client told ──▶ gone  ├─ HandshakeTimeout, client's RST ──▶ gone
//	          ╰─ DialTimeout ──▶ silent ── DialTimeout ──▶ gone
//
// A silent flow is the memory that nobody answered: the client's retransmissions end in it.
type flow struct {
	watch  watch
	stack  *Stack
	key    flowKey
	isn    uint32         // of the client's SYN
	remote netip.AddrPort // really dialled

	phase     atomic.Uint32 // a phase; written with stack.mu held
	fd        int           // host socket, -1 = none; guarded by stack.mu until open, then constant until released
	syn       []byte        // the client's SYN, until open
	started   time.Time
	deadline  time.Time // of the present phase; guarded by stack.mu
	timer     *time.Timer
	accepting bool          // netstack is making the endpoint; guarded by stack.mu
	failure   syscall.Errno // last local failure while dialling; guarded by stack.mu

	wq    waiter.Queue
	ep    tcpip.Endpoint
	entry waiter.Entry

	outbound, inbound half
	halves            atomic.Int32 // not yet done

	hangup     atomic.Bool // the host socket has ended or failed: read until it says so
	finSent    atomic.Bool // towards the client
	resetHost  atomic.Bool // the client reset: so do we, towards the far side
	resetGuest atomic.Bool // the far side reset, or we stop: so do we, towards the client
	unsent     []byte      // read from the host socket, refused by netstack; owned by the inbound half
	lastRead   int         // bytes of the inbound half's last read; owned by it
}

type flowKey struct{ client, server netip.AddrPort }

type phase = uint32

const (
	dialling phase = iota
	silent
	answering
	open
	gone
)

// newFlow returns a flow about to dial.
func newFlow(s *Stack, key flowKey, isn uint32, syn []byte) *flow {
	f := &flow{stack: s, key: key, isn: isn, syn: syn, fd: -1, started: time.Now()}
	f.watch.owner = f
	f.outbound = half{flow: f, step: moveOutbound}
	f.inbound = half{flow: f, step: moveInbound}
	f.halves.Store(2)
	return f
}

// ready implements pollee: there is news from the host socket.
func (f *flow) ready(events uint32, w *worker) {
	const ended = unix.EPOLLRDHUP | unix.EPOLLHUP | unix.EPOLLERR
	if events&ended != 0 {
		f.hangup.Store(true)
	}
	switch f.phase.Load() {
	case dialling:
		if events&(unix.EPOLLOUT|unix.EPOLLERR|unix.EPOLLHUP) != 0 {
			f.stack.connected(f)
		}
	case open: // before, events may pass: both halves look for themselves once the flow is open
		if events&(unix.EPOLLIN|ended) != 0 && f.inbound.claim() {
			f.inbound.own(w)
		}
		if events&(unix.EPOLLOUT|unix.EPOLLHUP|unix.EPOLLERR) != 0 && f.outbound.claim() {
			f.outbound.own(w)
		}
	}
}

// NotifyEvent implements waiter.EventListener: there is news from the client. Netstack holds the endpoint's locks.
func (f *flow) NotifyEvent(mask waiter.EventMask) {
	const failed = waiter.EventHUp | waiter.EventErr
	if mask&(waiter.ReadableEvents|failed) != 0 {
		f.outbound.kick()
	}
	if mask&(waiter.WritableEvents|failed) != 0 {
		f.inbound.kick()
	}
}

// relay begins to move bytes between ep and the host socket.
func (f *flow) relay(ep tcpip.Endpoint) {
	f.ep = ep
	f.entry.Init(f, waiter.ReadableEvents|waiter.WritableEvents|waiter.EventHUp|waiter.EventErr)
	f.wq.EventRegister(&f.entry)
	f.outbound.kick()
	f.inbound.kick()
}

// finish marks a half done. The last one gives everything back.
func (f *flow) finish(h *half) {
	h.done = true
	if f.halves.Add(-1) == 0 {
		f.release()
	}
}

// abort ends a flow from any goroutine: each half finishes when it is next run.
func (f *flow) abort() {
	f.resetGuest.Store(true)
	f.resetHost.Store(true)
	f.outbound.kick()
	f.inbound.kick()
}

func (f *flow) release() {
	f.wq.EventUnregister(&f.entry)
	if f.resetGuest.Load() {
		f.ep.Abort()
	} else {
		f.ep.Close()
	}
	if f.resetHost.Load() {
		resetOnClose(f.fd)
	}
	f.stack.closeSocket(f.fd)
	f.stack.forget(f)
}

// resetOnClose makes close send a RST (RFC 9293 §3.10.5) instead of a FIN.
func resetOnClose(fd int) {
	_ = unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
}
