package policy_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"syntap/tap/policy"
	"syntap/tun"
	"syntap/tun/packet"
	"syntap/tun/tuntest"
)

func TestMain(m *testing.M) { tuntest.Main(m) }

// TestParity sends generated segments through a forwarding kernel that clamps, and has the rules do
// the same. The bytes have to be equal, except where doc.go says why they are not.
func TestParity(t *testing.T) {
	t.Parallel()
	tests := []struct {
		by    string
		size  string
		mtu   [2]int // of the interfaces towards the client and towards the server
		clamp policy.Clamp
	}{
		{"TCPMSS", "--set-mss 100", [2]int{1500, 1500}, 100},
		{"TCPMSS", "--set-mss 536", [2]int{1500, 1500}, 536},
		{"TCPMSS", "--set-mss 1360", [2]int{1500, 1500}, 1360},
		{"TCPMSS", "--set-mss 65495", [2]int{1500, 1500}, 65495},
		{"TCPMSS", "--clamp-mss-to-pmtu", [2]int{1500, 1400}, policy.ClampPMTU},
		{"TCPMSS", "--clamp-mss-to-pmtu", [2]int{1300, 1500}, policy.ClampPMTU},
		{"nft", "1360", [2]int{1500, 1500}, 1360},
		{"nft", "rt mtu", [2]int{1500, 1400}, policy.ClampPMTU},
		{"nft", "rt mtu", [2]int{1300, 1500}, policy.ClampPMTU},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprint(tt.by, tt.size, tt.mtu), func(t *testing.T) {
			t.Parallel()
			k := newKernel(t, tt.mtu)
			byNFT := tt.by == "nft"
			if byNFT {
				k.clampWith(t, "nft", `
					add table inet t
					add chain inet t forward { type filter hook forward priority mangle; }
					add rule inet t forward tcp flags & (syn|rst) == syn tcp option maxseg size set `+tt.size)
			} else {
				rule := strings.Fields("-t mangle -A FORWARD -p tcp --tcp-flags SYN,RST SYN -j TCPMSS " + tt.size)
				k.clampWith(t, "iptables", rule...)
				k.clampWith(t, "ip6tables", rule...)
			}
			rules := compileMSS(t, policy.Options{MTU: packet.MTU(tt.mtu[0])}, policy.MSSRule{Clamp: tt.clamp, Add: !byNFT})
			pathMTU := func() packet.MTU { return packet.MTU(tt.mtu[1]) }
			for i, s := range syns() {
				if s.wrongLength && byNFT {
					continue
				}
				whole := tuntest.Frame{Data: s.packet(uint16(1024 + i))}
				compare(t, k, s, whole, rules, pathMTU)
				if s.between == nil {
					compare(t, k, s, tuntest.Offloaded(slices.Clone(whole.Data), 0), rules, pathMTU)
				}
			}
		})
	}
}

// compare sends one segment both ways.
func compare(t *testing.T, k *kernel, s *syn, f tuntest.Frame, rules *policy.Rules, pathMTU func() packet.MTU) {
	t.Helper()
	got := s.segment(f)
	if _, verdict := rules.RewriteMSS(nil, got, pathMTU); verdict != policy.Pass {
		t.Errorf("%v: verdict %v, want Pass", s, verdict)
	}
	forwarded(got.Buf)
	want := k.forward(t, f, s.tcp())

	// Bytes that the kernel leaves wrong, or alone.
	for _, b := range [][]byte{got.Buf, want.Data} {
		if s.second > 0 {
			clear(b[s.tcp()+20+s.second:][:2])
		}
		if s.second > 0 || s.odd {
			clear(b[s.tcp()+16:][:2]) // the checksum
		}
	}
	if diff := cmp.Diff(want, tuntest.Frame{Data: got.Buf, Offload: f.Offload}); diff != "" {
		t.Errorf("%v, offload %+v (-kernel +rules):\n%s", s, f.Offload, diff)
	}
}

// forwarded does to a packet what a router does to every one.
func forwarded(b []byte) {
	if b[0]>>4 == 6 {
		b[7]--
		return
	}
	b[8]--
	sum := b[10:]
	binary.BigEndian.PutUint16(sum, packet.UpdateChecksum(binary.BigEndian.Uint16(sum), 0x0100, 0))
}

// kernel is a namespace that forwards from one TUN interface to another:
//
//	test ──> in0 192.0.2.1/24, 2001:db8:1::1/64 ──> forward ──> out0 198.51.100.1/24, 2001:db8:2::1/64 ──> test
type kernel struct {
	ns      *tuntest.Namespace
	in, out *tun.Device
}

func newKernel(t *testing.T, mtu [2]int) *kernel {
	t.Helper()
	k := &kernel{ns: tuntest.NewNamespace(t)}
	k.ns.Sysctl("net.ipv4.ip_forward", "1")
	k.ns.Sysctl("net.ipv6.conf.all.forwarding", "1")
	k.in = k.open(t, "in0", mtu[0], "192.0.2.1/24", "2001:db8:1::1/64")
	k.out = k.open(t, "out0", mtu[1], "198.51.100.1/24", "2001:db8:2::1/64")
	return k
}

func (k *kernel) open(t *testing.T, name string, mtu int, addresses ...string) *tun.Device {
	t.Helper()
	var dev *tun.Device
	if err := k.ns.Do(func() (err error) { dev, err = tun.Open(name, mtu, 1); return err }); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = dev.Close() })
	for _, a := range addresses {
		k.ns.AddAddress(name, a)
	}
	k.ns.Run("ip", "link", "set", name, "up")
	return dev
}

// clampWith runs a command that makes the kernel clamp. Where the program or the kernel cannot, the
// test is skipped, or fails as RequireNetNS does.
func (k *kernel) clampWith(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := k.ns.Command(t.Context(), name, args...).CombinedOutput(); err != nil {
		stop := t.Skipf
		if os.Getenv("SYNTAP_REQUIRE_NETNS") == "1" {
			stop = t.Fatalf
		}
		stop("needs a kernel that clamps: %s %q: %v\n%s", name, args, err, out)
	}
}

// forward sends a segment with its TCP header at an offset through the kernel and returns what
// comes out.
func (k *kernel) forward(t *testing.T, f tuntest.Frame, tcp int) tuntest.Frame {
	t.Helper()
	if err := k.in.WriteFrame(f.Offload, [][]byte{f.Data}); err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(tuntest.Patience, func() { _ = k.out.Close() })
	defer timer.Stop()
	for {
		out := tun.Frame{Head: make([]byte, 256), Body: make([]byte, 2000)}
		if err := k.out.ReadFrame(&out); err != nil {
			t.Fatalf("read what the kernel forwards: %v", err)
		}
		// The kernel's own IPv6 messages come by here too.
		if b := out.Head; len(b) >= tcp+8 && bytes.Equal(b[tcp:tcp+8], f.Data[tcp:tcp+8]) {
			return tuntest.Frame{Data: b, Offload: out.Offload}
		}
	}
}
