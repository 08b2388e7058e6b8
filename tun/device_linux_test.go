package tun_test

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"syntap/tun"
	"syntap/tun/tuntest"
)

func TestMain(m *testing.M) { tuntest.Main(m) }

// openDevice returns a TUN interface tap0 with 192.0.2.1/24, up, in a namespace of its own.
func openDevice(t *testing.T) (*tuntest.Namespace, *tun.Device) {
	t.Helper()
	ns := tuntest.NewNamespace(t)
	var dev *tun.Device
	if err := ns.Do(func() (err error) { dev, err = tun.Open("tap0", 1500, 1); return err }); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = dev.Close() })
	ns.Sysctl("net.ipv6.conf.tap0.disable_ipv6", "1") // no router solicitations among the frames
	ns.AddAddress("tap0", "192.0.2.1/24")
	ns.Run("ip", "link", "set", "tap0", "up")
	return ns, dev
}

// read returns the next frame, or fails the test after a while.
func read(t *testing.T, dev *tun.Device) ([]byte, tun.Offload) {
	t.Helper()
	f := tun.Frame{Head: make([]byte, tun.HeadSize), Body: make([]byte, tun.MaxFrame-tun.HeadSize)}
	timer := time.AfterFunc(tuntest.Patience, func() { _ = dev.Close() })
	defer timer.Stop()
	if err := dev.ReadFrame(&f); err != nil {
		t.Fatalf("read frame: %v", err)
	}
	return append(f.Head, f.Body...), f.Offload
}

func TestFramesCrossDevice(t *testing.T) {
	ns, dev := openDevice(t)
	conn := ns.ListenPacket("udp4", "192.0.2.1:1051")
	server := netip.MustParseAddrPort("192.0.2.2:53")
	if _, err := conn.WriteTo([]byte("question"), net.UDPAddrFromAddrPort(server)); err != nil {
		t.Fatal(err)
	}
	frame, off := read(t, dev)
	if off.Flags&tun.NeedsCsum == 0 {
		t.Errorf("offload %+v: the kernel should have left the checksum to us", off)
	}
	if got := string(frame[28:]); got != "question" {
		t.Errorf("frame carries %q", got)
	}
	answer := tuntest.UDP{Src: server, Dst: netip.MustParseAddrPort("192.0.2.1:1051"), Payload: []byte("answer")}.Packet()
	if err := dev.WriteFrame(tun.Offload{}, [][]byte{answer[:20], nil, answer[20:]}); err != nil {
		t.Fatal(err)
	}
	_ = conn.SetReadDeadline(time.Now().Add(tuntest.Patience))
	b := make([]byte, 64)
	n, from, err := conn.ReadFrom(b)
	if err != nil || string(b[:n]) != "answer" || from.String() != server.String() {
		t.Errorf("client got %q from %v, %v", b[:n], from, err)
	}
	if s := dev.Stats(); s.OutboundFrames.Load() != 1 || s.InboundFrames.Load() != 1 {
		t.Errorf("frames counted: %d outbound, %d inbound", s.OutboundFrames.Load(), s.InboundFrames.Load())
	}
}

// A frame of many pieces goes out whole.
func TestManyPieces(t *testing.T) {
	ns, dev := openDevice(t)
	conn := ns.ListenPacket("udp4", "192.0.2.1:1051")
	packet := tuntest.UDP{Src: netip.MustParseAddrPort("192.0.2.2:53"), Dst: netip.MustParseAddrPort("192.0.2.1:1051"), Payload: make([]byte, 1200)}.Packet()
	pieces := [][]byte{packet[:28]}
	for i := 28; i < len(packet); i += 10 {
		pieces = append(pieces, packet[i:min(i+10, len(packet))])
	}
	if err := dev.WriteFrame(tun.Offload{}, pieces); err != nil {
		t.Fatal(err)
	}
	_ = conn.SetReadDeadline(time.Now().Add(tuntest.Patience))
	if n, _, err := conn.ReadFrom(make([]byte, 2000)); err != nil || n != 1200 {
		t.Errorf("client got %d bytes, %v; want 1200", n, err)
	}
}

// TestReadUpTo keeps a frame unread while others are read. Those that came before a question have
// been read once none is left, or once more have been read than the queue holds.
func TestReadUpTo(t *testing.T) {
	ns, dev := openDevice(t)
	conn := ns.ListenPacket("udp4", "192.0.2.1:1051")
	send := func() {
		if _, err := conn.WriteTo([]byte("question"), &net.UDPAddr{IP: net.IPv4(192, 0, 2, 2), Port: 53}); err != nil {
			t.Fatal(err)
		}
	}
	send()
	asked := time.Now()
	dev.ReadUpTo() // begins to look
	for n := range 10_002 {
		if upTo := dev.ReadUpTo(); n <= 10_000 && upTo.After(asked) {
			t.Fatalf("with a frame unread, and %d read: read up to %v after the question", n, upTo.Sub(asked))
		}
		send()
		read(t, dev)
	}
	if upTo := dev.ReadUpTo(); upTo.Before(asked) {
		t.Error("more have been read than the queue holds, and none counts as read")
	}
	read(t, dev)
	go func() { _ = dev.ReadFrame(&tun.Frame{Head: make([]byte, tun.HeadSize), Body: make([]byte, 1500)}) }()
	tuntest.Wait(t, "the reader to find nothing", func() bool { asked := time.Now(); return !dev.ReadUpTo().Before(asked) })
}

func TestCloseEndsReadFrame(t *testing.T) {
	_, dev := openDevice(t)
	ended := make(chan error, 1)
	go func() {
		ended <- dev.ReadFrame(&tun.Frame{Head: make([]byte, tun.HeadSize), Body: make([]byte, 1500)})
	}()
	if err := dev.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	if err := <-ended; !errors.Is(err, os.ErrClosed) {
		t.Errorf("ReadFrame: %v, want %v", err, os.ErrClosed)
	}
	if err := dev.WriteFrame(tun.Offload{}, [][]byte{make([]byte, 40)}); err == nil {
		t.Error("WriteFrame after Close: no error")
	}
	if err := dev.Close(); err != nil {
		t.Errorf("second close: %v", err)
	}
}

func TestBusyNameIsRefused(t *testing.T) {
	ns, _ := openDevice(t)
	err := ns.Do(func() error { _, err := tun.Open("tap0", 1500, 1); return err })
	if !errors.Is(err, os.ErrExist) {
		t.Errorf("second open: %v, want %v", err, os.ErrExist)
	}
}

// TestForgedVirtioHeaders sends any virtio header before any bytes, as a program with a packet
// socket on the interface can.
func TestForgedVirtioHeaders(t *testing.T) {
	ns, dev := openDevice(t)
	fd, index := -1, ns.Link("tap0").Attrs().Index
	if err := ns.Do(func() (err error) { fd, err = packetSocket(index); return err }); err != nil {
		t.Skipf("packet socket: %v", err)
	}
	defer unix.Close(fd)
	segment := tuntest.TCP{Src: netip.MustParseAddrPort("192.0.2.1:1051"), Dst: netip.MustParseAddrPort("192.0.2.2:23"), Flags: 0x10, Payload: make([]byte, 3000)}.Packet()
	sent := 0
	for _, size := range []uint16{0, 1, 536, 1400, 2999, 3000, 9000, 65535} {
		for _, gso := range []tun.GSOType{tun.GSONone, tun.GSOTCPv4, tun.GSOTCPv6, tun.GSOUDP} {
			for _, start := range []uint16{0, 19, 20, 100, 3038, 65535} {
				hdr := make([]byte, 10)
				hdr[0], hdr[1] = byte(tun.NeedsCsum), byte(gso)
				binary.NativeEndian.PutUint16(hdr[2:], 40)
				binary.NativeEndian.PutUint16(hdr[4:], size)
				binary.NativeEndian.PutUint16(hdr[6:], start)
				binary.NativeEndian.PutUint16(hdr[8:], 16)
				if _, err := unix.Write(fd, append(hdr, segment...)); err == nil {
					sent++
				}
			}
		}
	}
	if sent == 0 {
		t.Fatal("the kernel took none of the forged frames")
	}
	conn := ns.ListenPacket("udp4", "192.0.2.1:1051")
	if _, err := conn.WriteTo([]byte("end"), net.UDPAddrFromAddrPort(netip.MustParseAddrPort("192.0.2.2:53"))); err != nil {
		t.Fatal(err)
	}
	for {
		frame, off := read(t, dev)
		if frame[9] == unix.IPPROTO_UDP {
			break
		}
		if off.GSO != tun.GSONone && (off.GSOSize == 0 || int(off.GSOSize) >= len(frame)) {
			t.Errorf("frame of %d bytes let in with GSO size %d", len(frame), off.GSOSize)
		}
	}
	t.Logf("%d forged frames, %d of them dropped as malformed", sent, dev.Stats().Malformed.Load())
}

// packetSocket returns a socket that sends frames with a virtio header into the interface.
func packetSocket(index int) (int, error) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_VNET_HDR, 1); err != nil {
		return -1, err
	}
	const ethPIP = 0x0008 // ETH_P_IP in network byte order
	return fd, unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: ethPIP, Ifindex: index})
}
