package e2e_test

import (
	"bufio"
	"crypto/ecdh"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"

	"syntap/tun/tuntest"
)

// recipe is a row of the table of recipes in black-holes.md.
type recipe struct {
	name string
	mtu  int
	// join joins the first and the middle router of a chain by a link of its own, and returns the
	// interfaces; nil has a link of the MTU stand in for it.
	join func(*testing.T, *mtuChain) (first, middle string)
}

var recipes = []recipe{
	{"WireGuard", 1420, joinWireGuard},
	{"VXLAN", 1450, joinVXLAN},
	{"Docker", 1400, joinBridge},
	{"PPPoE", 1492, nil},
	{"GRE", 1476, nil},
	{"cloud interconnect", 1440, nil},
}

// TestRecipes measures paths through tunnels whose ICMP errors are filtered, and has the clamp that
// "mtu" names cure them, over IPv4 and IPv6.
func TestRecipes(t *testing.T) {
	t.Parallel()
	requireTools(t, "curl", "ip", "nft", "setpriv")
	if !soak() {
		t.Skip("takes a minute")
	}
	guide, err := os.ReadFile("../../../configs/black-holes.md")
	must(t, err)
	for _, tt := range recipes {
		t.Run(tt.name, func(t *testing.T) {
			c := tt.chain(t)
			c.hosts[1].Drop(100, "output", "icmp type destination-unreachable")
			c.hosts[1].Drop(100, "output", "icmpv6 type packet-too-big")
			c.silence()
			serveTransfers(t, &tuntest.Lab{Client: c.client(), Server: c.server()})
			for i, host := range []string{"203.0.113.2:80", "[2001:db8:3::2]:80"} {
				status, got, _ := c.measure(t, host)
				want := fmt.Sprintf("%d/%d", tt.mtu, tt.mtu+1)
				clamp := tt.mtu - 40 - 20*i
				if status != 1 || got.Verdict != "both" || got.Up.String() != want || got.Down.String() != want || got.Clamp == nil || *got.Clamp != clamp {
					t.Errorf("%s: %+v, want %s both ways", host, got, want)
				}
				cured := command(t, c.client(), binary, "exec", "--mss", fmt.Sprint(clamp), "-o", os.DevNull, "--",
					"curl", "-sS", "--max-time", "20", "-o", os.DevNull, "-w", "%{size_download}", urls()[i])
				if cured.stdout != fmt.Sprint(transferSize) {
					t.Errorf("%s: with the clamp %+v", host, cured)
				}
			}
			row := fmt.Sprintf("| %d | `{family: 4, clamp: %d}`, `{family: 6, clamp: %d}` |", tt.mtu, tt.mtu-40, tt.mtu-60)
			if !regexp.MustCompile(`\n\| ` + tt.name + `[^|]*` + regexp.QuoteMeta(row)).Match(guide) {
				t.Errorf("the guide lacks %q of %s", row, tt.name)
			}
		})
	}
}

// chain makes a chain of which the middle link is that of the recipe.
func (r *recipe) chain(t *testing.T) *mtuChain {
	t.Helper()
	if r.join == nil {
		return newMTUChain(t, r.mtu, r.mtu)
	}
	c := newMTUChain(t, 0, 0)
	first, middle := c.hosts[1], c.middle()
	left, right := r.join(t, c)
	for _, end := range []struct {
		ns                   *tuntest.Namespace
		link, own4, own6     string
		to4, via4, to6, via6 string
	}{
		{ns: first, link: left, own4: "198.51.100.201/30", own6: "2001:db8:200::1/64", to4: "203.0.113.2/32", via4: "198.51.100.202", to6: "2001:db8:3::2/128", via6: "2001:db8:200::2"},
		{ns: middle, link: right, own4: "198.51.100.202/30", own6: "2001:db8:200::2/64", to4: "192.0.2.2/32", via4: "198.51.100.201", to6: "2001:db8:1::2/128", via6: "2001:db8:200::1"},
	} {
		end.ns.Run("ip", "link", "set", end.link, "up")
		end.ns.AddAddress(end.link, end.own4)
		end.ns.AddAddress(end.link, end.own6)
		end.ns.Run("ip", "route", "replace", end.to4, "via", end.via4, "dev", end.link)
		end.ns.Run("ip", "-6", "route", "replace", end.to6, "via", end.via6, "dev", end.link)
	}
	return c
}

func joinVXLAN(t *testing.T, c *mtuChain) (first, middle string) {
	t.Helper()
	add := func(ns *tuntest.Namespace, dev, local, remote string) {
		got := command(t, ns, "ip", "link", "add", "vx0", "type", "vxlan", "id", "7", "local", local, "remote", remote, "dstport", "4789", "dev", dev)
		if got.status != 0 {
			t.Skip("needs the kernel's VXLAN")
		}
	}
	add(c.hosts[1], "right", "198.51.100.5", "198.51.100.6")
	add(c.middle(), "left", "198.51.100.6", "198.51.100.5")
	return "vx0", "vx0"
}

// joinBridge has the first router be a host with a bridge for its containers, on a network of 1400
// bytes.
func joinBridge(t *testing.T, c *mtuChain) (first, middle string) {
	t.Helper()
	c.hosts[1].Join("cloud", c.middle(), "cloud")
	for _, ns := range []*tuntest.Namespace{c.hosts[1], c.middle()} {
		setMTU(t, ns, "cloud", 1400)
	}
	c.hosts[1].Run("ip", "link", "add", "docker0", "type", "bridge")
	c.hosts[1].Run("ip", "link", "set", "left", "master", "docker0")
	c.hosts[1].Run("ip", "link", "set", "docker0", "up")
	for _, own := range []string{"198.51.100.2/30", "2001:db8:100::2/64"} {
		c.hosts[1].Run("ip", "address", "del", own, "dev", "left")
		c.hosts[1].AddAddress("docker0", own)
	}
	c.hosts[1].Run("ip", "route", "replace", "192.0.2.2/32", "via", "198.51.100.1")
	c.hosts[1].Run("ip", "-6", "route", "replace", "2001:db8:1::2/128", "via", "2001:db8:100::1")
	return "cloud", "cloud"
}

// joinWireGuard runs wireguard-go at both ends, which needs no support of the kernel.
func joinWireGuard(t *testing.T, c *mtuChain) (first, middle string) {
	t.Helper()
	if toolPath("go") == "" {
		t.Skip("needs go to build wireguard-go")
	}
	program := filepath.Join(t.TempDir(), "wireguard-go")
	if out, err := exec.Command(toolPath("go"), "build", "-o", program, "golang.zx2c4.com/wireguard").CombinedOutput(); err != nil {
		t.Skipf("needs wireguard-go: %v: %s", err, out)
	}
	var keys [2]*ecdh.PrivateKey
	for i := range keys {
		key, err := ecdh.X25519().GenerateKey(rand.Reader)
		must(t, err)
		keys[i] = key
	}
	names := [2]string{fmt.Sprintf("wga%d", os.Getpid()), fmt.Sprintf("wgb%d", os.Getpid())}
	for i, ns := range []*tuntest.Namespace{c.hosts[1], c.middle()} {
		p := ns.Start(program, "-f", names[i])
		socket := filepath.Join("/var/run/wireguard", names[i]+".sock")
		tuntest.Wait(t, "wireguard-go to start", func() bool {
			select {
			case <-p.Done():
				t.Fatalf("wireguard-go has ended: %v: %s%s", p.Err(), p.Stdout(), p.Stderr())
			default:
			}
			_, err := os.Stat(socket)
			return err == nil
		})
		t.Cleanup(func() { _ = os.Remove(socket) }) // it is killed
		conn, err := net.Dial("unix", socket)
		must(t, err)
		defer conn.Close()
		fmt.Fprintf(conn, "set=1\nprivate_key=%s\nlisten_port=51820\npublic_key=%s\nendpoint=198.51.100.%d:51820\nallowed_ip=0.0.0.0/0\nallowed_ip=::/0\n\n",
			hex.EncodeToString(keys[i].Bytes()), hex.EncodeToString(keys[1-i].PublicKey().Bytes()), 6-i)
		if line, err := bufio.NewReader(conn).ReadString('\n'); line != "errno=0\n" {
			t.Fatalf("configure wireguard-go: %q, %v", line, err)
		}
	}
	return names[0], names[1]
}
