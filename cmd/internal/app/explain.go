//go:build linux

package app

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"syntap/cmd/internal/config"
	"syntap/cmd/internal/hint"
	"syntap/tun/route"
)

// explain adds the remedy to an error of opening the TUN or of changing the host.
func explain(err error, c *config.Config, stateDir string) error {
	path := new(fs.PathError)
	ofPath := errors.As(err, &path)
	var remedy string
	switch {
	case errors.Is(err, syscall.EMFILE):
		remedy = moreDescriptors
	case errors.Is(err, syscall.ENOTTY):
		remedy = "/dev/net/tun is not the kernel's TUN device: mknod /dev/net/tun c 10 200"
	case ofPath && strings.HasPrefix(path.Path, stateDir):
		remedy = "the journal, by which a crash is cleaned up, needs a directory that can be " +
			`written: name one in RUNTIME_DIRECTORY, here and for "syntap cleanup"`
	case ofPath && strings.HasSuffix(path.Path, "/disable_ipv6"):
		remedy = "IPv6 is off here and /proc/sys cannot be written, as in a container: start it " +
			"with the sysctl net.ipv6.conf.default.disable_ipv6=0, or leave IPv6 out of " +
			"tun.addresses and route.include"
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
		remedy = fmt.Sprintf("stop the program that uses them, clean up after a dead one with "+
			`"syntap cleanup", or set another route.table than %d and route.priority than %d`,
			c.Route.Table, c.Route.Priority)
	default:
		return err
	}
	return hint.Fail(err, remedy)
}
