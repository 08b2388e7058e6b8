package tap

import (
	"encoding/binary"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/link/channel"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/waiter"

	"syntap/tap/handshake"
	"syntap/tap/taptest"
	"syntap/tun"
	"syntap/tun/flow"
	"syntap/tun/packet"
	"syntap/tun/tuntest"
)

// netRouter is a netstack behind a tap, which accepts connections to everywhere as the router does.
//
//	test ── world.link ── tap ── netRouter (link endpoint, IP, TCP, Forwarder)
type netRouter struct {
	*world
	link  *netLink
	stack *gstack.Stack
	fwd   *tcp.Forwarder

	mu       sync.Mutex
	isn      map[gstack.TransportEndpointID]uint32
	settled  map[gstack.TransportEndpointID]chan struct{} // closed when the handshake's SYN-ACK is out, or none will come
	answer   flow.Answer                                  // how the next dials end
	pending  map[gstack.TransportEndpointID]pending       // endpoints that wait for their third segment
	accepted []flow.Key                                   // handshakes that netstack has established
	open     []tcpip.Endpoint
	handlers sync.WaitGroup
	barriers uint16 // connections of catchUp
}

// pending is an endpoint that waits for its third segment.
type pending struct {
	isn uint32 // of the client's SYN
	wq  *waiter.Queue
}

// netLink is netstack's side of the tap.
type netLink struct {
	*channel.Endpoint
	router *netRouter
}

func newNetRouter(tb testing.TB, o Options) *netRouter {
	r := &netRouter{
		world:   newWorld(tb, o),
		isn:     map[gstack.TransportEndpointID]uint32{},
		settled: map[gstack.TransportEndpointID]chan struct{}{},
		pending: map[gstack.TransportEndpointID]pending{},
	}
	// With one processor netstack takes segments in the order of their arrival, whatever flow they
	// are of.
	procs := runtime.GOMAXPROCS(1)
	r.stack = gstack.New(gstack.Options{
		NetworkProtocols:   []gstack.NetworkProtocolFactory{ipv4.NewProtocol, ipv6.NewProtocol},
		TransportProtocols: []gstack.TransportProtocolFactory{tcp.NewProtocol},
	})
	runtime.GOMAXPROCS(procs)
	r.link = &netLink{Endpoint: channel.New(0, 1500, ""), router: r}
	r.link.LinkEPCapabilities |= gstack.CapabilityRXChecksumOffload
	r.check(r.stack.CreateNIC(1, r.link))
	r.check(r.stack.SetPromiscuousMode(1, true))
	r.check(r.stack.SetSpoofing(1, true))
	r.stack.SetRouteTable([]tcpip.Route{{Destination: header.IPv4EmptySubnet, NIC: 1}, {Destination: header.IPv6EmptySubnet, NIC: 1}})
	r.fwd = tcp.NewForwarder(r.stack, 1<<16, 64, r.accept)
	r.stack.SetTransportProtocolHandler(tcp.ProtocolNumber, r.onSegment)
	return r
}

func (r *netRouter) check(err tcpip.Error) {
	if err != nil {
		r.tb.Fatal(err)
	}
}

// giveUp ends the endpoints that wait for a third segment.
func (r *netRouter) giveUp() {
	r.mu.Lock()
	for _, p := range r.pending {
		p.wq.Notify(waiter.WritableEvents)
	}
	r.mu.Unlock()
	r.handlers.Wait()
}

// close ends everything.
func (r *netRouter) close() {
	r.giveUp()
	for _, ep := range r.open {
		ep.Abort()
	}
	r.stack.Close()
	r.stack.Wait()
}

// WritePackets implements stack.LinkEndpoint.
func (l *netLink) WritePackets(list gstack.PacketBufferList) (int, tcpip.Error) {
	for _, pkt := range list.AsSlice() {
		v := pkt.ToView()
		b := slices.Clone(v.AsSlice())
		v.Release()
		if err := l.router.tap.WriteFrame(tun.Offload{}, [][]byte{b}); err != nil {
			return 0, &tcpip.ErrAborted{}
		}
		s := parseSegment(b, len(b), packet.Inbound)
		if s.TCP && s.Flags&(packet.SYN|packet.ACK) == packet.SYN|packet.ACK {
			l.router.settle(endpointID(s))
		}
	}
	return list.Len(), nil
}

func endpointID(s *segment) gstack.TransportEndpointID {
	client, server := s.Flow.Ends()
	return gstack.TransportEndpointID{
		LocalAddress: tcpip.AddrFromSlice(server.Addr().AsSlice()), LocalPort: server.Port(),
		RemoteAddress: tcpip.AddrFromSlice(client.Addr().AsSlice()), RemotePort: client.Port(),
	}
}

func (r *netRouter) settle(id gstack.TransportEndpointID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c := r.settled[id]; c != nil {
		close(c)
		delete(r.settled, id)
	}
}

// send lets the client send a frame and waits until netstack has answered, unless a timer is due.
func (r *netRouter) send(f tuntest.Frame) (reason string) {
	if s := parseSegment(f.Data, len(f.Data), packet.Outbound); s.TCP && s.Flags&packet.RST != 0 {
		r.awaitAccepted()
	}
	got, reason := r.world.send(f)
	if reason != "" {
		return reason
	}
	r.challenge(got.Data)
	proto := ipv4.ProtocolNumber
	if got.Data[0]>>4 == 6 {
		proto = ipv6.ProtocolNumber
	}
	pkt := gstack.NewPacketBuffer(gstack.PacketBufferOptions{Payload: buffer.MakeWithData(got.Data)})
	r.link.InjectInbound(proto, pkt)
	pkt.DecRef()

	r.mu.Lock()
	var waiting []chan struct{}
	for _, c := range r.settled {
		waiting = append(waiting, c)
	}
	r.mu.Unlock()
	for _, c := range waiting {
		select {
		case <-c:
		case <-time.After(tuntest.Patience):
			r.tb.Fatal("netstack does not settle")
		}
	}
	return ""
}

// challenge gives a SYN for an endpoint that waits for its third segment the number that the
// endpoint knows, as the router does: netstack answers it with a challenge ACK then, and with the
// end of the handshake if another number lies in its receive window.
func (r *netRouter) challenge(b []byte) {
	s := parseSegment(b, len(b), packet.Outbound)
	if !s.TCP || s.Flags&(packet.SYN|packet.ACK) != packet.SYN {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if p, ok := r.pending[endpointID(s)]; ok {
		binary.BigEndian.PutUint32(b[s.Offset+4:], p.isn)
	}
}

// awaitAccepted waits until netstack has accepted the connections that the tap has recorded. A RST
// that comes sooner leaves no trace of the connection. Should it take too long, verify will tell.
func (r *netRouter) awaitAccepted() {
	deadline, poll := time.After(tuntest.Patience), time.NewTicker(time.Millisecond)
	defer poll.Stop()
	for {
		n := 0
		for _, records := range r.established() {
			n += records
		}
		r.mu.Lock()
		enough := len(r.accepted) >= n
		r.mu.Unlock()
		if enough {
			return
		}
		select {
		case <-poll.C:
		case <-deadline:
			return
		}
	}
}

// onSegment takes the segments that no endpoint wants.
func (r *netRouter) onSegment(id gstack.TransportEndpointID, pkt *gstack.PacketBuffer) bool {
	h := header.TCP(pkt.TransportHeader().Slice())
	if h.Flags()&(header.TCPFlagSyn|header.TCPFlagAck) != header.TCPFlagSyn {
		return r.fwd.HandlePacket(id, pkt)
	}
	r.mu.Lock()
	r.isn[id] = h.SequenceNumber()
	c := make(chan struct{})
	r.settled[id] = c
	r.mu.Unlock()
	ok := r.fwd.HandlePacket(id, pkt)
	if !ok {
		r.settle(id)
	}
	return ok
}

// accept is the Forwarder's handler: it dials, tells the tap, and answers the client.
func (r *netRouter) accept(req *tcp.ForwarderRequest) {
	r.handlers.Add(1)
	defer r.handlers.Done()
	id := req.ID()
	defer r.settle(id)
	client, _ := netip.AddrFromSlice(id.RemoteAddress.AsSlice())
	server, _ := netip.AddrFromSlice(id.LocalAddress.AsSlice())
	r.mu.Lock()
	answer := r.answer
	k := flow.Key{Client: netip.AddrPortFrom(client, id.RemotePort), Server: netip.AddrPortFrom(server, id.LocalPort), ISN: r.isn[id]}
	r.mu.Unlock()

	r.tap.DialDone(flow.Dial{Key: k, Answer: answer})
	if !r.shown(k) {
		r.tb.Errorf("netstack took a SYN that the tap has not recorded: %v", k)
	}
	if answer != flow.Connected {
		req.Complete(answer == flow.Refused)
		return
	}
	wq := &waiter.Queue{}
	r.mu.Lock()
	r.pending[id] = pending{k.ISN, wq}
	r.mu.Unlock()
	ep, err := req.CreateEndpoint(wq)
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.pending, id)
	if err != nil {
		r.tap.Forget(k)
	} else {
		r.accepted = append(r.accepted, k)
		r.open = append(r.open, ep)
	}
	req.Complete(false)
}

// shown reports whether the tap has shown a SYN of the handshake.
func (r *netRouter) shown(k flow.Key) bool {
	r.rec.Mu.Lock()
	defer r.rec.Mu.Unlock()
	return slices.Contains(r.rec.Keys, k)
}

// established counts the records of connections by handshake.
func (r *netRouter) established() map[flow.Key]int {
	r.rec.Mu.Lock()
	defer r.rec.Mu.Unlock()
	n := map[flow.Key]int{}
	for _, rec := range r.rec.Records {
		if rec.Outcome == handshake.Established {
			n[rec.Key()]++
		}
	}
	return n
}

// catchUp makes one more connection, behind which nothing sent before can still wait in netstack.
func (r *netRouter) catchUp() {
	r.tb.Helper()
	r.mu.Lock()
	answer := r.answer
	r.answer = flow.Connected
	r.mu.Unlock()
	r.barriers++
	c := tuntest.TCP{Src: netip.AddrPortFrom(netip.MustParseAddr("192.0.2.77"), r.barriers), Dst: taptest.Server, Seq: 99, Flags: tuntest.SYN}
	r.send(tuntest.Frame{Data: c.Packet()})
	c.Seq, c.Ack, c.Flags = 100, r.serverISN(c.Src)+1, tuntest.ACK
	r.send(tuntest.Frame{Data: c.Packet()})
	k := flow.Key{Client: c.Src, Server: c.Dst, ISN: 99}
	tuntest.Wait(r.tb, "the last connection", func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.answer = answer
		return slices.Contains(r.accepted, k)
	})
}

// verify compares the connections of netstack with the records of the tap.
func (r *netRouter) verify() {
	r.tb.Helper()
	r.catchUp()
	r.close()

	accepted := map[flow.Key]int{}
	for _, k := range r.accepted {
		accepted[k]++
	}
	records := r.established()
	for k, n := range accepted {
		if records[k] != n {
			r.tb.Errorf("%v: netstack established %d connections, the tap recorded %d", k, n, records[k])
		}
	}
	for k, n := range records {
		if accepted[k] != n {
			r.tb.Errorf("%v: the tap recorded %d connections, netstack established %d", k, n, accepted[k])
		}
	}
}

// serverISN returns the number of the last SYN-ACK that the client got.
func (r *netRouter) serverISN(client netip.AddrPort) uint32 {
	r.world.link.mu.Lock()
	defer r.world.link.mu.Unlock()
	for _, b := range slices.Backward(r.world.link.inbound) {
		s := parseSegment(b, len(b), packet.Inbound)
		if to, _ := s.Flow.Ends(); s.TCP && s.Flags&packet.SYN != 0 && to == client {
			return s.Seq
		}
	}
	return 0
}

// TestNetstack checks the harness of the fuzz target with an ordinary handshake.
func TestNetstack(t *testing.T) {
	for _, s := range []tuntest.TCP{taptest.SYN(), taptest.SYN6()} {
		r := newNetRouter(t, Options{})
		if reason := r.send(tuntest.Frame{Data: s.Packet()}); reason != "" {
			t.Fatalf("SYN: %s", reason)
		}
		ackNumber := r.serverISN(s.Src) + 1
		s.Seq, s.Ack, s.Flags, s.Options = s.Seq+1, ackNumber+7, tuntest.ACK, nil
		if reason := r.send(tuntest.Frame{Data: s.Packet()}); reason != "third_segment" {
			t.Errorf("wrong third segment: reason %q, want third_segment", reason)
		}
		s.Ack = ackNumber
		if reason := r.send(tuntest.Frame{Data: s.Packet()}); reason != "" {
			t.Errorf("third segment: %s", reason)
		}
		r.verify()
		if n := len(r.accepted); n != 2 {
			t.Errorf("%d connections, want 2", n)
		}
	}
}
