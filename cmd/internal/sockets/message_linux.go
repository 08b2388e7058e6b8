package sockets

import (
	"encoding/binary"
	"fmt"
	"net"

	"golang.org/x/sys/unix"

	"syntap/tun/raw"
)

// attachRate is how many filters are attached a second, on average and at once at most.
const attachRate = 32

// Batch is how many sockets come in one message at most. The kernel passes SCM_MAX_FD, 253.
const Batch = 64

// op is a request's operation.
type op uint8

const (
	opOpen   op = iota + 1 // make Count sockets of Kind
	opBind                 // bind the socket that comes along to Addr and Port
	opAttach               // attach the filter of farseq with Ack and Seq to the socket that comes along
)

// kind is a family, type and protocol of sockets.
type kind uint8

const (
	tcp4 kind = iota
	tcp6
	udp4
	udp6
	ping4
	ping6
	rawPing4
	rawPing6
	routes
	kinds // how many there are
)

// arguments are those of socket(2).
type arguments struct{ family, typ, proto int }

var all = [kinds]arguments{
	tcp4:     {unix.AF_INET, unix.SOCK_STREAM, 0},
	tcp6:     {unix.AF_INET6, unix.SOCK_STREAM, 0},
	udp4:     {unix.AF_INET, unix.SOCK_DGRAM, 0},
	udp6:     {unix.AF_INET6, unix.SOCK_DGRAM, 0},
	ping4:    {unix.AF_INET, unix.SOCK_DGRAM, unix.IPPROTO_ICMP},
	ping6:    {unix.AF_INET6, unix.SOCK_DGRAM, unix.IPPROTO_ICMPV6},
	rawPing4: {unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_ICMP},
	rawPing6: {unix.AF_INET6, unix.SOCK_RAW, unix.IPPROTO_ICMPV6},
	routes:   {unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_ROUTE}, // to ask: changes take capabilities of both processes
}

// request is a message to the server.
type request struct {
	Op    op
	Kind  kind
	Count uint16
	Port  uint16
	Zone  uint32   // index of the interface of a link-local address
	Addr  [16]byte // IPv4 addresses as IPv4-mapped ones
	Ack   uint32
	Seq   uint32
}

const requestLen = 34

func (q *request) marshal() []byte {
	b := make([]byte, 0, requestLen)
	b = append(b, byte(q.Op), byte(q.Kind))
	b = binary.BigEndian.AppendUint16(b, q.Count)
	b = binary.BigEndian.AppendUint16(b, q.Port)
	b = binary.BigEndian.AppendUint32(b, q.Zone)
	b = append(b, q.Addr[:]...)
	b = binary.BigEndian.AppendUint32(b, q.Ack)
	return binary.BigEndian.AppendUint32(b, q.Seq)
}

func (q *request) unmarshal(b []byte) bool {
	if len(b) != requestLen {
		return false
	}
	q.Op, q.Kind = op(b[0]), kind(b[1])
	q.Count = binary.BigEndian.Uint16(b[2:])
	q.Port = binary.BigEndian.Uint16(b[4:])
	q.Zone = binary.BigEndian.Uint32(b[6:])
	copy(q.Addr[:], b[10:])
	q.Ack = binary.BigEndian.Uint32(b[26:])
	q.Seq = binary.BigEndian.Uint32(b[30:])
	return true
}

// send sends a message with descriptors.
func send(c *net.UnixConn, b []byte, fds ...int) error {
	var oob []byte
	if len(fds) > 0 {
		oob = unix.UnixRights(fds...)
	}
	_, _, err := c.WriteMsgUnix(b, oob, nil)
	return err
}

// receive waits for a message, and returns its length and the descriptors that came along. With an
// error there are none.
func receive(c *net.UnixConn, b []byte, most int) (n int, fds []int, err error) {
	oob := make([]byte, unix.CmsgSpace(4*most))
	n, oobn, flags, _, err := c.ReadMsgUnix(b, oob)
	if err != nil {
		return 0, nil, err
	}
	messages, err := unix.ParseSocketControlMessage(oob[:oobn])
	if err != nil {
		return 0, nil, fmt.Errorf("read control messages: %w", err)
	}
	for i := range messages {
		rights, err := unix.ParseUnixRights(&messages[i])
		if err == nil {
			fds = append(fds, rights...)
		}
	}
	if flags&unix.MSG_CTRUNC != 0 { // the limit of open files, or more than were asked for
		closeAll(fds)
		return 0, nil, unix.EMFILE
	}
	return n, fds, nil
}

func closeAll(fds []int) {
	for _, fd := range fds {
		raw.Close(fd)
	}
}
