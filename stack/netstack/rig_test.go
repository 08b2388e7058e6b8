//go:build linux

package netstack

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"os"
	"slices"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/waiter"

	"syntap/tun"
	"syntap/tun/tuntest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	clientEnd = netip.MustParseAddrPort("198.51.100.1:40000")
	serverEnd = netip.MustParseAddrPort("192.0.2.1:80")
)

// sizes are those of the router.
var sizes = Buffers{
	Receive: tcpip.TCPReceiveBufferSizeRangeOption{Min: 4 << 10, Default: 128 << 10, Max: 2 << 20},
	Send:    tcpip.TCPSendBufferSizeRangeOption{Min: 2 << 10, Default: 64 << 10, Max: 2 << 20},
}

// frame is one that netstack has written.
type frame struct {
	head int // bytes in the first buffer
	data []byte
	off  tun.Offload
}

func (f frame) tcp() header.TCP      { return header.TCP(f.data[20:]) }
func (f frame) payload() []byte      { return f.tcp().Payload() }
func (f frame) endSeq() (seq uint32) { return f.tcp().SequenceNumber() + uint32(len(f.payload())) }

// recorder is a link that keeps the frames that netstack writes.
type recorder struct {
	frames chan frame
	fail   atomic.Pointer[error] // returned by WriteFrame
}

func (r *recorder) ReadFrame(*tun.Frame) error { return os.ErrClosed }
func (r *recorder) MTU() int                   { return 1500 }
func (r *recorder) Close() error               { return nil }

func (r *recorder) WriteFrame(off tun.Offload, bufs [][]byte) error {
	if err := r.fail.Load(); err != nil {
		return *err
	}
	r.frames <- frame{head: len(bufs[0]), data: slices.Concat(bufs...), off: off}
	return nil
}

// rig is a Stack and a client by hand.
type rig struct {
	*Stack
	link     *recorder
	requests chan Request
	small    atomic.Bool // connections begin with the smallest receive buffer
	seq, ack uint32      // of the client's next segment
	options  []byte      // of its SYN
}

func newRig(t *testing.T, o Options) *rig {
	t.Helper()
	o.Buffers = sizes
	r := &rig{link: &recorder{frames: make(chan frame, 1024)}, requests: make(chan Request, 16), seq: 1000, options: synOptions}
	s, err := New(r.link, o)
	if err != nil {
		t.Fatal(err)
	}
	r.Stack = s
	s.HandleTCP(func(q Request) { r.requests <- q }, func(netip.AddrPort, netip.AddrPort) bool { return r.small.Load() })
	t.Cleanup(func() {
		s.Close()
		s.Wait()
	})
	return r
}

// next returns the next frame that is one, and skips others: netstack sends again what a test is
// late to acknowledge.
func (r *rig) next(t *testing.T, what string, isOne func(frame) bool) frame {
	t.Helper()
	for {
		if f := tuntest.Receive(t, what, r.link.frames); isOne(f) {
			return f
		}
	}
}

// segment returns the next frame behind the handshake.
func (r *rig) segment(t *testing.T, what string) frame {
	t.Helper()
	return r.next(t, what, func(f frame) bool { return f.tcp().Flags()&header.TCPFlagSyn == 0 })
}

// segments returns the number of frames behind the handshake that wait to be received.
func (r *rig) segments() (n int) {
	for len(r.link.frames) > 0 {
		if f := <-r.link.frames; f.tcp().Flags()&header.TCPFlagSyn == 0 {
			n++
		}
	}
	return n
}

// send delivers a segment of the client and counts it.
func (r *rig) send(flags uint8, options, payload []byte) {
	r.DeliverCopy(tuntest.TCP{
		Src: clientEnd, Dst: serverEnd, Seq: r.seq, Ack: r.ack, Flags: flags, Window: 65535,
		Options: options, Payload: payload,
	}.Packet())
	r.seq += uint32(len(payload))
	if flags&(syn|fin) != 0 {
		r.seq++
	}
}

const (
	fin = uint8(header.TCPFlagFin)
	syn = uint8(header.TCPFlagSyn)
	ack = uint8(header.TCPFlagAck)
)

// synOptions are an MSS of 1460 and a window scale of 7.
var synOptions = []byte{2, 4, 1460 >> 8, 1460 & 0xff, 3, 3, 7, 1}

// open is a connection with the client.
type open struct {
	ep     tcpip.Endpoint
	queue  *waiter.Queue
	synAck frame
}

func (r *rig) open(t *testing.T) open {
	t.Helper()
	r.ack = 0
	r.send(syn, r.options, nil)
	request := tuntest.Receive(t, "request", r.requests)
	if client, server := request.Ends(); client != clientEnd || server != serverEnd {
		t.Fatalf("a SYN from %v to %v is a request of %v to %v", clientEnd, serverEnd, client, server)
	}
	o := open{queue: new(waiter.Queue)}
	accepted := make(chan tcpip.Error, 1)
	go func() {
		var err tcpip.Error
		o.ep, err = request.Accept(o.queue)
		accepted <- err
	}()
	o.synAck = r.next(t, "SYN-ACK", func(f frame) bool {
		return f.tcp().Flags() == header.TCPFlagSyn|header.TCPFlagAck && f.tcp().AckNumber() == r.seq
	})
	r.ack = o.synAck.tcp().SequenceNumber() + 1
	r.send(ack, nil, nil)
	if err := tuntest.Receive(t, "accepted connection", accepted); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(o.ep.Abort)
	return o
}

// views collects a peek.
type views struct{ list [][]byte }

func (v *views) Write(b []byte) (int, error) {
	v.list = append(v.list, b)
	return len(b), nil
}

func (v *views) bytes() []byte { return bytes.Join(v.list, nil) }

// windowScale returns the shift of a SYN-ACK's window scale option, -1 without.
func windowScale(t header.TCP) int {
	for o := t.Options(); len(o) > 0; {
		switch o[0] {
		case 0:
			return -1
		case 1:
			o = o[1:]
		case 3:
			return int(o[2])
		default:
			o = o[o[1]:]
		}
	}
	return -1
}

func checksumBroken(packet []byte) []byte {
	t := packet[20:]
	binary.BigEndian.PutUint16(t[16:], ^binary.BigEndian.Uint16(t[16:]))
	return packet
}
