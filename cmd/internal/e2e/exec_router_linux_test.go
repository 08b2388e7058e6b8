package e2e_test

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"syntap/tun/tuntest"
)

// TestExecRouterIsReplaced kills the process that reads a command's packets. The other one has the
// next, of which the command asks names anew; the log's numbers go on, and exec ends with the
// command's status.
func TestExecRouterIsReplaced(t *testing.T) {
	t.Parallel()
	requireTools(t, "curl", "dnsmasq", "unshare")
	lab := tuntest.NewLab(t)
	newRuled(t, lab)
	dir := newEtc(t, "nameserver "+resolver+"\n")
	const script = `curl -4 -sS http://one.example.com && echo first; until [ -e %s ]; do sleep 0.05; done
		curl -4 -sS http://one.example.com && echo second; exit 7`
	line := dir.asking(binary, "exec", "--format", "json", "-o", dir.path("log"), "--allow", "one.example.com:80", "--",
		"sh", "-c", fmt.Sprintf(script, dir.path("go")))
	p := lab.Router.Start(line[0], line[1:]...)
	tuntest.Wait(t, "the first connection", func() bool { return strings.Contains(p.Stdout(), "first") })
	dead := routerOf(p.PID())
	if err := unix.Kill(dead, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	tuntest.Wait(t, "another router", func() bool { next := routerOf(p.PID()); return next > 0 && next != dead })
	isolatedRouter(t, p.PID())
	if err := os.WriteFile(dir.path("go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	<-p.Done()
	if p.Err() == nil || p.Err().Error() != "exit status 7" || p.Stdout() != "first\nsecond\n" {
		t.Errorf("exec ended with %v, %q and %q; want status 7 after both connections", p.Err(), p.Stdout(), p.Stderr())
	}
	if n := strings.Count(p.Stderr(), `msg="the router has died`); n != 1 {
		t.Errorf("stderr has %d routers that died, want one: %s", n, p.Stderr())
	}
	log, err := os.ReadFile(dir.path("log"))
	if err != nil {
		t.Fatal(err)
	}
	established := 0
	for i, line := range strings.Split(strings.TrimSpace(string(log)), "\n") {
		var r struct {
			Seq           int
			Outcome, Name string
		}
		if err := json.Unmarshal([]byte(line), &r); err != nil || r.Seq != i+1 {
			t.Errorf("record %d is %s, %v", i+1, line, err)
		}
		if r.Outcome == "established" && r.Name == "one.example.com" {
			established++
		}
	}
	if established != 2 {
		t.Errorf("%d connections to one.example.com in the log, want two:\n%s", established, log)
	}
}
