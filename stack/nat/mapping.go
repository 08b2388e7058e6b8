//go:build linux

package nat

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"syntap/stack/dial"
	"syntap/stack/inspect"
	"syntap/stack/nat/flows"
	"syntap/stack/nat/gso"
	"syntap/stack/nat/hostsock"
	"syntap/stack/nat/mappings"
	"syntap/stack/nat/rawecho"
	"syntap/stack/sched"
	"syntap/stack/sockmem"
	"syntap/tun/packet"
)

// mapping carries the datagrams of one client endpoint by one host socket, and brings the client
// the datagrams that others send to that socket: endpoint-independent mapping and filtering (RFC
// 4787 §4.1, §5). A client endpoint has a second mapping if another address of the host is the
// source towards some of its destinations. For echo requests, the identifier replaces the port (RFC
// 5508 §3.1).
type mapping struct {
	hostsock.Socket // closed where raw is set
	mappings.Entry
	nat   *NAT
	kept  bool            // the client endpoint has its home here because of it; guarded by mu
	raw   *rawecho.Socket // of echoes without a ping socket, with Own; nil for others
	df    packet.DF       // overrules Marks.Whole
	watch sched.Watch

	flows  flows.Set // its lock Sending is taken before mu
	singly bool      // the host refuses GSO packets; guarded by flows.Sending

	mu    sync.RWMutex                      // guards these; the socket is closed with it held
	names map[netip.AddrPort]netip.AddrPort // far end → the client's name for it
	large [4]largePacket                    // sent to the client lately

	fixed, queued, named int64 // charges (memory.go)

	// Owned by the poller.
	busy       bool           // the socket has brought datagrams in a row
	heavy      bool           // many bytes waited after its last turn
	curbed     bool           // its receive buffer is small for want of memory
	admitted   netip.AddrPort // the far end that was admitted last
	admittedAt time.Duration  // on the table's clock
}

// End implements mappings.Mapping.
func (m *mapping) End() {
	m.flows.Sending.Lock()
	defer m.flows.Sending.Unlock()
	m.closeSocket()
	m.flows.Close()
}

// EndIdleFlows implements mappings.Mapping.
func (m *mapping) EndIdleFlows(since time.Duration) { m.flows.EndIdle(since) }

func (m *mapping) closeSocket() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.Close(func(fd int) {
		m.nat.stats.DropReceiveQueue.Add(m.NewlyLost(sockmem.Of(fd).Drops))
		m.nat.poller.Remove(fd)
	})
	if m.raw != nil {
		m.nat.raws.Leave(m.raw, m, m.Own.Port())
	}
	m.give(&m.queued)
	m.give(&m.named)
	m.give(&m.fixed)
	m.nat.letGo(m)
}

// A mapping remembers up to maxNames destinations; beyond that it begins anew. The first fewNames
// are part of mappingMemory, the others of namesMemory.
const (
	fewNames = 8
	maxNames = 256
)

// noteTarget remembers the client's name for a destination that is redirected or on this host. If
// there are rules it does so for every destination, because they may not let the far end send
// first.
func (m *mapping) noteTarget(target, server netip.AddrPort, ruled bool) {
	// Datagrams from the target have no zone.
	target = netip.AddrPortFrom(target.Addr().WithZone(""), target.Port())
	// The kernel sends to its own addresses from the same addresses.
	onHost := target.Addr() == m.Local || m.Local.IsLoopback()
	if target == server && !onHost && !ruled {
		return
	}
	if known, ok := m.nameOf(target); ok && known == server {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	full := len(m.names) >= maxNames
	if len(m.names) >= fewNames && m.named == 0 {
		full = m.take(&m.named, namesMemory) != nil
	}
	if m.names == nil || full {
		m.names = make(map[netip.AddrPort]netip.AddrPort)
	}
	m.names[target] = server
}

// nameOf returns the client's name for a far end that noteTarget remembers, else far itself.
func (m *mapping) nameOf(far netip.AddrPort) (server netip.AddrPort, ok bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if server, ok = m.names[far]; ok {
		return server, true
	}
	return far, false
}

// far returns the far end of a datagram; of an echo, with a port of zero.
func (m *mapping) far(msg *hostsock.Msghdr) netip.AddrPort {
	peer := msg.Peer.AddrPort()
	if m.Client.Echo {
		return netip.AddrPortFrom(peer.Addr(), 0)
	}
	return peer
}

// largePacket is the longest packet that was sent to a client from one far end.
type largePacket struct {
	from netip.AddrPort
	size int
}

// minMTU4 is the MTU below which an ICMP error changes nothing in IPv4: Linux's
// net.ipv4.route.min_pmtu.
const minMTU4 = 552

// noteLarge remembers a packet that may be too big for some link on its way to the client. The
// poller calls it.
func (m *mapping) noteLarge(from netip.AddrPort, size int) {
	if size <= minMTU4 || m.Client.Addr().Is6() && size <= minMTU6 {
		return
	}
	for i := range m.large {
		if m.large[i].from == from && m.large[i].size >= size {
			return
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	copy(m.large[1:], m.large[:])
	m.large[0] = largePacket{from, size}
}

// hasSent reports whether the client may have been sent a packet of that size.
func (m *mapping) hasSent(from netip.AddrPort, size int) bool {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return slices.ContainsFunc(m.large[:], func(l largePacket) bool {
		return l.from == from && size <= l.size
	})
}

// mapping returns the mapping for a frame of a client to target, and creates it if there is none.
// It returns nil if it cannot.
func (n *NAT) mapping(f *gso.Frame, target netip.AddrPort, id *identity) *mapping {
	client, server, local := id.client, id.key.Server, id.client.Addr()
	if !n.o.KeepSource(client.Addr()) {
		var err error
		if local, err = n.routes.source(target, id.now); err != nil {
			n.dialer.Unreachable(server.Addr(), target.Addr())
			if errno := hostsock.Errno(err); n.recordUnroutable(f, id, target, errno) {
				n.failed(f, target, errno, n.routes.kernel, id.unsent)
			}
			return nil
		}
	}
	k, names := mappings.Key{Client: client, Local: local}, server.Port() == inspect.PortDNS
	if m, ok := n.table.Find(k, names, f.Datagrams(), id.now).(*mapping); ok {
		return m
	}
	if n.ownsSocket(client) {
		f.Drop(&n.stats.DropOwnSocket)
		return nil
	}
	isLocal := n.o.Local(client.Addr())
	if full := n.table.MakeRoom(client.Addr(), isLocal); full != nil {
		f.Drop(full)
		return nil
	}
	m := &mapping{
		Socket: hostsock.Socket{V6: local.Is6()},
		Entry:  mappings.Entry{Key: k, IsLocal: isLocal}, nat: n,
	}
	if n.recorder != nil {
		m.flows.Init(n.recorder, &m.Entry, m)
	}
	full := m.take(&m.fixed, mappingMemory)
	if full != nil && n.table.EvictOf(client.Addr(), isLocal) {
		full = m.take(&m.fixed, mappingMemory)
	}
	if full != nil {
		f.Drop(full)
		return nil
	}
	if err := n.openSocket(m, server); err != nil {
		m.End()
		f.Drop(&n.stats.DropSend)
		n.router.LocalFailure(err)
		return nil
	}
	m.Mapping, m.Outside = m, mappings.Endpoint{AddrPort: m.Own, Echo: m.Echo}
	n.keep(m)
	n.table.Add(&m.Entry, names, f.Datagrams())
	return m
}

// openSocket opens the socket of a mapping whose client is about to send to server.
func (n *NAT) openSocket(m *mapping, server netip.AddrPort) error {
	client := m.Client
	var err error
	if client.Echo {
		err = m.OpenPing(n.dialer, m.Local)
		if errors.Is(err, unix.EACCES) {
			err = n.enterRaw(m)
		}
		if errors.Is(err, unix.EPERM) {
			n.noEchoes.Do(func() {
				n.o.Log.WithError(err).
					WithField("hint", `sysctl -w net.ipv4.ping_group_range="0 2147483647"`).
					Warn("ping does not work: net.ipv4.ping_group_range " +
						"excludes this group, and CAP_NET_RAW is missing")
			})
		}
	} else {
		err = m.OpenUDP(n.dialer, m.Local, n.ports(client.AddrPort))
	}
	if err != nil {
		return err
	}
	if m.Own == client.AddrPort { // the client has gone, or its port would be taken
		return fmt.Errorf("bind socket: it would receive its own datagrams: %w", unix.EADDRINUSE)
	}
	if !m.V6 {
		m.df = n.o.DF(client.AddrPort, server)
	}
	if m.raw != nil {
		return nil
	}
	if err := n.poller.Add(m.FD(), &m.watch, m, unix.EPOLLIN); err != nil {
		return fmt.Errorf("watch socket: %w", err)
	}
	return nil
}

// enterRaw gives a mapping of echoes an identifier at a raw socket.
func (n *NAT) enterRaw(m *mapping) error {
	return n.raws.Enter(m, m.Local, func(s *rawecho.Socket, ident uint16) {
		m.raw, m.Echo, m.Own = s, true, netip.AddrPortFrom(m.Local, ident)
	})
}

// ports returns the ports to try for the socket of a client. The kernel chooses the port, so that
// no service of the host finds its own port taken. A client with a system port gets one as well,
// because some protocols require that of their peers.
func (n *NAT) ports(client netip.AddrPort) []uint16 {
	ports := dial.SystemPorts(client.Port())
	if ports[0] != 0 && n.o.OnHost(client.Addr()) {
		// The socket would receive the datagrams that it sends to the client, without end.
		ports = slices.DeleteFunc(ports, func(p uint16) bool { return p == client.Port() })
	}
	return ports
}
