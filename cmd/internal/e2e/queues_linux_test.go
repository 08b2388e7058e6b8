package e2e_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"syntap/tun/tuntest"
)

// TestQueues has routers whose TUN has several queues carry connections, datagrams, fragments and
// pings, over a reload, a stop and a restart. Nothing is lost, and all is on record.
func TestQueues(t *testing.T) {
	t.Parallel()
	requireTools(t, "ping")
	for _, queues := range []int{2, 4} {
		t.Run(fmt.Sprint(queues), func(t *testing.T) {
			t.Parallel()
			lab := tuntest.NewLab(t)
			serveEchoes(lab)
			for _, host := range addresses() {
				for _, port := range []string{"7001", "7002"} {
					tellSenders(listenDatagrams(t, lab.Server, net.JoinHostPort(host, port)))
				}
			}
			config := strings.Replace(everything, "{name: syntap0}", fmt.Sprintf("{name: syntap0, queues: %d}", queues), 1)
			r := run(t, lab.Router, "syntap0", config)
			link := lab.Router.Run("ip", "-d", "link", "show", "syntap0")
			if !strings.Contains(link, fmt.Sprintf(" multi_queue numqueues %d ", queues)) {
				t.Errorf("the TUN has not %d queues:\n%s", queues, link)
			}
			kept := dial(t, lab.Router, net.JoinHostPort(tuntest.ServerAddr4, "7000"))
			echo(t, kept)
			connectEchoes(t, lab, 60)
			flows := sendFromMany(t, lab)
			for _, host := range addresses() {
				command(t, lab.Router, "ping", "-c", "2", "-i", "0.2", "-w", "30", host)
			}
			if said := r.reload(t, config+"limits: {half_open: 2000}\n"); !strings.Contains(said, "config reloaded") {
				t.Errorf("reload: %s", said)
			}
			echo(t, kept)
			connectEchoes(t, lab, 20)
			kept.Close()
			r.waitRecords(t, 81)
			r.stop(t, unix.SIGTERM)
			wantAllRecorded(t, r, 81, flows+2)

			r.Process = lab.Router.Start(binary, "run", "-c", r.writeConfig(t, config))
			r.wait(t, "routes", func() bool { return routesTo(lab, "syntap0") })
			connectEchoes(t, lab, 5)
			r.waitRecords(t, 86)
			r.stop(t, unix.SIGTERM)
		})
	}
}

// wantAllRecorded checks the log of a run that has ended.
func wantAllRecorded(t *testing.T, r *router, connections, datagrams int) {
	t.Helper()
	log := r.read(t, "handshakes.json")
	want := map[string]int{"established": connections}
	got := make(map[string]int)
	for _, r := range parseRecords(t, log) {
		got[r.Outcome]++
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("connections on record (-want +got):\n%s", diff)
	}
	begun, over := datagramRecords(t, log)
	if len(begun) != datagrams || len(over) < datagrams+connections {
		t.Errorf("%d flows are on record, and %d ends; want %d, and %d", len(begun), len(over), datagrams, datagrams+connections)
	}
	var last ended
	lines := bytes.Split(bytes.TrimSpace([]byte(log)), []byte("\n"))
	if err := json.Unmarshal(lines[len(lines)-1], &last); err != nil {
		t.Fatal(err)
	}
	if last.Msg != "end" || last.Frames.Read == 0 || last.Frames.Read != last.Frames.Accounted {
		t.Errorf("the run ends with %+v, want an account of all frames", last)
	}
}

// tellSenders answers each datagram with the address of its sender and its length.
func tellSenders(c *net.UDPConn) {
	go func() {
		b := make([]byte, 1<<16)
		for {
			n, from, err := c.ReadFrom(b)
			if err != nil {
				return
			}
			_, _ = c.WriteTo(fmt.Appendf(nil, "%s %d", from, n), from)
		}
	}()
}

// sendFromMany sends datagrams from many sockets, short ones and those that are sent in fragments,
// each to two ports of the server, which have to see one sender. It returns the number of flows.
func sendFromMany(t *testing.T, lab *tuntest.Lab) (flows int) {
	t.Helper()
	for _, host := range addresses() {
		for i := range 8 {
			local := ":0"
			if !strings.Contains(host, ":") {
				local = "0.0.0.0:0"
			}
			c := lab.Router.ListenPacket("udp", local).(*net.UDPConn)
			seen := make(map[string]bool)
			for _, port := range []int{7001, 7002} {
				to := &net.UDPAddr{IP: net.ParseIP(host), Port: port}
				from, length := ask(t, c, to, 100+i%2*4000)
				seen[from] = true
				if length != fmt.Sprint(100+i%2*4000) {
					t.Errorf("the server has got %s bytes", length)
				}
				flows++
			}
			if len(seen) != 1 {
				t.Errorf("one socket is seen as %v", seen)
			}
			c.Close()
		}
	}
	return flows
}

// ask sends a datagram, again until there is an answer of tellSenders.
func ask(t *testing.T, c *net.UDPConn, to *net.UDPAddr, size int) (from, length string) {
	t.Helper()
	b := make([]byte, 200)
	for deadline := time.Now().Add(tuntest.Patience); time.Now().Before(deadline); {
		send(t, c, to, strings.Repeat("x", size))
		_ = c.SetReadDeadline(time.Now().Add(time.Second))
		for {
			n, peer, err := c.ReadFrom(b)
			if err != nil {
				break
			}
			if peer.String() == to.String() {
				from, length, _ = strings.Cut(string(b[:n]), " ")
				return from, length
			}
		}
	}
	t.Fatalf("no answer from %v", to)
	panic("unreachable")
}
