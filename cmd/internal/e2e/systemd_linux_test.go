package e2e_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"syntap/tun/tuntest"
)

// boot starts systemd as the first process of a copy of this machine, which is forgotten at its
// end: the files of TREE are in it, the network is that of the namespace it is started in, and
// nothing of it reaches the host. Its control groups are below one of their own, and root alone may
// open its TUN device, as on a machine without udev.
const boot = `
set -eu
mount -t tmpfs none "$DIR"
mkdir "$DIR/upper" "$DIR/work" "$DIR/root" "$DIR/groups"
mount -t cgroup2 none "$DIR/groups"
mkdir -p "$DIR/groups/$GROUP"
echo $$ >"$DIR/groups/$GROUP/cgroup.procs"
exec unshare --mount --pid --cgroup --uts --ipc --fork --kill-child sh -euc '
mount -t overlay overlay -o "lowerdir=/,upperdir=$DIR/upper,workdir=$DIR/work" "$DIR/root"
cp -a "$TREE/." "$DIR/root/"
cd "$DIR/root"
mount --rbind /dev dev
mount -t tmpfs none dev/net
mknod -m 600 dev/net/tun c 10 200
mount -t proc proc proc
mount -o bind,ro proc/sys proc/sys
mount --bind /proc/sys/net proc/sys/net
mount -t sysfs sysfs sys
mount -t cgroup2 none sys/fs/cgroup
mount -t tmpfs none run
mount -t tmpfs none tmp
rm -rf etc/systemd/system/*.wants
for unit in systemd-sysctl systemd-modules-load systemd-binfmt systemd-udevd systemd-udev-trigger systemd-remount-fs; do
	ln -sf /dev/null "etc/systemd/system/$unit.service"
done
printf "[Unit]\nRequires=sysinit.target\nAfter=sysinit.target\nAllowIsolate=yes\n" >etc/systemd/system/lab.target
pivot_root . mnt # not chroot, under which the kernel makes no user namespaces
cd /
umount -l /mnt
exec env -i "PATH=$PATH" container=lab /lib/systemd/systemd --unit=lab.target --show-status=no
'
`

// machine is one that boot has booted.
type machine struct {
	*tuntest.Process
	ns   *tuntest.Namespace
	init string // the process systemd, as this machine sees it
}

// bootMachine boots a machine with the files in tree, in the network of ns.
func bootMachine(t *testing.T, ns *tuntest.Namespace, tree string) *machine {
	t.Helper()
	requireTools(t, "unshare", "nsenter", "pgrep")
	if _, err := os.Stat("/lib/systemd/systemd"); err != nil {
		t.Skip("needs systemd")
	}
	if b, err := os.ReadFile("/proc/self/uid_map"); os.Getuid() != 0 || err != nil || !strings.Contains(string(b), "4294967295") {
		t.Skip("needs root")
	}
	dir, group := t.TempDir(), fmt.Sprintf("syntap-test-%d", os.Getpid())
	t.Cleanup(func() { removeGroups(t, dir, group) })
	m := &machine{ns: ns}
	m.Process = ns.Start("env", "DIR="+dir, "GROUP="+group, "TREE="+tree, "unshare", "--mount", "--propagation", "private", "sh", "-c", boot)
	tuntest.Wait(t, "systemd", func() bool {
		select {
		case <-m.Done():
			t.Fatalf("the machine has ended: %v\n%s", m.Err(), m.Stderr())
		default:
		}
		out, err := exec.Command("pgrep", "-P", fmt.Sprint(m.PID()), "-x", "systemd").Output()
		m.init = strings.TrimSpace(string(out))
		return err == nil && m.command(t, "systemctl", "is-active", "lab.target").status == 0
	})
	return m
}

// command runs a command in the machine.
func (m *machine) command(t *testing.T, args ...string) result {
	t.Helper()
	enter := []string{"--target", m.init, "--mount", "--pid", "--cgroup", "--uts", "--ipc", "--root", "--wd=/", "--"}
	return command(t, m.ns, "nsenter", append(enter, args...)...)
}

// removeGroups removes the control groups of a machine that has ended.
func removeGroups(t *testing.T, dir, group string) {
	const remove = `mount -t cgroup2 none "$0" && timeout 60 sh -c 'until find "$0" -depth -type d -exec rmdir {} + 2>/dev/null; do :; done' "$0/$1"`
	if out, err := exec.Command("unshare", "--mount", "--propagation", "private", "sh", "-c", remove, dir, group).CombinedOutput(); err != nil && !errors.Is(err, exec.ErrNotFound) {
		t.Errorf("remove the control groups of the machine: %v\n%s", err, out)
	}
}

// bootService boots a machine in which the program is installed, with files that edit changes, and
// starts the service.
func bootService(t *testing.T, ns *tuntest.Namespace, edit func(tree string)) *machine {
	t.Helper()
	requireTools(t, "make")
	tree := t.TempDir()
	makeTarget(t, "install", "DESTDIR="+tree, "PREFIX=/usr")
	edit(tree)
	m := bootMachine(t, ns, tree)
	for _, args := range [][]string{{"systemd-sysusers", "syntap.conf"}, {"systemd-tmpfiles", "--create", "syntap.conf"}} {
		if got := m.command(t, args...); got.status != 0 {
			t.Fatalf("%s: %+v", args, got)
		}
	}
	if got := m.command(t, "systemctl", "start", "syntap"); got.status != 0 {
		t.Fatalf("start: %+v\n%s", got, m.command(t, "journalctl", "--no-pager").stdout)
	}
	return m
}

// mainPID returns the service's main process, as the machine sees it.
func (m *machine) mainPID(t *testing.T) int {
	t.Helper()
	pid, err := strconv.Atoi(strings.TrimSpace(m.command(t, "systemctl", "show", "--property=MainPID", "--value", "syntap").stdout))
	if err != nil || pid == 0 {
		t.Fatalf("main process %d, %v", pid, err)
	}
	return pid
}

// outside returns a process of the machine, as the test sees it.
func (m *machine) outside(t *testing.T, inside int) int {
	t.Helper()
	pid := m.seen(t, inside)
	if pid == 0 {
		t.Fatalf("process %d of the machine is not seen", inside)
	}
	return pid
}

// seen returns the same; 0 for a process that is not there.
func (m *machine) seen(t *testing.T, inside int) int {
	t.Helper()
	place := func(pid string) string {
		text, _ := os.Readlink("/proc/" + pid + "/ns/pid") // of a process that may have ended
		return text
	}
	all, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range all {
		status, _ := os.ReadFile(dir + "/status")
		name := filepath.Base(dir)
		if strings.Contains(string(status), fmt.Sprintf("\nNSpid:\t%s\t%d\n", name, inside)) && place(name) == place(m.init) {
			pid, _ := strconv.Atoi(name)
			return pid
		}
	}
	return 0
}

// TestSystemd runs the service as it is installed, on a machine that systemd has booted. Its
// journal has every line of more connections than journald takes by itself, here six times a
// hundred lines in 30 s (journald.conf(5)), its log every record, and the commands find it without
// a word more. Messages of the program are there with their priorities, and without the config.
func TestSystemd(t *testing.T) {
	lab := tuntest.NewLab(t)
	serveEchoes(lab)
	m := bootService(t, lab.Router, func(tree string) {
		config := filepath.Join(tree, "etc/syntap/config.yaml")
		installed, err := os.ReadFile(config)
		if err != nil {
			t.Fatal(err)
		}
		printing := strings.Replace(string(installed), "  log:\n", "  log:\n    - {format: classic, path: \"-\"}\n", 1)
		limit := filepath.Join(tree, "etc/systemd/journald.conf.d/lab.conf")
		if err := errors.Join(
			os.WriteFile(config, []byte(printing), 0o600), os.MkdirAll(filepath.Dir(limit), 0o755),
			os.WriteFile(limit, []byte("[Journal]\nRateLimitBurst=100\n"), 0o600),
		); err != nil {
			t.Fatal(err)
		}
	})
	connections := scaled(500, 18_000)
	connectEchoes(t, lab, connections)
	for _, args := range [][]string{{"status"}, {"log", "--outcome", "established", "--top", "outcome"}} {
		tuntest.Wait(t, fmt.Sprintf("syntap %s to tell of %d connections", args, connections), func() bool {
			got := m.command(t, append([]string{"syntap"}, args...)...)
			return got.status == 0 && strings.Contains(got.stdout, fmt.Sprint(connections))
		})
	}
	checkServiceRights(t, m)
	killed := routerOf(m.outside(t, m.mainPID(t)))
	if err := unix.Kill(killed, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	tuntest.Wait(t, "another router's status", func() bool {
		pid := routerOf(m.outside(t, m.mainPID(t)))
		return pid > 0 && pid != killed && m.command(t, "syntap", "status").status == 0
	})
	checkServiceRights(t, m)
	checkPriorities(t, m)
	checkDropIn(t, m)
	if got := m.command(t, "systemctl", "stop", "syntap"); got.status != 0 {
		t.Errorf("stop: %+v", got)
	}
	want := strings.Count(m.command(t, "syntap", "log", "--format", "classic").stdout, "\n") // with repeated segments
	var lines int
	tuntest.Wait(t, "the journal's lines", func() bool {
		lines = strings.Count(m.command(t, "journalctl", "--unit=syntap", "--output=cat", "--no-pager").stdout, " > ")
		return lines >= want
	})
	if lines != want || want < 3*connections {
		t.Errorf("%d lines in the journal, want %d, of %d connections", lines, want, connections)
	}
	if got := m.command(t, "sh", "-c", "syntap verify /var/log/syntap/*"); got.status != 0 || !strings.Contains(got.stdout, "the last run has ended in order") {
		t.Errorf("verify: %+v", got)
	}
	if got := m.command(t, "systemctl", "is-failed", "syntap"); got.stdout != "inactive\n" {
		t.Errorf("the unit is %s", got.stdout)
	}
}

// checkServiceRights looks at the service's processes: one that changes the host, with one
// capability, one that reads packets, and one that serves the page, with none. None is root's.
func checkServiceRights(t *testing.T, m *machine) {
	t.Helper()
	type capabilities struct{ Effective, Permitted, Inheritable, Bounding, Ambient []string }
	type process struct {
		Role         string
		UID          int
		Capabilities capabilities
		NoNewPrivs   bool `json:"no_new_privs"`
		Seccomp      string
		Landlock     bool
	}
	var status struct{ Processes []process }
	if err := json.Unmarshal([]byte(m.command(t, "syntap", "status", "--json").stdout), &status); err != nil {
		t.Fatal(err)
	}
	uid, err := strconv.Atoi(strings.TrimSpace(m.command(t, "id", "-u", "syntap").stdout))
	if err != nil || uid == 0 {
		t.Fatalf("user of the service: %d, %v", uid, err)
	}
	none, admin := []string{}, []string{"CAP_NET_ADMIN"}
	want := []process{
		{"keeper", uid, capabilities{admin, admin, admin, admin, none}, true, "filter", false},
		{"router", uid, capabilities{none, none, none, none, none}, true, "filter", haveLandlock()},
		{"web", uid, capabilities{none, none, admin, admin, none}, true, "filter", haveLandlock()},
	}
	if diff := cmp.Diff(want, status.Processes); diff != "" {
		t.Errorf("processes (-want +got):\n%s", diff)
	}
	if got := m.command(t, "runuser", "-u", "syntap", "--", "syntap", "status"); got.status != 0 {
		t.Errorf("status asked by the service's user: %+v", got)
	}
}

// checkDropIn adds the drop-in that has records name processes.
func checkDropIn(t *testing.T, m *machine) {
	t.Helper()
	const (
		examples = "/usr/share/doc/syntap/configs/"
		add      = "install -D -m 644 " + examples + "attribute.conf /etc/systemd/system/syntap.service.d/attribute.conf && " +
			"systemctl daemon-reload && systemctl restart syntap"
		connect = "exec 3<>/dev/tcp/" + tuntest.ServerAddr4 + "/7000 && echo hello >&3 && read -r answer <&3"
	)
	if got := m.command(t, "sh", "-c", add); got.status != 0 {
		t.Fatalf("add the drop-in: %+v", got)
	}
	tuntest.Wait(t, "a record that names a process", func() bool {
		if got := m.command(t, "timeout", "60", "runuser", "-u", "nobody", "--", "bash", "-c", connect); got.status != 0 {
			t.Fatalf("connect: %+v", got)
		}
		return strings.Contains(m.command(t, "syntap", "log", "--process", "bash").stdout, ":7000")
	})
}

// checkPriorities has the service refuse a config, when it is reloaded and when a signal asks for
// it, and looks for both in the journal among the errors.
func checkPriorities(t *testing.T, m *machine) {
	t.Helper()
	const config = "/etc/syntap/config.yaml"
	journal := func(args ...string) string {
		args = append([]string{"journalctl", "--unit=syntap", "--output=cat", "--no-pager"}, args...)
		return m.command(t, args...).stdout
	}
	if said := journal(); strings.Contains(said, "keep_inbound") {
		t.Errorf("the journal has the config:\n%.2000s", said)
	}
	m.command(t, "sh", "-c", "cp "+config+" /root/config.yaml && echo 'mtu: 1' >>"+config)
	if got := m.command(t, "systemctl", "reload", "syntap"); got.status == 0 {
		t.Errorf("reload of a wrong config: %+v", got)
	}
	m.command(t, "systemctl", "kill", "--signal=HUP", "--kill-whom=main", "syntap")
	var errs string
	tuntest.Wait(t, "two errors in the journal", func() bool {
		errs = journal("--priority=err")
		return strings.Contains(errs, "syntap: "+config) && strings.Contains(errs, "config not reloaded")
	})
	if strings.Contains(errs, "level=info") || strings.Contains(errs, "<3>") {
		t.Errorf("errors in the journal:\n%s", errs)
	}
	if got := m.command(t, "sh", "-c", "cat /root/config.yaml >"+config+" && systemctl reload syntap"); got.status != 0 {
		t.Errorf("reload: %+v", got)
	}
}
