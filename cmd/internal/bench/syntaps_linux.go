package main

import (
	"fmt"
	"strings"
)

// variant is syntap with something on or off.
type variant struct {
	suffix string // of its name
	about  string
	tap    string // its config but for the common lines: tap, egress and the like
	queues int    // of its TUN; 0 = auto
	store  bool
}

// variants returns syntap as it is measured beside its peers, and then those that differ from it in
// one respect each.
func variants() []variant {
	return []variant{
		{about: "with its JSON log in a file", tap: withLog("")},
		{suffix: "-nolog", about: "without sinks", tap: "tap: {log: []}\n"},
		{suffix: "-chain", about: "with a chained log", tap: withLog(", chain: true")},
		{suffix: "-rules", about: "with rules for egress, MSS and DF", tap: withLog("") + `egress:
  default: deny
  rules:
  - RULES
  - {name: "*.bench.example.com", verdict: allow}
  - {dst: [203.0.113.0/24], verdict: allow}
mss: [{clamp: pmtu}]
df: [{policy: set}]
`},
		{
			suffix: "-nonames", about: "without the names of DNS answers",
			tap: withLog("") + "egress: {names: off}\n",
		},
		{
			suffix: "-nofindings", about: "without findings",
			tap: "tap: {findings: off, log: [{format: json, path: DIR/handshakes.json}]}\n",
		},
		{
			suffix: "-fleet", about: "whose records go to a store on the same machine", store: true,
			tap: withLog("") + `fleet: {router: bench, stores: [{url: "otlp+http://` + storeAddr + "\"}]}\n",
		},
		{suffix: "-2queues", about: "with two queues", tap: withLog(""), queues: 2},
		{suffix: "-4queues", about: "with four queues", tap: withLog(""), queues: 4},
		{suffix: "-8queues", about: "with eight queues", tap: withLog(""), queues: 8},
	}
}

// withLog returns the section of a JSON log with more keys.
func withLog(more string) string {
	return "tap: {log: [{format: json, path: DIR/handshakes.json" + more + "}]}\n"
}

// syntaps returns the variants of syntap, and of its base behind each.
func syntaps() (all []router) {
	here := program{command: "syntap", variable: "SYNTAP", built: "bin/syntap"}
	base := program{command: "syntap-base", variable: "SYNTAP_BASE"}
	for _, v := range variants() {
		queues := ""
		if v.queues > 0 {
			queues = fmt.Sprintf(", queues: %d", v.queues)
		}
		common := fmt.Sprintf("tun: {name: %s, mtu: MTU%s, addresses: [198.18.0.1/30], sources: [SOURCES]}\n"+
			"route: {include: [], mark: %d}\n", tunName, queues, mark)
		r := router{
			about: v.about, variant: v.suffix != "", store: v.store, tun: true,
			args: []string{"run", "-c", "CONFIG"}, config: common + v.tap,
		}
		r.name, r.program = "syntap"+v.suffix, here
		all = append(all, r)
		r.name, r.program = "base"+v.suffix, base
		r.about = "another syntap, " + v.about
		all = append(all, r)
	}
	return all
}

// manyRules returns a thousand rules of egress, half of them with names, that match nothing.
func manyRules() string {
	var b strings.Builder
	for i := range 500 {
		fmt.Fprintf(&b, "  - {name: \"*.host%d.example.net\", ports: [443], verdict: allow}\n", i)
		fmt.Fprintf(&b, "  - {dst: [10.%d.%d.0/24], proto: tcp, verdict: allow}\n", i/256, i%256)
	}
	return strings.TrimSpace(strings.TrimPrefix(b.String(), "  - "))
}
