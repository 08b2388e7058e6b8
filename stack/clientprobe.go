//go:build linux

package stack

import (
	"context"
	"encoding/binary"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"syntap/stack/netstack"
	"syntap/tun"
	tunflow "syntap/tun/flow"
	"syntap/tun/packet"
)

// Probes of the path to a client are segments that it has long acknowledged: it drops them, and
// says at once by D-SACK which have come (RFC 2883 §4). Each ends at SND.UNA, so its beginning
// tells its size, and no byte of the connection depends on it.
//
//	router ── old segments of ascending sizes, and a small one ──▶ client
//	router ◀── an ACK for each that came, with its beginning ───── client
type clientProbes struct {
	active atomic.Int32

	mu  sync.Mutex // guards all
	all map[connKey]*clientProbe
}

// clientProbe is one burst of probes.
type clientProbe struct {
	end     uint32        // of all probes
	reached map[int]bool  // by payload, of all that were sent
	ended   chan struct{} // the last has reached the client
}

// ErrNoProbe says that a connection is not stuck any more, or that its client does not say which
// old segments have come.
var ErrNoProbe = errors.New("the client does not tell of old segments")

const (
	trailer   = 8                      // payload of the last probe: behind its answer there are no others
	trailers  = 6                      // times that it is sent
	probeWait = 300 * time.Millisecond // for its answer
	straggle  = 20 * time.Millisecond  // for answers that overtake each other
)

// ProbeClient sends packets of some sizes to the client of a connection whose segments are stuck,
// and reports which of them have reached it. Those that have not may be lost by chance.
func (s *Stack) ProbeClient(ctx context.Context, k tunflow.Key, sizes []int) (reached []bool, err error) {
	key := connKey{client: k.Client, server: k.Server}
	r := s.resentTo(key, k.ISN)
	if r == nil {
		return nil, ErrNoProbe
	}
	p := &clientProbe{end: r.seq, reached: make(map[int]bool), ended: make(chan struct{})}
	p.reached[trailer] = false
	for _, size := range sizes {
		p.reached[size-len(r.headers)] = false
	}
	if !s.probes.begin(key, p) {
		return nil, ErrNoProbe
	}
	defer s.probes.end(key)
	for _, size := range sizes {
		s.writeInbound(tun.Offload{}, r.probe(size-len(r.headers)))
	}
	if !s.awaitTrailer(ctx, p, r) {
		return nil, ErrNoProbe
	}
	s.probes.mu.Lock()
	defer s.probes.mu.Unlock()
	for _, size := range sizes {
		reached = append(reached, p.reached[size-len(r.headers)])
	}
	return reached, nil
}

// awaitTrailer sends the last probe, again where its answer does not come, and reports whether one
// has come.
func (s *Stack) awaitTrailer(ctx context.Context, p *clientProbe, r *resent) bool {
	again := time.NewTicker(probeWait)
	defer again.Stop()
	for range trailers {
		s.writeInbound(tun.Offload{}, r.probe(trailer))
		select {
		case <-p.ended:
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

// resentTo returns the segment that is stuck on its way to a client, or nil.
func (s *Stack) resentTo(key connKey, isn uint32) *resent {
	s.mu.Lock()
	c := s.conns[key]
	if c == nil || c.isn != isn || c.phase.Load() != established {
		s.mu.Unlock()
		return nil
	}
	s.mu.Unlock()
	at, ok := netstack.ProgressOf(c.ep)
	if r := c.resent.Load(); ok && r != nil && r.seq == at.SndUna {
		return r
	}
	return nil
}

// probe returns a packet with n bytes of payload that end where the stuck segment begins.
func (r *resent) probe(n int) []byte {
	n = max(1, n)
	b := make([]byte, len(r.headers)+n)
	copy(b, r.headers)
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
	be.PutUint32(t[4:], r.seq-uint32(n))
	t[packet.TCPFlags] = packet.ACK
	be.PutUint16(t[packet.TCPChecksum:], 0)
	be.PutUint16(t[packet.TCPChecksum:], packet.TransportChecksum(packet.ProtoTCP, h.Src(b), h.Dst(b), t))
	return b
}

func (p *clientProbes) begin(key connKey, one *clientProbe) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.all[key] != nil {
		return false
	}
	if p.all == nil {
		p.all = make(map[connKey]*clientProbe)
	}
	p.all[key] = one
	p.active.Add(1)
	return true
}

func (p *clientProbes) end(key connKey) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.all, key)
	p.active.Add(-1)
}

// note takes a segment of a client while probes are on their way.
func (p *clientProbes) note(key connKey, f *tun.Frame) {
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
	one := p.all[key]
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
