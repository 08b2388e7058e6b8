//go:build linux

package nat

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"syntap/stack/dial"
	"syntap/stack/nat/mappings"
	"syntap/tun/tuntest"
)

// TestRawEchoesShareASocket has hundreds of clients ping where the host grants no ping sockets: the
// router has one raw socket for each address that it sends from, as long as a mapping needs it, and
// each reply goes to its client.
func TestRawEchoesShareASocket(t *testing.T) {
	ns := tuntest.NewNamespace(t)
	router := routerIn(t, ns, false, dial.Options{Redirect: tuntest.ToLoopback})
	const clients = 200 // the number of identifiers grows, twice
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
	tuntest.Wait(t, "idle mappings ended", func() bool { return router.stats.Echo.Load() == 0 })
	tuntest.Wait(t, "raw sockets closed", func() bool { return len(rawSocketsIn(t, ns)) == 0 })
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
