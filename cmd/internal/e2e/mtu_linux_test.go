package e2e_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"syntap/tun/tuntest"
)

// mtuCase is a path with a narrow link on the way up, on the way down, on both or on none.
type mtuCase struct {
	where string
	mtu   int
	icmp  icmpKind // of packets that are too long
	loss  int      // percent, each way
}

// icmpKind is what becomes of ICMP errors.
type icmpKind string

const (
	kept     icmpKind = "kept"
	filtered icmpKind = "filtered"
	forged   icmpKind = "forged" // and filtered
)

func (c mtuCase) String() string {
	return fmt.Sprintf("%s, %d, ICMP %s, %d %% loss", c.where, c.mtu, c.icmp, c.loss)
}

// mtuCases is the whole table in a soak, and else one case of each kind. Loss is random, so its
// cases are for a soak.
func mtuCases() (all []mtuCase) {
	if !soak() {
		return []mtuCase{
			{"none", 1500, filtered, 0},
			{"up", 1400, filtered, 0},
			{"down", 1492, filtered, 0},
			{"both", 1280, filtered, 0},
			{"both", 1358, kept, 0},
			{"up", 1499, filtered, 0},
			{"both", 1380, forged, 0},
			{"up", 1450, kept, 0},
			{"down", 1420, kept, 0},
		}
	}
	for _, loss := range []int{0, 2, 10} {
		for _, icmp := range []icmpKind{kept, filtered, forged} {
			all = append(all, mtuCase{"none", 1500, icmp, loss})
			for _, where := range []string{"up", "down", "both"} {
				for _, mtu := range []int{1280, 1358, 1380, 1400, 1420, 1450, 1492, 1499} {
					all = append(all, mtuCase{where, mtu, icmp, loss})
				}
			}
		}
	}
	return all
}

// TestMTU measures paths to a web server, by HTTP and TLS, over IPv4 and IPv6.
func TestMTU(t *testing.T) {
	t.Parallel()
	requireTools(t, "setpriv", "ip", "nft")
	for _, tt := range mtuCases() {
		t.Run(tt.String(), func(t *testing.T) {
			if !soak() {
				t.Parallel()
			}
			up, down := tt.where == "up" || tt.where == "both", tt.where == "down" || tt.where == "both"
			narrow := map[bool]int{true: tt.mtu, false: 0}
			c := newMTUChain(t, narrow[up], narrow[down])
			if tt.icmp != kept {
				c.silence()
			}
			if tt.icmp == forged {
				c.forge(t)
			}
			if tt.loss > 0 {
				c.lose(tt.loss)
			}
			c.serve(t)
			for i, host := range []string{"203.0.113.2:80", "[2001:db8:3::2]:443"} {
				status, got, _ := c.measure(t, host)
				tt.check(t, host, 40+20*i, status, got)
			}
		})
	}
}

// check compares a result with the path.
func (c mtuCase) check(t *testing.T, host string, headers, status int, got mtuResult) {
	t.Helper()
	narrow := func(way string) bool { return c.where == way || c.where == "both" }
	verdict, wantStatus, clamp, icmp := "clear", 0, "-", "1500"
	up, down := "1500/-", "1500/-"
	if narrow("up") {
		up, icmp = fmt.Sprintf("%d/%d", c.mtu, c.mtu+1), fmt.Sprint(c.mtu)
	}
	if narrow("down") {
		down = fmt.Sprintf("%d/%d", c.mtu, c.mtu+1)
		if c.icmp == kept { // the server knows the size that is refused
			down = fmt.Sprintf("%d/-", c.mtu)
		}
	}
	if c.icmp != kept {
		if narrow("up") {
			icmp = "-"
		}
		if c.where != "none" {
			verdict, wantStatus, clamp = "black hole "+c.where, 1, fmt.Sprint(c.mtu-headers)
		}
		if c.where == "both" {
			verdict = "both"
		}
	}
	number := func(n *int) string {
		if n == nil {
			return "-"
		}
		return fmt.Sprint(*n)
	}
	if status != wantStatus || got.Verdict != verdict || got.Up.String() != up || got.Down.String() != down ||
		number(got.Clamp) != clamp || number(got.ICMP) != icmp {
		t.Errorf("%s: status %d, %s, up %v, down %v, clamp %s, ICMP %s; want %d, %s, %s, %s, %s, %s", host, status, got.Verdict, got.Up,
			got.Down, number(got.Clamp), number(got.ICMP), wantStatus, verdict, up, down, clamp, icmp)
	}
	if c.icmp != kept && (got.MSS.Client != 1500-headers || got.MSS.Server != 1500-headers) {
		t.Errorf("%s: MSS %+v, want %d of both", host, got.MSS, 1500-headers)
	}
}

// TestMTUOfOthers measures paths on which no larger packet vanishes, to far ends that say little,
// late or nothing: none is a black hole.
func TestMTUOfOthers(t *testing.T) {
	t.Parallel()
	requireTools(t, "setpriv", "ip", "nft")
	c := newMTUChain(t, 0, 0)
	c.serve(t)
	for _, tt := range []struct {
		args     []string
		status   int
		up, down string
		says     string
	}{
		{[]string{"203.0.113.2:22"}, 2, "1500/-", "-", "the far end sends no full segment"},
		{[]string{"203.0.113.2:7"}, 2, "1500/-", "-", "the far end sends no full segment"},
		{[]string{"203.0.113.2:13"}, 2, "1500/-", "-", "the far end sends no full segment"},
		{[]string{"--url", "/short", "203.0.113.2:80"}, 2, "1500/-", "-", "hint: ask for something large with --url"},
		{[]string{"--url", "/slow", "203.0.113.2:80"}, 0, "1500/-", "1500/-", ""},
		{[]string{"203.0.113.2:9"}, 2, "-", "-", "connection refused"},
		{[]string{"203.0.113.2:http"}, 2, "-", "-", "is no port"},
		{[]string{"no.such.name.invalid"}, 2, "-", "-", "look up no.such.name.invalid"},
		{[]string{"--url", "page", "203.0.113.2"}, 2, "-", "-", "is no path"},
	} {
		status, got, all := c.measure(t, tt.args...)
		if status != tt.status || got.Up.String() != tt.up || got.Down.String() != tt.down || !strings.Contains(all.stderr, tt.says) {
			t.Errorf("mtu %v: status %d, up %v, down %v, %q; want %d, %s, %s, %q", tt.args, status, got.Up, got.Down, all.stderr,
				tt.status, tt.up, tt.down, tt.says)
		}
	}
	for range scaled(2, 30) {
		if status, got, _ := c.measure(t, "--url", "/uneven", "203.0.113.2:80"); status == 1 {
			t.Errorf("mtu of a server that takes up to 2 s: %s, up %v, down %v", got.Verdict, got.Up, got.Down)
		}
	}
	if soak() {
		c.lose(10)
	}
	for range scaled(0, 30) {
		if status, got, _ := c.measure(t, "203.0.113.2:80"); status != 0 {
			t.Errorf("mtu with 10 %% loss: status %d, %s, up %v, down %v; want 0, clear", status, got.Verdict, got.Up, got.Down)
		}
	}
	c.middle().Drop(100, "forward", "")
	if status, _, all := c.measure(t, "--timeout", "3s", "203.0.113.2:80"); status != 2 || !strings.Contains(all.stderr, "no answer in 3s") {
		t.Errorf("mtu over a dead path: status %d, %q, want 2 and no answer", status, all.stderr)
	}
}

// TestMTUOfLostSYN has all SYNs of the first connection be lost, and none of others.
func TestMTUOfLostSYN(t *testing.T) {
	t.Parallel()
	requireTools(t, "setpriv", "ip", "nft")
	c := newMTUChain(t, 0, 0)
	c.serve(t)
	c.middle().Run("nft", "add table inet t; add set inet t lost { type inet_service; flags dynamic; }; "+
		"add chain inet t c { type filter hook forward priority 0; }; add rule inet t c tcp sport @lost drop; "+
		"add rule inet t c tcp flags & (syn | ack) == syn numgen inc mod 1000000 0 add @lost { tcp sport } drop")
	if status, got, all := c.measure(t, "203.0.113.2:80"); status != 0 || got.Up.String() != "1500/-" || got.Down.String() != "1500/-" {
		t.Errorf("status %d, up %v, down %v, %q; want 0 and 1500 both ways", status, got.Up, got.Down, all.stderr)
	}
}

// TestMTUOfSilence measures the way up to far ends that send no full segment.
func TestMTUOfSilence(t *testing.T) {
	t.Parallel()
	requireTools(t, "setpriv", "ip", "nft")
	c := newMTUChain(t, 1400, 0)
	c.silence()
	c.serve(t)
	for _, host := range []string{"203.0.113.2:22", "203.0.113.2:7", "[2001:db8:3::2]:22", "[2001:db8:3::2]:7"} {
		status, got, _ := c.measure(t, host)
		if status != 1 || got.Verdict != "black hole up" || got.Up.String() != "1400/1401" || got.Down != nil {
			t.Errorf("%s: status %d, %s, up %v, down %v; want 1, black hole up, 1400/1401, -", host, status, got.Verdict, got.Up, got.Down)
		}
	}
}

// TestMTUReport compares the text with that in black-holes.md.
func TestMTUReport(t *testing.T) {
	t.Parallel()
	requireTools(t, "ip", "nft")
	guide, err := os.ReadFile("../../../configs/black-holes.md")
	if err != nil {
		t.Fatal(err)
	}
	c := newMTUChain(t, 1400, 0)
	c.silence()
	c.serve(t)
	got := command(t, c.client(), binary, "mtu", "203.0.113.2:80")
	want := "    " + strings.ReplaceAll(strings.TrimSuffix(got.stdout, "\n"), "\n", "\n    ")
	if got.status != 1 || got.stderr != "" || !strings.Contains(string(guide), "    $ syntap mtu 203.0.113.2:80\n"+want+"\n") {
		t.Errorf("status %d, %s; the guide lacks\n%s", got.status, got.stderr, want)
	}
}

// TestMTUPair compares captures at both ends of a path whose middle clamps.
func TestMTUPair(t *testing.T) {
	t.Parallel()
	requireTools(t, "curl", "nft", "tcpdump")
	c := newMTUChain(t, 0, 0)
	lab := &tuntest.Lab{Client: c.client(), Server: c.server()}
	serveHTTP(t, lab, greeting)
	c.middle().Run("nft", "add table inet t; add chain inet t c { type filter hook forward priority 0; }; "+
		"add rule inet t c tcp flags & (syn | ack) == syn tcp option maxseg size set 1360")
	dir := t.TempDir()
	var dumps []*tuntest.Process
	for _, end := range []struct {
		ns         *tuntest.Namespace
		link, name string
	}{{c.client(), "right", "client"}, {c.server(), "left", "server"}} {
		dump := end.ns.Start("tcpdump", "-i", end.link, "-n", "-U", "--immediate-mode", "-w", filepath.Join(dir, end.name+".pcap"), "tcp")
		tuntest.Wait(t, "tcpdump to listen", func() bool { return strings.Contains(dump.Stderr(), "listening on") })
		dumps = append(dumps, dump)
	}
	for _, url := range urls() {
		if got := command(t, c.client(), "curl", "-sS", url); got.status != 0 {
			t.Fatalf("curl %s: %+v", url, got)
		}
	}
	var pair result
	tuntest.Wait(t, "both handshakes in both captures", func() bool {
		for _, name := range []string{"client", "server"} {
			file := filepath.Join(dir, name)
			_ = os.Remove(file + ".json")
			command(t, c.client(), binary, "replay", "--format", "json", "-o", file+".json", file+".pcap")
		}
		pair = command(t, c.client(), binary, "mtu", "--pair", filepath.Join(dir, "server.json"), filepath.Join(dir, "client.json"))
		return strings.HasPrefix(pair.stdout, "2 handshakes in both logs")
	})
	for _, dump := range dumps {
		_ = dump.Signal(unix.SIGTERM)
		<-dump.Done()
	}
	want := `2 handshakes in both logs, 0 near the clients alone, 0 near the servers alone
  SYN      ttl     64 → 61, 2 of 2
  SYN-ACK  ttl     64 → 61, 2 of 2
  SYN      mss     1440 → 1360, 1 of 2
  SYN      mss     1460 → 1360, 1 of 2
`
	if pair.stdout != want || pair.status != 1 {
		t.Errorf("status %d, %s%s\nwant 1, %s", pair.status, pair.stdout, pair.stderr, want)
	}
	file := filepath.Join(dir, "client.json")
	if same := command(t, c.client(), binary, "mtu", "--pair", file, file); same.status != 0 {
		t.Errorf("a log beside itself: %+v", same)
	}
	if none := command(t, c.client(), binary, "mtu", "--pair", os.DevNull, file); none.status != 2 {
		t.Errorf("no handshake in common: %+v", none)
	}
}
