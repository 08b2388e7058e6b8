package e2e_test

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"syntap/tun/tuntest"
)

// owned is a record's account of its owner.
type owned struct {
	Msg, Outcome string
	Sport        int
	UID          *uint32
	User         string
	PID          int
	Process, Exe string
}

func (r *router) owners(t *testing.T) (all []owned) {
	t.Helper()
	for line := range strings.Lines(r.read(t, "handshakes.json")) {
		var o owned
		if err := json.Unmarshal([]byte(line), &o); err != nil {
			t.Fatal(err)
		}
		if o.Msg == "handshake" {
			all = append(all, o)
		}
	}
	return all
}

// TestOwner has two users of this host and another machine open connections. Records name the first
// two, with their process.
func TestOwner(t *testing.T) {
	t.Parallel()
	requireTools(t, "curl", "setpriv")
	requireSetgroups(t)
	lab := tuntest.NewLab(t)
	serveHTTP(t, lab, greeting)
	r := run(t, lab.Router, "syntap0", strings.Replace(everything, "name: syntap0", "name: syntap0, sources: [host, 192.0.2.0/24]", 1))
	lab.Router.Run("curl", "-sS", urls()[0])
	lab.Router.Run("setpriv", "--reuid=12345", "--clear-groups", "curl", "-sS", urls()[1])
	lab.Client.Run("curl", "-sS", urls()[0])
	r.waitRecords(t, 3)
	r.stop(t, unix.SIGTERM)

	got := r.owners(t)
	curl, err := exec.LookPath("curl")
	if err != nil {
		t.Fatal(err)
	}
	for i, uid := range []uint32{0, 12345} {
		name := map[uint32]string{0: "root"}[uid]
		if o := got[i]; o.UID == nil || *o.UID != uid || o.User != name || o.PID == 0 || o.Process != "curl" || o.Exe != curl {
			t.Errorf("record of user %d: %+v, want a process curl", uid, o)
		}
	}
	if o := got[2]; o.UID != nil || o.PID != 0 {
		t.Errorf("record of another machine: %+v, want no owner", o)
	}
}

// TestOwnerOfFailed has programs that end as soon as they are told that they cannot connect.
func TestOwnerOfFailed(t *testing.T) {
	t.Parallel()
	requireTools(t, "nc")
	lab := tuntest.NewLab(t)
	r := run(t, lab.Router, "syntap0", everything+`
egress: {deny: [203.0.113.9/32, "2001:db8:3::9/128"]}
`)
	const each = 10
	for _, target := range []string{"203.0.113.9 80", "2001:db8:3::9 80", tuntest.ServerAddr4 + " 81", tuntest.ServerAddr6 + " 81"} {
		for range each {
			command(t, lab.Router, "nc", append([]string{"-z"}, strings.Fields(target)...)...)
		}
	}
	r.waitRecords(t, 4*each)
	r.stop(t, unix.SIGTERM)
	outcomes := make(map[string]int)
	for _, o := range r.owners(t) {
		outcomes[o.Outcome]++
		if o.UID == nil || *o.UID != 0 || o.PID == 0 || o.Process != "nc" {
			t.Errorf("%+v, want a process nc of user 0", o)
		}
	}
	if diff := cmp.Diff(map[string]int{"denied": 2 * each, "refused": 2 * each}, outcomes); diff != "" {
		t.Errorf("outcomes (-want +got):\n%s", diff)
	}
}

// TestOwnerCannotBeFound has one user open connections whose sockets no process holds, on a host
// with many descriptors. The connections of another user have their owners all the same.
func TestOwnerCannotBeFound(t *testing.T) {
	t.Parallel()
	requireTools(t, "bash", "curl", "setpriv")
	requireSetgroups(t)
	lab := tuntest.NewLab(t)
	serveHTTP(t, lab, greeting)
	r := run(t, lab.Router, "syntap0", everything+`
egress: {deny: [203.0.113.9/32]}
http: {listen: "unix:DIR/http.sock"}
`)
	const descriptors = 5000
	for range 3 {
		p := lab.Router.Start("bash", "-c", fmt.Sprintf("ulimit -n 10000; for i in {1..%d}; do exec {fd}</dev/null; done; exec sleep infinity", descriptors))
		r.wait(t, "many descriptors", func() bool {
			all, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.PID()))
			return len(all) > descriptors
		})
	}
	flights := inFlight(t, lab.Router, "203.0.113.9", 500)
	const victims = 5
	for range victims {
		lab.Router.Run("setpriv", "--reuid=12345", "--clear-groups", "curl", "-sS", urls()[0])
	}
	r.waitRecords(t, victims+500)
	var status struct {
		Owners struct {
			Found    int
			NotFound map[string]int `json:"not_found"`
		}
	}
	if err := json.Unmarshal([]byte(lab.Router.Run(binary, "status", "--json", "--at", "unix:"+filepath.Join(r.dir, "http.sock"))), &status); err != nil {
		t.Fatal(err)
	}
	r.stop(t, unix.SIGTERM)
	for _, o := range r.owners(t) {
		switch {
		case o.Outcome == "established":
			if o.UID == nil || *o.UID != 12345 || o.Process != "curl" {
				t.Errorf("%+v, want a process curl of user 12345", o)
			}
		case !flights[o.Sport]:
			t.Errorf("%+v is no connection of the test's", o)
		case o.UID == nil || *o.UID != 0:
			t.Errorf("%+v, want user 0", o)
		}
	}
	lost := 0
	for _, n := range status.Owners.NotFound {
		lost += n
	}
	if status.Owners.Found < victims || status.Owners.Found+lost != victims+500 || status.Owners.NotFound["budget"]+status.Owners.NotFound["busy"] == 0 {
		t.Errorf("status says %+v, want %d found and 500 not, some without a search", status.Owners, victims)
	}
}

// inFlight begins connections by sockets that are then on their way from one process to another,
// and returns their ports.
func inFlight(t *testing.T, ns *tuntest.Namespace, address string, n int) map[int]bool {
	t.Helper()
	ports := make(map[int]bool)
	err := ns.Do(func() error {
		for len(ports) < n {
			fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
			if err != nil {
				return err
			}
			pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				return err
			}
			t.Cleanup(func() { _, _ = unix.Close(pair[0]), unix.Close(pair[1]) })
			if err := unix.Bind(fd, &unix.SockaddrInet4{}); err != nil {
				return err
			}
			name, err := unix.Getsockname(fd)
			if err != nil {
				return err
			}
			port := name.(*unix.SockaddrInet4).Port
			if ports[port] {
				continue
			}
			ports[port] = true
			if err := unix.Sendmsg(pair[0], []byte{0}, unix.UnixRights(fd), nil, 0); err != nil {
				return err
			}
			if err := unix.Connect(fd, &unix.SockaddrInet4{Addr: netip.MustParseAddr(address).As4(), Port: 9}); err != nil && err != unix.EINPROGRESS {
				return err
			}
			if err := unix.Close(fd); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return ports
}
