package tun_test

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"

	"syntap/tun"
	"syntap/tun/packet"
	"syntap/tun/tuntest"
)

// queues is a TUN interface tap0 with 192.0.2.1/24 and 2001:db8::1/64 in a namespace of its own.
type queues struct {
	t      *testing.T
	ns     *tuntest.Namespace
	dev    *tun.Device
	frames chan queued
}

// queued is a frame and the queue that it has come by.
type queued struct {
	queue int
	data  []byte
	h     packet.Headers
}

func openQueues(t *testing.T, n int) *queues {
	t.Helper()
	q := &queues{t: t, ns: tuntest.NewNamespace(t), frames: make(chan queued, 100)}
	err := q.ns.Do(func() (err error) { q.dev, err = tun.Open("tap0", 1500, n); return err })
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	for i, queue := range q.dev.Queues() {
		go func() {
			q.read(i, queue)
			ended <- struct{}{}
		}()
	}
	t.Cleanup(func() {
		if err := q.dev.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
		for range n { // Close ends the readers of all queues
			tuntest.Receive(t, "end of a reader", ended)
		}
	})
	q.ns.AddAddress("tap0", "192.0.2.1/24")
	q.ns.Run("ip", "link", "set", "tap0", "up")
	q.ns.Run("ip", "-6", "address", "add", "2001:db8::1/64", "dev", "tap0", "nodad")
	return q
}

func (q *queues) read(i int, queue tun.Link) {
	for {
		f := tun.Frame{Head: make([]byte, tun.HeadSize), Body: make([]byte, tun.MaxFrame-tun.HeadSize)}
		if err := queue.ReadFrame(&f); err != nil {
			if !errors.Is(err, os.ErrClosed) {
				q.t.Errorf("queue %d: %v", i, err)
			}
			return
		}
		if data := slices.Concat(f.Head, f.Body); f.Headers.Proto != packet.ProtoICMPv6 && !isLocal(data) {
			q.frames <- queued{i, data, f.Headers}
		}
	}
}

// isLocal reports whether a frame is one that an interface sends by itself, such as for multicast
// groups.
func isLocal(data []byte) bool {
	var h packet.Headers
	h.Parse(data, len(data))
	return h.Version == 0 || h.Dst(data).IsMulticast()
}

func (q *queues) next() queued {
	q.t.Helper()
	return tuntest.Receive(q.t, "frame", q.frames)
}

// write writes a packet of the far side by a queue.
func (q *queues) write(queue int, data []byte) {
	q.t.Helper()
	if err := q.dev.Queues()[queue].WriteFrame(tun.Offload{}, [][]byte{data}); err != nil {
		q.t.Fatal(err)
	}
}

// Frames of one flow come by one queue: at first by one that the kernel chooses, and from then on
// by the queue by which the last packet was written to the flow's client.
func TestQueuesKeepFlows(t *testing.T) {
	t.Parallel()
	const n = 4
	q := openQueues(t, n)
	for _, family := range []struct{ client, server string }{
		{"192.0.2.1", "192.0.2.2"}, {"2001:db8::1", "2001:db8::2"},
	} {
		first := make(map[int]bool)
		for port := uint16(2000); port < 2080; port++ {
			client := netip.AddrPortFrom(netip.MustParseAddr(family.client), port)
			server := netip.AddrPortFrom(netip.MustParseAddr(family.server), 53)
			conn := q.ns.ListenPacket("udp", client.String())
			send := func() queued {
				t.Helper()
				if _, err := conn.WriteTo([]byte("x"), net.UDPAddrFromAddrPort(server)); err != nil {
					t.Fatal(err)
				}
				f := q.next()
				if from, to := f.h.Ends(f.data); from != client || to != server {
					t.Fatalf("a frame from %v to %v, want %v to %v", from, to, client, server)
				}
				return f
			}
			home := send().queue
			first[home] = true
			for range 3 {
				if got := send().queue; got != home {
					t.Fatalf("%v: a frame by queue %d, others by %d", client, got, home)
				}
			}
			for _, queue := range []int{home, (home + 1) % n, (home + 2) % n} {
				q.write(queue, tuntest.UDP{Src: server, Dst: client, Payload: []byte("y")}.Packet())
				if got := send().queue; got != queue {
					t.Errorf("%v: a frame by queue %d after an answer by %d, %d at first", client, got, queue, home)
				}
			}
			_ = conn.Close()
		}
		if len(first) != n {
			t.Errorf("flows of %s begin at queues %v only", family.client, first)
		}
	}
	if s := q.dev.Stats(); s.InboundFrames.Load() != 480 || s.OutboundFrames.Load() < 1120 {
		t.Errorf("counted %d outbound frames, %d inbound", s.OutboundFrames.Load(), s.InboundFrames.Load())
	}
}

// All fragments of a datagram come by one queue, whatever that of their flow is.
func TestQueuesKeepFragments(t *testing.T) {
	t.Parallel()
	const n = 4
	q := openQueues(t, n)
	for _, addr := range []string{"192.0.2.1", "2001:db8::1"} {
		client := netip.AddrPortFrom(netip.MustParseAddr(addr), 2000)
		conn := q.ns.ListenPacket("udp", client.String())
		for host := 2; host < 10; host++ {
			server := netip.MustParseAddr(addr[:len(addr)-1] + strconv.Itoa(host))
			for range 2 {
				to := netip.AddrPortFrom(server, 53)
				if _, err := conn.WriteTo(make([]byte, 4000), net.UDPAddrFromAddrPort(to)); err != nil {
					t.Fatal(err)
				}
				home := q.next().queue
				for range 2 {
					if f := q.next(); f.queue != home {
						t.Errorf("%v: a fragment by queue %d, the first by %d", server, f.queue, home)
					}
				}
				q.write((home+1)%n, tuntest.UDP{Src: to, Dst: client, Payload: []byte("y")}.Packet())
			}
		}
		_ = conn.Close()
	}
}

// An interface with several queues is one's own as well.
func TestBusyNameIsRefusedToQueues(t *testing.T) {
	t.Parallel()
	q := openQueues(t, 2)
	for n := 1; n <= 2; n++ {
		err := q.ns.Do(func() error { _, err := tun.Open("tap0", 1500, n); return err })
		if !errors.Is(err, os.ErrExist) {
			t.Errorf("second open with %d queues: %v, want %v", n, err, os.ErrExist)
		}
	}
	if q.dev.MTU() != 1500 || q.ns.Link("tap0").Attrs().MTU != 1500 {
		t.Errorf("MTU %d and %d, want 1500", q.dev.MTU(), q.ns.Link("tap0").Attrs().MTU)
	}
}

// TestQueueOfAnother has a user without rights open one more queue: it would get a share of all
// packets, and its own would be taken for the router's.
func TestQueueOfAnother(t *testing.T) {
	t.Parallel()
	q := openQueues(t, 2)
	err := q.ns.Do(func() error { // on a thread of its own
		const nobody = 65534
		become := func(uid uintptr) unix.Errno {
			_, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, ^uintptr(0), uid, ^uintptr(0))
			return errno
		}
		root := uintptr(os.Geteuid())
		if errno := become(nobody); errno != 0 {
			return errno
		}
		defer become(root)
		fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		ifr, err := unix.NewIfreq("tap0")
		if err != nil {
			return err
		}
		ifr.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI | unix.IFF_VNET_HDR | unix.IFF_MULTI_QUEUE)
		return unix.IoctlIfreq(fd, unix.TUNSETIFF, ifr)
	})
	switch {
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.EACCES):
		t.Skipf("there is no other user, or it may not open /dev/net/tun: %v", err)
	case !errors.Is(err, unix.EPERM):
		t.Errorf("another user opens a queue: %v, want %v", err, unix.EPERM)
	}
}

// TestQueueBeforeOwner has another process open a queue before the interface has an owner.
func TestQueueBeforeOwner(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]error{1: nil, 2: tun.ErrTaken} {
		err := tuntest.NewNamespace(t).Do(func() error {
			var files []*os.File
			for range n {
				f, err := tun.OpenQueue("tap0", unix.IFF_TUN|unix.IFF_NO_PI|unix.IFF_VNET_HDR|unix.IFF_MULTI_QUEUE)
				if err != nil {
					t.Fatal(err)
				}
				defer f.Close()
				files = append(files, f)
			}
			return tun.Own(files[0], "tap0")
		})
		if !errors.Is(err, want) {
			t.Errorf("of %d queues: %v, want %v", n, err, want)
		}
	}
}
