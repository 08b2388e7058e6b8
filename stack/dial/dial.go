//go:build linux

package dial

import (
	"fmt"
	"net/netip"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"syntap/stack/egress"
	"syntap/stack/virtual"
	"syntap/tun/flow"
	"syntap/tun/raw"
)

// Options of a Dialer. The zero value dials every destination by unmarked sockets.
type Options struct {
	// Sockets makes the sockets, marked and bound to the interface; nil = this process makes them.
	Sockets Sockets
	Mark    uint32 // SO_MARK of every socket; 0 = none
	// Interface is the only interface that packets leave and enter by (SO_BINDTODEVICE); "" = the
	// host's routes decide.
	Interface string
	Policy    Policy
	Keepalive Keepalive // of TCP sockets
	// UserTimeout is how long bytes sent by a TCP socket may stay unacknowledged before the
	// connection is given up (RFC 5482, TCP_USER_TIMEOUT), in whole milliseconds; 0 = the kernel's
	// retransmissions decide (net.ipv4.tcp_retries2).
	UserTimeout time.Duration
	// Redirect replaces a destination before it is dialled and exempts it from Policy, and a
	// nameserver from Rules, for DNS queries; nil = never.
	Redirect func(netip.AddrPort) (netip.AddrPort, bool)
	// Virtual are the destinations that stand for names. The names' real addresses are dialled
	// instead, each if Rules and Policy allow it; nil = there are none.
	Virtual *virtual.Table
	// Announce is called before a connection is made to an address, for a client or, where own is
	// set, for the router itself. An error keeps it from being made. nil disables it.
	Announce func(to netip.AddrPort, own bool) error
	// Rules returns the ruling on a flow that is about to begin. It may be called from any
	// goroutine and must not block. nil = there are no rules.
	Rules func(Flow) *egress.Ruling
}

// Sockets makes the sockets of a process that may not mark them itself. It is safe for concurrent
// use.
type Sockets interface {
	// Open returns a socket as socket(2) makes it, non-blocking and closed on exec.
	Open(family, typ, proto int) (fd int, err error)
	// Bind binds a socket to an address with a system port (RFC 6335 §6).
	Bind(fd int, to netip.AddrPort) error
}

// Flow is one that is about to begin.
type Flow struct {
	Proto          flow.Proto
	Client, Server netip.AddrPort // as the client addresses them
	ISN            uint32         // of TCP
	Uninvited      bool           // the server has sent to the client first

	// Name is the name that Server stands for, and Real an address of it. "" = Server is a real
	// address, whose name the client's DNS answers may have.
	Name string
	Real netip.AddrPort
}

// Dialer opens the host's sockets to far sides. All of them are non-blocking and close on exec.
type Dialer struct {
	o atomic.Pointer[settings]

	// Of the kernel, as New has found it: later this process may neither make sockets itself nor
	// read files.
	defaults       map[socketOption]bool // that TCP sockets have
	firstEphemeral uint16
}

type settings struct {
	Options
	stream []socketOption
}

// New returns a Dialer.
func New(o Options) *Dialer {
	d := &Dialer{defaults: streamDefaults(o.Sockets), firstEphemeral: readFirstEphemeral()}
	d.SetOptions(o)
	return d
}

// SetOptions replaces the options for later sockets and destinations.
func (d *Dialer) SetOptions(o Options) {
	d.o.Store(&settings{o, streamOptions(o, d.defaults)})
}

// Rule returns the ruling of the rules on a flow that is about to begin, nil if there are no rules.
// If the server stands for a name, the ruling does not count: Target asks for each real address.
func (d *Dialer) Rule(f Flow) *egress.Ruling { return d.o.Load().rule(f) }

func (o *settings) rule(f Flow) *egress.Ruling {
	if o.Rules == nil {
		return nil
	}
	return o.Rules(f)
}

// Target returns the address to dial for a flow, and the decision of policy under its ruling, which
// may deny it. For a destination that stands for a name, it is the address for datagrams; see
// Targets for connections.
func (d *Dialer) Target(f Flow, r *egress.Ruling) (netip.AddrPort, *flow.Decision) {
	client, dst := f.Client.Addr(), f.Server
	o := d.o.Load()
	if o.Redirect != nil {
		if to, ok := o.Redirect(dst); ok {
			switch {
			case r == nil:
				return to, byDefault
			case r.Deny && dst.Port() == dnsPort:
				return to, onlyDNS
			case r.Deny:
				return dst, r.Decision
			}
			return to, r.Decision
		}
	}
	if o.isVirtual(dst) {
		return o.targetOfName(f)
	}
	decision := o.Policy.decide(client, dst, r)
	if decision.Deny {
		return dst, decision
	}
	return netip.AddrPortFrom(dst.Addr().Unmap(), dst.Port()), decision
}

// Admits reports whether a far end that the client has not sent to may send to the client: rules
// and policy allow it, or the redirection exempts it under its own name.
func (d *Dialer) Admits(client, far netip.AddrPort) bool {
	o := d.o.Load()
	r := o.rule(Flow{Proto: flow.UDP, Client: client, Server: far, Uninvited: true})
	if !o.Policy.decide(client.Addr(), far, r).Deny {
		return true
	}
	if o.Redirect == nil {
		return false
	}
	to, ok := o.Redirect(far)
	return ok && to == far
}

// Announce says that a connection is about to be made to an address, for a client or, where own is
// set, for the router itself. After an error it must not be made.
func (d *Dialer) Announce(to netip.AddrPort, own bool) error {
	if f := d.o.Load().Options.Announce; f != nil {
		return f(to, own)
	}
	return nil
}

// Stream opens a TCP socket. Connect starts its handshake. Until EndInOrder, closing it sends a
// reset, also when the process dies: a stream that was cut short does not look complete to the far
// side.
func (d *Dialer) Stream(target netip.Addr) (fd int, err error) {
	fd, err = d.socket(target, unix.SOCK_STREAM, 0)
	if err != nil {
		return -1, err
	}
	if err := linger(fd, true); err != nil {
		_ = unix.Close(fd)
		return -1, err
	}
	for _, o := range d.o.Load().stream {
		if err := raw.SetOption(fd, o.level, o.name, int32(o.value)); err != nil {
			_ = unix.Close(fd)
			return -1, fmt.Errorf("set socket option %d of level %d: %w", o.name, o.level, err)
		}
	}
	return fd, nil
}

// EndInOrder makes the end of a TCP socket a FIN after all written bytes.
func EndInOrder(fd int) error { return linger(fd, false) }

// EndByReset makes the end of a TCP socket a RST again.
func EndByReset(fd int) error { return linger(fd, true) }

// linger makes close discard unsent bytes and send a RST (RFC 9293 §3.10.5), or restores the
// default.
func linger(fd int, reset bool) error {
	l := unix.Linger{}
	if reset {
		l.Onoff = 1
	}
	if err := raw.SetOption(fd, unix.SOL_SOCKET, unix.SO_LINGER, l); err != nil {
		return fmt.Errorf("set SO_LINGER: %w", err)
	}
	return nil
}

// Datagram opens an unbound UDP socket of target's family.
func (d *Dialer) Datagram(target netip.Addr) (fd int, err error) {
	return d.socket(target, unix.SOCK_DGRAM, 0)
}

// Ping opens an unprivileged ICMP echo socket of target's family (Linux: net.ipv4.ping_group_range
// must include the caller's group).
func (d *Dialer) Ping(target netip.Addr) (fd int, err error) {
	if target.Is4() {
		return d.socket(target, unix.SOCK_DGRAM, unix.IPPROTO_ICMP)
	}
	return d.socket(target, unix.SOCK_DGRAM, unix.IPPROTO_ICMPV6)
}

// RawPing opens a raw ICMP socket of target's family; it needs CAP_NET_RAW.
func (d *Dialer) RawPing(target netip.Addr) (fd int, err error) {
	if target.Is4() {
		return d.socket(target, unix.SOCK_RAW, unix.IPPROTO_ICMP)
	}
	return d.socket(target, unix.SOCK_RAW, unix.IPPROTO_ICMPV6)
}

// socket opens and marks a socket. A socket that cannot be marked could loop into our own TUN: it
// is an error.
func (d *Dialer) socket(target netip.Addr, typ, proto int) (int, error) {
	family := unix.AF_INET6
	if target.Is4() {
		family = unix.AF_INET
	}
	s := d.o.Load().Sockets
	fd, err := open(s, family, typ, proto)
	if err != nil {
		return -1, fmt.Errorf("open socket: %w", err)
	}
	if s != nil {
		return fd, nil // as it is to be
	}
	if err := d.restrict(fd); err != nil {
		_ = unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// open opens a socket by s, or in this process where that is nil.
func open(s Sockets, family, typ, proto int) (fd int, err error) {
	if s != nil {
		return s.Open(family, typ, proto)
	}
	return unix.Socket(family, typ|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, proto)
}

// Interface returns Options.Interface.
func (d *Dialer) Interface() string { return d.o.Load().Interface }

// restrict marks a socket, and binds it to the interface.
func (d *Dialer) restrict(fd int) error {
	o := d.o.Load()
	if o.Mark != 0 {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_MARK, int(o.Mark)); err != nil {
			return fmt.Errorf("set SO_MARK: %w", err)
		}
	}
	if o.Interface != "" {
		if err := unix.BindToDevice(fd, o.Interface); err != nil {
			return fmt.Errorf("bind to interface %s: %w", o.Interface, err)
		}
	}
	return nil
}

// Connect starts to connect a socket. EINPROGRESS means that the socket becomes writable at the
// end. The call is raw: the descriptor does not block.
func Connect(fd int, to netip.AddrPort) syscall.Errno {
	var sa Sockaddr
	sa.Set(to)
	_, _, errno := syscall.RawSyscall(unix.SYS_CONNECT, uintptr(fd), uintptr(unsafe.Pointer(&sa.raw)), uintptr(sa.len))
	return errno
}
