package namespace

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"syntap/cmd/internal/hint"
)

// lookupSockets are those by which a libc has a service of the host look names up, past the TUN.
// Where it does not see them, it asks the nameservers itself (nss-resolve(8), nscd(8)).
var lookupSockets = []string{"/run/systemd/resolve/io.systemd.Resolve", "/run/nscd/socket"}

// resolveHidden returns where the paths to be hidden really are, and the lookup sockets that
// exist.
func resolveHidden(paths []string) ([]string, error) {
	var all []string
	for _, path := range paths {
		resolved, err := resolvePath(path)
		if err != nil {
			return nil, hint.Usage(fmt.Errorf("hide %s: %w", path, cause(err)), "name a file, socket or directory that exists")
		}
		if resolved == "/" {
			return nil, hint.Usage(errors.New("hide /: nothing would be left to run"), "name a file, socket or directory below it")
		}
		all = append(all, resolved)
	}
	for _, path := range lookupSockets {
		resolved, err := resolvePath(path)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) || slices.Contains(all, resolved) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("hide %s: %w", path, cause(err))
		}
		all = append(all, resolved)
	}
	return all, nil
}

func resolvePath(path string) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	return filepath.EvalSymlinks(abs)
}

// rootSockets are those of services that run programs as root for each of their clients.
var rootSockets = []string{
	"/run/docker.sock", "/run/podman/podman.sock", "/run/containerd/containerd.sock", "/run/k3s/containerd/containerd.sock",
	"/run/crio/crio.sock", "/run/buildkit/buildkitd.sock", "/run/libvirt/libvirt-sock", "/run/libvirt/virtqemud-sock",
	"/var/lib/lxd/unix.socket", "/var/snap/lxd/common/lxd/unix.socket", "/var/lib/incus/unix.socket", "/run/snapd.socket",
}

// forRoot are those of services that let only root do so: other users need a rule or a password.
var forRoot = []string{"/run/dbus/system_bus_socket", "/run/systemd/private"}

// RootDoors returns the sockets of the host by which the command, which is this user's, could have
// something done outside as root, except for those that are hidden.
func RootDoors(hide []string) []string {
	hidden, _ := resolveHidden(hide) // Start reports the error
	candidates := rootSockets
	if os.Geteuid() == 0 {
		candidates = slices.Concat(rootSockets, forRoot)
	}
	var doors []string
	for _, path := range candidates {
		resolved, err := resolvePath(path)
		if err != nil || unix.Access(resolved, unix.W_OK) != nil {
			continue
		}
		info, err := os.Stat(resolved)
		isHidden := slices.ContainsFunc(hidden, func(h string) bool { return resolved == h || strings.HasPrefix(resolved, h+"/") })
		if err == nil && info.Mode().Type() == fs.ModeSocket && !isHidden {
			doors = append(doors, resolved)
		}
	}
	return doors
}
