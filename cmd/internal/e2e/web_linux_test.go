package e2e_test

import (
	"encoding/json"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"syntap/tun/tuntest"
)

// webPID waits for the process of a run that serves http.listen, and returns it.
func (r *router) webPID(t *testing.T) (pid int) {
	t.Helper()
	r.wait(t, "a process that serves http.listen", func() bool {
		pid = childOf(r.PID(), "syntap-web")
		return pid > 0
	})
	return pid
}

// ports are those of the clients of the records that a path of the API lists, the newest first.
func ports(t *testing.T, lab *tuntest.Lab, path string) (all []int) {
	t.Helper()
	var records []record
	if err := json.Unmarshal([]byte(lab.Router.Run("curl", "-sS", "--fail", "http://"+viewAddress+path)), &records); err != nil {
		t.Fatal(err)
	}
	for _, r := range records {
		all = append(all, r.Sport)
	}
	return all
}

// TestWebIsReplaced kills the process that serves http.listen, and then the router. The one costs
// no connection, and the other none of the records that the page shows.
func TestWebIsReplaced(t *testing.T) {
	t.Parallel()
	requireTools(t, "curl")
	lab := tuntest.NewLab(t)
	serveEcho(lab.Server, ":7000")
	r := run(t, lab.Router, "syntap0", viewed)
	address := net.JoinHostPort(tuntest.ServerAddr4, "7000")
	open := dial(t, lab.Router, address)
	echo(t, open)
	r.wait(t, "its record on the page", func() bool { return len(ports(t, lab, "/api/handshakes")) == 1 })
	first := ports(t, lab, "/api/handshakes")[0]

	routed, web := r.routerPID(t), r.webPID(t)
	if err := unix.Kill(web, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if got := lab.Router.Run("curl", "-sS", "--fail", "http://"+viewAddress+"/metrics"); !strings.Contains(got, "\nsyntap_flows{proto=\"tcp\"} 1\n") {
		t.Errorf("metrics of another process lack the connection: %s", got)
	}
	if got := lab.Router.Run("curl", "-sS", "--fail", "http://"+viewAddress+"/metrics"); !strings.Contains(got, "\nprocess_resident_memory_bytes ") {
		t.Errorf("metrics lack those of the router's process: %s", got)
	}
	if got := r.webPID(t); got == web {
		t.Errorf("process %d is alive", web)
	}
	checkRights(t, r.webPID(t), 0, 0, 0)
	echo(t, open)
	if got := r.routerPID(t); got != routed {
		t.Errorf("router %d, want %d", got, routed)
	}
	if got := ports(t, lab, "/api/handshakes"); len(got) != 1 || got[0] != first {
		t.Errorf("another process shows the ports %v, want %d", got, first)
	}

	r.killRouter(t)
	if got := lab.Router.Run("curl", "-sS", "--fail", "http://"+viewAddress+"/metrics"); !strings.Contains(got, "\nsyntap_build_info{") {
		t.Errorf("metrics while a router is replaced: %s", got)
	}
	echo(t, dial(t, lab.Router, address))
	r.wait(t, "both records on the page", func() bool { return len(ports(t, lab, "/api/handshakes")) == 2 })
	if got := ports(t, lab, "/api/handshakes"); got[1] != first {
		t.Errorf("after another router the page shows the ports %v, want %d as the oldest", got, first)
	}
	r.stop(t, unix.SIGTERM)
	if n := strings.Count(r.Stderr(), `msg="the process that serves http.listen has died`); n != 1 {
		t.Errorf("%d processes that serve http.listen have died, want one: %s", n, r.Stderr())
	}
}

// TestWebIsStopped stops the process that serves http.listen. The router and its log go on, and
// the page has all when it goes on.
func TestWebIsStopped(t *testing.T) {
	t.Parallel()
	requireTools(t, "curl")
	lab := tuntest.NewLab(t)
	serveEcho(lab.Server, ":7000")
	r := run(t, lab.Router, "syntap0", viewed)
	lab.Router.Run("curl", "-sS", "--fail", "http://"+viewAddress+"/readyz")
	before := resident(t, r.PID())
	if err := unix.Kill(r.webPID(t), unix.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	connections := scaled(100, 10_000)
	var last int
	for range connections {
		conn := dial(t, lab.Router, net.JoinHostPort(tuntest.ServerAddr4, "7000"))
		echo(t, conn)
		last = conn.LocalAddr().(*net.TCPAddr).Port
		conn.Close()
	}
	r.wait(t, "all records", func() bool {
		return strings.Count(r.read(t, "handshakes.json"), `"msg":"flow"`) == connections
	})
	const most = 24 << 10 // KiB
	if after := resident(t, r.PID()); after > before+most {
		t.Errorf("the keeper has %d KiB resident, before %d", after, before)
	}
	if err := unix.Kill(r.webPID(t), unix.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if got := ports(t, lab, "/api/flows?limit=50"); len(got) != 50 || got[0] != last {
		t.Errorf("the page shows the ports %v, want %d as the newest of 50", got, last)
	}
	r.stop(t, unix.SIGTERM)
}

// resident returns how many KiB of a process's memory are resident.
func resident(t *testing.T, pid int) int {
	t.Helper()
	status, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(status), "\nVmRSS:")
	n, err := strconv.Atoi(strings.Fields(after)[0])
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestKeeperTakesWebAlong kills the keeper: the process that serves http.listen ends with it.
func TestKeeperTakesWebAlong(t *testing.T) {
	t.Parallel()
	lab := tuntest.NewLab(t)
	r := run(t, lab.Router, "syntap0", everything+`http: {listen: "unix:DIR/http.sock"}`)
	web := r.webPID(t)
	if err := r.Signal(unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	tuntest.Wait(t, "the process to end", func() bool {
		_, err := os.Stat("/proc/" + strconv.Itoa(web))
		return errors.Is(err, fs.ErrNotExist)
	})
	r.ended(t, "SIGKILL")
	r.Process = lab.Router.Start(binary, "run", "-c", filepath.Join(r.dir, "syntap.yaml"))
	r.wait(t, "an answer of the next run", func() bool {
		return strings.HasPrefix(output(lab.Router, binary, "status", "--at", "unix:"+filepath.Join(r.dir, "http.sock")), "syntap ")
	})
	r.stop(t, unix.SIGTERM)
	if _, err := os.Stat(filepath.Join(r.dir, "http.sock")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket is left: %v", err)
	}
}
