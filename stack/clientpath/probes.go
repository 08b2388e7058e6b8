package clientpath

import (
	"context"
	"encoding/binary"
	"errors"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"syntap/tun"
	"syntap/tun/packet"
)

// Probes of the path to a client are segments that it has acknowledged before. The client drops
// them, and reports by D-SACK which have arrived (RFC 2883 §4). Each ends at SND.UNA, so its
// beginning identifies its size, and no byte of the connection depends on it.
//
//	router ── old segments of ascending sizes, and a small one ──▶ client
//	router ◀── an ACK for each that came, with its beginning ───── client
type Probes struct {
	active atomic.Int32

	mu  sync.Mutex                   // guards all
	all map[[2]netip.AddrPort]*burst // by client and server
}

// burst is the probes of one connection.
type burst struct {
	end     uint32        // of all probes
	reached map[int]bool  // by payload, of all that were sent
	ended   chan struct{} // the last has reached the client
}

// ErrNoProbe means that a connection is no longer stuck, or that its client does not report which
// old segments have arrived.
var ErrNoProbe = errors.New("the client does not tell of old segments")

const (
	trailer   = 8                      // payload of the last probe: behind its answer there are no others
	trailers  = 6                      // times that it is sent
	probeWait = 300 * time.Millisecond // for its answer
	straggle  = 20 * time.Millisecond  // for answers that overtake each other
)

// Run sends packets of several sizes to a client whose segments are stuck, by write, and reports
// which have reached it. The others may be lost by chance.
func (p *Probes) Run(
	ctx context.Context, client, server netip.AddrPort, stuck *Segment, sizes []int,
	write func(packet []byte),
) (reached []bool, err error) {
	key := [2]netip.AddrPort{client, server}
	one := &burst{end: stuck.Seq, reached: make(map[int]bool), ended: make(chan struct{})}
	one.reached[trailer] = false
	for _, size := range sizes {
		one.reached[size-len(stuck.Headers)] = false
	}
	if !p.begin(key, one) {
		return nil, ErrNoProbe
	}
	defer p.end(key)
	for _, size := range sizes {
		write(stuck.before(size - len(stuck.Headers)))
	}
	if !one.awaitTrailer(ctx, func() { write(stuck.before(trailer)) }) {
		return nil, ErrNoProbe
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, size := range sizes {
		reached = append(reached, one.reached[size-len(stuck.Headers)])
	}
	return reached, nil
}

// awaitTrailer sends the last probe, repeatedly if it is not answered, and reports whether an
// answer has come.
func (b *burst) awaitTrailer(ctx context.Context, send func()) bool {
	again := time.NewTicker(probeWait)
	defer again.Stop()
	for range trailers {
		send()
		select {
		case <-b.ended:
			select {
			case <-time.After(straggle):
			case <-ctx.Done():
			}
			return true
		case <-again.C:
		case <-ctx.Done():
			return false
		}
	}
	return false
}

// Segment is the last segment that was retransmitted to a client.
type Segment struct {
	Headers []byte // of IP and TCP, as they were sent
	Seq     uint32
	Size    int // payload of one segment
	Times   int // that the segment has been sent again
}

// before returns a packet with n bytes of payload that end where the segment begins.
func (r *Segment) before(n int) []byte {
	n = max(1, n)
	b := make([]byte, len(r.Headers)+n)
	copy(b, r.Headers)
	var h packet.Headers
	h.Parse(b, packet.AnyLength)
	be := binary.BigEndian
	if h.Version == 4 {
		be.PutUint16(b[2:], uint16(len(b)))
		be.PutUint16(b[10:], 0)
		be.PutUint16(b[10:], ^packet.Checksum(b[:h.HeaderLen], 0))
	} else {
		be.PutUint16(b[4:], uint16(len(b)-packet.IPv6HeaderLen))
	}
	t := b[h.Offset:]
	be.PutUint32(t[4:], r.Seq-uint32(n))
	t[packet.TCPFlags] = packet.ACK
	be.PutUint16(t[packet.TCPChecksum:], 0)
	be.PutUint16(t[packet.TCPChecksum:], packet.TransportChecksum(packet.ProtoTCP, h.Src(b), h.Dst(b), t))
	return b
}

func (p *Probes) begin(key [2]netip.AddrPort, one *burst) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.all[key] != nil {
		return false
	}
	if p.all == nil {
		p.all = make(map[[2]netip.AddrPort]*burst)
	}
	p.all[key] = one
	p.active.Add(1)
	return true
}

func (p *Probes) end(key [2]netip.AddrPort) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.all, key)
	p.active.Add(-1)
}

// Active reports whether probes are in flight.
func (p *Probes) Active() bool { return p.active.Load() > 0 }

// Note looks at a segment of a client while probes are in flight.
func (p *Probes) Note(client, server netip.AddrPort, f *tun.Frame) {
	h := &f.Headers
	if h.End > len(f.Head) {
		return
	}
	left, right, ok := firstSACK(f.Head[h.Offset+packet.TCPHeaderLen : h.End])
	if !ok {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	one := p.all[[2]netip.AddrPort{client, server}]
	if one == nil || right != one.end {
		return
	}
	n := int(one.end - left)
	before, sent := one.reached[n]
	if !sent || before {
		return
	}
	one.reached[n] = true
	if n == trailer {
		close(one.ended)
	}
}

// firstSACK returns the first block of the SACK option (RFC 2018 §3).
func firstSACK(options []byte) (left, right uint32, ok bool) {
	const end, nop, sack = 0, 1, 5
	for len(options) >= 2 && options[0] != end {
		if options[0] == nop {
			options = options[1:]
			continue
		}
		n := int(options[1])
		if n < 2 || n > len(options) {
			break
		}
		if options[0] == sack && n >= 10 {
			be := binary.BigEndian
			return be.Uint32(options[2:]), be.Uint32(options[6:]), true
		}
		options = options[n:]
	}
	return 0, 0, false
}
