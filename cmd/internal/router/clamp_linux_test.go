package router

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/sirupsen/logrus"

	"syntap/cmd/internal/config"
	"syntap/tap/policy"
	"syntap/tun"
	"syntap/tun/packet"
	"syntap/tun/tuntest"
)

// TestClampHoldsForData moves data both ways through a real TUN and looks at every frame of it: no
// packet that a frame is or becomes carries more than the clamped MSS.
//
//	client ── TUN ══ recorder ══ tap, stack ── 127.0.0.1 or ::1, by redirect
func TestClampHoldsForData(t *testing.T) {
	const clamp, size = 1200, 8 << 20
	ns := tuntest.NewNamespace(t)
	var dev *tun.Device
	if err := ns.Do(func() (err error) { dev, err = tun.Open("clamp0", 1500, 1); return err }); err != nil {
		t.Fatal(err)
	}
	ns.Run("ip", "link", "set", "clamp0", "up")
	for _, prefix := range []string{"192.0.2.1/24", "2001:db8::1/64"} {
		ns.AddAddress("clamp0", prefix)
	}
	servers := map[string]net.Listener{"192.0.2.2:7000": listen(t, "127.0.0.1:0"), "[2001:db8::2]:7000": listen(t, "[::1]:0")}
	c := config.Default()
	c.MSS = []config.MSSRule{{MSSRule: policy.MSSRule{Clamp: clamp}}}
	log := logrus.New()
	log.SetOutput(io.Discard)
	r := router{
		config: c, log: newLog(t), logger: log,
		redirect: func(dst netip.AddrPort) (netip.AddrPort, bool) {
			l, ok := servers[dst.String()]
			if !ok {
				return dst, false
			}
			return l.Addr().(*net.TCPAddr).AddrPort(), true
		},
	}
	recorder := &recorder{Link: dev}
	ctx, cancel := context.WithCancel(t.Context())
	routed := make(chan error, 1)
	go func() { routed <- r.route(ctx, recorder) }()
	defer func() {
		cancel()
		if err := <-routed; err != nil {
			t.Error(err)
		}
	}()

	for address, l := range servers {
		served := make(chan error, 1)
		go func() { served <- echoOnce(l, size) }()
		if err := exchange(ns, address, size); err != nil {
			t.Fatalf("exchange with %s: %v", address, err) // its server may wait for ever
		}
		if err := <-served; err != nil {
			t.Errorf("server behind %s: %v", address, err)
		}
		all := recorder.take()
		for _, direction := range []string{"outbound", "inbound"} {
			seen := all[direction]
			if seen.segment == 0 || seen.segment > clamp {
				t.Errorf("%s, %s: the largest segment carries %d bytes, want at most %d", address, direction, seen.segment, clamp)
			}
			if seen.frame <= 2*clamp {
				t.Errorf("%s, %s: the longest frame has %d bytes, want super-segments", address, direction, seen.frame)
			}
		}
	}
}

func listen(t *testing.T, address string) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// echoOnce takes size bytes from one client and then sends as many.
func echoOnce(l net.Listener, size int64) error {
	conn, err := l.Accept()
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := io.CopyN(io.Discard, conn, size); err != nil {
		return err
	}
	_, err = conn.Write(make([]byte, size))
	return err
}

// exchange sends size bytes and reads as many.
func exchange(ns *tuntest.Namespace, address string, size int64) error {
	const patience = 4 * tuntest.Patience // the race detector looks at every byte
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, err := ns.Dial(ctx, "tcp", address)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	if _, err := conn.Write(make([]byte, size)); err != nil {
		return err
	}
	if n, err := io.Copy(io.Discard, conn); n != size || err != nil {
		return fmt.Errorf("read %d bytes, %w", n, err)
	}
	return nil
}

// recorder is a link that measures the TCP frames that cross it.
type recorder struct {
	tun.Link
	mu   sync.Mutex // guards seen
	seen map[string]extent
}

// extent is the most that has been seen, in bytes.
type extent struct{ frame, segment int }

func (r *recorder) ReadFrame(f *tun.Frame) error {
	err := r.Link.ReadFrame(f)
	if err == nil {
		r.measure("outbound", &f.Headers, f.Len(), f.Offload)
	}
	return err
}

func (r *recorder) WriteFrame(off tun.Offload, bufs [][]byte) error {
	n := 0
	for _, b := range bufs {
		n += len(b)
	}
	var h packet.Headers
	h.Parse(bufs[0], n)
	r.measure("inbound", &h, n, off)
	return r.Link.WriteFrame(off, bufs)
}

func (r *recorder) measure(direction string, h *packet.Headers, n int, off tun.Offload) {
	if !h.TCP {
		return
	}
	segment := h.PayloadLen()
	if off.GSO != tun.GSONone {
		segment = int(off.GSOSize)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.seen == nil {
		r.seen = make(map[string]extent)
	}
	e := r.seen[direction]
	r.seen[direction] = extent{frame: max(e.frame, n), segment: max(e.segment, segment)}
}

// take returns the frames seen since the last call.
func (r *recorder) take() map[string]extent {
	r.mu.Lock()
	defer r.mu.Unlock()
	seen := r.seen
	r.seen = nil
	return seen
}
