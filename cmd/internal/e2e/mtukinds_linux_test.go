package e2e_test

import (
	"fmt"
	"net"
	"strings"
	"testing"

	"syntap/tun/tuntest"
)

const overIPv4, overIPv6 = "203.0.113.2:80", "[2001:db8:3::2]:443"

// mtuKinds are paths of which TestMTU's table has none. The words are those of mtuWords.
var mtuKinds = []struct {
	name   string
	lab    func(*testing.T) *mtuChain
	v4, v6 string
}{
	{
		"another MTU each way",
		func(t *testing.T) *mtuChain { c := newMTUChain(t, 1400, 1300); c.silence(); return c },
		"both 1400/1401 1300/1301 clamp 1260", "both 1400/1401 1300/1301 clamp 1240",
	},
	{
		"IPv6 alone",
		func(t *testing.T) *mtuChain {
			c := newMTUChain(t, 0, 0)
			c.onWire()
			c.filter("ip6 length > 1360 drop")
			return c
		},
		"clear 1500/- 1500/- clamp -", "both 1400/1401 1400/1401 clamp 1340",
	},
	{
		"less than IPv6 allows",
		func(t *testing.T) *mtuChain {
			c := newMTUChain(t, 0, 0)
			c.onWire()
			c.filter("ip6 length > 1160 drop", "ip length > 1000 drop")
			return c
		},
		"both 1000/1001 1000/1001 clamp 960", "both 1200/1201 1200/1201 clamp 1140",
	},
	{
		"a middle box clamps SYNs alone",
		func(t *testing.T) *mtuChain {
			c := newMTUChain(t, 1400, 1400)
			c.silence()
			c.filter("tcp flags & (syn | ack) == syn tcp option maxseg size set 1320")
			return c
		},
		"black hole up 1400/1401 1360/- clamp 1360", "black hole up 1400/1401 1380/- clamp 1340",
	},
	{
		"a middle box clamps SYN-ACKs alone",
		func(t *testing.T) *mtuChain {
			c := newMTUChain(t, 1400, 1400)
			c.silence()
			c.filter("tcp flags & (syn | ack) == syn | ack tcp option maxseg size set 1320")
			return c
		},
		"black hole down 1360/- 1400/1401 clamp 1360", "black hole down 1380/- 1400/1401 clamp 1340",
	},
	{
		"the server announces little",
		func(t *testing.T) *mtuChain {
			c := newMTUChain(t, 1400, 1400)
			c.silence()
			c.server().Run("ip", "route", "replace", "192.0.2.2/32", "via", "198.51.100.13", "src", "203.0.113.2", "advmss", "300")
			c.server().Run("ip", "-6", "route", "replace", "2001:db8:1::2/128", "via", "2001:db8:103::1", "src", "2001:db8:3::2", "advmss", "100")
			return c
		},
		"black hole down 340/- 1400/1401 clamp 1360", "black hole down 160/- 1400/1401 clamp 1340",
	},
	{
		"jumbo frames at the ends",
		func(t *testing.T) *mtuChain {
			c := newMTUChain(t, 1500, 1500)
			c.silence()
			for i, ns := range c.hosts {
				if i > 0 {
					setMTU(t, ns, "left", 9000)
				}
				if i < 4 {
					setMTU(t, ns, "right", 9000)
				}
			}
			return c
		},
		"both 1500/1501 1500/1501 clamp 1460", "both 1500/1501 1500/1501 clamp 1440",
	},
	{
		"bare ACKs are dropped",
		func(t *testing.T) *mtuChain {
			c := newMTUChain(t, 0, 0)
			c.onWire()
			c.filter("meta length < 100 tcp flags & (syn | ack | fin | rst | psh) == ack drop")
			return c
		},
		"undecided - 1500/-", "undecided - 1500/-",
	},
	{
		"ICMP quotes another connection",
		func(t *testing.T) *mtuChain {
			c := newMTUChain(t, 0, 0)
			c.lie(t, 1280, func(tcp []byte) { tcp[1] ^= 1 })
			return c
		},
		"clear 1500/- 1500/- clamp -", "clear 1500/- 1500/- clamp -",
	},
	{
		"ICMP tells of more",
		func(t *testing.T) *mtuChain { c := newMTUChain(t, 0, 0); c.lie(t, 9000, nil); return c },
		"clear 1500/- 1500/- clamp -", "clear 1500/- 1500/- clamp -",
	},
	{
		"ICMP tells of 68 bytes", // in time, or too late to be believed
		func(t *testing.T) *mtuChain { c := newMTUChain(t, 0, 0); c.lie(t, 68, nil); return c },
		"clear ", "clear ",
	},
	{
		"ICMP tells of nothing",
		func(t *testing.T) *mtuChain { c := newMTUChain(t, 0, 0); c.lie(t, 0, nil); return c },
		"clear ", "clear ",
	},
}

// mtuWords puts a result into words.
func mtuWords(r *mtuResult) string {
	clamp := "-"
	if r.Clamp != nil {
		clamp = fmt.Sprint(*r.Clamp)
	}
	return fmt.Sprintf("%s %v %v clamp %s", r.Verdict, r.Up, r.Down, clamp)
}

// TestMTUKinds measures paths with middle boxes and servers of many kinds.
func TestMTUKinds(t *testing.T) {
	t.Parallel()
	requireTools(t, "setpriv", "ip", "nft")
	if !soak() {
		t.Skip("takes a minute")
	}
	for _, tt := range mtuKinds {
		t.Run(tt.name, func(t *testing.T) {
			c := tt.lab(t)
			c.serve(t)
			for host, want := range map[string]string{overIPv4: tt.v4, overIPv6: tt.v6} {
				_, got, _ := c.measure(t, host)
				if words := mtuWords(&got); !strings.HasPrefix(words, want) {
					t.Errorf("%s: %s, want %s", host, words, want)
				}
			}
		})
	}
}

// TestMTUOfForks measures a path of which one of two is narrow: connections disagree, and
// no size between the two is made up.
func TestMTUOfForks(t *testing.T) {
	t.Parallel()
	requireTools(t, "setpriv", "ip", "nft")
	if !soak() {
		t.Skip("takes a minute")
	}
	c := newMTUChain(t, 0, 0)
	c.fork(1400)
	c.silence()
	c.serve(t)
	for range 20 {
		_, got, _ := c.measure(t, overIPv4)
		if words := mtuWords(&got); got.Up.String() != "1400/1401" && got.Verdict != "clear" && got.Verdict != "undecided" {
			t.Errorf("%s, want 1400, clear or undecided", words)
		}
	}
}

// TestMTUAddresses measures hosts with several addresses, of which one answers, and one of a link.
func TestMTUAddresses(t *testing.T) {
	t.Parallel()
	requireTools(t, "unshare", "ip")
	c := newMTUChain(t, 0, 0)
	c.serve(t)
	first := c.hosts[1]
	first.AddAddress("left", "fe80::77/64")
	go serveAll(first.Listen("tcp", "[fe80::77%left]:80"), func(*net.TCPConn) { <-t.Context().Done() })
	c.client().Run("ip", "-6", "route", "add", "2001:db8:9::/64", "via", "2001:db8:100::2")
	first.Run("ip", "-6", "route", "add", "blackhole", "2001:db8:9::/64")
	e := newEtc(t, "")
	e.write(t, "hosts", "203.0.113.2 dual silent\n2001:db8:3::2 dual\n2001:db8:9::9 silent\n")
	for _, tt := range []struct {
		args   []string
		status int
		says   string
	}{
		{[]string{"dual:80"}, 0, `"verdict": "clear"`},
		{[]string{"-4", "dual:80"}, 0, `"address": "203.0.113.2:80"`},
		{[]string{"silent:80"}, 0, `"address": "203.0.113.2:80"`}, // the other address does not answer
		{[]string{"[fe80::77%right]:80"}, 2, `"address": "[fe80::77%right]:80"`},
		{[]string{"fe80::77"}, 2, "as in fe80::77%eth0"},
		{[]string{"-4", "2001:db8:3::2"}, 2, "leave out -4 or -6"},
		{[]string{"203.0.113.2:0"}, 2, "is no port"},
	} {
		const script = `mount --bind "$0" /etc && exec "$@"`
		got := command(t, c.client(), "unshare", append([]string{
			"--mount", "sh", "-c", script, string(e), binary, "mtu", "--json", "--timeout", tuntest.Patience.String(),
		}, tt.args...)...)
		if got.status != tt.status || !strings.Contains(got.stdout+got.stderr, tt.says) {
			t.Errorf("mtu %v: %+v, want %d, %s", tt.args, got, tt.status, tt.says)
		}
	}
}
