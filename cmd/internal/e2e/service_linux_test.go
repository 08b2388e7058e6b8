package e2e_test

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"syntap/tun/tuntest"
)

const unitFile = "../../../configs/syntap.service"

// TestService starts a router as its service unit does: with the capabilities that the unit leaves it, and told where the
// service manager listens.
func TestService(t *testing.T) {
	t.Parallel()
	requireTools(t, "curl", "setpriv")
	unit, err := os.ReadFile(unitFile)
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`(?m)^CapabilityBoundingSet=CAP_(\w+)$`).FindSubmatch(unit)
	if m == nil {
		t.Fatalf("%s has no bounding set of one capability", unitFile)
	}
	lab := tuntest.NewLab(t)
	serveHTTP(t, lab, greeting)
	r := &router{dir: t.TempDir()}
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(r.dir, "notify"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer manager.Close()
	r.Process = lab.Router.Start("env", "NOTIFY_SOCKET="+manager.LocalAddr().String(), "WATCHDOG_USEC=200000",
		"setpriv", "--no-new-privs", "--bounding-set=-all,+"+strings.ToLower(string(m[1])),
		binary, "run", "-c", r.writeConfig(t, everything))

	told := make(chan string)
	go func() {
		buf := make([]byte, 100)
		for {
			n, err := manager.Read(buf)
			if err != nil {
				return
			}
			select {
			case told <- string(buf[:n]):
			case <-t.Context().Done():
				return
			}
		}
	}()
	expect := func(want string) {
		t.Helper()
		for {
			select {
			case got := <-told:
				if strings.HasPrefix(got, want) {
					return
				} else if got != "WATCHDOG=1" {
					t.Fatalf("the service manager was told %q, want %q", got, want)
				}
			case <-time.After(tuntest.Patience):
				t.Fatalf("the service manager was not told %q", want)
			}
		}
	}
	expect("READY=1")
	for _, host := range addresses() {
		if got := routeTo(lab.Router, host); !strings.Contains(got, " dev syntap0 ") {
			t.Errorf("ready, but the route to %s is %q", host, got)
		}
	}
	expect("WATCHDOG=1")
	for _, url := range urls() {
		lab.Router.Run("curl", "-sS", url)
	}
	r.waitRecords(t, 2)
	if err := r.Signal(unix.SIGHUP); err != nil {
		t.Fatal(err)
	}
	expect("RELOADING=1\nMONOTONIC_USEC=")
	expect("READY=1\nSTATUS=config reloaded")
	if err := r.Signal(unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	expect("STOPPING=1")
	r.ended(t, "SIGTERM")
	if r.Err() != nil {
		t.Errorf("router ended with %v", r.Err())
	}
}

// TestServiceIsHardened has systemd judge the unit. 2.5 of 10 is the most that it may be exposed.
func TestServiceIsHardened(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Skip("needs systemd-analyze")
	}
	if out, err := exec.Command("systemd-analyze", "security", "--offline=true", "--threshold=25", "--no-pager", unitFile).CombinedOutput(); err != nil {
		t.Errorf("systemd-analyze security: %v\n%s", err, out)
	}
}
