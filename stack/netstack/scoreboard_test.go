//go:build linux

package netstack

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"
	"unsafe"

	"github.com/google/go-cmp/cmp"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"

	"syntap/tun/tuntest"
)

// Selective acknowledgments count for connections that share the memory of their scoreboards: of
// five segments of which the client lacks two, these are sent again.
func TestScoreboard(t *testing.T) {
	t.Parallel()
	for range 100 { // a timeout, where the machine stalls, has netstack send others again
		again, held, timeouts := sentAgain(t)
		if timeouts > 0 {
			continue
		}
		if diff := cmp.Diff([]uint32{0, 2000}, again); diff != "" {
			t.Errorf("sent again (-want +got):\n%s", diff)
		}
		if held != 2 {
			t.Errorf("the scoreboard holds %d ranges, want 2 (tcp.SACKScoreboard.ranges)", held)
		}
		return
	}
	t.Fatal("netstack has sent after a timeout each time")
}

// sentAgain returns which of five segments of 1000 bytes netstack sends again where the first and
// the third are lost, how many ranges its scoreboard has held, and how often it had a timeout.
func sentAgain(t *testing.T) (again []uint32, held int, timeouts uint64) {
	t.Helper()
	r := newRig(t, Options{})
	r.options = append(slices.Clone(synOptions), 4, 2, 1, 1) // SACK permitted (RFC 2018 §2)
	o := r.open(t)
	e := o.ep.(*tcp.Endpoint)
	write := func() {
		if _, err := e.Write(bytes.NewReader(make([]byte, 1000)), tcpip.WriteOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	write() // RFC 6582 §3.2 step 2: it recovers only behind an acknowledged byte
	r.ack = r.segment(t, "first segment").endSeq()
	r.send(ack, nil, nil)
	first := r.ack
	for range 5 {
		write()
	}
	r.next(t, "fifth segment", func(f frame) bool { return f.endSeq() == first+5000 })
	sendSACK := func(edges ...uint32) {
		option := []byte{1, 1, 5, byte(2 + 4*len(edges))} // RFC 2018 §3
		for _, at := range edges {
			option = binary.BigEndian.AppendUint32(option, first+at)
		}
		r.send(ack, option, nil)
	}
	sendSACK(1000, 2000)
	sendSACK(3000, 4000, 1000, 2000)
	sendSACK(3000, 5000, 1000, 2000)
	for range 2 {
		f := tuntest.Receive(t, "segment again", r.link.frames)
		again = append(again, f.tcp().SequenceNumber()-first)
		if len(again) == 1 {
			e.LockUser()
			held = (*(**ranges)(unsafe.Add(*(*unsafe.Pointer)(unsafe.Add(unsafe.Pointer(e), scoreboardAt)), rangesAt))).Len()
			e.UnlockUser()
			r.ack = first + 2000
			sendSACK(3000, 5000)
		}
	}
	r.ack = first + 5000
	r.send(ack, nil, nil)
	tuntest.Wait(t, "acknowledgment of all", func() bool { return !Outstanding(o.ep, first+4999) })
	return again, held, r.Stats().TCP.Timeouts.Value()
}
