package tap

import (
	"sync/atomic"

	"syntap/tun/packet"
)

// dropReason says why a frame is not passed on. Its word is a label of the metric
// syntap_drops_total and stays.
type dropReason uint8

const (
	pass dropReason = iota
	dropMalformed
	dropFragment
	dropExtensionHeaders
	dropChecksum
	dropFlags
	dropLand
	dropSource
	dropTCPFlows
	dropTCPFlowsSource
	dropRenewal
	dropWaiting
	dropRefused
	dropSYNACK
	dropThird
	dropICMP
	dropOptions
	dropDF
	dropReasons // their number
)

var dropWords = [dropReasons]string{
	dropMalformed:        "malformed",            // no IP packet, or lengths that lie
	dropFragment:         "tcp_fragment",         // TCP in pieces
	dropExtensionHeaders: "extension_headers",    // TCP behind headers we do not walk
	dropChecksum:         "checksum",             // IP or TCP checksum wrong, or its offload fields
	dropFlags:            "syn_flags",            // SYN with FIN or RST
	dropLand:             "land",                 // source = destination
	dropSource:           "source",               // a SYN from an address that no client may have
	dropTCPFlows:         "tcp_flows",            // a SYN beyond Options.TCPFlows
	dropTCPFlowsSource:   "tcp_flows_per_source", // a SYN beyond Options.TCPFlowsPerSource
	dropRenewal:          "syn_rate",             // a SYN with yet another number on one 4-tuple
	dropWaiting:          "waiting",              // a SYN while Options.Admission says Wait
	dropRefused:          "refused",              // the same with Refuse: the client gets an ICMP error
	dropSYNACK:           "synack",               // a SYN-ACK of the client
	dropThird:            "third_segment",        // no acceptable third segment
	dropICMP:             "icmp_tcp",             // an ICMP error of the client's side about TCP, unlike one about sizes
	dropOptions:          "tcp_options",          // TCP options that an mss rule refuses: they cannot be parsed
	dropDF:               "ip_fragment",          // a fragment, where a df rule refuses it
}

// dropProblems holds the reason of each problem of a packet.
var dropProblems = [...]dropReason{
	packet.Malformed:        dropMalformed,
	packet.TCPFragment:      dropFragment,
	packet.ExtensionHeaders: dropExtensionHeaders,
	packet.SYNFlags:         dropFlags,
}

func (r dropReason) String() string { return dropWords[r] }

// dropCounts counts dropped frames by reason.
type dropCounts [dropReasons]atomic.Uint64

func (c *dropCounts) snapshot() map[string]uint64 {
	m := make(map[string]uint64, dropReasons-1)
	for r := pass + 1; r < dropReasons; r++ {
		m[r.String()] = c[r].Load()
	}
	return m
}
