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

// TestService starts a router as its service unit does: with the capabilities that the unit leaves
// it, and told where the service manager listens.
func TestService(t *testing.T) {
	t.Parallel()
	requireTools(t, "curl", "setpriv")
	lab := tuntest.NewLab(t)
	serveHTTP(t, lab, greeting)
	r := &router{dir: t.TempDir()}
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(r.dir, "notify"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer manager.Close()
	r.Process = lab.Router.Start("env", "NOTIFY_SOCKET="+manager.LocalAddr().String(), "WATCHDOG_USEC=200000",
		"setpriv", "--no-new-privs", "--bounding-set=-all"+capabilities(t, unitFile),
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
		if !enters(lab.Router, host, "syntap0") {
			t.Errorf("ready, but what is sent to %s does not enter the TUN", host)
		}
	}
	expect("WATCHDOG=1")
	checkRights(t, r.routerPID(t), 0, 0, 0)
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

// TestServicePings has the service ping where the host lets no group do so, as Debian 12, and where
// another range comes while it runs. A stop and a cleanup restore the range of the host.
func TestServicePings(t *testing.T) {
	t.Parallel()
	requireTools(t, "ping", "setpriv")
	lab := tuntest.NewLab(t)
	const key, none, all = "net.ipv4.ping_group_range", "1\t0\n", "0\t2147483647\n"
	groups := func() string { return output(lab.Router, "sysctl", "-n", key) }
	start := func(dir string) *router {
		r := &router{dir: dir}
		r.Process = lab.Router.Start("setpriv", "--no-new-privs", "--bounding-set=-all"+capabilities(t, unitFile),
			binary, "run", "-c", r.writeConfig(t, everything))
		r.wait(t, "the router to start", func() bool { return strings.Contains(r.Stderr(), "msg=routing") })
		return r
	}
	lab.Router.Sysctl(key, "1 0")
	r := start(t.TempDir())
	ping := func() {
		t.Helper()
		for _, host := range addresses() {
			if got := command(t, lab.Router, "ping", "-n", "-c1", "-w30", host); got.status != 0 {
				t.Errorf("ping %s: %+v", host, got)
			}
		}
	}
	ping()
	if err := r.Signal(unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-r.Done()
	r = start(r.dir) // takes over
	ping()
	r.stop(t, unix.SIGTERM)
	if got := groups(); got != none {
		t.Errorf("after the stop the range is %q, want %q", got, none)
	}

	if n := len(openingsOf(t, r.read(t, "handshakes.json"))); n != 4 {
		t.Errorf("%d records, want one of each ping", n)
	}

	r = start(t.TempDir())
	lab.Router.Sysctl(key, "0 2147483647")
	ping()
	r.stop(t, unix.SIGTERM)
	if got := groups(); got != all {
		t.Errorf("after another program's change and the stop the range is %q, want %q", got, all)
	}
}

// TestServiceManagerGone has a router that is told of a service manager that does not listen: of
// another service's environment, or conmon after the first report.
func TestServiceManagerGone(t *testing.T) {
	t.Parallel()
	requireTools(t, "curl")
	lab := tuntest.NewLab(t)
	serveHTTP(t, lab, greeting)
	r := &router{dir: t.TempDir()}
	r.Process = lab.Router.Start("env", "NOTIFY_SOCKET="+filepath.Join(r.dir, "gone"), "WATCHDOG_USEC=20000",
		binary, "run", "-c", r.writeConfig(t, everything))
	r.wait(t, "routes", func() bool { return routesTo(lab, "syntap0") })
	if err := r.Signal(unix.SIGHUP); err != nil {
		t.Fatal(err)
	}
	r.wait(t, "the reload", func() bool { return strings.Contains(r.Stderr(), "reloaded") })
	for _, url := range urls() {
		lab.Router.Run("curl", "-sS", url)
	}
	r.stop(t, unix.SIGTERM)
	if n := strings.Count(r.Stderr(), "cannot notify the service manager"); n != 1 {
		t.Errorf("the router said %d times that the manager does not listen:\n%s", n, r.Stderr())
	}
}

// TestServiceIsHardened has systemd judge the unit. 1.8 of 10 is the most that it may be exposed.
func TestServiceIsHardened(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Skip("needs systemd-analyze")
	}
	if out, err := exec.Command("systemd-analyze", "security", "--offline=true", "--threshold=18", "--no-pager", unitFile).CombinedOutput(); err != nil {
		t.Errorf("systemd-analyze security: %v\n%s", err, out)
	}
}

// TestServiceNamesOwners has a router with the capabilities and the view of /proc that the unit
// leaves it, and with those that the drop-in adds.
func TestServiceNamesOwners(t *testing.T) {
	t.Parallel()
	requireTools(t, "curl", "setpriv", "unshare")
	requireSetgroups(t)
	for dropIn, want := range map[string]string{"": "", "../../../configs/attribute.conf": "curl"} {
		t.Run(filepath.Base(dropIn), func(t *testing.T) {
			t.Parallel()
			files := []string{unitFile}
			if dropIn != "" {
				files = append(files, dropIn)
			}
			lab := tuntest.NewLab(t)
			serveHTTP(t, lab, greeting)
			r := &router{dir: t.TempDir()}
			config := r.writeConfig(t, everything+`http: {listen: "unix:DIR/http.sock"}`)
			script := `mount -t proc -o hidepid=invisible proc /proc && exec setpriv --no-new-privs --bounding-set=-all` + capabilities(t, files...) + ` "$@"`
			r.Process = lab.Router.Start("unshare", "--mount", "sh", "-c", script, "sh", binary, "run", "-c", config)
			r.wait(t, "routes", func() bool { return routesTo(lab, "syntap0") })
			lab.Router.Run("setpriv", "--reuid=12345", "--clear-groups", "curl", "-sS", urls()[0])
			r.waitRecords(t, 1)
			status := lab.Router.Run(binary, "status", "-c", config)
			r.stop(t, unix.SIGTERM)
			if o := r.owners(t)[0]; o.UID == nil || *o.UID != 12345 || o.Process != want {
				t.Errorf("%+v, want user 12345 and process %q", o, want)
			}
			const lacks = "processes of other users cannot be found without CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH"
			if got := strings.Contains(status, lacks); got != (want == "") {
				t.Errorf("status says whether owners can be found: %s", status)
			}
		})
	}
}

// capabilities returns the bounding set that unit and drop-ins have together, as setpriv wants it.
func capabilities(t *testing.T, files ...string) (set string) {
	t.Helper()
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		m := regexp.MustCompile(`(?m)^CapabilityBoundingSet=(.*)$`).FindSubmatch(text)
		if m == nil {
			t.Fatalf("%s has no bounding set", file)
		}
		for name := range strings.FieldsSeq(string(m[1])) {
			set += ",+" + strings.ToLower(strings.TrimPrefix(name, "CAP_"))
		}
	}
	return set
}
