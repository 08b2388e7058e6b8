package e2e_test

import (
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"syntap/tun/packet"
	"syntap/tun/tuntest"
)

// TestMTUTable makes the table of black-holes.md: the same paths, seen by several tools.
func TestMTUTable(t *testing.T) {
	t.Parallel()
	requireTools(t, "curl", "nft", "ping", "traceroute", "tracepath")
	if !soak() {
		t.Skip("takes minutes")
	}
	for _, tt := range []mtuCase{
		{"none", 1500, kept, 0}, {"up", 1400, kept, 0}, {"up", 1400, filtered, 0}, {"down", 1400, filtered, 0}, {"both", 1400, filtered, 0},
	} {
		t.Run(fmt.Sprintf("%s ICMP %s", tt.where, tt.icmp), func(t *testing.T) {
			t.Parallel()
			cells := make([]string, len(mtuTools))
			t.Cleanup(func() { reportf(t, "| %s, %s | %s |", tt.where, tt.icmp, strings.Join(cells, " | ")) })
			for i, tool := range mtuTools {
				t.Run(tool.name, func(t *testing.T) {
					t.Parallel()
					up, down := tt.where == "up" || tt.where == "both", tt.where == "down" || tt.where == "both"
					narrow := map[bool]int{true: tt.mtu, false: 0}
					c := newMTUChain(t, narrow[up], narrow[down])
					if tt.icmp != kept {
						c.silence()
					}
					serveTransfers(t, &tuntest.Lab{Client: c.client(), Server: c.server()})
					began := time.Now()
					cells[i] = fmt.Sprintf("%s (%.1f s)", tool.look(t, c), time.Since(began).Seconds())
				})
			}
		})
	}
}

// mtuTools are the columns of the table.
var mtuTools = []struct {
	name string
	look func(*testing.T, *mtuChain) string
}{
	{"mtu", bySyntap},
	{"tracepath", byTracepath},
	{"ping", byPing},
	{"traceroute", byTraceroute},
	{"raw TCP", byRawTCP},
	{"tcp_mtu_probing", byKernel},
	{"findings", byFindings},
}

func bySyntap(t *testing.T, c *mtuChain) string {
	t.Helper()
	got := command(t, c.client(), binary, "mtu", "--json", "203.0.113.2:80")
	var r mtuResult
	must(t, json.Unmarshal([]byte(got.stdout), &r))
	return fmt.Sprintf("%s, up %v, down %v", r.Verdict, r.Up, r.Down)
}

// within runs a tool for a minute at most and returns the last match in its output.
func within(t *testing.T, c *mtuChain, last string, args ...string) string {
	t.Helper()
	got := command(t, c.client(), "timeout", append([]string{"60"}, args...)...)
	if got.status == 124 {
		return "no end in 60 s"
	}
	all := regexp.MustCompile(last).FindAllString(got.stdout+got.stderr, -1)
	if len(all) == 0 {
		return fmt.Sprintf("exit status %d", got.status)
	}
	return all[len(all)-1]
}

func byTracepath(t *testing.T, c *mtuChain) string {
	t.Helper()
	return within(t, c, `pmtu \d+`, "tracepath", "-n", "203.0.113.2")
}

func byTraceroute(t *testing.T, c *mtuChain) string {
	t.Helper()
	return within(t, c, `F=\d+`, "traceroute", "-n", "--mtu", "203.0.113.2")
}

func byPing(t *testing.T, c *mtuChain) string {
	t.Helper()
	return within(t, c, `\d+ received|mtu ?= ?\d+`, "ping", "-n", "-M", "do", "-c", "1", "-W", "2", "-s", "1472", "203.0.113.2")
}

// byKernel has both ends probe (RFC 4821), without a router of ours.
func byKernel(t *testing.T, c *mtuChain) string {
	t.Helper()
	c.client().Sysctl("net.ipv4.tcp_mtu_probing", "1")
	c.server().Sysctl("net.ipv4.tcp_mtu_probing", "1")
	return transferTimes(t, c)
}

func byFindings(t *testing.T, c *mtuChain) string {
	t.Helper()
	r := run(t, c.client(), "syntap0", strings.Replace(everything, "tap:\n", "tap:\n  findings: apply\n", 1))
	defer r.stop(t, unix.SIGTERM)
	return transferTimes(t, c)
}

// transferTimes returns the times of two uploads and of two downloads.
func transferTimes(t *testing.T, c *mtuChain) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "upload")
	must(t, os.WriteFile(file, make([]byte, transferSize), 0o600))
	var times []string
	for _, upload := range []string{file, file, "", ""} {
		began := time.Now()
		status, _ := curlTransfer(t, c.client(), 60, urls()[0], upload)
		times = append(times, fmt.Sprintf("%.1f s (%d)", time.Since(began).Seconds(), status))
	}
	return "up " + strings.Join(times[:2], ", ") + ", down " + strings.Join(times[2:], ", ")
}

// byRawTCP enacts the method of gluetun's internal/pmtud/tcp: raw SYNs from some ports at a time,
// and behind each SYN-ACK a packet with as many bytes as one of some MTUs allows. The largest that
// is acknowledged in a second, and the next above it, are the bounds of the next round. The
// kernel's RSTs are dropped meanwhile. It needs root.
func byRawTCP(t *testing.T, c *mtuChain) string {
	t.Helper()
	c.client().Run("nft", "add table inet raw; add chain inet raw o { type filter hook output priority 0; }; "+
		"add rule inet raw o tcp dport 80 tcp flags & rst == rst drop")
	p := &rawTCP{server: netip.MustParseAddrPort("203.0.113.2:80"), client: netip.MustParseAddr("192.0.2.2")}
	p.conn = c.client().ListenPacket("ip4:tcp", p.client.String()).(*net.IPConn)
	raw, err := p.conn.SyscallConn()
	must(t, err)
	must(t, raw.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_PROBE)
	}))
	must(t, err)
	for lo, hi := 68, 1500; ; {
		sizes := evenly(lo, hi)
		passes := p.round(sizes)
		i := len(sizes) - 1
		for i >= 0 && !passes[i] {
			i--
		}
		switch {
		case i < 0:
			return "nothing passes"
		case i == len(sizes)-1 || sizes[i] == sizes[i+1]-1:
			return fmt.Sprint(sizes[i])
		}
		lo, hi = sizes[i], sizes[i+1]-1
	}
}

// evenly returns up to eleven sizes, from lo to hi.
func evenly(lo, hi int) (sizes []int) {
	const steps = 10
	for i := range steps + 1 {
		if s := lo + (hi-lo)*i/steps; len(sizes) == 0 || s > sizes[len(sizes)-1] {
			sizes = append(sizes, s)
		}
	}
	return sizes
}

type rawTCP struct {
	conn   *net.IPConn
	client netip.Addr
	server netip.AddrPort
	port   uint16
}

// round tries sizes on a connection each.
func (p *rawTCP) round(sizes []int) (passes []bool) {
	passes = make([]bool, len(sizes))
	first := p.port + 20000
	p.port += uint16(len(sizes))
	send := func(i int, s tuntest.TCP) {
		s.Src, s.Dst, s.Window = netip.AddrPortFrom(p.client, first+uint16(i)), p.server, 65535
		_, _ = p.conn.WriteTo(s.Packet()[packet.IPv4HeaderLen:], &net.IPAddr{IP: p.server.Addr().AsSlice()})
	}
	for i := range sizes {
		send(i, tuntest.TCP{Seq: 1000, Flags: tuntest.SYN})
	}
	_ = p.conn.SetReadDeadline(time.Now().Add(time.Second))
	sent := make(map[int]bool)
	for b := make([]byte, 1<<16); ; {
		n, err := p.conn.Read(b)
		if err != nil {
			return passes
		}
		var h packet.Headers
		h.Parse(b[:n], n)
		i := int(h.DstPort) - int(first)
		if !h.TCP || i < 0 || i >= len(sizes) {
			continue
		}
		if !sent[i] {
			sent[i] = true
			data := make([]byte, max(0, sizes[i]-40))
			send(i, tuntest.TCP{Seq: 1001, Ack: h.Seq + 1, Flags: tuntest.ACK, Payload: data})
		} else if h.Flags&tuntest.SYN == 0 {
			passes[i] = true
			send(i, tuntest.TCP{Seq: h.Ack, Flags: tuntest.RST})
		}
	}
}
