//go:build linux

package host

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"syntap/cmd/internal/config"
	"syntap/cmd/internal/hint"
	"syntap/cmd/internal/limits"
	"syntap/tun/route"
)

// Explain adds the remedy to an error of opening the TUN or of changing the host.
func Explain(err error, c *config.Config, stateDir string) error {
	path := new(fs.PathError)
	ofPath := errors.As(err, &path)
	var remedy string
	switch {
	case errors.Is(err, syscall.EMFILE):
		remedy = limits.MoreDescriptors
	case errors.Is(err, route.ErrJournal):
		remedy = forceHint
	case errors.Is(err, syscall.ENOTTY),
		ofPath && path.Path == "/dev/net/tun" && errors.Is(err, syscall.EISDIR):
		remedy = "/dev/net/tun is not the kernel's TUN device: mknod /dev/net/tun c 10 200"
	case ofPath && strings.HasPrefix(path.Path, stateDir):
		remedy = "the journal, by which a crash is cleaned up, needs a directory that can be " +
			`written: name one in RUNTIME_DIRECTORY, here and for "syntap cleanup"`
	case ofPath && strings.HasPrefix(path.Path, "/proc/") && errors.Is(err, os.ErrNotExist):
		remedy = "mount -t proc proc /proc"
	case ofPath && strings.HasSuffix(path.Path, "/disable_ipv6"):
		remedy = "IPv6 is off here and /proc/sys cannot be written, as in a container: start it " +
			"with the sysctl net.ipv6.conf.default.disable_ipv6=0, or leave IPv6 out of " +
			"tun.addresses and route.include"
	case ofPath && path.Path == "/dev/net/tun" && errors.Is(err, syscall.EACCES):
		remedy = `run it as root, or let its user open the device; of the service's user ` +
			`"systemd-tmpfiles --create syntap.conf" does that`
	case ofPath && path.Path == "/dev/net/tun" && errors.Is(err, syscall.EPERM):
		remedy = "the container's device list forbids it: start the container with --device /dev/net/tun"
	case errors.Is(err, os.ErrPermission):
		remedy = `run it as root or with CAP_NET_ADMIN; without either, "syntap exec" routes a ` +
			"single command"
	case errors.Is(err, os.ErrExist):
		remedy = "stop the program that has the interface, or set another tun.name"
	case errors.Is(err, os.ErrNotExist):
		remedy = "load the kernel's TUN driver: modprobe tun"
	case errors.Is(err, route.ErrRunning):
		remedy = "stop it, or set another tun.name"
	case errors.Is(err, route.ErrInUse):
		remedy = `stop the program that uses it, or clean up after a dead one with "syntap cleanup", ` +
			"or set " + another(err, c)
	default:
		return err
	}
	return hint.Fail(err, remedy)
}

// another returns the config keys that let a run avoid rules, routes and tables of others.
func another(err error, c *config.Config) string {
	var e *route.InUseError
	switch {
	case !errors.As(err, &e):
	case e.Table != 0:
		return fmt.Sprintf("route.table: %d", e.Table)
	case e.Priority != 0:
		return fmt.Sprintf("route.priority: %d", e.Priority)
	}
	return fmt.Sprintf("another tun.name than %s, route.table than %d or route.priority than %d",
		c.TUN.Name, c.Route.Table, c.Route.Priority)
}

// forceHint is the remedy for a journal that cannot be read.
const forceHint = `"syntap cleanup --force -c FILE" undoes all that a run with the config FILE ` +
	"changes, and removes the journal"
