package capture_test

import (
	"encoding/binary"
	"io"
	"net/netip"
	"strings"
	"testing"

	"syntap/tap/capture"
)

// file builds captures byte by byte, in either byte order.
type file struct {
	order interface {
		binary.ByteOrder
		binary.AppendByteOrder
	}
	b []byte
}

func little() *file { return &file{order: binary.LittleEndian} }
func big() *file    { return &file{order: binary.BigEndian} }

// put appends fixed-size values in the file's byte order, and byte slices as they are.
func (f *file) put(values ...any) *file {
	for _, v := range values {
		switch v := v.(type) {
		case uint16:
			f.b = f.order.AppendUint16(f.b, v)
		case uint32:
			f.b = f.order.AppendUint32(f.b, v)
		case uint64:
			f.b = f.order.AppendUint64(f.b, v)
		case []byte:
			f.b = append(f.b, v...)
		default:
			panic("capture_test: value of no known size")
		}
	}
	return f
}

func (f *file) pcapHeader(magic uint32, minor uint16, link uint32) *file {
	return f.put(magic, uint16(2), minor, uint32(0), uint32(0), uint32(0), link)
}

func (f *file) pcapPacket(seconds, fraction uint32, frame []byte, length uint32) *file {
	return f.put(seconds, fraction, uint32(len(frame)), length, frame)
}

// block appends a pcapng block; its body is padded.
func (f *file) block(kind uint32, values ...any) *file {
	body := &file{order: f.order}
	body.put(values...)
	for len(body.b)%4 != 0 {
		body.b = append(body.b, 0)
	}
	length := uint32(len(body.b) + 12)
	return f.put(kind, length, body.b, length)
}

func (f *file) section() *file {
	return f.block(0x0a0d0d0a, uint32(0x1a2b3c4d), uint16(1), uint16(0), ^uint64(0))
}

func (f *file) iface(link uint16, snapLen uint32, options ...any) *file {
	return f.block(1, append([]any{link, uint16(0), snapLen}, options...)...)
}

// enhanced appends an enhanced packet block of interface n.
func (f *file) enhanced(n uint32, stamp uint64, frame []byte, length uint32) *file {
	return f.block(6, n, uint32(stamp>>32), uint32(stamp), uint32(len(frame)), length, frame)
}

// syn4 is an IPv4 packet with the 20-byte header of a SYN.
func syn4() []byte {
	src, dst := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("198.51.100.2")
	b := []byte{0x45, 0, 0, 40, 0, 1, 0x40, 0, 64, 6, 0, 0}
	b = append(append(b, src.AsSlice()...), dst.AsSlice()...)
	return append(b, 0x04, 0x1b, 0, 23, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 0x02, 0xff, 0xff, 0, 0, 0, 0)
}

func syn6() []byte {
	src, dst := netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::2")
	b := []byte{0x60, 0, 0, 0, 0, 20, 6, 64}
	b = append(append(b, src.AsSlice()...), dst.AsSlice()...)
	return append(b, syn4()[20:]...)
}

// ether puts an Ethernet header with the types and tags given, the last of them the EtherType, in
// front of a packet.
func ether(packet []byte, words ...uint16) []byte {
	b := append(make([]byte, 0, 64), 2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1)
	for _, w := range words {
		b = binary.BigEndian.AppendUint16(b, w)
	}
	return append(b, packet...)
}

// readAll reads a whole capture and copies its packets.
func readAll(t testing.TB, data []byte) ([]capture.Packet, error) {
	t.Helper()
	r, err := capture.NewReader(strings.NewReader(string(data)))
	if err != nil {
		return nil, err
	}
	var packets []capture.Packet
	for {
		p, err := r.Next()
		if err == io.EOF {
			return packets, nil
		}
		if err != nil {
			return packets, err
		}
		c := *p
		c.Frame = append([]byte(nil), p.Frame...)
		c.Network = append([]byte(nil), p.Network...)
		c.VLANs = append([]uint16(nil), p.VLANs...)
		packets = append(packets, c)
	}
}
