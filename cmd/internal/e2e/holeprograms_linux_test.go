package e2e_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"syntap/tun/tuntest"
)

// holeProgram moves a MiB up and down. $A is the server's address, $H the same in brackets where it
// is of IPv6.
type holeProgram struct {
	name, server string // of programLab
	up, down     string
}

var holePrograms = []holeProgram{
	{name: "curl", up: `curl -sS -o /dev/null -T $DIR/mib http://$H/`, down: `curl -sS -o /dev/null http://$H/`},
	{name: "scp", server: "sshd", up: `scp -q -S $DIR/ssh.sh $DIR/mib root@$H:$DIR/sent`, down: `scp -q -S $DIR/ssh.sh root@$H:$DIR/mib $DIR/got`},
	{name: "iperf3", server: "iperf3", up: `iperf3 -c $A -n 1M`, down: `iperf3 -c $A -n 1M -R`},
	{name: "redis-cli", server: "redis-server", up: `redis-cli -h $A -x set sent < $DIR/mib | grep OK`, down: `redis-cli -h $A get mib | wc -c | grep 1048577`},
	{
		name: "psql", server: "postgres", up: `(printf "select length('"; cat $DIR/mib; printf "')") | psql -qAt "host=$A user=postgres dbname=postgres" | grep 1048576`,
		down: `psql -qAt "host=$A user=postgres dbname=postgres" -c "select repeat('x', 1048576)" | wc -c | grep 1048577`,
	},
}

// TestHolePrograms has programs meet a black hole both ways, on ports whose protocol the router
// knows and on others. The first connection is freed or reset within ten seconds, and the next
// runs; it reports how long they took, beside the same without a hole.
func TestHolePrograms(t *testing.T) {
	t.Parallel()
	requireTools(t, "curl", "nft")
	if !soak() {
		t.Skip("takes minutes")
	}
	for _, p := range holePrograms {
		if p.server != "" && toolPath(p.server) == "" {
			reportf(t, "skipped: %s (needs %s)", p.name, p.server)
			continue
		}
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			clean, hole := p.lab(t, 0), p.lab(t, 1400)
			for _, address := range []string{"203.0.113.2", "2001:db8:3::2"} {
				for _, way := range []struct{ name, script string }{{"up", p.up}, {"down", p.down}} {
					_, without := clean.meet(t, address, way.script)
					got, took := hole.meet(t, address, way.script)
					reportf(t, "%s %s: the first ended with %d after %.1f s, the next with %d after %.2f s, without a hole %.2f s",
						way.name, address, got[0], took[0].Seconds(), got[1], took[1].Seconds(), without[1].Seconds())
					if got[0] == gaveUp || got[1] != 0 {
						t.Errorf("%s %s: the first ended with %d, the next with %d", way.name, address, got[0], got[1])
					}
				}
			}
		})
	}
}

// gaveUp is the exit status of timeout(1).
const gaveUp = 124

// lab returns a path with an MTU both ways, 0 = that of the links, and the program's server.
func (p *holeProgram) lab(t *testing.T, mtu int) *programLab {
	t.Helper()
	c := newMTUChain(t, mtu, mtu)
	c.silence()
	lab := &programLab{Lab: &tuntest.Lab{Client: c.client(), Server: c.server()}, dir: t.TempDir()}
	must(t, os.Chmod(filepath.Dir(lab.dir), 0o755)) // for the database
	must(t, os.Chmod(lab.dir, 0o755))
	lab.write(t, "mib", strings.Repeat("x", transferSize))
	switch p.server {
	case "":
		serveHTTP(t, lab.Lab, http.HandlerFunc(transfer))
	case "iperf3":
		lab.serve(t, "127.0.0.1:5201", "iperf3", "-s")
	default:
		lab.serveTools(t, []clientProgram{{needs: p.server}})
	}
	if p.server == "redis-server" {
		lab.Server.Run("sh", "-c", "redis-cli -x set mib < "+lab.dir+"/mib")
	}
	return lab
}

// meet runs a script twice by a router that knows nothing of the path.
func (lab *programLab) meet(t *testing.T, address, script string) (statuses [2]int, times [2]time.Duration) {
	t.Helper()
	r := run(t, lab.Client, "syntap0", strings.Replace(everything, "tap:\n", "tap:\n  findings: apply\n", 1))
	bracketed := address
	if strings.Contains(address, ":") {
		bracketed = "[" + address + "]"
	}
	for i := range statuses {
		began := time.Now()
		statuses[i] = command(t, lab.Client, "env", "A="+address, "H="+bracketed, "DIR="+lab.dir, "HOME="+lab.dir,
			"timeout", "12", "sh", "-c", script).status
		times[i] = time.Since(began)
	}
	r.stop(t, unix.SIGTERM)
	for _, f := range r.findings(t) {
		t.Logf("%+v", f)
	}
	return statuses, times
}
