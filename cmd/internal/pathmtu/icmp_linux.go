package pathmtu

import (
	"context"
	"encoding/binary"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

const (
	mostHops  = 16
	firstPort = 33434 // of traceroute
	icmpWait  = 1500 * time.Millisecond
	smallUDP  = 64
)

// word is ICMP's answer to probes by UDP.
type word struct {
	mtu  int // path MTU; 0 = no word
	hops []Hop
}

// errorOf is an ICMP error that came for a probe.
type errorOf struct {
	port     int
	errno    unix.Errno
	mtu      int
	offender netip.Addr
}

// askICMP sends UDP probes with DF to closed ports of the far end, with each TTL one of the link's
// MTU and a small one, and reads the ICMP errors that come for them. The port tells the probe:
// routers need not quote more than that.
func (t *target) askICMP(ctx context.Context) (w word) {
	size := min(t.link, 65535)
	fd, err := t.probeSocket()
	if err != nil || size <= smallUDP {
		return w
	}
	defer unix.Close(fd)
	hops := make([]Hop, mostHops+1)
	deadline := time.Now().Add(icmpWait)
	next, last := 0, time.Now()
	for time.Now().Before(deadline) && ctx.Err() == nil {
		if next <= mostHops { // the whole way first
			t.sendProbes(fd, (next+mostHops)%(mostHops+1)+1, next == 0, size)
			next++
		}
		for {
			e, err := readError(fd)
			if err != nil {
				break
			}
			w.note(e, hops, size)
			last = time.Now()
		}
		if w.mtu != 0 && next > mostHops && time.Since(last) > 300*time.Millisecond {
			break
		}
		if !pause(ctx) {
			break
		}
	}
	for _, hop := range hops {
		if hop.Address.IsValid() {
			w.hops = append(w.hops, hop)
			if hop.Far {
				break
			}
		}
	}
	return w
}

// note reads an error into the hops and the path MTU.
func (w *word) note(e errorOf, hops []Hop, size int) {
	ttl, full := (e.port-firstPort)/2, (e.port-firstPort)%2 == 1
	if ttl < 1 || ttl > mostHops+1 {
		return
	}
	far := e.errno == unix.ECONNREFUSED
	if e.errno == unix.EMSGSIZE && e.mtu > 0 {
		w.mtu = e.mtu
		return
	}
	if far && full && w.mtu == 0 {
		w.mtu = size
	}
	if ttl > mostHops {
		return
	}
	hop := &hops[ttl]
	hop.TTL, hop.Address, hop.Far, hop.Full = ttl, e.offender, hop.Far || far, hop.Full || full
}

// probeSocket returns a UDP socket that ignores the kernel's path MTU and queues ICMP errors.
func (t *target) probeSocket() (int, error) {
	family, level := unix.AF_INET, unix.IPPROTO_IP
	discover, receive := unix.IP_MTU_DISCOVER, unix.IP_RECVERR
	if t.address.Addr().Is6() {
		family, level = unix.AF_INET6, unix.IPPROTO_IPV6
		discover, receive = unix.IPV6_MTU_DISCOVER, unix.IPV6_RECVERR
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return -1, err
	}
	for option, value := range map[int]int{discover: unix.IP_PMTUDISC_PROBE, receive: 1} {
		if err := unix.SetsockoptInt(fd, level, option, value); err != nil {
			unix.Close(fd)
			return -1, err
		}
	}
	return fd, nil
}

// sendProbes sends the full and the small probe of one TTL. An error that ICMP has left on the
// socket comes from the first send after it, which is then repeated.
func (t *target) sendProbes(fd, ttl int, whole bool, size int) {
	level, option, header := unix.IPPROTO_IP, unix.IP_TTL, 28
	if t.address.Addr().Is6() {
		level, option, header = unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS, 48
	}
	limit := ttl
	if whole {
		limit = 64
	}
	_ = unix.SetsockoptInt(fd, level, option, limit)
	for i, length := range []int{smallUDP, size} {
		to := unixAddr(t.address.Addr(), firstPort+2*ttl+i)
		for range 3 {
			if unix.Sendto(fd, make([]byte, length-header), 0, to) == nil {
				break
			}
		}
	}
}

func unixAddr(a netip.Addr, port int) unix.Sockaddr {
	if a.Is4() {
		return &unix.SockaddrInet4{Port: port, Addr: a.As4()}
	}
	return &unix.SockaddrInet6{Port: port, Addr: a.As16(), ZoneId: zone(a)}
}

// readError reads the next ICMP error: struct sock_extended_err of linux/errqueue.h.
func readError(fd int) (e errorOf, err error) {
	oob, data := make([]byte, 512), make([]byte, 64)
	_, n, _, from, err := unix.Recvmsg(fd, data, oob, unix.MSG_ERRQUEUE|unix.MSG_DONTWAIT)
	if err != nil {
		return e, err
	}
	switch a := from.(type) {
	case *unix.SockaddrInet4:
		e.port = a.Port
	case *unix.SockaddrInet6:
		e.port = a.Port
	}
	messages, err := unix.ParseSocketControlMessage(oob[:n])
	if err != nil {
		return e, err
	}
	for _, m := range messages {
		is4 := m.Header.Level == unix.IPPROTO_IP && m.Header.Type == unix.IP_RECVERR
		is6 := m.Header.Level == unix.IPPROTO_IPV6 && m.Header.Type == unix.IPV6_RECVERR
		if !is4 && !is6 || len(m.Data) < 16 || m.Data[4] == unix.SO_EE_ORIGIN_LOCAL {
			continue
		}
		e.errno = unix.Errno(binary.NativeEndian.Uint32(m.Data))
		e.mtu = int(binary.NativeEndian.Uint32(m.Data[8:]))
		if is4 && len(m.Data) >= 16+8 {
			e.offender, _ = netip.AddrFromSlice(m.Data[20:24])
		}
		if is6 && len(m.Data) >= 16+24 {
			e.offender, _ = netip.AddrFromSlice(m.Data[24:40])
		}
	}
	return e, nil
}
