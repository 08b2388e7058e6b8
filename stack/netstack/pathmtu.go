//go:build linux

package netstack

import (
	"reflect"

	"gvisor.dev/gvisor/pkg/tcpip"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
)

// Progress is how far a connection has got, in sequence numbers (RFC 9293 §3.3.1).
type Progress struct {
	SndUna, SndNxt, RcvNxt uint32
	Full                   uint32 // payload of the longest segment that netstack sends
	AfterGap               int    // bytes of memory that hold segments which came before others in front of them
}

// ProgressOf returns the progress of an endpoint, and whether it has any. No option of the endpoint
// tells it, so it is read from the fields of its sender and its receiver.
func ProgressOf(ep tcpip.Endpoint) (p Progress, ok bool) {
	e, ok := ep.(*tcp.Endpoint)
	if !ok {
		return p, false
	}
	e.LockUser()
	defer e.UnlockUser()
	sender, receiver := reflect.ValueOf(e).Elem().FieldByName("snd"), reflect.ValueOf(e).Elem().FieldByName("rcv")
	if !sender.IsValid() || !receiver.IsValid() || sender.IsNil() || receiver.IsNil() {
		return p, false
	}
	una, nxt := sender.Elem().FieldByName("SndUna"), sender.Elem().FieldByName("SndNxt")
	received, full := receiver.Elem().FieldByName("RcvNxt"), sender.Elem().FieldByName("MaxPayloadSize")
	pending := receiver.Elem().FieldByName("PendingBufUsed")
	if !una.CanUint() || !nxt.CanUint() || !received.CanUint() || !full.CanInt() || !pending.CanInt() {
		return p, false
	}
	return Progress{
		SndUna: uint32(una.Uint()), SndNxt: uint32(nxt.Uint()), RcvNxt: uint32(received.Uint()),
		Full: uint32(full.Int()), AfterGap: int(pending.Int()),
	}, true
}

// Outstanding reports whether netstack has sent a sequence number to the client that the client has
// not acknowledged yet (RFC 5927 §4.1).
func Outstanding(ep tcpip.Endpoint, seq uint32) bool {
	p, ok := ProgressOf(ep)
	return ok && seq-p.SndUna < p.SndNxt-p.SndUna
}

// LowerPathMTU limits an endpoint's IP packets to mtu bytes, with an IP header of ipHeaderLen, and
// makes it retransmit outstanding data.
func LowerPathMTU(ep tcpip.Endpoint, mtu, ipHeaderLen int) {
	if e, ok := ep.(*tcp.Endpoint); ok {
		e.HandleError(tooBig(mtu-ipHeaderLen), nil)
		e.LockUser()
		e.UnlockUser() // wakes the processor, which has left alone the segments that came meanwhile
	}
}

// tooBig is the error by which netstack learns an MTU, less the IP header. It comes from no packet.
type tooBig uint32

var _ gstack.TransportError = tooBig(0)

func (e tooBig) Info() uint32                  { return uint32(e) }
func (tooBig) Kind() gstack.TransportErrorKind { return gstack.PacketTooBigTransportError }
func (tooBig) Type() uint8                     { return 3 } // fragmentation needed (RFC 792)
func (tooBig) Code() uint8                     { return 4 }
func (tooBig) Origin() tcpip.SockErrOrigin     { return tcpip.SockExtErrorOriginICMP }
