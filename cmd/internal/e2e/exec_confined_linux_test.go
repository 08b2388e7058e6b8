package e2e_test

import (
	"net"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"syntap/tun/tuntest"
)

// requireRoot skips a test that needs other users than one.
func requireRoot(t *testing.T) {
	t.Helper()
	if b, err := os.ReadFile("/proc/self/uid_map"); err != nil || len(strings.Fields(string(b))) < 3 || strings.Fields(string(b))[2] == "1" {
		t.Skip("needs root outside of user namespaces")
	}
}

// TestExecUsers has root's command become another user and, from there, not root again, unless that
// is allowed.
func TestExecUsers(t *testing.T) {
	t.Parallel()
	requireTools(t, "setpriv", "sudo")
	ns := tuntest.NewNamespace(t)
	requireRoot(t)
	if got := command(t, ns, binary, "exec", "--", "sudo", "-u", "nobody", "id", "-un"); got.status != 0 || got.stdout != "nobody\n" {
		t.Errorf("sudo -u nobody id -un: %+v, want nobody", got)
	}
	// An ordinary user may see all processes of its own command.
	const asUser = `mount -t tmpfs tmpfs /mnt && mknod -m 666 /mnt/tun c 10 200 && mount --bind /mnt/tun /dev/net/tun &&
		install -m 755 "$1" /mnt && shift && exec setpriv --reuid=65534 --regid=65534 --clear-groups /mnt/syntap "$@"`
	if got := command(t, ns, "unshare", "--mount", "sh", "-c", asUser, "sh", binary, "exec", "--format", "json", "-o", "/dev/null", "--", "true"); got.status != 0 || got.stderr != "" {
		t.Errorf("exec as an ordinary user: %+v, want no word", got)
	}
	// A set-user-id copy of a program that tells its effective user.
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile("/usr/bin/id")
	if err == nil {
		tuntest.WriteProgram(t, dir+"/id", program)
		err = os.Chmod(dir+"/id", os.ModeSetuid|0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	for flag, want := range map[string]string{"--allow-setuid=false": "65534\n", "--allow-setuid": "0\n"} {
		got := command(t, ns, binary, "exec", flag, "--", "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", dir+"/id", "-u")
		if got.status != 0 || got.stdout != want {
			t.Errorf("exec %s of a set-user-id program: %+v, want %q", flag, got, want)
		}
	}
}

// TestForbidden: a user who may not read a log, ask a socket, or write a log, is told who may.
func TestForbidden(t *testing.T) {
	t.Parallel()
	requireTools(t, "setpriv", "unshare")
	ns := tuntest.NewNamespace(t)
	requireRoot(t)
	const script = `mount -t tmpfs -o mode=755 tmpfs /mnt && install -m 755 "$1" /mnt && mkdir -m 700 /mnt/private && shift &&
		exec setpriv --reuid=65534 --regid=65534 --clear-groups /mnt/syntap "$@"`
	for line, want := range map[string]string{
		"log /mnt/private/log":               "hint: read it as root, or as a member of its group\n",
		"status --at unix:/mnt/private/http": "hint: ask as root, or as a member of the socket's group\n",
		"run -o /mnt/private/log":            "hint: run it as root, or as a user who may write there\n",
	} {
		args := append([]string{"--mount", "sh", "-c", script, "sh", binary}, strings.Fields(line)...)
		if got := command(t, ns, "unshare", args...); got.status != 1 || !strings.HasSuffix(got.stderr, ": permission denied\n"+want) {
			t.Errorf("%s: %+v, want %q", line, got, want)
		}
	}
}

// TestExecDoors has a service that gives root listen on the host.
func TestExecDoors(t *testing.T) {
	t.Parallel()
	requireTools(t, "nc", "unshare")
	ns := tuntest.NewNamespace(t)
	const socket = "/run/docker.sock"
	host := func(args ...string) []string {
		const script = `mount -t tmpfs tmpfs /run && ln -s docker.sock /run/also.sock && { nc -lkU /run/docker.sock >/dev/null & } && until [ -S /run/docker.sock ]; do sleep 0.01; done && "$@"; status=$?; kill $!; exit $status`
		return append([]string{"--mount", "sh", "-c", script, "sh", binary, "exec"}, args...)
	}
	knock := []string{"--", "nc", "-zU", socket}
	if got := command(t, ns, "unshare", host(knock...)...); got.status != 0 || !strings.Contains(got.stderr, socket) {
		t.Errorf("with %s: %+v, want it open, and a warning", socket, got)
	}
	for _, path := range []string{socket, "/run/also.sock", "/run"} {
		got := command(t, ns, "unshare", host(append([]string{"--hide", path}, knock...)...)...)
		if got.status == 0 || strings.Contains(got.stderr, "level=warning") {
			t.Errorf("with --hide %s: %+v, want it closed, and no warning", path, got)
		}
	}
	for _, path := range []string{"/nowhere", "/"} {
		if got := command(t, ns, binary, "exec", "--hide", path, "--", "true"); got.status != 2 || !strings.Contains(got.stderr, "syntap: hide "+path+": ") || !strings.Contains(got.stderr, "hint: ") {
			t.Errorf("exec --hide %s: %+v, want exit status 2 and a hint", path, got)
		}
	}
}

// TestExecStreams gives a command a socket of the host's network for its standard input. It could
// connect it elsewhere.
func TestExecStreams(t *testing.T) {
	t.Parallel()
	ns := tuntest.NewNamespace(t)
	for network, want := range map[string]int{"udp": 2, "tcp": 2, "unixgram": 0} {
		var conn interface{ File() (*os.File, error) }
		switch network {
		case "udp":
			conn = ns.ListenPacket(network, "127.0.0.1:0").(*net.UDPConn)
		case "tcp":
			conn = ns.Listen(network, "127.0.0.1:0").(*net.TCPListener)
		default:
			conn = ns.ListenPacket(network, t.TempDir()+"/socket").(*net.UnixConn)
		}
		file, err := conn.File()
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		ctx, cancel := timeout()
		defer cancel()
		cmd := ns.Command(ctx, binary, "exec", "--", "true")
		cmd.Stdin = file
		out, _ := cmd.CombinedOutput()
		if got := cmd.ProcessState.ExitCode(); got != want || want != 0 && !strings.Contains(string(out), "hint: put a pipe between") {
			t.Errorf("with a %s socket: exit status %d, %q, want %d", network, got, out, want)
		}
	}
}

// TestExecNetNS has a command run in a network that others have made, and then syntap alone carry
// the traffic of those.
func TestExecNetNS(t *testing.T) {
	t.Parallel()
	requireTools(t, "curl", "dig", "dnsmasq", "nsenter", "unshare")
	lab := tuntest.NewLab(t)
	newRuled(t, lab)
	box := lab.Router.Start("unshare", "--net", "sh", "-c", "readlink /proc/$$/ns/net; echo $$; exec sleep 600")
	var said []string
	tuntest.Wait(t, "a network", func() bool { said = strings.Fields(box.Stdout()); return len(said) == 2 })
	path := "/proc/" + said[1] + "/ns/net"
	dir := newEtc(t, "nameserver "+resolver+"\n")
	exec := []string{binary, "exec", "-o", "/dev/null", "--netns", path, "--allow", "one.example.com:80"}
	const curl = "curl -4 -s -m 60 "
	steps(t, lab.Router, dir.asking(append(exec, "--", "sh", "-c")...), []step{
		{"test $(readlink /proc/self/ns/net) = " + said[0], "0"},
		{curl + "http://one.example.com", "0"},
		{curl + "http://two.example.com", "6"},
		{curl + "http://" + addrOfTwo, "7"},
	})
	inside := func(args ...string) result {
		return command(t, lab.Router, "nsenter", append([]string{"--net=" + path}, args...)...)
	}
	if links := inside("ip", "link").stdout; strings.Contains(links, "syntap0") {
		t.Errorf("at the end there is still\n%s", links)
	}

	line := dir.asking(append(exec, "--allow", addrOfTwo+":80")...)
	r := lab.Router.Start(line[0], line[1:]...)
	tuntest.Wait(t, "a route", func() bool {
		return strings.Contains(inside("ip", "route").stdout, "default dev syntap0")
	})
	asked := inside("dig", "+tries=1", "+time=60", "@198.18.0.2", "one.example.com") // whatever resolv.conf says
	if !strings.Contains(asked.stdout, "ANSWER: 1,") {
		t.Errorf("the resolver answers the sandbox %+v", asked)
	}
	for address, want := range map[string]int{addrOfTwo: 0, addrOfShop: 7} {
		if got := inside("curl", "-s", "-m", "60", "http://"+address); got.status != want {
			t.Errorf("%s from the sandbox: %+v, want status %d", address, got, want)
		}
	}
	_ = r.Signal(unix.SIGTERM)
	tuntest.Wait(t, "the end", func() bool { return !strings.Contains(inside("ip", "link").stdout, "syntap0") })
	if got := r.Stderr(); strings.Contains(got, "past syntap") {
		t.Errorf("standard error = %q, and there is no other interface", got)
	}
	inside("ip", "link", "add", "aside0", "up", "type", "veth")
	line = dir.asking(append(exec, "--", "true")...)
	if got := command(t, lab.Router, line[0], line[1:]...); !strings.Contains(got.stderr, "past syntap") || !strings.Contains(got.stderr, "aside0") {
		t.Errorf("beside an interface that is up: %+v, want a warning", got)
	}
}
