package tuntest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// reexecuted marks the environment of a test binary that Reexec has started.
const reexecuted = "SYNTAP_TUNTEST_REEXECUTED"

// Main is a TestMain for tests that use namespaces:
//
//	func TestMain(m *testing.M) { tuntest.Main(m) }
func Main(m *testing.M) {
	Reexec()
	os.Exit(m.Run())
}

// Reexec gives a test binary the privilege that namespaces need, and goes first in a TestMain that
// does more than Main. As root, or where there is no way to privilege, it does nothing. Otherwise
// it runs the binary again, as root of new user and network namespaces, and exits with its status.
func Reexec() {
	if os.Getenv(reexecuted) != "" {
		if err := loopbackUp(); err != nil {
			fmt.Fprintln(os.Stderr, "tuntest:", err)
			os.Exit(1)
		}
		return
	}
	if os.Geteuid() == 0 {
		return
	}
	runtime.LockOSThread() // the parent death signal is that of the thread
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Args[0] = os.Args[0]
	cmd.Env = append(os.Environ(), reexecuted+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER | unix.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}},
		Pdeathsig:   unix.SIGKILL,
	}
	if err := cmd.Start(); err != nil {
		runtime.UnlockOSThread()
		return // RequireNetNS will tell why
	}
	err := cmd.Wait()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		os.Exit(max(1, exit.ExitCode()))
	} else if err != nil {
		fmt.Fprintln(os.Stderr, "tuntest: run tests in a user namespace:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// loopbackUp brings up lo in the thread's network namespace.
func loopbackUp() error {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("find lo: %w", err)
	}
	if err := netlink.LinkSetUp(lo); err != nil {
		return fmt.Errorf("set lo up: %w", err)
	}
	return nil
}

// RequireNetNS skips the test where network namespaces or TUN interfaces cannot be made, and says
// why. With SYNTAP_REQUIRE_NETNS=1 it fails the test instead.
func RequireNetNS(tb testing.TB) {
	tb.Helper()
	err := tryNetNS()
	switch {
	case err == nil:
	case os.Getenv("SYNTAP_REQUIRE_NETNS") == "1":
		tb.Fatalf("SYNTAP_REQUIRE_NETNS=1, but namespaces do not work: %v", err)
	default:
		tb.Skipf("needs network namespaces and TUN: %v", err)
	}
}

func tryNetNS() error {
	ns, err := unshareNetNS()
	if err != nil {
		return err
	}
	defer ns.Close()
	device, err := os.OpenFile("/dev/net/tun", os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return device.Close()
}
