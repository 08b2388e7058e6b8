//go:build linux

package sent

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Kernel tells of the packets that rules of nftables log to a group (NFLOG).
type Kernel struct{ f *os.File }

// The kernel tells of several packets at once: of so many, or of those of so long.
const (
	batch    = 64
	interval = 10 // in hundredths of a second
)

// bufferSize holds what the kernel has told while this process stands still: some 40,000 packets.
const bufferSize = 8 << 20

// Messages and attributes of linux/netfilter/nfnetlink_log.h.
const (
	messagePacket = unix.NFNL_SUBSYS_ULOG << 8
	messageConfig = unix.NFNL_SUBSYS_ULOG<<8 | 1

	attributePayload = 9
	attributeSeq     = 12

	configCmd, configMode, configBuffer, configTimeout, configThreshold, configFlags = 1, 2, 3, 4, 5, 6

	commandBind = 1
	copyPacket  = 2
	flagSeq     = 1
)

// Listen has the kernel tell of the packets of a group, in the network namespace of the calling
// thread. Another process may not listen to the same group.
func Listen(group uint16) (*Kernel, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_NETFILTER)
	if err != nil {
		return nil, fmt.Errorf("open a socket of nfnetlink: %w", err)
	}
	k := &Kernel{os.NewFile(uintptr(fd), "nfnetlink_log")}
	// Without CAP_NET_ADMIN over the host the buffer is what net.core.rmem_max allows.
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, bufferSize) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, bufferSize)
	}
	if err := k.configure(fd, group); err != nil {
		_ = k.f.Close()
		return nil, fmt.Errorf("listen to packets that nftables logs to group %d: %w", group, err)
	}
	return k, nil
}

func (k *Kernel) configure(fd int, group uint16) error {
	big32 := func(n uint32) []byte { return binary.BigEndian.AppendUint32(nil, n) }
	mode := append(big32(snaplen), copyPacket, 0)
	for i, attributes := range [][]byte{
		attribute(configCmd, []byte{commandBind}),
		concat(
			attribute(configMode, mode), attribute(configBuffer, big32(32<<10)),
			attribute(configTimeout, big32(interval)), attribute(configThreshold, big32(batch)),
			attribute(configFlags, binary.BigEndian.AppendUint16(nil, flagSeq)),
		),
	} {
		m := make([]byte, unix.SizeofNlMsghdr, 128)
		m = append(m, unix.AF_UNSPEC, unix.NFNETLINK_V0, byte(group>>8), byte(group))
		m = append(m, attributes...)
		binary.NativeEndian.PutUint32(m, uint32(len(m)))
		binary.NativeEndian.PutUint16(m[4:], messageConfig)
		binary.NativeEndian.PutUint16(m[6:], unix.NLM_F_REQUEST|unix.NLM_F_ACK)
		binary.NativeEndian.PutUint32(m[8:], uint32(i+1))
		if err := unix.Sendto(fd, m, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
			return err
		}
		if err := acknowledged(fd, uint32(i+1)); err != nil {
			return err
		}
	}
	return nil
}

// acknowledged waits for the answer to a request. Packets that the kernel tells of before are none
// of a router: it begins later.
func acknowledged(fd int, seq uint32) error {
	b := make([]byte, 64<<10)
	for { // the kernel answers before sendto returns
		n, _, err := unix.Recvfrom(fd, b, 0)
		if err != nil {
			return err
		}
		if n < unix.SizeofNlMsghdr+4 || binary.NativeEndian.Uint16(b[4:]) != unix.NLMSG_ERROR ||
			binary.NativeEndian.Uint32(b[8:]) != seq {
			continue
		}
		if errno := -int32(binary.NativeEndian.Uint32(b[unix.SizeofNlMsghdr:])); errno != 0 {
			return unix.Errno(errno)
		}
		return nil
	}
}

// attribute returns an attribute with its padding.
func attribute(typ uint16, value []byte) []byte {
	b := binary.NativeEndian.AppendUint16(nil, uint16(unix.SizeofNlAttr+len(value)))
	b = append(binary.NativeEndian.AppendUint16(b, typ), value...)
	return append(b, make([]byte, -len(b)&3)...)
}

func concat(all ...[]byte) (b []byte) {
	for _, a := range all {
		b = append(b, a...)
	}
	return b
}

// Close ends Run.
func (k *Kernel) Close() error { return k.f.Close() }

// tick is the time between two looks at packets that are suspect.
const tick = 100 * time.Millisecond

// Run takes the packets that the kernel tells of, and reports flows that are on no record, until
// ctx ends or Close.
func (t *Tally) Run(ctx context.Context, k *Kernel) error {
	stop := context.AfterFunc(ctx, func() { _ = k.f.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	buf := make([]byte, 64<<10)
	var next uint32
	for ctx.Err() == nil {
		_ = k.f.SetReadDeadline(t.wait(time.Now()))
		if ctx.Err() != nil {
			break // it may have set another deadline before
		}
		n, err := k.f.Read(buf)
		now := time.Now()
		switch {
		case err == nil:
			t.take(buf[:n], now, &next)
			t.report(t.judge(now))
		case errors.Is(err, os.ErrDeadlineExceeded):
			t.report(t.judge(now))
			t.report(t.rotate(now))
		case errors.Is(err, unix.ENOBUFS): // the sequence numbers say how many are missing
		default:
			return fmt.Errorf("read packets that nftables logs: %w", err)
		}
	}
	return nil
}

func (t *Tally) report(found []Unrecorded) {
	if len(found) > 0 {
		t.o.Found(found)
	}
}

// take takes a message of the kernel, which has several packets.
func (t *Tally) take(b []byte, now time.Time, next *uint32) {
	for len(b) >= unix.SizeofNlMsghdr {
		n := int(binary.NativeEndian.Uint32(b))
		if n < unix.SizeofNlMsghdr || n > len(b) {
			return
		}
		if binary.NativeEndian.Uint16(b[4:]) == messagePacket && n >= unix.SizeofNlMsghdr+4 {
			t.takePacket(b[unix.SizeofNlMsghdr+4:n], now, next)
		}
		b = b[min((n+3)&^3, len(b)):]
	}
}

func (t *Tally) takePacket(b []byte, now time.Time, next *uint32) {
	for len(b) >= unix.SizeofNlAttr {
		n := int(binary.NativeEndian.Uint16(b))
		if n < unix.SizeofNlAttr || n > len(b) {
			return
		}
		value := b[unix.SizeofNlAttr:n]
		switch binary.NativeEndian.Uint16(b[2:]) {
		case attributeSeq:
			if len(value) == 4 {
				seq := binary.BigEndian.Uint32(value)
				t.miss(seq - *next)
				*next = seq + 1
			}
		case attributePayload:
			if p, ok := parse(value); ok {
				t.sent(&p, now)
			}
		}
		b = b[min((n+3)&^3, len(b)):]
	}
}

// miss counts packets that the kernel could not tell of.
func (t *Tally) miss(n uint32) {
	if n > 0 {
		t.mu.Lock()
		t.stats.Missed += uint64(n)
		t.mu.Unlock()
	}
}
