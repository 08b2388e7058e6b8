//go:build linux

package netstack

import (
	"reflect"

	"gvisor.dev/gvisor/pkg/tcpip"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
)

// Outstanding reports whether netstack has sent a sequence number to the client that the client has
// not acknowledged yet (RFC 5927 §4.1). No option of the endpoint tells that, so it reads SND.UNA
// and SND.NXT from the sender's fields.
func Outstanding(ep tcpip.Endpoint, seq uint32) bool {
	e, ok := ep.(*tcp.Endpoint)
	if !ok {
		return false
	}
	e.LockUser()
	defer e.UnlockUser()
	sender := reflect.ValueOf(e).Elem().FieldByName("snd")
	if !sender.IsValid() || sender.IsNil() {
		return false
	}
	una, nxt := sender.Elem().FieldByName("SndUna"), sender.Elem().FieldByName("SndNxt")
	return una.CanUint() && nxt.CanUint() && seq-uint32(una.Uint()) < uint32(nxt.Uint()-una.Uint())
}

// LowerPathMTU has an endpoint send IP packets of at most mtu bytes, whose IP header has
// ipHeaderLen, and send again those that are outstanding.
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
