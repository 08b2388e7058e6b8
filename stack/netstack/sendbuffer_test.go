//go:build linux

package netstack

import (
	"testing"

	"gvisor.dev/gvisor/pkg/tcpip"
)

// acknowledged is an endpoint that handles an acknowledgment while its send buffer is resized.
type acknowledged struct {
	tcpip.DefaultSocketOptionsHandler
	options tcpip.SocketOptions
	handled bool
}

func (*acknowledged) OnSetSendBufferSize(size int64) int64 { return size }

// WakeupWriters takes the endpoint's lock, and so waits for the acknowledgment to be handled.
func (e *acknowledged) WakeupWriters() {
	const before = 1 << 10
	if !e.handled {
		e.handled = true
		e.options.SetSendBufferSize(before, false)
	}
}

// A send buffer has the size that was set last, though netstack stores the one before again.
func TestSendBufferStays(t *testing.T) {
	t.Parallel()
	e := new(acknowledged)
	e.options.InitHandler(e, nil, nil, nil)
	const size = 64 << 10
	if SetSendBuffer(&e.options, size); e.options.GetSendBufferSize() != size {
		t.Errorf("%d bytes, want %d", e.options.GetSendBufferSize(), size)
	}
}
