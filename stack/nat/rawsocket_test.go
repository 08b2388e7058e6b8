//go:build linux

package nat

import (
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"syntap/stack/dial"
	"syntap/stack/nat/hostsock"
	"syntap/stack/nat/mappings"
	"syntap/tun/packet"
	"syntap/tun/tuntest"
)

// TestRawEchoesShareASocket has hundreds of clients ping where the host grants no ping sockets: the
// router has one raw socket for each address that it sends from, as long as a mapping needs it, and
// each reply goes to its client.
func TestRawEchoesShareASocket(t *testing.T) {
	ns := tuntest.NewNamespace(t)
	router := routerIn(t, ns, false, dial.Options{Redirect: toLoopback})
	const clients = 3 * fewIdents // the number of identifiers grows, twice
	for _, tt := range echoFamilies {
		for seq := range byte(2) {
			client := tt.client
			for range clients {
				testEcho(t, router, echo(client, tt.server, 1, seq, []byte(client.String())), tt.reply)
				client = client.Next()
			}
		}
	}
	inodes := rawSocketsIn(t, ns)
	if len(inodes) != 2 {
		t.Errorf("%d raw sockets, want 1 for each family", len(inodes))
	}
	for _, inode := range inodes {
		if !router.OwnsRaw(inode) {
			t.Errorf("the router does not know its raw socket %d", inode)
		}
	}
	router.SetLimits(mappings.Limits{ICMPTimeout: time.Nanosecond})
	eventually(t, "idle mappings ended", func() bool { return router.stats.Echo.Load() == 0 })
	eventually(t, "raw sockets closed", func() bool { return len(rawSocketsIn(t, ns)) == 0 })
	for _, inode := range inodes {
		if router.OwnsRaw(inode) {
			t.Errorf("the router claims the raw socket %d, which is closed", inode)
		}
	}
	router.SetLimits(mappings.Limits{})
	for _, tt := range echoFamilies { // with a new socket
		testEcho(t, router, echo(tt.client, tt.server, 1, 9, nil), tt.reply)
	}
}

// TestIdentifiersOfRawEchoes: a raw socket gives each mapping an identifier of its own, until all
// are taken, and one that was given back last comes last.
func TestIdentifiersOfRawEchoes(t *testing.T) {
	var s *rawSocket
	err := tuntest.NewNamespace(t).Do(func() error {
		s = &rawSocket{
			base: 0xfff0, key: rawKey{local: netip.IPv4Unspecified()},
		}
		return s.open(dial.New(dial.Options{}))
	})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close(func(int) {})
	all := make([]*mapping, 3*fewIdents)
	for i := range all {
		all[i] = new(mapping)
		if err := s.enter(all[i]); err != nil {
			t.Fatalf("mapping %d: %v", i, err)
		}
	}
	for i, m := range all {
		if got := s.mapping(m.Own.Port()); got != m {
			t.Fatalf("mapping %d has identifier %d, which is another's", i, m.Own.Port())
		}
	}
	for len(s.byIdent) < mostIdents {
		if err := s.grow(s.FD()); err != nil {
			t.Fatal(err)
		}
	}
	s.free = nil // others have all
	if err := s.enter(new(mapping)); err == nil {
		t.Error("a mapping without an identifier")
	}
	for _, i := range []int{7, 5} {
		s.leave(all[i])
		if s.leave(all[i]) || s.mapping(all[i].Own.Port()) != nil {
			t.Errorf("mapping %d left and has an identifier", i)
		}
		if errno := s.sendFor(all[i], new(hostsock.Msghdr), netip.AddrPort{}, packet.Marks{}, nil); errno != unix.EBADF {
			t.Errorf("mapping %d left and sent: %v", i, errno)
		}
	}
	for _, i := range []int{7, 5} {
		m := new(mapping)
		if err := s.enter(m); err != nil || m.Own != all[i].Own {
			t.Errorf("new mapping has %v, %v, want %v", m.Own, err, all[i].Own)
		}
	}
}

// rawSocketsIn returns the inodes of the raw sockets in a network namespace.
func rawSocketsIn(t *testing.T, ns *tuntest.Namespace) (inodes []uint32) {
	t.Helper()
	for _, name := range []string{"raw", "raw6"} {
		var table []byte
		err := ns.Do(func() (err error) {
			table, err = os.ReadFile("/proc/thread-self/net/" + name)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range strings.Split(strings.TrimSpace(string(table)), "\n")[1:] {
			const inode = 9
			n, err := strconv.ParseUint(strings.Fields(line)[inode], 10, 32)
			if err != nil {
				t.Fatal(fmt.Errorf("line %q of %s: %w", line, name, err))
			}
			inodes = append(inodes, uint32(n))
		}
	}
	return inodes
}
