package config

import (
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"

	"syntap/tap/policy"
	"syntap/tun/route"
)

// validate notes values that are right by themselves and wrong together.
func (d *document) validate(c *Config) {
	if c.Route.OnCrash == Open && !d.gives("route.enforce") {
		c.Route.Enforce = route.EnforceCount
	}
	for _, r := range d.outdated {
		if d.gives(r.now) {
			d.blame(remedy("remove the key", "is %s now, which is set too", r.now), r.old)
		}
	}
	if guard := fmt.Sprintf("guard%d", c.Route.Table); c.TUN.Name == guard {
		d.blame(fmt.Errorf("%s is the interface that takes the traffic after a crash", guard), "tun.name")
	}
	d.validateMTU(c)
	for i, prefix := range c.Route.Exclude {
		if j := slices.Index(c.Route.Include, prefix); j >= 0 {
			d.blame(fmt.Errorf("is the same as route.include[%d]", j), fmt.Sprintf("route.exclude[%d]", i))
		}
	}
	if perSource, total := c.Limits.HalfOpenPerSource, c.Limits.HalfOpen; perSource > total {
		d.blame(fmt.Errorf("%d is more than half_open, %d", perSource, total), "limits.half_open_per_source")
	}
	if perSource, total := c.Limits.UDPFlowsPerSource, c.Limits.UDPFlows; perSource > total {
		d.blame(fmt.Errorf("%d is more than udp_flows, %d", perSource, total), "limits.udp_flows_per_source")
	}
	if perSource, total := c.Limits.TCPFlowsPerSource, c.Limits.TCPFlows; perSource > total {
		d.blame(fmt.Errorf("%d is more than tcp_flows, %d", perSource, total), "limits.tcp_flows_per_source")
	}
	if c.Limits.Memory < minMemory {
		d.blame(remedy("remove the key to use 256MiB", "%s is less than %s", c.Limits.Memory, minMemory), "limits.memory")
	}
	d.validateEgress(&c.Egress)
	d.validateSinks(c.Tap.Log)
	d.validateFleet(&c.Fleet, c.Tap.Log)
	for i, rule := range c.MSS {
		if rule.Clamp == policy.ClampAuto && c.Tap.Findings == FindingsOff {
			d.blame(errors.New("has no effect with tap.findings off"), fmt.Sprintf("mss[%d].clamp", i))
		}
		d.validateMSS(fmt.Sprintf("mss[%d]", i), rule)
	}
	for i, rule := range c.DF {
		d.validateDF(fmt.Sprintf("df[%d]", i), rule)
	}
}

// minMemory is enough for some bulk connections and some hundred others.
const minMemory = 16 * MiB

// validateMTU asks for 1280 bytes where the TUN has to carry IPv6: with less the kernel switches
// IPv6 off on it.
func (d *document) validateMTU(c *Config) {
	is6 := func(p netip.Prefix) bool { return p.Addr().Is6() }
	carries6 := slices.ContainsFunc(c.TUN.Addresses, is6) || slices.ContainsFunc(c.Route.Include, is6)
	const keep = "remove the key to use 1500"
	switch {
	case c.TUN.MTU < 1280 && carries6:
		d.blame(remedy(keep, "%d is below the IPv6 minimum 1280 (RFC 8200 §5)", c.TUN.MTU), "tun.mtu")
	case c.TUN.MTU < 576:
		d.blame(remedy(keep, "%d is below 576, which every IPv4 host accepts (RFC 791 §3.1)", c.TUN.MTU), "tun.mtu")
	}
}

func (d *document) validateSinks(sinks []Sink) {
	user := make(map[string]int) // sink of each path
	for i, s := range sinks {
		key := fmt.Sprintf("tap.log[%d].", i)
		refuse := func(err error, names ...string) {
			for _, name := range names {
				if d.gives(key + name) {
					d.blame(err, key+name)
				}
			}
		}
		if s.Format != "" && !s.Format.IsText() {
			refuse(fmt.Errorf("is for classic and modern, not for %s", s.Format), "order", "timestamp", "relative")
		}
		if s.Format != "" && s.Format != JSON {
			refuse(fmt.Errorf("is for json, not for %s", s.Format), "chain", "chain_key", "chain_anchor")
		} else if !s.Chain {
			refuse(errors.New("has no effect without chain: true"), "chain_key", "chain_anchor")
		}
		if s.Path == "-" {
			refuse(errors.New("is for files, not for standard output"), "max_size", "max_age", "max_files", "compress", "sync")
		}
		if s.Path != "-" && s.MaxSize == 0 && s.MaxAge == 0 {
			refuse(errors.New("has no effect without max_size or max_age"), "max_files", "compress")
		}
		// Lines of several sinks may share standard output; a capture and a file may not be shared.
		file := filepath.Clean(s.Path)
		if j, taken := user[file]; taken && s.Path != "" && (s.Path != "-" || s.Format == PCAPNG || sinks[j].Format == PCAPNG) {
			refuse(fmt.Errorf("is the same as tap.log[%d].path", j), "path")
		} else if !taken {
			user[file] = i
		}
	}
	d.validateAnchors(sinks, user)
}

// validateAnchors sees to it that each head has a file of its own; the journal has room for all.
func (d *document) validateAnchors(sinks []Sink, paths map[string]int) {
	user := make(map[string]int) // sink of each anchor
	for i, s := range sinks {
		for j, path := range s.ChainAnchor {
			key := fmt.Sprintf("tap.log[%d].chain_anchor[%d]", i, j)
			if k, taken := paths[filepath.Clean(path)]; taken {
				d.blame(fmt.Errorf("is the same as tap.log[%d].path", k), key)
			}
			log, isHead := strings.CutSuffix(filepath.Clean(path), ".head") // as the log names it
			if k, taken := paths[log]; taken && isHead {
				d.blame(remedy("name a file elsewhere", "is the head beside tap.log[%d].path", k), key)
			}
			if k, taken := user[path]; taken && k != i && path != Journald && path != FleetAnchor {
				d.blame(fmt.Errorf("is an anchor of tap.log[%d] too", k), key)
			}
			user[path] = i
		}
	}
}

func (d *document) validateMSS(key string, r MSSRule) {
	if r.Clamp >= MinUnsafeMSS && r.Clamp < MinMSS && !r.Unsafe {
		d.blame(remedy(`add "unsafe: true" to the rule to use it all the same`, "%w", belowMinMSS(r.Clamp)), key+".clamp")
	}
	if r.Add && r.Clamp == policy.ClampOff && d.gives(key+".clamp") {
		d.blame(errors.New("has no effect with clamp off"), key+".add")
	}
	if v4, v6 := r.Families(); !v4 && !v6 {
		d.blame(errors.New("can match no packet: src, dst and family exclude each other"), key)
	}
}

func (d *document) validateDF(key string, r DFRule) {
	if v4, _ := r.Families(); !v4 {
		d.blame(errors.New("can match no packet: only IPv4 has the DF bit"), key)
	}
}
