//go:build linux

package farseq

import (
	"fmt"

	"golang.org/x/sys/unix"

	"syntap/stack/sockmem"
)

// Question asks whether bytes are missing. A probe of the far side has to follow it.
type Question struct {
	at              Place
	drops, segments uint32 // of the socket, before
	open            bool
}

// Place is how far a connection has come: the bytes that each side has received of the other, a FIN
// as one more.
type Place struct{ Acked, Received uint64 }

// PlaceOf returns how far a socket has come.
func PlaceOf(info *unix.TCPInfo) Place {
	return Place{Acked: max(info.Bytes_acked, 1) - 1, Received: info.Bytes_received}
}

// Least is the number of missing bytes that counts. One segment that brings fewer is no packet
// above 1280 bytes.
const Least = 1180

// Ask has the kernel drop the far side's next ACKs that have no news, if they tell that bytes are
// missing. attach is Attach, or has another process call it. Where it fails nothing is missing, as
// far as End knows.
func (q *Question) Ask(fd int, o Origin, info *unix.TCPInfo, attach func(fd int, ack, seq uint32) error) {
	at := PlaceOf(info)
	*q = Question{at: at, drops: sockmem.Of(fd).Drops, segments: info.Segs_in}
	q.open = attach(fd, o.Own+uint32(at.Acked), o.Far+uint32(at.Received)) == nil
}

// Attach has the kernel drop the ACKs that come to a socket of TCP, acknowledge ack, have no
// payload, and whose sequence number is at least Least bytes beyond seq. It takes CAP_NET_ADMIN in
// the user namespace of the socket's network, on Linux 6.18.44: EPERM.
func Attach(fd int, ack, seq uint32) error {
	filter := program(ack, seq)
	err := unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER,
		&unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]})
	if err != nil {
		return fmt.Errorf("attach filter: %w", err)
	}
	return nil
}

// End takes the filter away, and reports whether the far side has told that bytes are missing from
// the place of the question on. The kernel also counts segments that it drops since they have come
// before, but as segments, too: where any have passed the filter nothing is told.
func (q *Question) End(fd int, info *unix.TCPInfo) (from Place, missing bool) {
	if !q.open {
		return q.at, false
	}
	q.open = false
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DETACH_FILTER, 0)
	return q.at, q.dropped(fd) && info.Segs_in == q.segments
}

// Cancel takes the filter away.
func (q *Question) Cancel(fd int) { q.End(fd, new(unix.TCPInfo)) }

func (q *Question) dropped(fd int) bool { return sockmem.Of(fd).Drops != q.drops }

// program is a filter that drops an ACK without payload, FIN, SYN or RST which acknowledges ack and
// whose number is at least Least bytes beyond seq. It sees a segment from its TCP header on.
func program(ack, seq uint32) []unix.SockFilter {
	const (
		load8  = unix.BPF_LD | unix.BPF_B | unix.BPF_ABS
		load32 = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
		and    = unix.BPF_ALU | unix.BPF_AND | unix.BPF_K
		shift  = unix.BPF_ALU | unix.BPF_RSH | unix.BPF_K
		sub    = unix.BPF_ALU | unix.BPF_SUB | unix.BPF_K
		equal  = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
		above  = unix.BPF_JMP | unix.BPF_JGT | unix.BPF_K
		least  = unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K
		half   = 1 << 31
	)
	return []unix.SockFilter{
		{Code: load8, K: 13}, // flags
		{Code: and, K: 0x17},
		{Code: equal, K: 0x10, Jf: 13},
		{Code: load8, K: 12}, // length of the header
		{Code: and, K: 0xf0},
		{Code: shift, K: 2},
		{Code: unix.BPF_MISC | unix.BPF_TAX},
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_LEN},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_X, Jf: 7},
		{Code: load32, K: 8},
		{Code: equal, K: ack, Jf: 5},
		{Code: load32, K: 4},
		{Code: sub, K: seq},
		{Code: least, K: Least, Jf: 2},
		{Code: above, K: half, Jt: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: 0},
		{Code: unix.BPF_RET | unix.BPF_K, K: 1<<32 - 1},
	}
}
