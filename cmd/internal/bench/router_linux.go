package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"syntap/cmd/internal/hint"
)

// router is one way from the client to the far end. In its texts CONFIG stands for the path of its
// config, DIR for an empty directory, CLIENT for the namespace of its client, MTU for that of its
// TUN, SOURCES for those who may send into it, and RULES for a thousand rules of egress that
// nothing matches.
type router struct {
	name    string
	about   string
	program program
	args    []string
	config  string
	ip      string // commands for ip(8), once it runs

	variant         bool // of syntap or its base: with something on or off
	store           bool // it has a store for its records beside it
	tun             bool // the client's traffic is routed into its TUN
	clientNamespace bool // it makes the network of a namespace where the client runs
	own             bool // it is the plain relay, a child of this program
}

// quicload is the load and the far end of QUIC.
var quicload = program{command: "quicload", variable: "QUICLOAD", built: "bin/quicload"}

// routers returns all that can be measured, in the order of the table.
func routers() []router {
	var (
		singBox   = program{command: "sing-box", variable: "SING_BOX"}
		tun2socks = program{command: "tun2socks", variable: "TUN2SOCKS"}
		pasta     = program{command: "pasta", variable: "PASTA"}
	)
	all := []router{
		{name: direct, about: "no router: the kernel's own path"},
		{name: baseline, about: "a copy between two kernel sockets, without a TUN", own: true},
		{
			name: "sing-gvisor", about: "sing-box with its gvisor stack, which is netstack", program: singBox, tun: true,
			args: []string{"run", "-c", "CONFIG"}, config: singBoxConfig("gvisor"),
		},
		{
			name: "sing-system", about: "sing-box with its system stack, the host's TCP", program: singBox, tun: true,
			args: []string{"run", "-c", "CONFIG"}, config: singBoxConfig("system"),
		},
		{
			name: "tun2socks", about: "with its direct proxy", program: tun2socks, tun: true,
			args: strings.Fields(fmt.Sprintf(
				"--device %s --proxy direct:// --fwmark %d --loglevel error --mtu MTU", tunName, mark)),
			ip: fmt.Sprintf("address replace 198.18.0.1/30 dev %[1]s\nlink set %[1]s mtu MTU up\n", tunName),
		},
		{
			name: "pasta", about: "no TUN: the network of a namespace", program: pasta, clientNamespace: true,
			args: strings.Fields("--quiet --foreground --runas 0 --config-net --mtu MTU " +
				"--netns-only --no-netns-quit --netns CLIENT"),
		},
	}
	return slices.Insert(all, 2, syntaps()...)
}

func singBoxConfig(stack string) string {
	return fmt.Sprintf(`{
  "log": {"level": "error"},
  "inbounds": [{"type": "tun", "tag": "t", "interface_name": %q, "mtu": MTU,
    "address": ["198.18.0.1/30"], "auto_route": false, "stack": %q}],
  "outbounds": [{"type": "direct", "tag": "d", "routing_mark": %d}],
  "route": {"final": "d"}
}
`, tunName, stack, mark)
}

// target is where the client connects to for a port of the far ends.
func (r *router) target(port string) string {
	if r.own {
		return net.JoinHostPort(routerAddr, port)
	}
	return net.JoinHostPort(farAddr, port)
}

// clientName is where the client's namespace has a name for a router that joins it.
func clientName(dir string) string { return filepath.Join(dir, "client") }

// command returns the router's command line, after writing its config into a directory of its own.
func (r *router) command(path, dir string, p place) ([]string, error) {
	if r.own {
		command := []string{self, childArgument, "relay"}
		for _, port := range []string{farPort, bulkPort} {
			command = append(command, r.target(port), net.JoinHostPort(farAddr, port))
		}
		return command, nil
	}
	config := filepath.Join(dir, "config")
	sources := "host"
	if p.gateway {
		sources += ", " + lan
	}
	fill := strings.NewReplacer("CONFIG", config, "DIR", dir, "CLIENT", clientName(dir),
		"MTU", strconv.Itoa(p.mtu), "SOURCES", sources, "RULES", manyRules())
	if r.config != "" {
		if err := os.WriteFile(config, []byte(fill.Replace(r.config)), 0o600); err != nil {
			return nil, fmt.Errorf("write config: %w", err)
		}
	}
	command := []string{path}
	for _, arg := range r.args {
		command = append(command, fill.Replace(arg))
	}
	return command, nil
}

// choose returns the routers with the given names and the paths of their programs; no names stand
// for all that are installed.
func choose(all []router, chosen []string, getenv func(string) string) ([]router, map[string]string, error) {
	for _, name := range chosen {
		if !slices.ContainsFunc(all, func(r router) bool { return r.name == name }) {
			return nil, nil, hint.Usage(fmt.Errorf("unknown router %q", name), "one of "+strings.Join(names(all), ", "))
		}
	}
	var found []router
	paths := make(map[string]string)
	for _, r := range all {
		if len(chosen) > 0 && !slices.Contains(chosen, r.name) {
			continue
		}
		if p := r.program; p.command != "" {
			path, err := p.find(getenv)
			if err != nil && (len(chosen) > 0 || getenv(p.variable) != "") {
				return nil, nil, hint.Fail(err, "install it, or name it with "+p.variable+"=PATH")
			} else if err != nil {
				continue
			}
			paths[p.command] = path
		}
		found = append(found, r)
	}
	return found, paths, nil
}

// names returns the names of routers.
func names(routers []router) (all []string) {
	for _, r := range routers {
		all = append(all, r.name)
	}
	return all
}

// describe returns the report's line about a router.
func describe(r router, paths map[string]string) column {
	c := column{name: r.name, about: r.about, config: r.config, variant: r.variant}
	if path := paths[r.program.command]; path != "" {
		c.version = versionOf(path)
		c.command = strings.Join(append([]string{r.program.command}, r.args...), " ")
	}
	return c
}
