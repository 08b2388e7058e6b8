package config

import (
	"syntap/tap/policy"
	"syntap/tun/packet"
	"syntap/tun/route"
)

// maxCount is the most that a count in the config may be: the kernel's usual ceiling of open files
// (fs.nr_open).
const maxCount = 1 << 20

// config reads a whole config into c, which holds the defaults.
func (d *document) config(c *Config) reader {
	return d.mapping(keys{
		"tun": d.mappingWith(keys{"spin": d.renamed(c, "egress.busy_poll", value(d, &c.Egress.BusyPoll, parseBusyPoll))}, keys{
			"name":      value(d, &c.TUN.Name, parseInterface),
			"mtu":       value(d, &c.TUN.MTU, integer(1, 65535)), // the lower bound depends on the families: validateMTU
			"queues":    value(d, &c.TUN.Queues, parseQueues),
			"addresses": list(d, &c.TUN.Addresses, parseInterfaceAddress),
			"sources":   addressSet(d, &c.TUN.Sources, Host),
		}),
		"route": d.mapping(keys{
			"include":      list(d, &c.Route.Include, parsePrefix),
			"exclude":      list(d, &c.Route.Exclude, parsePrefix),
			"include_uids": list(d, &c.Route.IncludeUIDs, parseUIDs),
			"exclude_uids": list(d, &c.Route.ExcludeUIDs, parseUIDs),
			"keep_inbound": value(d, &c.Route.KeepInbound, parseBool),
			"on_crash":     value(d, &c.Route.OnCrash, oneOf(Closed, Open)),
			"enforce":      value(d, &c.Route.Enforce, oneOf(route.EnforceReject, route.EnforceCount, route.EnforceOff)),
			"mark":         value(d, &c.Route.Mark, parseMark),
			"table":        value(d, &c.Route.Table, parseTable),
			"priority":     value(d, &c.Route.Priority, integer(1, 32000)), // eight rules from there on, before the kernel's at 32766
		}),
		"egress": d.egress(&c.Egress),
		"tap": d.mapping(keys{
			"timeout":  value(d, &c.Tap.Timeout, parseDuration),
			"findings": value(d, &c.Tap.Findings, oneOf(FindingsOff, Report, Apply)),
			"log":      elements(d, &c.Tap.Log, d.sink),
		}),
		"mss": elements(d, &c.MSS, d.mssRule),
		"df":  elements(d, &c.DF, d.dfRule),
		"limits": d.mapping(keys{
			"tcp_flows":            value(d, &c.Limits.TCPFlows, integer(1, maxCount)),
			"tcp_flows_per_source": value(d, &c.Limits.TCPFlowsPerSource, integer(1, maxCount)),
			"udp_flows":            value(d, &c.Limits.UDPFlows, integer(1, maxCount)),
			"udp_flows_per_source": value(d, &c.Limits.UDPFlowsPerSource, integer(1, maxCount)),
			"half_open":            value(d, &c.Limits.HalfOpen, integer(1, maxCount)),
			"half_open_per_source": value(d, &c.Limits.HalfOpenPerSource, integer(1, maxCount)),
			"memory":               value(d, &c.Limits.Memory, parseSize),
		}),
		"fleet": d.fleet(&c.Fleet),
		"http": d.mapping(keys{
			"listen": value(d, &c.HTTP.Listen, optional(parseListen)),
		}),
		"log": d.mapping(keys{
			"level":  value(d, &c.Log.Level, oneOf("error", "warn", "info", "debug")),
			"format": value(d, &c.Log.Format, oneOf("text", "json")),
		}),
	})
}

func (d *document) sink(n node) Sink {
	var s Sink
	d.mapping(keys{
		"format":    value(d, &s.Format, oneOf(Classic, Modern, JSON, OCSF, Zeek, ECS, PCAPNG)),
		"path":      value(d, &s.Path, parsePath),
		"order":     value(d, &s.Order, oneOf(ByHandshake, ByPacket)),
		"timestamp": value(d, &s.Timestamp, parseTimestamp),
		"relative":  value(d, &s.Relative, parseBool),
		"max_size":  value(d, &s.MaxSize, parseSize),
		"max_age":   value(d, &s.MaxAge, parseDuration),
		"max_files": value(d, &s.MaxFiles, integer(0, maxCount)),
		"compress":  value(d, &s.Compress, parseBool),
		"on_full":   value(d, &s.OnFull, oneOf(Suspend, Count, Stop)),
		"chain":     value(d, &s.Chain, parseBool),
		"chain_key": value(d, &s.ChainKey, parsePath),
		"sync":      value(d, &s.Sync, parseBool),

		"chain_anchor": list(d, &s.ChainAnchor, parseAnchor),
	})(n)
	d.require(n, "format", "path")
	s.setDefaults()
	return s
}

func (d *document) mssRule(n node) MSSRule {
	r := MSSRule{Line: n.Line}
	known := d.matchKeys(&r.Match)
	known["clamp"] = value(d, &r.Clamp, parseClamp)
	known["add"] = value(d, &r.Add, parseBool)
	known["malformed"] = value(d, &r.Malformed, oneOf(policy.Pass, policy.Drop))
	known["unsafe"] = value(d, &r.Unsafe, parseBool)
	d.mapping(known)(n)
	d.require(n, "clamp")
	setDefaults(&r.Match)
	return r
}

func (d *document) dfRule(n node) DFRule {
	r := DFRule{Line: n.Line}
	known := d.matchKeys(&r.Match)
	known["policy"] = value(d, &r.Policy, parseDF)
	d.mapping(known)(n)
	d.require(n, "policy")
	setDefaults(&r.Match)
	return r
}

// matchKeys are the keys that rules of both kinds have.
func (d *document) matchKeys(m *policy.Match) keys {
	return keys{
		"src":       list(d, &m.Src, parsePrefix),
		"dst":       list(d, &m.Dst, parsePrefix),
		"ports":     list(d, &m.Ports, parsePorts),
		"direction": value(d, &m.Direction, oneOf(packet.Outbound, packet.Inbound, packet.Both)),
		"family":    value(d, &m.Family, parseFamily),
	}
}
