package sockets

import (
	"errors"
	"os"
	"testing"

	"golang.org/x/sys/unix"
	"golang.org/x/time/rate"

	"syntap/tun/tuntest"
)

// detach detaches the filter of a socket, and reports whether there was one.
func detach(fd int) bool {
	return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DETACH_FILTER, 0) == nil
}

// A filter comes to TCP sockets of both families that the server has made, and no descriptor stays
// with it.
func TestAttach(t *testing.T) {
	requireRoot(t)
	p, _ := start(t, Settings{Mark: 1<<31 | 77})
	for _, family := range []int{unix.AF_INET, unix.AF_INET6} {
		fd, err := p.Open(family, unix.SOCK_STREAM, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		tuntest.Wait(t, "no refill to be under way", func() bool {
			p.mu.Lock()
			defer p.mu.Unlock()
			return !p.stocks[tcp4].refilling && !p.stocks[tcp6].refilling
		})
		before := descriptors(t)
		if err := p.Attach(fd, 1, 2); err != nil {
			t.Fatalf("family %d: %v", family, err)
		}
		if after := descriptors(t); after > before {
			t.Errorf("%d descriptors after the answer, %d before", after, before)
		}
		if !detach(fd) {
			t.Errorf("family %d: no filter was attached", family)
		}
	}
}

// No filter comes to sockets of another mark, type, protocol or family, nor to all that is none.
func TestAttachElsewhere(t *testing.T) {
	requireRoot(t)
	p, v := start(t, Settings{Mark: 77})
	for _, a := range []arguments{
		{unix.AF_INET, unix.SOCK_STREAM, 0}, // without the mark
		{unix.AF_INET, unix.SOCK_DGRAM, 0},
		{unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_TCP},
		{unix.AF_INET, unix.SOCK_STREAM, unix.IPPROTO_MPTCP},
		{unix.AF_UNIX, unix.SOCK_STREAM, 0},
		{unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_ROUTE},
	} {
		fd, err := unix.Socket(a.family, a.typ|unix.SOCK_CLOEXEC, a.proto)
		if errors.Is(err, unix.EPROTONOSUPPORT) || errors.Is(err, unix.ENOPROTOOPT) {
			continue // a kernel without MPTCP, or with it off
		}
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		if a != all[tcp4] {
			if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_MARK, 77); err != nil {
				t.Fatal(err)
			}
		}
		if err := p.Attach(fd, 1, 2); err == nil || detach(fd) {
			t.Errorf("a filter came to %+v: %v", a, err)
		}
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	if err := p.Attach(int(null.Fd()), 1, 2); err == nil {
		t.Error("a filter came to a file")
	}
	fd, err := p.Open(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	for _, along := range [][]int{nil, {fd, fd}} {
		if _, err := p.ask(&request{Op: opAttach}, 0, along...); err == nil {
			t.Errorf("a request with %d descriptors was served", len(along))
		}
	}
	v.Refuse()
	if err := p.Attach(fd, 1, 2); !errors.Is(err, unix.EPERM) || detach(fd) {
		t.Errorf("a server that refuses: %v", err)
	}
}

// Server and pool bound how many filters are attached a second, each of them alone, too.
func TestAttachRate(t *testing.T) {
	requireRoot(t)
	for _, of := range []string{"pool", "server"} {
		p, v := start(t, Settings{})
		fd, err := p.Open(unix.AF_INET, unix.SOCK_STREAM, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		if of == "pool" {
			v.attach.SetLimit(rate.Inf)
		} else {
			p.attach.SetLimit(rate.Inf)
		}
		tuntest.Wait(t, of+": a refusal", func() bool {
			for range 4 * attachRate {
				if err := p.Attach(fd, 1, 2); errors.Is(err, unix.EAGAIN) {
					return true
				} else if err != nil {
					t.Fatalf("%s: %v", of, err)
				}
			}
			return false
		})
		tuntest.Wait(t, of+": a filter again", func() bool { return p.Attach(fd, 1, 2) == nil })
	}
}
