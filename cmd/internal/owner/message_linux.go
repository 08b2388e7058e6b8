package owner

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"slices"
)

// The messages between a Remote and the Finder that searches for it are sequences of items:
// questions and ends of clients one way, answers the other.

const (
	maxQuestions = 256     // of a message
	maxEnds      = 8 << 10 // of it, in bytes
	maxRest      = 256     // inodes of a question beside the first
	maxText      = 4 << 10 // bytes of each text of an answer, which are cut to that: PATH_MAX

	questionSize = 1 + 4 + 4 + 4 + 8 + 8 + 16 + 2 + 2 // of one about a single socket
)

// item is what an item of a Remote is.
type item uint8

const (
	itemQuestion item = iota + 1
	itemEnd           // of a client, see Remote.Closed
)

// question is a Socket whose process is asked for.
type question struct {
	id uint32
	Socket
}

// Result is the Reason of an answer in a message: 0 is Found, the others are the places of Reasons.
type Result uint8

func resultOf(r Reason) Result { return Result(slices.Index(Reasons(), r) + 1) }

// reason reports also whether there is such a result.
func (r Result) reason() (Reason, bool) {
	reasons := Reasons()
	switch {
	case r == 0:
		return Found, true
	case int(r) <= len(reasons):
		return reasons[r-1], true
	}
	return "", false
}

// answer is the result of a question.
type answer struct {
	id      uint32
	reason  Reason
	process Process
}

func appendQuestion(b []byte, q *question) []byte {
	b = append(b, byte(itemQuestion))
	b = binary.BigEndian.AppendUint32(b, q.id)
	b = binary.BigEndian.AppendUint32(b, q.UID)
	b = binary.BigEndian.AppendUint32(b, q.inode)
	b = binary.BigEndian.AppendUint64(b, q.cgroup)
	b = binary.BigEndian.AppendUint64(b, q.ends)
	b = appendClient(b, q.client)
	rest := q.rest[:min(len(q.rest), maxRest)]
	b = binary.BigEndian.AppendUint16(b, uint16(len(rest)))
	for _, inode := range rest {
		b = binary.BigEndian.AppendUint32(b, inode)
	}
	return b
}

func appendEnd(b []byte, client netip.AddrPort, number uint64) []byte {
	b = append(b, byte(itemEnd))
	b = binary.BigEndian.AppendUint64(b, number)
	return appendClient(b, client)
}

func appendAnswer(b []byte, a *answer) []byte {
	b = binary.BigEndian.AppendUint32(b, a.id)
	b = append(b, byte(resultOf(a.reason)))
	b = binary.BigEndian.AppendUint32(b, uint32(a.process.PID))
	for _, text := range a.process.texts() {
		t := (*text)[:min(len(*text), maxText)]
		b = binary.BigEndian.AppendUint16(b, uint16(len(t)))
		b = append(b, t...)
	}
	return b
}

// texts returns the texts of a process, in the order of an answer.
func (p *Process) texts() [4]*string { return [...]*string{&p.Name, &p.Exe, &p.Unit, &p.Container} }

// appendClient writes an address as IPv6 or IPv4-mapped, without a zone, and its port. The zero
// value is an address without a port.
func appendClient(b []byte, client netip.AddrPort) []byte {
	if !client.IsValid() {
		client = netip.AddrPortFrom(netip.IPv6Unspecified(), 0)
	}
	addr := client.Addr().As16()
	return binary.BigEndian.AppendUint16(append(b, addr[:]...), client.Port())
}

// errMessage is the error of a message that no version of this program sends.
var errMessage = errors.New("a message about owners is malformed")

// reader takes a message apart. The first error sticks.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) next(n int) []byte {
	if len(r.b) < n {
		r.bad, r.b = true, nil
		return make([]byte, n)
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

func (r *reader) uint8() uint8   { return r.next(1)[0] }
func (r *reader) uint16() uint16 { return binary.BigEndian.Uint16(r.next(2)) }
func (r *reader) uint32() uint32 { return binary.BigEndian.Uint32(r.next(4)) }
func (r *reader) uint64() uint64 { return binary.BigEndian.Uint64(r.next(8)) }

func (r *reader) client() netip.AddrPort {
	addr := netip.AddrFrom16([16]byte(r.next(16))).Unmap()
	port := r.uint16()
	if port == 0 {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(addr, port)
}

func (r *reader) question() (q question) {
	q.id, q.UID, q.inode, q.cgroup, q.ends = r.uint32(), r.uint32(), r.uint32(), r.uint64(), r.uint64()
	q.client = r.client()
	n := int(r.uint16())
	if n > maxRest {
		r.bad, r.b = true, nil
		return q
	}
	for range n {
		q.rest = append(q.rest, r.uint32())
	}
	return q
}

func (r *reader) answer() (a answer) {
	a.id = r.uint32()
	var ok bool
	if a.reason, ok = Result(r.uint8()).reason(); !ok {
		r.bad, r.b = true, nil
	}
	a.process.PID = int(int32(r.uint32()))
	for _, text := range a.process.texts() {
		*text = string(r.next(int(r.uint16())))
	}
	return a
}
