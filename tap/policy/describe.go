package policy

import (
	"fmt"
	"net/netip"
	"strings"

	"syntap/tun/packet"
)

// String describes the rule in a sentence, as it was understood.
func (r MSSRule) String() string {
	action := "MSS as it is"
	switch {
	case r.Clamp == ClampPMTU:
		action = "MSS at most path MTU - 40 (IPv4) or - 60 (IPv6)"
	case r.Clamp == ClampAuto:
		action = "MSS at most what is found to pass"
	case r.Clamp != ClampOff:
		action = fmt.Sprintf("MSS at most %d", r.Clamp)
	}
	if r.Add && r.Clamp != ClampOff {
		action += fmt.Sprintf(", added where missing (at most %d for IPv4, %d for IPv6)", defaultMSS4, defaultMSS6)
	}
	if r.Malformed == Drop {
		action += ", dropped with malformed options"
	}
	return r.Match.describe("SYN", "SYN-ACK", "SYN and SYN-ACK") + ": " + action
}

// String describes the rule in a sentence, as it was understood.
func (r DFRule) String() string {
	action := map[packet.DF]string{
		packet.PreserveDF: "DF as it is",
		packet.SetDF:      "DF set",
		packet.ClearDF:    "DF cleared, a zero identification made random",
		packet.EnforceDF:  "DF set, fragments of the client refused",
	}[r.Policy]
	r.Family = 4
	return r.Match.describe("outbound packets", "inbound packets", "packets") + ": " + action
}

// describe lists the conditions of m, beginning with the word for its direction.
func (m Match) describe(outbound, inbound, both string) string {
	words := []string{both}
	if m.Direction == packet.Outbound {
		words[0] = outbound
	} else if m.Direction == packet.Inbound {
		words[0] = inbound
	}
	if m.Family != 0 {
		words = append(words, fmt.Sprintf("IPv%d", m.Family))
	}
	if len(m.Src) > 0 {
		words = append(words, "client in "+anyOf(m.Src, netip.Prefix.String))
	}
	if len(m.Dst) > 0 {
		words = append(words, "server in "+anyOf(m.Dst, netip.Prefix.String))
	}
	if len(m.Ports) > 0 {
		words = append(words, "server port "+anyOf(m.Ports, packet.PortRange.String))
	}
	return strings.Join(words, ", ")
}

func anyOf[T any](all []T, text func(T) string) string {
	words := make([]string, len(all))
	for i, v := range all {
		words[i] = text(v)
	}
	return strings.Join(words, " or ")
}
