package chain

import "syntap/cmd/internal/record"

// written are members that every record of a type has in its log.
var written = map[string][]string{
	"handshake": {
		"proto", "outcome", "family", "src", "sport", "dst", "dport", "client_isn", "client",
		"syn_retransmits", "synack_retransmits", "simultaneous", "lines", "segments", "rewrites",
		"community_id",
	},
	"datagram": {"proto", "family", "src", "sport", "dst", "dport", "length", "community_id"},
	"flow": {
		"proto", "family", "src", "sport", "dst", "dport", "duration_us", "outbound_bytes",
		"inbound_bytes", "community_id",
	},
	"finding": {"kind", "confidence", "flows", "applied"},
}

// isPartial reports whether a record lacks members that it has in its log: those that left the host
// are not all (fleet.fields). Its hash is that of the whole record. It says so itself, unless an
// older syntap has shipped it.
func isPartial(line []byte) bool {
	has, message := make(map[string]bool), ""
	record.Scan(line, func(key, value []byte) {
		has[string(key)] = true
		if string(key) == "msg" {
			message = string(record.Text(value))
		}
	})
	if has["partial"] || has["run_id"] && !has["host"] {
		return true
	}
	for _, key := range written[message] {
		if !has[key] {
			return true
		}
	}
	return false
}

// IsPartial reports whether a record has the members of a chain, but not all others.
func IsPartial(line []byte) bool {
	_, chained := record.LinkOf(line)
	return chained && isPartial(line)
}
