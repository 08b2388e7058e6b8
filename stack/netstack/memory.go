//go:build linux

package netstack

import (
	"unsafe"

	"gvisor.dev/gvisor/pkg/atomicbitops"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
)

// ReceiveMemory returns the bytes of memory that hold segments which a client has sent and the
// router has not read, including those after a gap.
//
// An option of the endpoint tells the payload in order alone: one byte in a segment of its own is a
// byte there, and a KiB of memory.
func ReceiveMemory(ep tcpip.Endpoint) int64 {
	e := unsafe.Pointer(ep.(*tcp.Endpoint))
	return int64((*atomicbitops.Int32)(unsafe.Add(e, receiveMemoryAt)).Load())
}

// receiveMemoryAt is the place of netstack's own counter in the endpoint.
var receiveMemoryAt = offsetOf[tcp.Endpoint, atomicbitops.Int32]("rcvMemUsed")

// SetSendBuffer sets the size of an endpoint's send buffer. While netstack handles an
// acknowledgment it stores the size that it has read just before, and may undo a change in between.
func SetSendBuffer(options *tcpip.SocketOptions, size int64) {
	for {
		options.SetSendBufferSize(size, true) // takes the endpoint's lock after it has stored
		if options.GetSendBufferSize() == size {
			return
		}
	}
}
