package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"syntap/cmd/internal/hint"
)

// router is one way from the client to the far end. In its texts CONFIG stands for the path of its
// config, DIR for an empty directory, and CLIENT for the namespace of its client.
type router struct {
	name    string
	about   string
	program program
	args    []string
	config  string
	ip      string // commands for ip(8), once it runs

	tun             bool // the client's traffic is routed into its TUN
	clientNamespace bool // it makes the network of a namespace where the client runs
	own             bool // it is the plain relay, a child of this program
}

// routers returns all that can be measured, in the order of the table. Their TUN has the given MTU.
func routers(mtu int) []router {
	var (
		syntap    = program{command: "syntap", variable: "SYNTAP", built: "bin/syntap"}
		base      = program{command: "syntap-base", variable: "SYNTAP_BASE"}
		singBox   = program{command: "sing-box", variable: "SING_BOX"}
		tun2socks = program{command: "tun2socks", variable: "TUN2SOCKS"}
		pasta     = program{command: "pasta", variable: "PASTA"}
	)
	return []router{
		{name: direct, about: "no router: the kernel's own path"},
		{name: baseline, about: "a copy between two kernel sockets, without a TUN", own: true},
		{
			name: "syntap", about: "with its JSON log in a file", program: syntap, tun: true,
			args: []string{"run", "-c", "CONFIG"}, config: syntapConfig(mtu, "{format: json, path: DIR/handshakes.json}"),
		},
		{
			name: "base", about: "another syntap, with its JSON log in a file", program: base, tun: true,
			args: []string{"run", "-c", "CONFIG"}, config: syntapConfig(mtu, "{format: json, path: DIR/handshakes.json}"),
		},
		{
			name: "syntap-nolog", about: "syntap without sinks", program: syntap, tun: true,
			args: []string{"run", "-c", "CONFIG"}, config: syntapConfig(mtu, ""),
		},
		{
			name: "base-nolog", about: "another syntap, without sinks", program: base, tun: true,
			args: []string{"run", "-c", "CONFIG"}, config: syntapConfig(mtu, ""),
		},
		{
			name: "sing-gvisor", about: "sing-box with its gvisor stack, which is netstack", program: singBox, tun: true,
			args: []string{"run", "-c", "CONFIG"}, config: singBoxConfig(mtu, "gvisor"),
		},
		{
			name: "sing-system", about: "sing-box with its system stack, the host's TCP", program: singBox, tun: true,
			args: []string{"run", "-c", "CONFIG"}, config: singBoxConfig(mtu, "system"),
		},
		{
			name: "tun2socks", about: "with its direct proxy", program: tun2socks, tun: true,
			args: strings.Fields(fmt.Sprintf("--device %s --proxy direct:// --fwmark %d --loglevel error --mtu %d", tunName, mark, mtu)),
			ip:   fmt.Sprintf("address replace 198.18.0.1/30 dev %[1]s\nlink set %[1]s mtu %[2]d up\n", tunName, mtu),
		},
		{
			name: "pasta", about: "no TUN: the network of a namespace", program: pasta, clientNamespace: true,
			args: strings.Fields(fmt.Sprintf(
				"--quiet --foreground --runas 0 --config-net --mtu %d --netns-only --no-netns-quit --netns CLIENT", mtu)),
		},
	}
}

func syntapConfig(mtu int, sinks string) string {
	return fmt.Sprintf(`tun: {name: %s, mtu: %d, addresses: [198.18.0.1/30]}
route: {include: [], mark: %d}
tap: {log: [%s]}
`, tunName, mtu, mark, sinks)
}

func singBoxConfig(mtu int, stack string) string {
	return fmt.Sprintf(`{
  "log": {"level": "error"},
  "inbounds": [{"type": "tun", "tag": "t", "interface_name": %q, "mtu": %d,
    "address": ["198.18.0.1/30"], "auto_route": false, "stack": %q}],
  "outbounds": [{"type": "direct", "tag": "d", "routing_mark": %d}],
  "route": {"final": "d"}
}
`, tunName, mtu, stack, mark)
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
func (r *router) command(path, dir string) ([]string, error) {
	if r.own {
		command := []string{self, childArgument, "relay"}
		for _, port := range []string{farPort, bulkPort} {
			command = append(command, r.target(port), net.JoinHostPort(farAddr, port))
		}
		return command, nil
	}
	config := filepath.Join(dir, "config")
	fill := strings.NewReplacer("CONFIG", config, "DIR", dir, "CLIENT", clientName(dir))
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
	c := column{name: r.name, about: r.about, config: r.config}
	if path := paths[r.program.command]; path != "" {
		c.version = versionOf(path)
		c.command = strings.Join(append([]string{r.program.command}, r.args...), " ")
	}
	return c
}
