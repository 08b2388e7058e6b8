package e2e_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"syntap/tun/tuntest"
)

// keptCapabilities are those that a keeper keeps for itself, as bits (capabilities(7)).
const keptCapabilities = 1<<unix.CAP_NET_ADMIN | 1<<unix.CAP_NET_RAW | 1<<unix.CAP_NET_BIND_SERVICE |
	1<<unix.CAP_SYS_PTRACE | 1<<unix.CAP_DAC_READ_SEARCH | 1<<unix.CAP_DAC_OVERRIDE

// checkRights looks at the rights of all threads of a router's process.
func checkRights(t *testing.T, pid int, kept, inheritable, bounding uint64) {
	t.Helper()
	threads, err := filepath.Glob("/proc/" + strconv.Itoa(pid) + "/task/*/status")
	if err != nil || len(threads) == 0 {
		t.Fatalf("threads of process %d: %v, %v", pid, threads, err)
	}
	for _, file := range threads {
		status, err := os.ReadFile(file)
		if err != nil { // it has ended
			continue
		}
		value := make(map[string]string)
		for _, m := range regexp.MustCompile(`(?m)^(\w+):\s+(\w+)`).FindAllStringSubmatch(string(status), -1) {
			value[m[1]] = m[2]
		}
		if value["NoNewPrivs"] != "1" {
			t.Errorf("%s: NoNewPrivs %s", file, value["NoNewPrivs"])
		}
		if filtered := slices.Contains([]string{"amd64", "arm64"}, runtime.GOARCH); filtered && value["Seccomp"] != "2" {
			t.Errorf("%s: Seccomp %s, want 2", file, value["Seccomp"])
		}
		for name, may := range map[string]uint64{"CapEff": kept, "CapPrm": kept, "CapInh": inheritable, "CapBnd": bounding, "CapAmb": 0} {
			set, err := strconv.ParseUint(value[name], 16, 64)
			if err != nil || set&^may != 0 {
				t.Errorf("%s: %s %s, %v; want none but %x", file, name, value[name], err, may)
			}
		}
	}
}

// TestInheritedFiles starts a router with a file open that no process of it has a use for.
func TestInheritedFiles(t *testing.T) {
	t.Parallel()
	requireTools(t, "bash")
	lab := tuntest.NewLab(t)
	r := &router{dir: t.TempDir()}
	config := r.writeConfig(t, everything+`http: {listen: "unix:DIR/http.sock"}`)
	r.Process = lab.Router.Start("bash", "-c", `exec 7<"$0"; exec "$@"`, config, binary, "run", "-c", config)
	r.wait(t, "routes", func() bool { return routesTo(lab, "syntap0") })
	has := func(pid int) bool {
		links, _ := filepath.Glob("/proc/" + strconv.Itoa(pid) + "/fd/*")
		return slices.ContainsFunc(links, func(link string) bool {
			file, _ := os.Readlink(link)
			return file == config
		})
	}
	if !has(r.PID()) || has(r.routerPID(t)) || has(r.webPID(t)) {
		t.Errorf("a file that was open at the start is open in the keeper %v, the router %v and the page's process %v, want the first alone",
			has(r.PID()), has(r.routerPID(t)), has(r.webPID(t)))
	}
}

// TestRights has status tell the rights of a router, which keeps those only that it needs.
func TestRights(t *testing.T) {
	t.Parallel()
	lab := tuntest.NewLab(t)
	r := run(t, lab.Router, "syntap0", everything+`http: {listen: "unix:DIR/http.sock"}`)
	at := "unix:" + filepath.Join(r.dir, "http.sock")
	var status struct {
		PID       int
		Processes []struct {
			PID          int
			Role         string
			UID          int
			Capabilities struct{ Permitted, Bounding []string }
			NoNewPrivs   bool `json:"no_new_privs"`
			Seccomp      string
			Landlock     bool
			Writable     []string
		}
	}
	r.wait(t, "the router's answer", func() bool {
		return json.Unmarshal([]byte(output(lab.Router, binary, "status", "--json", "--at", at)), &status) == nil
	})
	const forRouters = keptCapabilities | 1<<unix.CAP_SETUID | 1<<unix.CAP_SETGID | 1<<unix.CAP_KILL
	checkRights(t, r.PID(), forRouters, forRouters, forRouters)
	checkRights(t, r.routerPID(t), 0, 0, 0)
	checkLimits(t, r.routerPID(t))
	checkRights(t, r.webPID(t), 0, 0, 0)
	checkLimits(t, r.webPID(t))
	if len(status.Processes) != 3 {
		t.Fatalf("processes: %+v, want three", status.Processes)
	}
	if status.PID != r.PID() {
		t.Errorf("status is of process %d, want %d, which takes signals", status.PID, r.PID())
	}
	text := output(lab.Router, binary, "status", "--at", at)
	for i, want := range []struct {
		pid  int
		role string
	}{{r.PID(), "keeper"}, {r.routerPID(t), "router"}, {r.webPID(t), "web"}} {
		p := status.Processes[i]
		isKeeper := want.role == "keeper"
		if p.PID != want.pid || p.Role != want.role || !p.NoNewPrivs || slices.Contains(p.Capabilities.Permitted, "CAP_SYS_ADMIN") ||
			isKeeper != (len(p.Capabilities.Bounding) > 0) || isKeeper != slices.Contains(p.Capabilities.Permitted, "CAP_NET_ADMIN") {
			t.Errorf("processes: %+v, want %+v with its rights", p, want)
		}
		if held := !isKeeper && haveLandlock(); p.Landlock != held {
			t.Errorf("landlock restricts the %s: %v, want %v", want.role, p.Landlock, held)
		} else if held != (len(p.Writable) == 0) {
			t.Errorf("the %s may write to %v", want.role, p.Writable)
		}
		if ofItsOwn := os.Geteuid() == 0 && !isKeeper; ofItsOwn != (p.UID != os.Geteuid()) {
			t.Errorf("the %s runs as user %d", want.role, p.UID)
		}
		if !strings.Contains(text, fmt.Sprintf("%d %s: user ", want.pid, want.role)) {
			t.Errorf("status lacks the %s: %s", want.role, text)
		}
	}
	if p := status.Processes; os.Geteuid() == 0 && p[1].UID == p[2].UID {
		t.Errorf("router and page run as one user, %d", p[1].UID)
	}
	r.killRouter(t) // the keeper has fewer rights by now
	r.wait(t, "the next router's answer", func() bool {
		return strings.Contains(output(lab.Router, binary, "status", "--at", at), fmt.Sprintf("%d router: user ", routerOf(r.PID())))
	})
	checkRights(t, r.routerPID(t), 0, 0, 0)
	checkLimits(t, r.routerPID(t))
	r.stop(t, unix.SIGTERM)
}

// haveLandlock reports whether the kernel has landlock.
func haveLandlock() bool {
	_, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	return errno == 0
}

// checkLimits looks at the limits of a router, which keep it from using up the host.
func checkLimits(t *testing.T, pid int) {
	t.Helper()
	limits, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", pid))
	if err != nil {
		t.Fatal(err)
	}
	for name, most := range map[string]uint64{"Max data size": 16 << 30, "Max core file size": 0, "Max processes": 1024} {
		if name == "Max processes" && os.Geteuid() != 0 {
			continue // it has no user of its own
		}
		m := regexp.MustCompile(name + ` +(\S+) +(\S+)`).FindStringSubmatch(string(limits))
		if m == nil {
			t.Fatalf("no limit %s: %s", name, limits)
		}
		for _, value := range m[1:] {
			if n, err := strconv.ParseUint(value, 10, 64); err != nil || n > most {
				t.Errorf("%s %s, want %d at most", name, value, most)
			}
		}
	}
}

// TestRightsOfExec looks at the keeper and the router of a command. The command itself has the
// rights that it has without.
func TestRightsOfExec(t *testing.T) {
	t.Parallel()
	ns := tuntest.NewNamespace(t)
	p := ns.Start(binary, "exec", "--", "sh", "-c", "grep -E 'Cap|Seccomp|NoNew' /proc/self/status; exec sleep infinity")
	tuntest.Wait(t, "the command's rights", func() bool { return strings.Contains(p.Stdout(), "Seccomp:") })
	router := isolatedRouter(t, p.PID())
	checkRights(t, router, 0, 0, 0)
	for _, kind := range []string{"net", "user", "ipc"} {
		place := func(pid int) string {
			text, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/%s", pid, kind))
			if err != nil {
				t.Fatal(err)
			}
			return text
		}
		if place(router) == place(p.PID()) {
			t.Errorf("the router is in the %s namespace of its keeper", kind)
		}
	}
	if environ, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", router)); err != nil || strings.Contains(string(environ), "PATH=") {
		t.Errorf("the router's environment, which may hold secrets: %v\n%s", err, environ)
	}
	if links, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/dev", router)); err != nil || strings.Count(string(links), "\n") != 3 || !strings.Contains(string(links), " lo:") {
		t.Errorf("links in the router's network: %v, want lo alone:\n%s", err, links)
	}
	checkLimits(t, router)
	const forRouters = keptCapabilities | 1<<unix.CAP_SETUID | 1<<unix.CAP_SETGID | 1<<unix.CAP_KILL
	checkRights(t, p.PID(), forRouters, forRouters, ^uint64(0))
	if set := regexp.MustCompile(`CapEff:\s+(\w+)`).FindStringSubmatch(p.Stdout()); set == nil || os.Geteuid() == 0 && set[1] == "0000000000000000" {
		t.Errorf("root's command has no capability: %s", p.Stdout())
	}
}

// TestRightsOfRootAlone has a user namespace that knows root alone, where no router can have a user
// of its own. It works, and says nothing.
func TestRightsOfRootAlone(t *testing.T) {
	t.Parallel()
	requireTools(t, "unshare")
	ns := tuntest.NewNamespace(t)
	if got := command(t, ns, "unshare", "--user", "--map-root-user", binary, "exec", "--", "echo", "done"); got != (result{stdout: "done\n"}) {
		t.Errorf("exec as root of a user namespace: %+v, want its command's output alone", got)
	}
}

// isolatedRouter waits until the router of a command has given up its rights.
func isolatedRouter(t *testing.T, keeper int) (pid int) {
	t.Helper()
	tuntest.Wait(t, "an isolated router", func() bool {
		pid = routerOf(keeper)
		status, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
		return err == nil && strings.Contains(string(status), "\nSeccomp:\t2\n")
	})
	return pid
}

// TestRightsCannotBeGivenUp has a kernel without seccomp(2). The router says so, and works.
func TestRightsCannotBeGivenUp(t *testing.T) {
	t.Parallel()
	requireTools(t, "strace")
	ns := tuntest.NewNamespace(t)
	got := command(t, ns, "strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=seccomp", "-e", "inject=seccomp:error=ENOSYS",
		binary, "exec", "--", "echo", "done")
	const warning = `level=warning msg="this process keeps rights that a router does not need" error="filter system calls: function not implemented"`
	if got.status != 0 || got.stdout != "done\n" || !strings.Contains(got.stderr, warning) {
		t.Errorf("exec without seccomp: %+v, want its command to run, and a warning", got)
	}
}

// TestNoLandlock has a kernel without landlock(7): the router says so, and works.
func TestNoLandlock(t *testing.T) {
	t.Parallel()
	requireTools(t, "curl", "strace")
	lab := tuntest.NewLab(t)
	serveHTTP(t, lab, greeting)
	r := &router{dir: t.TempDir()}
	config := r.writeConfig(t, everything+`http: {listen: "unix:DIR/http.sock"}`)
	r.Process = lab.Router.Start("strace", "-D", "-f", "-qq", "-o", "/dev/null", "-e", "trace=landlock_create_ruleset",
		"-e", "inject=landlock_create_ruleset:error=ENOSYS", binary, "run", "-c", config)
	r.wait(t, "routes", func() bool { return routesTo(lab, "syntap0") })
	lab.Router.Run("curl", "-sS", urls()[0])
	r.waitRecords(t, 1)
	if said := r.Stderr(); !strings.Contains(said, "landlock does not hold") || strings.Contains(said, "keeps rights") {
		t.Errorf("without landlock the router says: %s", said)
	}
	if got := output(lab.Router, binary, "status", "-c", config); !strings.Contains(got, "no capability, no new privileges, system calls filtered, no landlock") {
		t.Errorf("status without landlock: %s", got)
	}
	r.stop(t, unix.SIGTERM)
}
