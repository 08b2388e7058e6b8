package namespace

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"syntap/cmd/internal/hint"
)

// checkDevice reports whether this user may make TUN interfaces. Opening the device alone does
// nothing.
func checkDevice() error {
	f, err := os.OpenFile("/dev/net/tun", os.O_RDWR, 0)
	if err == nil {
		return f.Close()
	}
	remedy := `load its module with "modprobe tun"; a container needs --device /dev/net/tun`
	switch {
	case errors.Is(err, unix.EACCES):
		remedy = `run as root, or let every user open it with "chmod 0666 /dev/net/tun"`
	case errors.Is(err, unix.EPERM):
		remedy = "the container's device list forbids it: start the container with --device /dev/net/tun"
	}
	return hint.Fail(err, remedy)
}

// explainNamespaces names the obstacle to a user namespace; err comes from the attempt.
func explainNamespaces(err error) error {
	switch {
	case errors.Is(err, unix.ENOSPC):
		for _, kind := range []string{"user", "net", "mnt", "pid"} {
			if name := "max_" + kind + "_namespaces"; sysctl("user/"+name) == "0" {
				return forbidden("user."+name+" is 0", `raise it with "sysctl user.`+name+`=16384"`)
			}
		}
		return forbidden("a limit user.max_*_namespaces is reached", "raise the limit with sysctl")
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOSYS):
		return forbidden("this kernel has none", "run as root")
	case !errors.Is(err, unix.EPERM):
		return fmt.Errorf("create user namespace: %w", err)
	case sysctl("kernel/unprivileged_userns_clone") == "0":
		return forbidden("kernel.unprivileged_userns_clone is 0",
			`allow them with "sysctl kernel.unprivileged_userns_clone=1", or run as root`)
	case sysctl(restriction) == "1":
		return restrictedByAppArmor()
	}
	return forbidden("a security policy denies it",
		"run as root; a container needs a seccomp profile that lets clone make a user namespace")
}

func forbidden(reason, remedy string) error {
	return hint.Fail(fmt.Errorf("create user namespace: not permitted: %s", reason), remedy)
}

// restriction lets a user namespace come into being and then denies the capabilities in it.
const restriction = "kernel/apparmor_restrict_unprivileged_userns"

func restrictedByAppArmor() error {
	return forbidden("AppArmor restricts it: kernel.apparmor_restrict_unprivileged_userns is 1",
		`run as root, or set it to 0 with sysctl, or give syntap a profile with "userns,"`)
}

// explainFailure turns a failed step of init into an error.
func explainFailure(r report) error {
	if r.Errno == unix.EPERM && sysctl(restriction) == "1" {
		return restrictedByAppArmor()
	}
	if r.Namespace {
		return explainNamespaces(r.Errno)
	}
	if r.Errno == unix.EEXIST {
		return hint.Fail(errors.New(r.Failed),
			"the network of --netns has one already: it needs to be without a way out, and without another exec")
	}
	return errors.New(r.Failed)
}

// sysctl returns the setting's value, "" if this kernel has no such setting.
func sysctl(name string) string {
	b, _ := os.ReadFile("/proc/sys/" + name)
	return strings.TrimSpace(string(b))
}
