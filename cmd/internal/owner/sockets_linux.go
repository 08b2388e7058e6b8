package owner

import (
	"errors"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"syntap/tun/flow"
)

// sockets asks the kernel for the sockets of a network namespace. It is for one goroutine at a
// time.
type sockets struct {
	network   *Network
	four, six *diag
	table     []byte    // scratch memory
	tableAt   time.Time // no table is read before

	own func(inode uint32) bool // raw sockets of the router; nil = it has none

	// may reports whether a user may have a costly question asked, and spend takes its cost.
	may   func(uid uint32) bool
	spend func(uid uint32, took time.Duration)
}

// unknown stands for the user of a question that is asked where none is known.
const unknown = ^uint32(0)

func newSockets(n *Network) *sockets {
	return &sockets{
		network: n,
		four:    newDiag(n.files[netlink4], n.device), six: newDiag(n.files[netlink6], n.device),
	}
}

var errBusy = errors.New("tables of sockets are read too often")

// find returns the socket by which a client sends to a server; of an echo request the client's port
// is the identifier.
func (q *sockets) find(p flow.Proto, client, server netip.AddrPort) (Socket, error) {
	switch p {
	case flow.TCP:
		return q.four.connecting(client, server)
	case flow.UDP:
		return q.datagrams(client, server)
	default:
		return q.echoes(client, server.Addr())
	}
}

// datagrams returns the UDP socket that sends between two addresses. One that is connected there
// gets the answers, and owns the flow. Of others the kernel names that which would get the answer:
// where several share a port by SO_REUSEPORT or SO_REUSEADDR, it need not be the one that has sent.
// So it is asked about all at the port, which takes ten times as long, because the kernel goes over
// all ports.
func (q *sockets) datagrams(client, server netip.AddrPort) (Socket, error) {
	one, err := q.datagram(client, server)
	if err != nil && !errors.Is(err, errNoSocket) {
		return Socket{}, err
	}
	switch {
	case err != nil:
		one.uid = unknown
	case one.remote == server && one.local == client && one.inode != 0:
		return one.socket(), nil
	}
	if !q.may(one.uid) {
		return Socket{}, errBusy
	}
	began := time.Now()
	defer func() { q.spend(one.uid, time.Since(began)) }()
	return q.atPort(client, server)
}

// datagram returns the socket that would get a datagram from the server. Its request has source and
// destination the other way round, "swapped for historical reasons" (udp_dump_one).
func (q *sockets) datagram(client, server netip.AddrPort) (one bound, err error) {
	if err := q.four.ask(family(client.Addr()), unix.IPPROTO_UDP, 0, server, client); err != nil {
		return one, err
	}
	err = q.four.answers(false, func(s *bound) { one = *s })
	return one, err
}

// isStill reports whether find would return the same socket again. It asks for the socket that
// would get the answer first, which is cheap: that of a flow with many peers is asked for often.
func (q *sockets) isStill(s *Socket, p flow.Proto, client, server netip.AddrPort) bool {
	if p == flow.UDP && len(s.rest) == 0 {
		if one, err := q.datagram(client, server); err == nil {
			return one.inode == s.inode
		}
	}
	now, err := q.find(p, client, server)
	return err == nil && now.same(s)
}

// atPort asks about all sockets at the client's port. IPv6 sockets may send IPv4.
func (q *sockets) atPort(client, server netip.AddrPort) (Socket, error) {
	c := candidates{local: client, remote: server, device: q.four.device}
	with4 := client.Addr().Is4()
	err6 := q.six.ask(unix.AF_INET6, unix.IPPROTO_UDP, unix.NLM_F_DUMP, client, server)
	if with4 && err6 == nil {
		err := q.four.ask(unix.AF_INET, unix.IPPROTO_UDP, unix.NLM_F_DUMP, client, server)
		if err == nil {
			err = q.four.answers(true, c.add)
		}
		if err != nil {
			return Socket{}, err
		}
	}
	if err6 == nil {
		err6 = q.six.answers(true, c.add)
	}
	if err6 != nil && !(with4 && errors.Is(err6, unix.ENOENT)) { // a kernel without IPv6
		return Socket{}, err6
	}
	return c.socket()
}

// echoes returns the socket that sends echo requests with an identifier, the client's port. Ping
// sockets have an identifier each. Of raw sockets the kernel knows none: any of them may have sent.
func (q *sockets) echoes(client netip.AddrPort, server netip.Addr) (Socket, error) {
	began := time.Now()
	if began.Before(q.tableAt) {
		return Socket{}, errBusy
	}
	ping, raw, proto := tablePing4, tableRaw4, uint16(unix.IPPROTO_ICMP)
	if !client.Addr().Is4() {
		ping, raw, proto = tablePing6, tableRaw6, unix.IPPROTO_ICMPV6
	}
	c := candidates{local: client, remote: netip.AddrPortFrom(server, 0)}
	err := q.rows(ping, c.add)
	if err == nil && len(c.all) == 0 {
		err = q.rows(raw, func(s *bound) {
			p := s.local.Port()
			if (p == proto || p == unix.IPPROTO_RAW) && (q.own == nil || !q.own(s.inode)) {
				s.local = netip.AddrPortFrom(s.local.Addr(), client.Port())
				c.add(s)
			}
		})
	}
	if n := len(q.table); n > shortTable {
		q.tableAt = began.Add(time.Duration(n) * tableRest)
	}
	if err != nil {
		return Socket{}, err
	}
	return c.socket()
}

func family(a netip.Addr) uint8 {
	if a.Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

// A table that is longer, because a user has opened many sockets, is not read again for ten times
// as long as reading it takes, about.
const (
	shortTable = 8 << 10              // bytes
	tableRest  = 80 * time.Nanosecond // for each byte
)

func (q *sockets) rows(table int, f func(*bound)) (err error) {
	q.table, err = readTable(q.network.files[table], q.table, f)
	return err
}

func (q *sockets) close() error { return q.network.Close() }
