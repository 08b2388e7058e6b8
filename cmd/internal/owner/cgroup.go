package owner

import (
	"bytes"
	"strconv"
	"strings"
)

// place is a process's place among the cgroups, as /proc/PID/cgroup gives it (cgroups(7)).
type place struct{ unit, container string }

// parseCgroup returns the place that the text of /proc/PID/cgroup says. Systemd has its own
// hierarchy, name=systemd, or the one of version 2, or both with equal paths; container engines are
// in every hierarchy.
func parseCgroup(text []byte) (p place) {
	for line := range bytes.Lines(text) {
		_, rest, _ := strings.Cut(strings.TrimSuffix(string(line), "\n"), ":")
		controllers, path, ok := strings.Cut(rest, ":")
		if !ok {
			continue
		}
		if p.container == "" {
			p.container = containerOf(path)
		}
		if p.unit == "" && (controllers == "" || controllers == "name=systemd") {
			p.unit = unitOf(path)
		}
	}
	return p
}

// unitOf returns the unit of a cgroup: below the slices, and within a user's manager below its
// slices once more (systemd.unit(5), systemd.slice(5)). What is below that the unit itself has
// made.
func unitOf(path string) string {
	parts := belowSlices(components(path))
	if len(parts) == 0 || !isUnit(parts[0]) {
		return ""
	}
	unit := unescapeFile(parts[0])
	if !strings.HasPrefix(unit, "user@") || !strings.HasSuffix(unit, ".service") {
		return unit
	}
	inner := belowSlices(parts[1:])
	if len(inner) == 0 || !isUnit(inner[0]) || inner[0] == "init.scope" { // the manager itself
		return unit
	}
	return unescapeFile(inner[0])
}

// components returns the names in a path. A path above the root of our cgroup namespace begins with
// "/.." for each level (cgroup_namespaces(7)).
func components(path string) (parts []string) {
	for part := range strings.SplitSeq(path, "/") {
		if part != "" && part != ".." {
			parts = append(parts, part)
		}
	}
	return parts
}

func belowSlices(parts []string) []string {
	for len(parts) > 0 && strings.HasSuffix(parts[0], ".slice") {
		parts = parts[1:]
	}
	return parts
}

// isUnit reports whether a cgroup has the name of a unit that holds processes.
func isUnit(name string) bool {
	for _, suffix := range []string{".service", ".scope", ".socket", ".mount", ".swap"} {
		if stem, ok := strings.CutSuffix(name, suffix); ok {
			return stem != "" && stem != "_"
		}
	}
	return false
}

// unescapeFile removes the "_" that systemd puts before a unit's name where the cgroup would else
// look like a file of the kernel.
func unescapeFile(name string) string { return strings.TrimPrefix(name, "_") }

// containerOf returns the container of a cgroup: the outermost, because a container may make
// cgroups inside its own as it likes.
func containerOf(path string) string {
	parts := components(path)
	for i, part := range parts {
		if id := containerID(part); id != "" {
			return id
		}
		next := ""
		if i+1 < len(parts) {
			next = parts[i+1]
		}
		if name := containerName(part, next); name != "" {
			return name
		}
	}
	return ""
}

// containerID returns the id in the name of a cgroup as container engines make it: the id itself,
// or within a name such as docker-ID.scope, libpod-ID, cri-containerd-ID.scope, or
// SLICE:cri-containerd:ID. The monitor of a container is outside it.
func containerID(name string) string {
	name = strings.TrimSuffix(name, ".scope")
	if len(name) < idLength {
		return ""
	}
	prefix, id := name[:len(name)-idLength], name[len(name)-idLength:]
	if strings.Trim(id, "0123456789abcdef") != "" {
		return ""
	}
	if prefix == "" || strings.HasSuffix(prefix, ":") ||
		strings.HasSuffix(prefix, "-") && !strings.HasSuffix(prefix, "conmon-") {
		return id
	}
	return ""
}

const idLength = 64

// containerName returns the name of a container of LXC, Incus or LXD, or of systemd-nspawn, by the
// names of a cgroup and of the one below it.
func containerName(name, next string) string {
	switch {
	case strings.HasPrefix(name, "lxc.payload."):
		return strings.TrimPrefix(name, "lxc.payload.")
	case name == "lxc" || name == "lxc.payload":
		return next
	case strings.HasPrefix(name, "systemd-nspawn@") && strings.HasSuffix(name, ".service"):
		return unescape(strings.TrimSuffix(strings.TrimPrefix(name, "systemd-nspawn@"), ".service"))
	}
	machine, ok := strings.CutPrefix(strings.TrimSuffix(name, ".scope"), "machine-")
	if !ok || !strings.HasSuffix(name, ".scope") {
		return ""
	}
	machine = unescape(machine)
	if strings.HasPrefix(machine, "qemu-") { // a virtual machine of libvirt
		return ""
	}
	return machine
}

// unescape resolves the escapes of a unit's name, "\x2d" (systemd.unit(5)).
func unescape(name string) string {
	var b strings.Builder
	for len(name) > 0 {
		if strings.HasPrefix(name, `\x`) && len(name) >= 4 {
			if c, err := strconv.ParseUint(name[2:4], 16, 8); err == nil {
				b.WriteByte(byte(c))
				name = name[4:]
				continue
			}
		}
		b.WriteByte(name[0])
		name = name[1:]
	}
	return b.String()
}
