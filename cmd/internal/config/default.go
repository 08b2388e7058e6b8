package config

import (
	"cmp"
	"net/netip"
	"time"

	"syntap/tap/policy"
	"syntap/tun/packet"
	"syntap/tun/route"
)

// Default returns the config of an empty file. Defaults stand here and, for the elements of lists,
// in the methods below, and nowhere else: configs/default.yaml and configs/reference.yaml are
// tested against it.
func Default() *Config {
	return &Config{
		TUN: TUN{
			Name:      "syntap0",
			MTU:       1500,
			Addresses: []netip.Prefix{netip.MustParsePrefix("198.18.0.1/30"), netip.MustParsePrefix("fd53:7974::1/126")},
			Sources:   AddressSet{Words: []string{Host}},
		},
		Route: Route{
			Include:     []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")},
			KeepInbound: true,
			OnCrash:     Closed,
			Enforce:     route.EnforceReject,
			Mark:        0x5359,
			Table:       5359,
			Priority:    5359,
		},
		Egress: Egress{
			DialTimeout:       10 * time.Second,
			KeepaliveIdle:     2 * time.Hour, // this and the next two are Linux's
			KeepaliveInterval: 75 * time.Second,
			KeepaliveProbes:   9,
			UDPTimeout:        5 * time.Minute,
			ICMPTimeout:       time.Minute,
			BusyPoll:          100 * time.Microsecond,
			Deny:              AddressSet{Words: []string{Loopback, LinkLocalForwarded, Host, Multicast}},
			Default:           Allow,
			Names:             NamesAuto,
		},
		Tap: Tap{
			Timeout:  5 * time.Second,
			Findings: Report,
			Log:      []Sink{{Format: Classic, Path: "-", Order: ByHandshake, OnFull: Suspend}},
		},
		Limits: Limits{
			TCPFlows: 16384, TCPFlowsPerSource: 4096, UDPFlows: 16384, UDPFlowsPerSource: 4096,
			HalfOpen: 4096, HalfOpenPerSource: 1024, Memory: 256 * MiB,
		},
		Fleet: Fleet{Fields: []string{allFields}, Delay: time.Second, Spool: 10 * GiB, OnFull: Count},
		Log:   Log{Level: "info", Format: "text"},
	}
}

// setDefaults fills in the keys that the file leaves out.
func (s *Sink) setDefaults() {
	s.OnFull = cmp.Or(s.OnFull, Suspend)
	if s.Format.IsText() {
		s.Order = cmp.Or(s.Order, ByHandshake)
	}
}

// setDefaults fills in the keys of a rule that the file leaves out.
func setDefaults(m *policy.Match) { m.Direction = cmp.Or(m.Direction, packet.Both) }
