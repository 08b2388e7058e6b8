package e2e_test

import (
	endian "encoding/binary"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"syntap/tun/tuntest"
)

// attackerAddr4 is the source of the connections that the attacker really has: each source has a
// share of the memory of its own.
const attackerAddr4 = "203.0.113.131"

// attacker sends packets of its choice: from the LAN, in all its names, and into the TUN itself, as
// a program with CAP_NET_RAW can.
type attacker struct {
	t       *testing.T
	lab     *tuntest.Lab
	rand    *rand.Rand
	doors   [2]int // packet sockets
	to      [2]*unix.SockaddrLinklayer
	victims victims

	mu    sync.Mutex
	conns []net.Conn
}

func newAttacker(t *testing.T, lab *tuntest.Lab, r *rand.Rand) *attacker {
	t.Helper()
	a := &attacker{t: t, lab: lab, rand: r}
	gateway := lab.Router.Link("lan0").Attrs().HardwareAddr
	for i, door := range []struct {
		ns   *tuntest.Namespace
		link string
	}{{lab.Client, "eth0"}, {lab.Router, "syntap0"}} {
		a.to[i] = &unix.SockaddrLinklayer{Ifindex: door.ns.Link(door.link).Attrs().Index, Halen: uint8(len(gateway))}
		copy(a.to[i].Addr[:], gateway)
		err := door.ns.Do(func() (err error) {
			a.doors[i], err = unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = unix.Close(a.doors[i]) })
	}
	lab.Client.AddAddress("lo", attackerAddr4+"/32")
	lab.Router.AddRoute("203.0.113.128/25", tuntest.ClientAddr4) // the attacker's own networks
	lab.Router.AddRoute("2001:db8:14::/47", tuntest.ClientAddr6)
	fillAndStall(lab)
	return a
}

// kinds make the packets of an attack each.
var kinds = []func(*attacker) [][]byte{
	(*attacker).blindSegment, (*attacker).blindSegment, (*attacker).blindICMP, (*attacker).syn, (*attacker).sameTuple,
	(*attacker).oddSegment, (*attacker).fragments, (*attacker).extensionHeaders, (*attacker).datagram, (*attacker).echo,
	(*attacker).noise, (*attacker).synsOfManyAddresses,
}

// one makes an attack of a random kind.
func (a *attacker) one() {
	for _, packet := range kinds[a.rand.IntN(len(kinds))](a) {
		a.send(packet)
	}
}

// send sends a packet from one of the doors. The kernel refuses some.
func (a *attacker) send(packet []byte) {
	i := a.rand.IntN(len(a.doors))
	to := *a.to[i]
	to.Protocol = 0x0008 // in network byte order, as ETH_P_IP is
	if len(packet) > 0 && packet[0]>>4 == 6 {
		to.Protocol = 0xdd86
	}
	_ = unix.Sendto(a.doors[i], packet, unix.MSG_DONTWAIT, &to)
}

func (a *attacker) chance(percent int) bool { return a.rand.IntN(100) < percent }

func (a *attacker) bytes(most int) []byte {
	b := make([]byte, a.rand.IntN(most+1))
	for i := range b {
		b[i] = byte(a.rand.Uint32())
	}
	return b
}

// ends are those of a flow of the attacker's: from an address of its own, or one that may not
// enter.
func (a *attacker) ends() (src, dst netip.AddrPort) {
	sources := [2][]string{
		{"203.0.113.130", "203.0.113.130", "203.0.113.130", "198.51.100.77", "127.0.0.1", "224.0.0.1", "0.0.0.0", "203.0.113.2"},
		{"2001:db8:15::1", "2001:db8:15::2", "2001:db8:15::3", "2001:db8:77::1", "::1", "ff02::1", "::", "fe80::1", "2001:db8:3::2"},
	}
	family := a.rand.IntN(2)
	of := sources[family]
	src = netip.AddrPortFrom(netip.MustParseAddr(of[a.rand.IntN(len(of))]), uint16(a.rand.Uint32()))
	ports := []uint16{7102, 7102, 81, 0, 53, uint16(a.rand.Uint32())}
	return src, netip.AddrPortFrom(netip.MustParseAddr(addresses()[family]), ports[a.rand.IntN(len(ports))])
}

func (a *attacker) segment(src, dst netip.AddrPort, flags uint8) tuntest.TCP {
	return tuntest.TCP{
		Src: src, Dst: dst, Seq: a.rand.Uint32(), Ack: a.rand.Uint32(), Flags: flags, Window: uint16(a.rand.Uint32()),
	}
}

// blindSegment is of a connection of which the attacker knows the ends and no number.
func (a *attacker) blindSegment() [][]byte {
	victim := a.victims.any(a.rand)
	flags := []uint8{tuntest.RST, tuntest.SYN, tuntest.RST | tuntest.ACK, tuntest.ACK | tuntest.PSH, tuntest.FIN | tuntest.ACK, tuntest.SYN | tuntest.ACK, tuntest.ACK}
	s := a.segment(victim.client, victim.server, flags[a.rand.IntN(len(flags))])
	if s.Flags&tuntest.PSH != 0 || a.chance(10) {
		s.Payload = a.bytes(1400)
	}
	return [][]byte{s.Packet()}
}

// blindICMP is an error about a packet of such a connection.
func (a *attacker) blindICMP() [][]byte {
	victim := a.victims.any(a.rand)
	quoted := a.segment(victim.server, victim.client, tuntest.ACK).Packet() // a packet that could have gone to the client
	if a.chance(30) {
		quoted = a.segment(victim.client, victim.server, tuntest.ACK).Packet()
	}
	m := tuntest.ICMP{Src: victim.client.Addr(), Dst: victim.server.Addr(), Payload: quoted[:min(len(quoted), 28+a.rand.IntN(40))]}
	mtu := uint32([]int{0, 68, 296, 552, 1280, 1400, 65535}[a.rand.IntN(7)])
	if victim.client.Addr().Is4() {
		m.Type, m.Code = 3, uint8([]int{0, 1, 3, 4, 4, 4, 13}[a.rand.IntN(7)])
	} else {
		m.Type, m.Code = uint8([]int{1, 2, 2, 3, 4}[a.rand.IntN(5)]), 0
	}
	endian.BigEndian.PutUint32(m.Rest[:], mtu)
	return [][]byte{m.Packet()}
}

// syn opens a connection that the attacker does not follow up.
func (a *attacker) syn() [][]byte {
	src, dst := a.ends()
	s := a.segment(src, dst, tuntest.SYN)
	s.Options = []byte{2, 4, 5, 0xb4}
	if a.chance(20) {
		s.Payload = a.bytes(1400)
	}
	return [][]byte{s.Packet()}
}

// synsOfManyAddresses come from ever other addresses of an IPv6 network, all of which one machine
// may have.
func (a *attacker) synsOfManyAddresses() [][]byte {
	network := netip.MustParseAddr("2001:db8:15::").As16()
	endian.BigEndian.PutUint64(network[8:], a.rand.Uint64())
	src := netip.AddrPortFrom(netip.AddrFrom16(network), uint16(a.rand.Uint32()))
	return [][]byte{a.segment(src, netip.MustParseAddrPort("["+tuntest.ServerAddr6+"]:7102"), tuntest.SYN).Packet()}
}

// sameTuple has ever other numbers on one 4-tuple.
func (a *attacker) sameTuple() [][]byte {
	src, dst := netip.MustParseAddrPort("203.0.113.132:6000"), netip.MustParseAddrPort(tuntest.ServerAddr4+":7102")
	var all [][]byte
	for range 4 {
		all = append(all, a.segment(src, dst, []uint8{tuntest.SYN, tuntest.SYN, tuntest.RST, tuntest.ACK}[a.rand.IntN(4)]).Packet())
	}
	return all
}

// oddSegment has flags, options or lengths that no TCP sends.
func (a *attacker) oddSegment() [][]byte {
	src, dst := a.ends()
	s := a.segment(src, dst, uint8(a.rand.Uint32()))
	s.Options = a.bytes(40)
	s.Urgent = uint16(a.rand.Uint32())
	s.Payload = a.bytes(200)
	if a.chance(20) && src.Addr().Is4() {
		s.IP.Options = make([]byte, 4*(1+a.rand.IntN(10)))
		for i := range s.IP.Options {
			s.IP.Options[i] = byte(a.rand.Uint32())
		}
	}
	b := s.Packet()
	for range a.rand.IntN(4) { // checksums are wrong then, too
		b[a.rand.IntN(min(len(b), 80))] ^= 1 << a.rand.IntN(8)
	}
	if a.chance(20) {
		b = b[:1+a.rand.IntN(len(b)-1)]
	}
	return [][]byte{b}
}

// fragments are of a SYN or a datagram: some are lacking, some overlap, some are very short.
func (a *attacker) fragments() [][]byte {
	src, dst := a.ends()
	if !src.Addr().Is4() {
		return a.fragments6(src, dst)
	}
	protocol, whole := uint8(6), a.segment(src, dst, tuntest.SYN).Packet()[20:]
	if a.chance(50) {
		protocol, whole = 17, tuntest.UDP{Src: src, Dst: dst, Payload: a.bytes(3000)}.Packet()[20:]
	}
	var all [][]byte
	id := uint16(a.rand.Uint32())
	for range 1 + a.rand.IntN(4) {
		offset := 8 * a.rand.IntN(len(whole)/8+1)
		end := min(len(whole), offset+8*(1+a.rand.IntN(100)))
		h := tuntest.IP{ID: id, Fragment: uint16(offset/8) | uint16(a.rand.IntN(2))<<13}
		if a.chance(3) {
			h.Fragment |= 0x1fff // beyond 65535 bytes
		}
		all = append(all, h.Packet(src.Addr(), dst.Addr(), protocol, whole[offset:end]))
	}
	return all
}

func (a *attacker) fragments6(src, dst netip.AddrPort) [][]byte {
	whole := a.segment(src, dst, tuntest.SYN).Packet()[40:]
	var all [][]byte
	id := a.rand.Uint32()
	for range 1 + a.rand.IntN(3) {
		header := []byte{6, 0}
		header = endian.BigEndian.AppendUint16(header, uint16(8*a.rand.IntN(4)|a.rand.IntN(2)))
		header = endian.BigEndian.AppendUint32(header, id)
		all = append(all, tuntest.IP{}.Packet(src.Addr(), dst.Addr(), 44, append(header, whole...)))
	}
	return all
}

// extensionHeaders puts random headers between those of IPv6 and TCP.
func (a *attacker) extensionHeaders() [][]byte {
	src, dst := a.ends()
	for src.Addr().Is4() {
		src, dst = a.ends()
	}
	next, payload := uint8(6), a.segment(src, dst, tuntest.SYN).Packet()[40:]
	for range 1 + a.rand.IntN(12) {
		length := a.rand.IntN(3)
		header := make([]byte, 8+8*length)
		for i := range header {
			header[i] = byte(a.rand.Uint32())
		}
		header[0], header[1] = next, uint8(length)
		if a.chance(50) {
			clear(header[2:]) // padding
		}
		next = []uint8{0, 43, 44, 51, 60, 135, 139, 140, 253, 59, 50}[a.rand.IntN(11)]
		payload = append(header, payload...)
	}
	return [][]byte{tuntest.IP{}.Packet(src.Addr(), dst.Addr(), next, payload)}
}

// datagram goes from a port of its own, or from one and the same.
func (a *attacker) datagram() [][]byte {
	src, dst := a.ends()
	if a.chance(50) {
		src = netip.AddrPortFrom(src.Addr(), 5000)
	}
	b := tuntest.UDP{Src: src, Dst: dst, Payload: a.bytes(1400)}.Packet()
	if a.chance(20) {
		b[len(b)-1] ^= 1
		endian.BigEndian.PutUint16(b[len(b)-min(len(b), 4):], uint16(a.rand.Uint32()))
	}
	return [][]byte{b}
}

func (a *attacker) echo() [][]byte {
	src, dst := a.ends()
	m := tuntest.ICMP{Src: src.Addr(), Dst: dst.Addr(), Type: 8, Payload: a.bytes(1400)}
	if !src.Addr().Is4() {
		m.Type = 128
	}
	if a.chance(30) {
		m.Type, m.Code = uint8(a.rand.Uint32()), uint8(a.rand.Uint32())
	}
	endian.BigEndian.PutUint32(m.Rest[:], a.rand.Uint32())
	return [][]byte{m.Packet()}
}

// noise has an IP header, more or less, and nothing that fits to it.
func (a *attacker) noise() [][]byte {
	src, dst := a.ends()
	b := tuntest.IP{TTL: uint8(a.rand.Uint32())}.Packet(src.Addr(), dst.Addr(), uint8(a.rand.Uint32()), a.bytes(1400))
	if a.chance(50) {
		b[a.rand.IntN(min(len(b), 8))] = byte(a.rand.Uint32())
	}
	return [][]byte{b}
}

// fillAndStall serves the attacker: one port sends without end, one does not read either, one
// echoes.
func fillAndStall(lab *tuntest.Lab) {
	for _, ns := range []*tuntest.Namespace{lab.Client, lab.Server} { // the ends' own memory
		ns.Sysctl("net.ipv4.tcp_rmem", "4096 32768 65536")
		ns.Sysctl("net.ipv4.tcp_wmem", "4096 16384 65536")
	}
	go serveAll(lab.Server.Listen("tcp", net.JoinHostPort(tuntest.ServerAddr4, "7100")), func(conn *net.TCPConn) { fill(conn) })
	go serveAll(lab.Server.Listen("tcp", net.JoinHostPort(tuntest.ServerAddr4, "7101")), func(conn *net.TCPConn) {
		_ = conn.SetReadBuffer(4096)
		fill(conn) // reads nothing
	})
	for _, host := range addresses() {
		serveEcho(lab.Server, net.JoinHostPort(host, "7102"))
	}
}

// fill writes until the connection ends.
func fill(conn net.Conn) {
	data := make([]byte, 64<<10)
	for {
		if _, err := conn.Write(data); err != nil {
			return
		}
	}
}

// unread opens connections that carry all they can, both ways, and are not read, for as long as
// limits.memory lets it.
func (a *attacker) unread(n int) {
	for i := range n {
		conn, err := a.dial(net.JoinHostPort(tuntest.ServerAddr4, []string{"7100", "7101"}[i%2]))
		if err != nil {
			return
		}
		a.keep(conn)
		if i%2 == 1 {
			go fill(conn)
		}
	}
}

// dial opens a connection from the attacker's own address.
func (a *attacker) dial(address string) (conn net.Conn, err error) {
	own := &net.TCPAddr{IP: net.ParseIP(attackerAddr4)}
	err = a.lab.Client.Do(func() (err error) {
		conn, err = (&net.Dialer{LocalAddr: own, Timeout: 5 * time.Second}).Dial("tcp", address)
		return err
	})
	return conn, err
}

func (a *attacker) keep(conn net.Conn) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.conns = append(a.conns, conn)
}

// halfRequests has the page wait for the rest of a request, from as many connections as it lets
// have, until over is closed. It keeps more than the page lets one peer have; the router has closed
// those before.
func (a *attacker) halfRequests(over <-chan struct{}) {
	const kept = 256
	var conns []net.Conn
	defer func() {
		for _, conn := range conns {
			conn.Close()
		}
	}()
	for {
		conn, err := a.lab.Router.Dial(a.t.Context(), "tcp", viewAddress)
		if err == nil {
			_, _ = conn.Write([]byte("GET /api/events HTTP/1.1\r\nHost: " + viewAddress + "\r\nX: "))
			conns = append(conns, conn)
		}
		if len(conns) > kept {
			conns[0].Close()
			conns = conns[1:]
		}
		select {
		case <-over:
			return
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// end ends all connections of the attacker.
func (a *attacker) end() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, conn := range a.conns {
		conn.Close()
	}
}
