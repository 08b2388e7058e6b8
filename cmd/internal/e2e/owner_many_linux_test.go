package e2e_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"syntap/tun/tuntest"
)

// TestOwnerOfShortLived has many programs that live 200 ms open connections, by different files and
// users. No record names a wrong one, and nearly all name theirs.
func TestOwnerOfShortLived(t *testing.T) {
	requireTools(t, "nft")
	requireSetgroups(t)
	lab := tuntest.NewLab(t)
	lab.Server.Run("nft", `add table ip t; add chain ip t c { type nat hook prerouting priority -100; };
		add rule ip t c tcp dport 1024-65535 redirect to :80`)
	go serveAll(lab.Server.Listen("tcp", "0.0.0.0:80"), func(c *net.TCPConn) { _, _ = io.Copy(io.Discard, c) })
	files := shortLived(t)
	r := run(t, lab.Router, "syntap0", everything+`http: {listen: "unix:DIR/http.sock"}`)
	seconds, perSecond, connections := scaled(2, 10), scaled(20, 100), scaled(15, 60)
	began := time.Now()
	started := lab.Router.Run(files[0], "start", strings.Join(files, ","), tuntest.ServerAddr4,
		fmt.Sprint(seconds), fmt.Sprint(perSecond), fmt.Sprint(connections), "3")
	took := time.Since(began)
	programs := make(map[int]ownedRecord) // by port
	for line := range strings.Lines(started) {
		var port int
		var p ownedRecord
		p.UID = new(uint32)
		if _, err := fmt.Sscan(line, &port, &p.PID, p.UID, &p.Exe); err != nil {
			t.Fatal(err)
		}
		programs[port] = p
	}
	status := lab.Router.Run(binary, "status", "--at", "unix:"+filepath.Join(r.dir, "http.sock"))
	r.stop(t, unix.SIGTERM)

	all, found, wrong := 0, 0, 0
	for line := range strings.Lines(r.read(t, "handshakes.json")) {
		var o struct {
			ownedRecord
			DPort int
		}
		if err := json.Unmarshal([]byte(line), &o); err != nil {
			t.Fatal(err)
		}
		if o.Msg != "handshake" {
			continue
		}
		all++
		want, ok := programs[o.DPort]
		named := o.PID != 0
		if !ok || o.UID != nil && *o.UID != *want.UID ||
			named && (o.PID != want.PID || o.Exe != want.Exe || o.Process != filepath.Base(want.Exe)) {
			if wrong++; wrong <= 10 {
				t.Errorf("to port %d: %s, process %d, want user %d, process %d of %s", o.DPort, o.who(), o.PID, *want.UID, want.PID, want.Exe)
			}
		}
		if o.UID != nil && named {
			found++
		}
	}
	reportf(t, "%d connections in %.1f s (%.0f/s), owner known of %.2f %%, wrong of %d; %s", all, took.Seconds(),
		float64(all)/took.Seconds(), 100*float64(found)/float64(all), wrong, ownersIn(status))
	percent := scaled(80, 95) // beside other tests a search may take longer than a client is let wait
	if want := len(programs) * connections; all < want*9/10 || found*100 < all*percent || wrong > 0 {
		t.Errorf("%d connections of %d, %d with an owner, %d with a wrong one\n%s", all, want, found, wrong, status)
	}
}

// shortLived builds the program that TestOwnerOfShortLived runs, by several names.
func shortLived(t *testing.T) (files []string) {
	t.Helper()
	dir := publicDir(t)
	for i := range 4 {
		file := filepath.Join(dir, fmt.Sprintf("program-%d", i))
		if i == 0 {
			if out, err := exec.Command("go", "build", "-o", file, "./testdata/programs").CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
		} else if out, err := exec.Command("cp", files[0], file).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		files = append(files, file)
	}
	return files
}
