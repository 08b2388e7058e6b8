package namespace_test

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"syntap/tun/tuntest"
)

// moreBits are none of those that the kernel reads of an argument of 32 bits.
var moreBits uint64 = 1 << 32

// attempts are the ways out that a command may try, by name: each returns the kernel's answer.
var attempts = map[string]func() error{
	"TIOCSTI":                   func() error { return ioctl(unix.TIOCSTI) },
	"TIOCSTI with more bits":    func() error { return ioctl(unix.TIOCSTI | 1<<32) },
	"TIOCLINUX":                 func() error { return ioctl(0x541c) },
	"another ioctl":             func() error { return ioctl(unix.TCGETS) },
	"vsock":                     func() error { return socket(unix.AF_VSOCK, unix.SOCK_STREAM) },
	"vsock with more bits":      func() error { return call(unix.SYS_SOCKET, uintptr(unix.AF_VSOCK|moreBits), unix.SOCK_STREAM, 0) },
	"AF_ALG":                    func() error { return socket(unix.AF_ALG, unix.SOCK_SEQPACKET) },
	"pair of TIPC":              func() error { _, err := unix.Socketpair(unix.AF_TIPC, unix.SOCK_SEQPACKET, 0); return err },
	"IPv4":                      func() error { return socket(unix.AF_INET, unix.SOCK_STREAM) },
	"IPv6":                      func() error { return socket(unix.AF_INET6, unix.SOCK_DGRAM) },
	"netlink":                   func() error { return socket(unix.AF_NETLINK, unix.SOCK_RAW) },
	"pair of Unix":              func() error { _, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0); return err },
	"packet":                    func() error { return socket(unix.AF_PACKET, unix.SOCK_RAW) },
	"io_uring":                  func() error { return call(unix.SYS_IO_URING_SETUP, 1, 0, 0) },
	"key of the host's program": func() error { return requestKey("callout") },
	"key":                       func() error { return requestKey("") },
	"core_pattern":              func() error { return write("/proc/sys/kernel/core_pattern") },
	"core_pattern, unmounted": func() error {
		_ = unix.Unmount("/proc/sys", unix.MNT_DETACH)
		return write("/proc/sys/kernel/core_pattern")
	},
	"core_pattern, remounted":     func() error { remount("/proc/sys"); return write("/proc/sys/kernel/core_pattern") },
	"core_pattern, another /proc": func() error { return unix.Mount("proc", "/mnt", "proc", 0, "") },
	"core_pattern of a chroot":    func() error { return write("/srv/sys/kernel/core_pattern") },
	"/sys of a chroot":            func() error { return write("/media/kernel/profiling") },
	"ip_forward":                  func() error { return write("/proc/sys/net/ipv4/ip_forward") },
	"/proc unmounted":             func() error { return unix.Unmount("/proc", unix.MNT_DETACH) },
	"/sys":                        func() error { return write("/sys/kernel/profiling") },
	"/sys, remounted":             func() error { remount("/sys"); return write("/sys/kernel/profiling") },
	"timer_list":                  func() error { return full("/proc/timer_list") },
	"another mount":               func() error { return unix.Mount("tmpfs", "/mnt", "tmpfs", 0, "") },
	"another network namespace":   func() error { return unix.Unshare(unix.CLONE_NEWNET) },
	"no_new_privs":                noNewPrivs,
}

func ioctl(request uint64) error { return call(unix.SYS_IOCTL, 0, uintptr(request), 0) }

func socket(family, typ int) error { _, err := unix.Socket(family, typ, 0); return err }

func call(number, a, b, c uintptr) error {
	if _, _, errno := unix.RawSyscall(number, a, b, c); errno != 0 {
		return errno
	}
	return nil
}

func requestKey(callout string) error {
	_, err := unix.RequestKey("user", "syntap-test", callout, 0)
	if callout != "" {
		return err
	}
	// The package's function always passes callout information.
	kind, description := append([]byte("user"), 0), append([]byte("syntap-test"), 0)
	_, _, errno := unix.Syscall6(unix.SYS_REQUEST_KEY, uintptr(unsafe.Pointer(&kind[0])), uintptr(unsafe.Pointer(&description[0])), 0, 0, 0, 0)
	return errno
}

// write opens a file for writing, and changes nothing.
func write(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err == nil {
		err = f.Close()
	}
	return err
}

func remount(path string) { _ = unix.Mount("", path, "", unix.MS_REMOUNT|unix.MS_BIND, "") }

// full returns nil if there is anything to read.
func full(path string) error {
	b, err := os.ReadFile(path)
	if err == nil && len(b) == 0 {
		err = errors.New("empty")
	}
	return err
}

func noNewPrivs() error {
	if on, err := unix.PrctlRetInt(unix.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0); err != nil || on == 0 {
		return errors.Join(err, errors.New("off"))
	}
	return nil
}

// printAttempts is the command that makes them.
func printAttempts() int {
	results := map[string]string{}
	for name, attempt := range attempts {
		results[name] = "done"
		err := attempt()
		if errno := syscall.Errno(0); errors.As(err, &errno) {
			results[name] = unix.ErrnoName(errno)
		} else if err != nil {
			results[name] = err.Error()
		}
	}
	if err := json.NewEncoder(os.Stdout).Encode(results); err != nil {
		return 1
	}
	return 0
}

// attempted runs a command that ends with printing attempts.
func attempted(t *testing.T, cmd *exec.Cmd) map[string]string {
	t.Helper()
	r := run(t, cmd)
	var results map[string]string
	if err := json.Unmarshal([]byte(r.Stdout), &results); err != nil || r.Status != 0 {
		t.Fatalf("%q ended with %+v, want attempts and status 0", cmd.Args, r)
	}
	for name, result := range results {
		if result == "ENOENT" { // this kernel has nothing of the kind
			delete(results, name)
		}
	}
	return results
}

// rootMay lists the kernel's answers to root's command.
func rootMay() map[string]string {
	return map[string]string{
		"TIOCSTI": "EPERM", "TIOCSTI with more bits": "EPERM", "TIOCLINUX": "EPERM", "another ioctl": "ENOTTY",
		"vsock": "EAFNOSUPPORT", "vsock with more bits": "EAFNOSUPPORT", "AF_ALG": "EAFNOSUPPORT", "pair of TIPC": "EAFNOSUPPORT",
		"IPv4": "done", "IPv6": "done", "netlink": "done", "pair of Unix": "done", "packet": "done",
		"io_uring": "ENOSYS", "key of the host's program": "EPERM", "key": "ENOKEY",
		"core_pattern": "EROFS", "core_pattern, unmounted": "EROFS", "core_pattern, remounted": "EROFS", "core_pattern, another /proc": "EPERM",
		"ip_forward": "done", "/proc unmounted": "EINVAL", "/sys": "EROFS", "/sys, remounted": "EROFS", "timer_list": "empty",
		"another mount": "done", "another network namespace": "done", "no_new_privs": "done",
	}
}

func TestRootIsConfined(t *testing.T) {
	t.Parallel()
	tuntest.RequireNetNS(t)
	if diff := cmp.Diff(rootMay(), attempted(t, self(inside(attemptsProgram)...))); diff != "" {
		t.Errorf("attempts of root's command (-want +got):\n%s", diff)
	}
}

// TestRootIsConfinedInChroots has the host mount the kernel's files in other places too.
func TestRootIsConfinedInChroots(t *testing.T) {
	t.Parallel()
	requireRoot(t)
	want := rootMay()
	want["core_pattern of a chroot"], want["/sys of a chroot"] = "EROFS", "EROFS"
	if diff := cmp.Diff(want, attempted(t, in([]string{"chroot"}, inside(attemptsProgram)...))); diff != "" {
		t.Errorf("attempts of root's command (-want +got):\n%s", diff)
	}
}

// TestRootIsConfinedWithoutUserNamespaces has root's command in the user namespace of its caller.
func TestRootIsConfinedWithoutUserNamespaces(t *testing.T) {
	t.Parallel()
	requireRoot(t)
	want := rootMay()
	for _, name := range []string{"core_pattern, another /proc", "/proc unmounted", "another mount", "another network namespace"} {
		want[name] = "EPERM" // it has no CAP_SYS_ADMIN
	}
	if diff := cmp.Diff(want, attempted(t, in([]string{"no user namespaces"}, inside(attemptsProgram)...))); diff != "" {
		t.Errorf("attempts of root's command (-want +got):\n%s", diff)
	}
}

func TestUserIsConfined(t *testing.T) {
	t.Parallel()
	requireRoot(t)
	want := rootMay()
	want["packet"] = "EAFNOSUPPORT"
	for _, name := range []string{"core_pattern", "core_pattern, unmounted", "core_pattern, remounted", "ip_forward", "timer_list"} {
		want[name] = "EACCES"
	}
	for _, name := range []string{"/proc unmounted", "another mount", "another network namespace"} {
		want[name] = "EPERM"
	}
	if diff := cmp.Diff(want, attempted(t, in([]string{"device for all", "nobody"}, inside(attemptsProgram)...))); diff != "" {
		t.Errorf("attempts of a user's command (-want +got):\n%s", diff)
	}
}

// TestNestedIsConfined has root's command start a session of its own.
func TestNestedIsConfined(t *testing.T) {
	t.Parallel()
	tuntest.RequireNetNS(t)
	nested := inside(slices.Concat([]string{"/proc/self/exe"}, inside(attemptsProgram))...)
	if diff := cmp.Diff(rootMay(), attempted(t, self(nested...))); diff != "" {
		t.Errorf("attempts in a session in a session (-want +got):\n%s", diff)
	}
}

func TestAllowSetuid(t *testing.T) {
	t.Parallel()
	tuntest.RequireNetNS(t)
	got := attempted(t, self(sessionProgram, "-allow-setuid", "--", "/proc/self/exe", attemptsProgram))
	want := rootMay()
	want["no_new_privs"] = "off"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("attempts with set-user-id programs allowed (-want +got):\n%s", diff)
	}
}

// TestHide hides a file, a socket and a directory that the command stands in, and has the host
// replace one meanwhile.
func TestHide(t *testing.T) {
	t.Parallel()
	tuntest.RequireNetNS(t)
	dir := t.TempDir()
	file, secret := dir+"/file", dir+"/secret"
	if err := errors.Join(os.WriteFile(file, []byte("secret\n"), 0o600), os.Mkdir(secret, 0o700), os.WriteFile(secret+"/file", []byte("secret\n"), 0o600)); err != nil {
		t.Fatal(err)
	}
	const script = `cat "$0/file"; ls "$0/secret" .; echo ready; while [ ! -e "$0/replaced" ]; do sleep 0.01; done
		i=0; while grep -q secret "$0/file" && [ $i -lt 1000 ]; do sleep 0.01; i=$((i+1)); done; cat "$0/file"; echo end`
	cmd := self(sessionProgram, "-hide", file, "-hide", secret, "-hide", secret+"/file", "--", "sh", "-c", script, dir)
	cmd.Dir = secret
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	lines := readUntil(t, stdout, "ready")
	if err := errors.Join(os.WriteFile(dir+"/new", []byte("secret\n"), 0o600), os.Rename(dir+"/new", file), os.WriteFile(dir+"/replaced", nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	lines += readUntil(t, stdout, "end")
	if strings.Contains(lines, "secret\n") || strings.Contains(lines, "file\n") {
		t.Errorf("the command saw %q, want nothing of what is hidden", lines)
	}
}
