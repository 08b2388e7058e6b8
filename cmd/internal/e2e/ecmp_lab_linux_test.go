package e2e_test

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"syntap/tun/tuntest"
)

// ecmpLab is the network of configs/ecmp.md, with two routers and one server behind both uplinks.
// Its commands and configs are those of the text.
//
//	clients ── lan0 front core0 ─┬─ gateway 1 ─┬─ server
//	                             └─ gateway 2 ─┘
type ecmpLab struct {
	clients, front, server *tuntest.Namespace
	gateways               [2]*tuntest.Namespace
	text                   string // of ecmp.md
}

// newECMPLab makes the lab, in which nothing of the text has been done.
func newECMPLab(t *testing.T) *ecmpLab {
	t.Helper()
	text, err := os.ReadFile(checkout + "/configs/ecmp.md")
	if err != nil {
		t.Fatal(err)
	}
	l := &ecmpLab{
		clients: tuntest.NewNamespace(
			t,
		), front: tuntest.NewNamespace(t), server: tuntest.NewNamespace(t),
		gateways: [2]*tuntest.Namespace{
			tuntest.NewNamespace(t),
			tuntest.NewNamespace(t),
		}, text: string(text),
	}
	for _, ns := range []*tuntest.Namespace{l.clients, l.front, l.server, l.gateways[0], l.gateways[1]} {
		ns.Sysctl("net.ipv6.conf.default.accept_dad", "0")
	}
	l.front.Join("lan0", l.clients, "eth0")
	l.front.AddAddress("lan0", "192.0.2.1/24")
	l.front.AddAddress("lan0", "2001:db8:1::1/64")
	l.front.Run("ip", "link", "add", "core0", "type", "bridge")
	l.front.Run("ip", "link", "set", "core0", "up")
	l.server.AddAddress("lo", tuntest.ServerAddr4+"/32")
	l.server.AddAddress("lo", tuntest.ServerAddr6+"/128")
	for i, gateway := range l.gateways {
		port := fmt.Sprintf("port%d", i)
		l.front.Join(port, gateway, "core0")
		l.front.Run("ip", "link", "set", port, "master", "core0")
		gateway.AddAddress("core0", fmt.Sprintf("198.51.100.%d/24", 11+i))
		gateway.AddAddress("core0", fmt.Sprintf("2001:db8:2::%d/64", 11+i))

		gateway.Join("wan0", l.server, fmt.Sprintf("eth%d", i))
		gateway.AddAddress("wan0", fmt.Sprintf("203.0.113.%d/30", 129+4*i))
		gateway.AddAddress("wan0", fmt.Sprintf("2001:db8:4:%d::1/64", i))
		l.server.AddAddress(fmt.Sprintf("eth%d", i), fmt.Sprintf("203.0.113.%d/30", 130+4*i))
		l.server.AddAddress(fmt.Sprintf("eth%d", i), fmt.Sprintf("2001:db8:4:%d::2/64", i))
		gateway.AddRoute("0.0.0.0/0", fmt.Sprintf("203.0.113.%d", 130+4*i))
		gateway.AddRoute("::/0", fmt.Sprintf("2001:db8:4:%d::2", i))
	}
	l.front.AddAddress("core0", "198.51.100.1/24")
	l.front.AddAddress("core0", "2001:db8:2::1/64")
	for _, prefix := range []string{"192.0.2.%d/24", "2001:db8:1::%d/64"} {
		for i := range 2 * ecmpClients() {
			l.clients.AddAddress("eth0", fmt.Sprintf(prefix, ecmpFirstClient+i))
		}
	}
	l.clients.AddRoute("0.0.0.0/0", "192.0.2.1")
	l.clients.AddRoute("::/0", "2001:db8:1::1")
	for _, host := range addresses() {
		go serveAll(
			l.server.Listen("tcp", net.JoinHostPort(host, "7000")),
			func(conn *net.TCPConn) {
				fmt.Fprintln(conn, conn.RemoteAddr().(*net.TCPAddr).IP)
				for b := make([]byte, 1); ; {
					if _, err := conn.Read(b); err != nil {
						return
					}
					_, _ = conn.Write(b)
				}
			},
		)
	}
	return l
}

// block returns the block of code of a kind, such as "sh", and with a word, that is below a heading
// of the text.
func (l *ecmpLab) block(t *testing.T, kind, heading, word string) string {
	t.Helper()
	_, section, _ := strings.Cut(l.text, "\n## "+heading+"\n")
	section, _, _ = strings.Cut(section, "\n## ")
	var found []string
	for _, m := range regexp.MustCompile("(?sm)^```"+kind+"\n(.*?)^```$").FindAllStringSubmatch(section, -1) {
		if strings.Contains(m[1], word) {
			found = append(found, m[1])
		}
	}
	if len(found) != 1 {
		t.Fatalf(
			"ecmp.md has %d blocks %q with %q below %q, want 1", len(found), kind, word, heading,
		)
	}
	return found[0]
}

// setUp runs all commands for front, before there is a router.
func (l *ecmpLab) setUp(t *testing.T) {
	t.Helper()
	for _, word := range []string{"sysctl", "nexthop", "nft"} {
		l.do(t, "Front", word)
	}
}

// do runs the block of commands below a heading, or that with a word, at front.
func (l *ecmpLab) do(t *testing.T, heading, word string) {
	t.Helper()
	l.front.Run("sh", "-ec", l.block(t, "sh", heading, word))
}

// startGateway starts a router as the text says.
func (l *ecmpLab) startGateway(t *testing.T, i int) *router {
	t.Helper()
	l.gateways[i].Run("sh", "-ec", l.block(t, "sh", "Each router", ""))
	config := l.block(t, "yaml", "Each router", "")
	config = strings.NewReplacer("198.51.100.11", fmt.Sprintf("198.51.100.%d", 11+i), "/var/log/syntap", "DIR").
		Replace(config)
	return run(t, l.gateways[i], "syntap0", config)
}

// startChecks starts the program of the text that asks the routers whether they are ready.
func (l *ecmpLab) startChecks(t *testing.T) *tuntest.Process {
	t.Helper()
	dir := t.TempDir()
	tuntest.WriteProgram(
		t, filepath.Join(dir, "syntap-ecmp"), []byte(l.block(t, "sh script", "A router goes", "")),
	)
	return l.front.Start(
		"env", "PATH="+dir+":"+os.Getenv("PATH"), "INTERVAL=0.05", "TIMEOUT=30", "sh", "-c",
		"exec "+l.block(t, "sh", "A router goes", ""),
	)
}

// Addresses of clients end in this number and those after it.
const ecmpFirstClient = 100

// ecmpClients is how many clients there are before the second router joins, and again after it.
func ecmpClients() int { return scaled(15, 40) }

// ecmpConnections is how many connections each client has over each family.
func ecmpConnections() int { return scaled(2, 5) }

// ecmpConn is a connection of a client, through the router whose address on the uplink the server
// has seen.
type ecmpConn struct {
	net.Conn
	client, server, router string
}

// open opens the connections of the clients from the first, over both families.
func (l *ecmpLab) open(t *testing.T, first int) (all []*ecmpConn) {
	t.Helper()
	for i := range ecmpClients() {
		for range ecmpConnections() {
			for family, prefix := range []string{"192.0.2.%d", "2001:db8:1::%d"} {
				client := fmt.Sprintf(prefix, ecmpFirstClient+first+i)
				c, err := l.connect(client, addresses()[family])
				if err != nil {
					t.Fatalf("connection of %s: %v", client, err)
				}
				t.Cleanup(func() { c.Close() })
				all = append(all, c)
			}
		}
	}
	return all
}

// connect opens a connection and reads which router carries it.
func (l *ecmpLab) connect(client, server string) (*ecmpConn, error) {
	conn, err := connectFrom(l.clients, client, net.JoinHostPort(server, "7000"))
	if err != nil {
		return nil, err
	}
	_ = conn.SetDeadline(time.Now().Add(tuntest.Patience))
	line, err := bufio.NewReader(conn).ReadString('\n')
	return &ecmpConn{conn, client, server, strings.TrimSpace(line)}, err
}

// alive sends a byte and reads it back.
func (c *ecmpConn) alive() error {
	_ = c.SetDeadline(time.Now().Add(tuntest.Patience))
	if _, err := c.Write([]byte("x")); err != nil {
		return err
	}
	_, err := c.Read(make([]byte, 1))
	return err
}
