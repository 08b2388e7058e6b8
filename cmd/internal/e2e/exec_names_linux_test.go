package e2e_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"syntap/tun/tuntest"
)

// resolvedTo is the address of every name that the nameservers of these tests are asked for.
const resolvedTo = "203.0.113.77"

// serveNames starts a nameserver as the dnsmasq option says.
func serveNames(t *testing.T, ns *tuntest.Namespace, listen string) {
	t.Helper()
	dnsmasq := ns.Start("dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-hosts", "--no-resolv", "--user=root", "--group=",
		"--pid-file=", "--log-facility=-", "--bind-interfaces", listen, "--address=/#/"+resolvedTo)
	tuntest.Wait(t, "dnsmasq to start", func() bool { return strings.Contains(dnsmasq.Stderr(), "started") })
}

// etc is a directory that a host of a test has as its /etc.
type etc string

func newEtc(t *testing.T, resolvConf string) etc {
	t.Helper()
	e := etc(t.TempDir())
	e.write(t, "nsswitch.conf", "hosts: files dns\npasswd: files\ngroup: files\n")
	e.write(t, "host.conf", "multi on\n")
	e.write(t, "passwd", "root:x:0:0::/:/bin/sh\n")
	if resolvConf != "" {
		e.write(t, "resolv.conf", resolvConf)
	}
	return e
}

func (e etc) path(name string) string { return filepath.Join(string(e), name) }

// write has a file there, in the place of one that is there already.
func (e etc) write(t *testing.T, name, content string) {
	t.Helper()
	if err := os.WriteFile(e.path(".new"), []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(e.path(".new"), e.path(name)); err != nil {
		t.Fatal(err)
	}
}

// exec returns the arguments of unshare for "syntap exec" on a host with this /etc.
func (e etc) exec(args ...string) []string {
	const script = `mount --bind "$0" /etc && exec "$@"`
	return append([]string{"--mount", "sh", "-c", script, string(e), binary, "exec", "-o", "/dev/null"}, args...)
}

const lookUp = "getent ahostsv4 www.example.com | head -n 1 | cut -d ' ' -f 1"

// TestExecResolves has a command resolve a name on hosts whose nameservers it cannot reach as the
// host does.
func TestExecResolves(t *testing.T) {
	t.Parallel()
	requireTools(t, "dig", "dnsmasq", "getent", "unshare")
	lab := tuntest.NewLab(t)
	lab.Server.AddAddress("eth0", "169.254.169.254/32")
	lab.Server.AddAddress("eth0", "fe80::53/64")
	lab.Router.Run("ip", "route", "add", "169.254.169.254", "dev", "wan0")
	serveNames(t, lab.Router, "--listen-address=127.0.0.1,127.0.0.53,::1")
	serveNames(t, lab.Server, "--interface=eth0")
	tests := []struct {
		name, resolvConf string // "" = there is none
		kept             string // stands in the command's, too
		also             string // a nameserver that it can ask by its own address
	}{
		{"none", "", "", "127.0.0.1"},
		{"empty", "\n", "", ""},
		{"systemd-resolved", "nameserver 127.0.0.53\noptions edns0 trust-ad\nsearch example.com example.net\n", "options edns0 trust-ad\nsearch example.com example.net\n", ""},
		{"IPv6 loopback", "nameserver ::1\n", "", ""},
		{"any address", "nameserver 0.0.0.0\n", "", ""},
		{"of the link", "nameserver fe80::53%wan0\n", "", ""},
		{"of a cloud", "nameserver 169.254.169.254\n", "", "169.254.169.254"},
		{"the third of three", "nameserver 127.0.0.9\nnameserver 127.0.0.8\nnameserver fe80::53%wan0\noptions timeout:30 attempts:1\n", "options timeout:30 attempts:1\n", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := newEtc(t, tt.resolvConf)
			got := command(t, lab.Router, "unshare", dir.exec("--", "sh", "-c", lookUp+"; cat /etc/resolv.conf")...)
			address, conf, _ := strings.Cut(got.stdout, "\n")
			if address != resolvedTo || !strings.Contains(conf, tt.kept) {
				t.Errorf("with resolv.conf %q: %+v, want %s", tt.resolvConf, got, resolvedTo)
			}
			if tt.also == "" {
				return
			}
			for _, transport := range []string{"+notcp", "+tcp"} {
				got := command(t, lab.Router, "unshare", dir.exec("--", "dig", "+short", "+tries=1", "+timeout=30", transport, "@"+tt.also, "www.example.com")...)
				if got.stdout != resolvedTo+"\n" {
					t.Errorf("dig %s @%s: %+v, want %s", transport, tt.also, got, resolvedTo)
				}
			}
		})
	}
}

// TestExecFollowsResolver has the host's resolver replace its file while a command runs.
func TestExecFollowsResolver(t *testing.T) {
	t.Parallel()
	requireTools(t, "dnsmasq", "getent", "unshare")
	lab := tuntest.NewLab(t)
	serveNames(t, lab.Router, "--listen-address=127.0.0.53,::1")
	serveNames(t, lab.Server, "--listen-address="+tuntest.ServerAddr4)
	for _, linked := range []bool{false, true} {
		t.Run(fmt.Sprintf("linked=%t", linked), func(t *testing.T) {
			t.Parallel()
			dir, name := newEtc(t, ""), "resolv.conf"
			if linked {
				name = "stub-resolv.conf"
				if err := os.Symlink(name, dir.path("resolv.conf")); err != nil {
					t.Fatal(err)
				}
			}
			dir.write(t, name, "nameserver 127.0.0.53\n")
			const ask = `while read -r new; do until grep -q "$new" /etc/resolv.conf; do sleep 0.01; done
				until [ -n "$(` + lookUp + `)" ]; do sleep 0.01; done; echo "resolved after $new"; done`
			steps, err := os.Create(dir.path("steps"))
			if err != nil {
				t.Fatal(err)
			}
			defer steps.Close()
			p := lab.Router.Start("sh", append([]string{"-c", `tail -f -n +1 "$0" | unshare "$@"`, dir.path("steps")}, dir.exec("--", "sh", "-c", ask)...)...)
			for _, conf := range []string{
				"# renewed\nnameserver 127.0.0.53\n",               // the same server
				"# elsewhere\nnameserver ::1\n",                    // another one of the host
				"# out\nnameserver " + tuntest.ServerAddr4 + "\n",  // one that the command reaches as such
				"# back\nnameserver 127.0.0.53\noptions edns0\n\n", // and the first again
			} {
				dir.write(t, name, conf)
				comment, _, _ := strings.Cut(conf, "\n")
				fmt.Fprintln(steps, comment)
				tuntest.Wait(t, "a name to resolve after "+comment, func() bool { return strings.Contains(p.Stdout(), "resolved after "+comment) })
			}
		})
	}
}

// TestResolverFileGoes has the host's resolv.conf go while a command runs: the nameservers that it
// had stay those of the command, which may ask no others.
func TestResolverFileGoes(t *testing.T) {
	t.Parallel()
	requireTools(t, "dig", "dnsmasq", "unshare")
	lab := tuntest.NewLab(t)
	newRuled(t, lab)
	dir := newEtc(t, "nameserver "+resolver+"\n")
	const ask = "touch /etc/started; until [ -e /etc/gone ]; do sleep 0.01; done; for i in $(seq 50); do " +
		"dig +tries=1 +time=60 @" + resolver + " www.example.com | grep NOERROR || exit 1; done"
	line := dir.asking(binary, "exec", "-o", "/dev/null", "--allow", "www.example.com", "--", "sh", "-c", ask)
	p := lab.Router.Start(line[0], line[1:]...)
	tuntest.Wait(t, "the command to run", func() bool {
		_, err := os.Stat(dir.path("started"))
		return err == nil
	})
	must(t, os.Remove(dir.path("resolv.conf")))
	dir.write(t, "gone", "")
	select {
	case <-p.Done():
	case <-time.After(tuntest.Patience):
		t.Fatal("the command does not end")
	}
	if p.Err() != nil {
		t.Errorf("%v\n%s%s", p.Err(), p.Stdout(), p.Stderr())
	}
}

// TestCommandChoosesNoNameserver has a command of root write the files that name this host's
// nameservers: under rules it reaches no other one for that, and none answers for it.
func TestCommandChoosesNoNameserver(t *testing.T) {
	t.Parallel()
	requireTools(t, "curl", "dig", "dnsmasq", "unshare")
	lab := tuntest.NewLab(t)
	newRuled(t, lab)
	lab.Server.AddAddress("lo", addrOfHour+"/32")
	resolve(t, lab.Server, "--user=root", "--listen-address="+addrOfHour, "--local=/#/",
		"--host-record=absent.example.com,"+addrOfElse)
	const script = `mkdir -p /run/NetworkManager
echo nameserver ` + addrOfHour + ` | tee /etc/resolv.conf >/run/NetworkManager/no-stub-resolv.conf
end=$(($(date +%s)+4)) # long enough for each of those who follow the files
until [ $(date +%s) -ge $end ]; do
	dig +tries=1 +time=60 @` + addrOfHour + ` absent.example.com | grep NOERROR && exit 1
	dig +tries=1 +time=60 absent.example.com @` + resolver + ` | grep NOERROR && exit 1
	curl -4 -s -m 60 http://absent.example.com && exit 1
done
exit 0`
	for _, names := range []string{"virtual", "dns"} {
		t.Run(names, func(t *testing.T) {
			t.Parallel()
			dir := newEtc(t, "nameserver "+resolver+"\n")
			line := dir.asking("sh", "-c", `mount -t tmpfs none /run && exec "$@"`, "sh", binary, "exec", "--names", names,
				"-o", "/dev/null", "--allow", "absent.example.com", "--", "sh", "-c", script)
			if got := command(t, lab.Router, line[0], line[1:]...); got.status != 0 {
				t.Errorf("the command has another nameserver: %+v", got)
			}
		})
	}
}

// TestExecFamilies has a command choose between the addresses of a name on a host that has one
// family only.
func TestExecFamilies(t *testing.T) {
	t.Parallel()
	requireTools(t, "curl", "ping", "unshare")
	for _, tt := range []struct{ name, lost, other, works string }{
		{"IPv6 only", "-4", tuntest.ServerAddr4, tuntest.ServerAddr6},
		{"IPv4 only", "-6", tuntest.ServerAddr6, tuntest.ServerAddr4},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			lab := tuntest.NewLab(t)
			serveHTTP(t, lab, greeting)
			for _, link := range []string{"wan0", "lan0"} {
				lab.Router.Run("ip", tt.lost, "address", "flush", "dev", link)
			}
			dir := newEtc(t, "")
			dir.write(t, "hosts", fmt.Sprintf("%s both.example.com\n%s both.example.com\n", tt.other, tt.works))
			const script = "getent ahosts both.example.com | head -n 1 | cut -d ' ' -f 1; ping -n -c 1 -W 30 both.example.com | grep -o ' 0% packet loss'"
			got := command(t, lab.Router, "unshare", dir.exec("--", "sh", "-c", script)...)
			if want := tt.works + "\n 0% packet loss\n"; got.stdout != want {
				t.Errorf("the command got %+v; want %q", got, want)
			}
		})
	}
}

// TestHostsAreReadBeforeCommand has the reading of the host's table of names last: the command,
// which may be root and write that, does not run yet.
func TestHostsAreReadBeforeCommand(t *testing.T) {
	t.Parallel()
	requireTools(t, "unshare")
	lab := tuntest.NewLab(t)
	dir := newEtc(t, "")
	if err := unix.Mkfifo(dir.path("hosts"), 0o600); err != nil {
		t.Fatal(err)
	}
	hosts, err := os.OpenFile(dir.path("hosts"), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer hosts.Close()
	if _, err := hosts.WriteString("127.0.0.1 localhost\n"); err != nil {
		t.Fatal(err)
	}
	runs := func() bool {
		_, err := os.Stat(dir.path("runs"))
		return err == nil
	}
	lab.Router.Start("unshare", dir.exec("--", "touch", "/etc/runs")...)
	tuntest.Wait(t, "the table to be read", func() bool {
		unread, err := unix.IoctlGetInt(int(hosts.Fd()), unix.TIOCINQ)
		return err == nil && unread == 0
	})
	for until := time.Now().Add(time.Second); time.Now().Before(until); time.Sleep(10 * time.Millisecond) {
		if runs() {
			t.Fatal("the command runs, and the table is not yet read")
		}
	}
	_ = hosts.Close()
	tuntest.Wait(t, "the command to run", runs)
}
