package namespace_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"syntap/tun/tuntest"
)

// in returns a command that runs another of the test binary's programs on a machine changed by the
// given steps.
func in(steps []string, args ...string) *exec.Cmd {
	cmd := self(slices.Concat([]string{settingProgram, strings.Join(steps, ",")}, args)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS}
	if slices.Contains(steps, "no user namespaces") || slices.Contains(steps, "no network namespaces") { // these limits hold for a user namespace and those within
		cmd.SysProcAttr.Cloneflags |= unix.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	return cmd
}

// enterSetting takes the steps, which work on this process alone, and becomes the program.
func enterSetting(steps string, program []string) int {
	runtime.LockOSThread()
	err := unix.Mount("", "/", "", unix.MS_PRIVATE|unix.MS_REC, "")
	for step := range strings.SplitSeq(steps, ",") {
		if err == nil {
			err = take(step)
		}
	}
	if err == nil {
		err = unix.Exec("/proc/self/exe", append([]string{"/proc/self/exe"}, program...), os.Environ())
	}
	fmt.Fprintln(os.Stderr, "setting:", err)
	return 1
}

func take(step string) error {
	unix.Umask(0o022) // every user may read what a step makes
	switch step {
	case "device for all":
		return replaceDevice(0o666)
	case "device for root":
		return replaceDevice(0o600)
	case "no device":
		return unix.Mount("tmpfs", "/dev/net", "tmpfs", 0, "")
	case "nobody":
		const nobody = 65534
		if err := syscall.Setgroups(nil); err != nil {
			return err
		}
		if err := syscall.Setgid(nobody); err != nil {
			return err
		}
		return syscall.Setuid(nobody)
	case "no capabilities":
		for c := range uintptr(unix.CAP_LAST_CAP + 1) {
			if err := unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0); err != nil {
				return err
			}
		}
		return nil
	case "no user namespaces":
		return os.WriteFile("/proc/sys/user/max_user_namespaces", []byte("0"), 0)
	case "no network namespaces":
		return os.WriteFile("/proc/sys/user/max_net_namespaces", []byte("0"), 0)
	case "chroot": // of some program of the host
		return errors.Join(unix.Mount("proc", "/srv", "proc", 0, ""), unix.Mount("sysfs", "/media", "sysfs", 0, ""))
	case "no /sys":
		return unix.Unmount("/sys", unix.MNT_DETACH)
	case "seccomp":
		return refuseUserNamespaces()
	case "systemd-resolved":
		return replaceEtc()
	default: // NAME=VALUE
		return replaceSysctl(step)
	}
}

func replaceDevice(mode uint32) error {
	if err := unix.Mount("tmpfs", "/dev/net", "tmpfs", 0, ""); err != nil {
		return err
	}
	if err := unix.Mknod("/dev/net/tun", unix.S_IFCHR, int(unix.Mkdev(10, 200))); err != nil {
		return err
	}
	return unix.Chmod("/dev/net/tun", mode)
}

// replaceSysctl sets a parameter below kernel that this kernel need not have.
func replaceSysctl(setting string) error {
	name, value, _ := strings.Cut(setting, "=")
	if err := unix.Mount("tmpfs", "/proc/sys/kernel", "tmpfs", 0, ""); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join("/proc/sys/kernel", name), []byte(value+"\n"), 0o644)
}

// replaceEtc makes resolv.conf the symbolic link that it is with systemd-resolved.
func replaceEtc() error {
	if err := unix.Mount("tmpfs", "/etc", "tmpfs", 0, ""); err != nil {
		return err
	}
	if err := os.Mkdir("/etc/run", 0o755); err != nil {
		return err
	}
	if err := os.Symlink("run/stub-resolv.conf", "/etc/resolv.conf"); err != nil {
		return err
	}
	return os.WriteFile("/etc/run/stub-resolv.conf", []byte("nameserver 127.0.0.53\noptions edns0\n"), 0o644)
}

// refuseUserNamespaces has the kernel refuse clone with CLONE_NEWUSER, as the seccomp filter of a
// container does.
func refuseUserNamespaces() error {
	const (
		number   = 0  // offsetof(struct seccomp_data, nr)
		firstArg = 16 // its args[0], lower half on a little-endian machine
		allow    = unix.SECCOMP_RET_ALLOW
		refuse   = unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)
	)
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: number},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.SYS_CLONE, Jf: 3},
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: firstArg},
		{Code: unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K, K: unix.CLONE_NEWUSER, Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: refuse},
		{Code: unix.BPF_RET | unix.BPF_K, K: allow},
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	return unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&program)), 0, 0)
}

// requireRoot skips a test that needs more than the root of a user namespace: device nodes and
// other users.
func requireRoot(t *testing.T) {
	t.Helper()
	tuntest.RequireNetNS(t)
	if uids := strings.Fields(readFile("/proc/self/uid_map")); len(uids) < 3 || uids[2] == "1" {
		t.Skip("needs root outside of user namespaces")
	}
}

func TestUnprivileged(t *testing.T) {
	t.Parallel()
	requireRoot(t)
	got := learn(t, in([]string{"device for all", "nobody"}, inside(factsProgram)...))
	want := facts{
		Interfaces:     []string{"lo 65536 [127.0.0.1/8 ::1/128]", "syntap0 1400 [198.18.0.1/30 fd53:7974::1/126]"},
		ProcessOne:     "syntap-init /proc/self/exe facts ",
		Processes:      2,
		ResolvConf:     got.ResolvConf,
		PingGroupRange: "65534\t65534",
		UID:            65534,
		GID:            65534,
		Capabilities:   "0000000000000000",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("facts (-want +got):\n%s", diff)
	}
}

// TestRootKeepsUsers shows that root can become another user inside, who then has no capability.
func TestRootKeepsUsers(t *testing.T) {
	t.Parallel()
	requireRoot(t)
	command := []string{"/proc/self/exe", settingProgram, "nobody", factsProgram}
	got := learn(t, self(inside(command...)...))
	if got.UID != 65534 || got.GID != 65534 || strings.Trim(got.Capabilities, "0") != "" {
		t.Errorf("after setuid: uid %d, gid %d, capabilities %s; want 65534, 65534, none", got.UID, got.GID, got.Capabilities)
	}
}

func TestMissing(t *testing.T) {
	t.Parallel()
	requireRoot(t)
	tests := []struct {
		name  string
		steps []string
		want  result
	}{
		{"no device", []string{"no device"}, result{Status: 1, Stderr: "syntap: open /dev/net/tun: no such file or directory\n" +
			"hint: load its module with \"modprobe tun\"; a container needs --device /dev/net/tun\n"}},
		{"device of root", []string{"device for root", "nobody"}, result{Status: 1, Stderr: "syntap: open /dev/net/tun: permission denied\n" +
			"hint: run as root, or let every user open it with \"chmod 0666 /dev/net/tun\"\n"}},
		{"limit", []string{"no user namespaces", "no capabilities"}, result{Status: 1, Stderr: "syntap: create user namespace: not permitted: user.max_user_namespaces is 0\n" +
			"hint: raise it with \"sysctl user.max_user_namespaces=16384\"\n"}},
		{"limit of another kind", []string{"no network namespaces"}, result{Status: 1, Stderr: "syntap: create user namespace: not permitted: user.max_net_namespaces is 0\n" +
			"hint: raise it with \"sysctl user.max_net_namespaces=16384\"\n"}},
		{"/sys is not needed", []string{"no /sys"}, result{}},
		{"limit does not matter to root", []string{"no user namespaces"}, result{}},
		{"seccomp", []string{"device for all", "nobody", "seccomp"}, result{Status: 1, Stderr: "syntap: create user namespace: not permitted: a security policy denies it\n" +
			"hint: run as root; a container needs a seccomp profile that lets clone make a user namespace\n"}},
		// Debian's patch answers clone with EPERM, as the filter does.
		{"Debian", []string{"device for all", "unprivileged_userns_clone=0", "nobody", "seccomp"}, result{Status: 1, Stderr: "syntap: create user namespace: not permitted: kernel.unprivileged_userns_clone is 0\n" +
			"hint: allow them with \"sysctl kernel.unprivileged_userns_clone=1\", or run as root\n"}},
		{"Ubuntu", []string{"device for all", "apparmor_restrict_unprivileged_userns=1", "nobody", "seccomp"}, result{Status: 1, Stderr: "syntap: create user namespace: not permitted: AppArmor restricts it: kernel.apparmor_restrict_unprivileged_userns is 1\n" +
			"hint: run as root, or set it to 0 with sysctl, or give syntap a profile with \"userns,\"\n"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tt.want, run(t, in(tt.steps, inside("true")...))); diff != "" {
				t.Errorf("session in the setting %q (-want +got):\n%s", tt.steps, diff)
			}
		})
	}
}

// TestResolvConf has the host's resolver listen on its loopback.
func TestResolvConf(t *testing.T) {
	t.Parallel()
	tuntest.RequireNetNS(t)
	got := learn(t, in([]string{"systemd-resolved"}, inside(factsProgram)...))
	if want := "nameserver 198.18.0.2\noptions edns0\n"; got.ResolvConf != want {
		t.Errorf("resolv.conf = %q, want %q", got.ResolvConf, want)
	}
}
