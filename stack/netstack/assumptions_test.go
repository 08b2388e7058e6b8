//go:build linux

package netstack

import (
	"bytes"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/waiter"

	"syntap/tun"
	"syntap/tun/packet"
	"syntap/tun/tuntest"
)

// The tests of this file hold gVisor to the assumptions that doc.go lists.

// A small receive buffer is twice the window that the client sees at first, and the window scale
// has room for the largest one.
func TestWindow(t *testing.T) {
	t.Parallel()
	for name, small := range map[string]bool{"usual": false, "small": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, Options{})
			r.small.Store(small)
			o := r.open(t)
			least, most := 20*1400, 20*1460 // netstack begins with twenty segments, or less
			if small {
				least, most = sizes.Receive.Min/2, sizes.Receive.Min/2
			}
			if got := int(o.synAck.tcp().WindowSize()); got < least || got > most {
				t.Errorf("the SYN-ACK's window is %d, want %d to %d", got, least, most)
			}
			if scale := windowScale(o.synAck.tcp()); scale < 0 || 65535<<scale < sizes.Receive.Max/2 {
				t.Errorf("a window scale of %d does not fit half of %d", scale, sizes.Receive.Max)
			}
		})
	}
}

// A receive buffer that is enlarged enlarges the window, to half of it.
func TestWindowGrows(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{})
	r.small.Store(true)
	o := r.open(t)
	o.ep.SocketOptions().SetReceiveBufferSize(int64(sizes.Receive.Max), true)
	scale := windowScale(o.synAck.tcp())
	window := func() int {
		r.send(ack, nil, []byte("x"))
		f := r.segment(t, "ACK")
		_, _ = o.ep.Read(new(views), tcpip.ReadOptions{}) // the window grows while the buffer is read
		return int(f.tcp().WindowSize()) << scale
	}
	tuntest.Wait(t, "a window of half the largest receive buffer", func() bool { return window() > sizes.Receive.Max/2-1<<10 })
}

// The memory of received segments is counted, out of order ones too, and is free once read.
func TestReceiveMemory(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{})
	o := r.open(t)
	if n := ReceiveMemory(o.ep); n != 0 {
		t.Errorf("%d bytes before anything has come", n)
	}
	r.seq++ // a gap of one byte
	r.send(ack, nil, []byte("x"))
	tuntest.Wait(t, "memory behind a segment ahead of a gap (tcp.Endpoint.rcvMemUsed)", func() bool { return ReceiveMemory(o.ep) > 1 })
	r.seq -= 2
	r.send(ack, nil, []byte("y"))
	var read bytes.Buffer // copies, since netstack reuses memory that was read
	tuntest.Wait(t, "both bytes readable", func() bool {
		_, _ = o.ep.Read(&read, tcpip.ReadOptions{})
		return read.Len() == 2
	})
	if n := ReceiveMemory(o.ep); n != 0 {
		t.Errorf("%d bytes after all has been read", n)
	}
}

// Memory that a peek has shown stays until it is read, while more comes.
func TestPeekedMemoryStays(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{})
	o := r.open(t)
	first := bytes.Repeat([]byte("first"), 200)
	r.send(ack, nil, first)
	peeked := new(views)
	tuntest.Wait(t, "a peek", func() bool {
		_, err := o.ep.Read(peeked, tcpip.ReadOptions{Peek: true})
		return err == nil
	})
	for range 20 {
		r.send(ack, nil, bytes.Repeat([]byte("other"), 200))
	}
	tuntest.Wait(t, "more to peek at", func() bool {
		all := new(views)
		_, _ = o.ep.Read(all, tcpip.ReadOptions{Peek: true})
		return len(all.bytes()) == 21*1000
	})
	if !bytes.Equal(peeked.bytes(), first) {
		t.Error("memory that a peek has shown has changed before it was read")
	}
}

// Netstack writes packets of up to maxPayload bytes, with all headers in the first buffer, and
// leaves checksum and segmentation to the link.
func TestGSO(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{})
	o := r.open(t)
	o.ep.SocketOptions().SetSendBufferSize(int64(sizes.Send.Max), true)
	data := bytes.Repeat([]byte("0123456789"), 200_000)
	go func() {
		reader := bytes.NewReader(data)
		for reader.Len() > 0 {
			if _, err := o.ep.Write(reader, tcpip.WriteOptions{}); err != nil {
				time.Sleep(time.Millisecond) // no room; the test reads on
			}
		}
	}()
	largest, got := 0, 0
	for got < len(data) {
		f := tuntest.Receive(t, "segment", r.link.frames)
		n := len(f.payload())
		if n == 0 {
			continue
		}
		hdrLen := 20 + int(f.tcp().DataOffset())
		if f.head < hdrLen {
			t.Fatalf("the first buffer has %d bytes, the headers %d", f.head, hdrLen)
		}
		if n > 1460 {
			want := tun.Offload{
				Flags: tun.NeedsCsum, GSO: tun.GSOTCPv4, GSOSize: 1460, HdrLen: uint16(hdrLen),
				CsumStart: 20, CsumOffset: 16,
			}
			if f.off != want {
				t.Fatalf("a segment of %d bytes has the offload %+v, want %+v", n, f.off, want)
			}
		}
		if !bytes.Equal(f.payload(), data[got:got+n]) {
			t.Fatalf("other bytes at %d", got)
		}
		got += n
		largest = max(largest, n)
		r.ack = f.endSeq()
		r.send(ack, nil, nil)
	}
	const maxPayload = 65374
	if largest != maxPayload {
		t.Errorf("the largest segment has %d bytes, want %d", largest, maxPayload)
	}
}

// Sequence numbers are outstanding from their segment to its acknowledgment.
func TestOutstanding(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{})
	o := r.open(t)
	first := r.ack
	if Outstanding(o.ep, first) || Outstanding(o.ep, first-1) {
		t.Error("outstanding numbers before the first segment")
	}
	if _, err := o.ep.Write(bytes.NewReader([]byte("hello")), tcpip.WriteOptions{}); err != nil {
		t.Fatal(err)
	}
	f := r.segment(t, "segment")
	for seq, want := range map[uint32]bool{first - 1: false, first: true, first + 4: true, first + 5: false} {
		if got := Outstanding(o.ep, seq); got != want {
			t.Errorf("of five bytes from %d on, %d is outstanding: %t, want %t (tcp.Endpoint.snd.SndUna, SndNxt)", first, seq, got, want)
		}
	}
	r.ack = f.endSeq()
	r.send(ack, nil, nil)
	tuntest.Wait(t, "acknowledgment", func() bool { return !Outstanding(o.ep, first) })
	if Outstanding(o.ep, first+4) {
		t.Error("an acknowledged number is outstanding")
	}
}

// The next number that is awaited follows the bytes that have come in order, read or not.
func TestProgress(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{})
	o := r.open(t)
	for _, gap := range []uint32{0, 7} {
		want := r.seq
		if gap == 0 {
			want += 5
		}
		r.seq += gap
		r.send(ack, nil, []byte("hello"))
		r.segment(t, "an ACK")
		if p, ok := ProgressOf(o.ep); !ok || p.RcvNxt != want || p.SndUna != r.ack || p.SndNxt != r.ack {
			t.Errorf("progress %+v, want %d received, all before %d acknowledged (tcp.Endpoint.rcv.RcvNxt)", p, want, r.ack)
		}
		if p, _ := ProgressOf(o.ep); p.AfterGap > 0 != (gap > 0) {
			t.Errorf("%d bytes of memory after a gap of %d (tcp.Endpoint.rcv.PendingBufUsed)", p.AfterGap, gap)
		}
	}
}

// An endpoint that holds more after a gap than its receive buffer has does not take the bytes that
// are missing.
func TestNoRoomForGap(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{})
	o := r.open(t)
	const missing, held = 5, 8 << 10
	r.seq += missing
	r.send(ack, nil, make([]byte, held))
	tuntest.Wait(t, "memory behind a segment after a gap", func() bool {
		p, _ := ProgressOf(o.ep)
		return p.AfterGap > held
	})
	o.ep.SocketOptions().SetReceiveBufferSize(held/2, true)
	r.seq -= held + missing
	r.send(ack, nil, make([]byte, missing))
	r.seq -= missing
	o.ep.SocketOptions().SetReceiveBufferSize(2*held, true)
	if p, ok := ProgressOf(o.ep); !ok || p.RcvNxt != r.seq {
		t.Errorf("%d was awaited, %d is", r.seq, p.RcvNxt)
	}
	r.send(ack, nil, make([]byte, missing))
	tuntest.Wait(t, "all bytes", func() bool {
		p, _ := ProgressOf(o.ep)
		return p.RcvNxt == r.seq+held && p.AfterGap == 0
	})
}

// With a lower path MTU an endpoint sends again, in smaller segments.
func TestLowerPathMTU(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{})
	o := r.open(t)
	if _, err := o.ep.Write(bytes.NewReader(make([]byte, 5000)), tcpip.WriteOptions{}); err != nil {
		t.Fatal(err)
	}
	if f := r.segment(t, "segment"); f.off.GSOSize != 1460 {
		t.Fatalf("segments of %d bytes, want 1460", f.off.GSOSize)
	}
	LowerPathMTU(o.ep, 1000, 20)
	if f := r.segment(t, "segment again"); max(len(f.payload()), 960) != 960 && f.off.GSOSize > 960 {
		t.Errorf("a packet of %d bytes in segments of %d, want 960 or less", len(f.payload()), f.off.GSOSize)
	} else if f.tcp().SequenceNumber() != r.ack {
		t.Errorf("number %d was sent again, want %d", f.tcp().SequenceNumber(), r.ack)
	}
}

// The owner of an endpoint sees every segment, the answer to a keepalive probe too, and can
// withhold it.
func TestOwner(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{})
	o := r.open(t)
	seen := make(owned, 16)
	SetOwner(o.ep, seen)
	r.seq--
	r.send(ack, nil, nil) // a probe (RFC 9293 §3.8.4)
	r.seq++
	got := tuntest.Receive(t, "segment of the owner", seen)
	if want := (Segment{Seq: r.ack, Ack: r.seq, Flags: packet.ACK}); got != want {
		t.Errorf("the answer to a probe is %+v, want %+v", got, want)
	}
	if n := r.segments(); n != 0 {
		t.Errorf("%d segments were written although the owner withholds them", n)
	}
	r.send(ack, nil, []byte("x"))
	if got := tuntest.Receive(t, "segment of the owner", seen); got.Ack != r.seq {
		t.Errorf("an ACK of %d, want %d", got.Ack, r.seq)
	}
}

// owned is an Owner that withholds all.
type owned chan Segment

func (o owned) Withholds(s Segment, _ tun.Offload, frame [][]byte) bool {
	if len(frame) == 0 || len(frame[0]) < 40 {
		panic("no headers in the frame's first buffer")
	}
	o <- s
	return true
}

// The 4-tuple of a connection that has just closed in order can be used again at once.
func TestTupleReuse(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{})
	for range 3 {
		o := r.open(t)
		o.ep.Close() // our FIN first: it is the side that would wait (RFC 9293 §3.6)
		f := r.next(t, "FIN", func(f frame) bool {
			return f.tcp().Flags()&header.TCPFlagFin != 0 && f.tcp().SequenceNumber() == r.ack
		})
		r.ack = f.endSeq() + 1
		r.send(fin|ack, nil, nil)
		r.next(t, "last ACK", func(f frame) bool { return f.tcp().AckNumber() == r.seq })
		tuntest.Wait(t, "no endpoint left, in TIME-WAIT or else", func() bool { return len(r.RegisteredEndpoints()) == 0 })
		r.seq += 100_000
	}
}

// Accept ends without the client's ACK when the queue is notified.
func TestAcceptGivesUp(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{})
	r.send(syn, synOptions, nil)
	request := tuntest.Receive(t, "request", r.requests)
	queue := new(waiter.Queue)
	failed := make(chan tcpip.Error, 1)
	go func() {
		_, err := request.Accept(queue)
		failed <- err
	}()
	tuntest.Receive(t, "SYN-ACK", r.link.frames)
	for { // until Accept waits
		queue.Notify(waiter.WritableEvents)
		select {
		case err := <-failed:
			if err == nil {
				t.Error("Accept returns a connection that the client has not acknowledged")
			}
			return
		case <-time.After(time.Millisecond):
		}
	}
}

// A dropped request gets no answer, and does not stand in the way of the client's next SYN.
func TestDrop(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{})
	r.send(syn, synOptions, nil)
	tuntest.Receive(t, "request", r.requests).Drop()
	if n := len(r.link.frames); n != 0 {
		t.Errorf("%d frames answer a dropped request", n)
	}
	r.seq--
	r.open(t)
}

// Checksums are the caller's business: a packet with a wrong one is taken.
func TestChecksumIsNotVerified(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{})
	r.DeliverCopy(checksumBroken(tuntest.TCP{Src: clientEnd, Dst: serverEnd, Seq: 1, Flags: syn, Window: 65535}.Packet()))
	tuntest.Receive(t, "request", r.requests).Drop()
}

// onEvent is told of an event of an endpoint, once.
type onEvent func()

func (f *onEvent) NotifyEvent(waiter.EventMask) {
	if call := *f; call != nil {
		*f = nil
		call()
	}
}

// Where a client resets right behind its ACK, Accept may find it gone. The error is another one
// then than that of a client that has not acknowledged.
func TestResetBehindACK(t *testing.T) {
	for _, tt := range []struct {
		name         string
		acknowledges bool
		flags        []uint8
	}{
		{"in SYN-RECEIVED", false, []uint8{tuntest.RST}},
		{"in ESTABLISHED", true, []uint8{tuntest.RST | ack}},
		{"in CLOSE-WAIT", true, []uint8{fin | ack, tuntest.RST | ack}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for range 20 {
				ep, err := acceptReset(t, tt.acknowledges, tt.flags)
				switch {
				case err == nil && !tt.acknowledges, err != nil && WasReset(err) != tt.acknowledges:
					t.Errorf("Accept returns %v", err)
				case err == nil:
					ep.Abort()
				}
			}
		})
	}
}

// acceptReset accepts a client's SYN. The client sends segments with these flags as soon as it is
// acknowledged, or before.
func acceptReset(t *testing.T, acknowledges bool, flags []uint8) (ep tcpip.Endpoint, err tcpip.Error) {
	t.Helper()
	r := newRig(t, Options{})
	r.send(syn, nil, nil)
	request := tuntest.Receive(t, "request", r.requests)
	var last []tuntest.TCP
	var behind onEvent = func() { // before Accept wakes up
		for _, segment := range last {
			r.DeliverCopy(segment.Packet())
		}
	}
	var q waiter.Queue
	var entry waiter.Entry
	entry.Init(&behind, waiter.WritableEvents)
	accepted := make(chan struct{})
	if acknowledges {
		q.EventRegister(&entry)
	}
	go func() {
		defer close(accepted)
		ep, err = request.Accept(&q)
	}()
	r.ack = tuntest.Receive(t, "SYN-ACK", r.link.frames).tcp().SequenceNumber() + 1
	for i, f := range flags { // the second is behind a FIN
		last = append(last, tuntest.TCP{
			Src: clientEnd, Dst: serverEnd, Seq: r.seq + uint32(i), Ack: r.ack, Flags: f, Window: 65535,
		})
	}
	if acknowledges {
		r.send(ack, nil, nil)
	} else {
		behind()
	}
	tuntest.Receive(t, "end of the wait", accepted)
	return ep, err
}
