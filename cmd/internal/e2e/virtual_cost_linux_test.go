package e2e_test

import (
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"syntap/tun/tuntest"
)

// TestVirtualCost has a command connect by a name and by an address, in turn: the name costs at
// most 5 % of the connections per second. The machine is busy with other things now and then, so
// the best of many rounds count.
func TestVirtualCost(t *testing.T) {
	if !soak() {
		t.Skip("a soak measures")
	}
	requireTools(t, "dnsmasq", "python3", "unshare")
	lab := tuntest.NewLab(t)
	newVirtual(t, lab)
	serveEach(t, lab.Server, ":80", func(net.Conn) {}) // ends them: no port waits
	dir := newEtc(t, "nameserver "+resolver+"\n")
	line := dir.asking(binary, "exec", "-o", "/dev/null", "--allow", "www.example.com:80", "--allow", addrOfWWW+":80",
		"--", "python3", "-c", connectInTurn, "www.example.com", addrOfWWW)
	got := command(t, lab.Router, line[0], line[1:]...)
	best := make(map[string]time.Duration)
	for l := range strings.Lines(got.stdout) {
		to, text, _ := strings.Cut(strings.TrimSpace(l), " ")
		seconds, err := strconv.ParseFloat(text, 64)
		if err != nil {
			t.Fatalf("%q: %v", l, err)
		}
		d := time.Duration(seconds * float64(time.Second))
		if before, ok := best[to]; !ok || d < before {
			best[to] = d
		}
	}
	name, address := best["www.example.com"], best[addrOfWWW]
	if name == 0 || address == 0 {
		t.Fatalf("%+v", got)
	}
	cost := float64(name)/float64(address) - 1
	reportf(t, "500 connections by name in %v, by address in %v: %+.1f %%", name, address, 100*cost)
	if cost > 0.05 {
		t.Errorf("a name costs %.1f %% of the connections per second", 100*cost)
	}
}

// connectInTurn connects to each of its arguments in turn, and prints the seconds that it took.
const connectInTurn = `
import socket, sys, time
to = [(host, socket.gethostbyname(host)) for host in sys.argv[1:]]
for i in range(60):
    for host, address in to if i % 2 else to[::-1]:
        began = time.monotonic()
        for j in range(500):
            s = socket.create_connection((address, 80)); s.recv(1); s.close()
        print(host, time.monotonic() - began)
`
