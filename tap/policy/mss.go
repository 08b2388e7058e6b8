package policy

import (
	"encoding/binary"
	"net/netip"

	"syntap/tun/packet"
)

// Kinds of TCP options (RFC 9293 §3.2), and the length of the one that matters.
const (
	kindEnd = 0
	kindNOP = 1
	kindMSS = 2

	lenMSS = 4
)

// What a sender assumes of a receiver that sends no MSS option (RFC 9293 §3.7.1).
const (
	defaultMSS4 = 536
	defaultMSS6 = 1220
)

// RewriteMSS applies the first matching mss rule to a SYN or SYN-ACK and appends what it has
// changed to done. A segment whose headers are not whole in p.Buf passes as it is.
//
// pathMTU returns the MTU of the path to the server. It is called if a rule depends on it; 0, or a
// nil pathMTU, means that it is unknown.
func (r *Rules) RewriteMSS(done []Rewrite, p *Packet, pathMTU func() packet.MTU) ([]Rewrite, Verdict) {
	h := p.Headers
	if !r.HasMSS() || !h.TCP || h.End > len(p.Buf) || h.Fragment == packet.FirstFragment {
		return done, Pass
	}
	client, server := p.ends()
	c := r.mss.find(client, server, p.Direction)
	if c == nil {
		return done, Pass
	}
	options := p.Buf[h.Offset+tcpOptions : h.End]
	if c.rule.Malformed == Drop && malformed(options) {
		c.hits.Add(1)
		return done, Drop
	}
	limit, ok := r.limit(&c.rule, client.Addr(), server.Addr(), pathMTU)
	if !ok {
		return done, Pass
	}
	before := len(done)
	done, found := p.clamp(done, options, limit, c.number)
	if !found && c.rule.Add {
		done = p.addMSS(done, limit, c.number)
	}
	if len(done) > before {
		c.hits.Add(1)
	}
	return done, Pass
}

// limit returns the bound that a rule sets on the MSS between a client and a server. It reports
// false if the rule sets none, or if the MTU leaves no room for payload.
func (r *Rules) limit(
	rule *MSSRule, client, server netip.Addr, pathMTU func() packet.MTU,
) (mss packet.MSS, ok bool) {
	if rule.Clamp == ClampAuto {
		if r.o.Learned != nil {
			mss = r.o.Learned(client, server)
		}
		return mss, mss > 0
	}
	if rule.Clamp != ClampPMTU {
		return packet.MSS(rule.Clamp), rule.Clamp != ClampOff
	}
	mtu := r.o.MTU
	if pathMTU != nil {
		if path := pathMTU(); path > 0 && (path < mtu || mtu == 0) {
			mtu = path
		}
	}
	limit := mtu.MSS(server.Is6())
	return limit, limit > 0
}

// clamp lowers every MSS option above limit. found reports whether there was one.
//
// It walks the list as Linux does (net/netfilter/xt_TCPMSS.c): an end-of-list option or an
// impossible length, which end the list for most receivers, do not end the walk.
func (p *Packet) clamp(done []Rewrite, options []byte, limit packet.MSS, rule int) (_ []Rewrite, found bool) {
	for i := 0; i+lenMSS <= len(options); {
		kind, length := options[i], int(options[i+1])
		if kind == kindMSS && length == lenMSS {
			found = true
			if old := binary.BigEndian.Uint16(options[i+2:]); packet.MSS(old) > limit {
				p.put(tcpOptions+i+2, uint16(limit))
				done = append(done, Rewrite{What: "mss", From: int(old), To: int(limit), Rule: rule})
			}
		}
		if kind <= kindNOP || length == 0 {
			length = 1
		}
		i += length
	}
	return done, found
}

// addMSS adds the option if possible. Without it the sender would have assumed the default value,
// so a larger one would raise the MSS.
func (p *Packet) addMSS(done []Rewrite, limit packet.MSS, rule int) []Rewrite {
	mss := min(limit, defaultMSS4)
	if p.Headers.Version == 6 {
		mss = min(limit, defaultMSS6)
	}
	if p.insert([4]byte{kindMSS, lenMSS, byte(mss >> 8), byte(mss)}) {
		done = append(done, Rewrite{What: "mss", From: None, To: int(mss), Rule: rule})
	}
	return done
}

// malformed reports whether a list cannot be read to its end: an option has a length below 2 or
// beyond the header.
func malformed(options []byte) bool {
	for len(options) > 0 && options[0] != kindEnd {
		length := 1
		if options[0] != kindNOP {
			if len(options) < 2 || options[1] < 2 {
				return true
			}
			length = int(options[1])
		}
		if length > len(options) {
			return true
		}
		options = options[length:]
	}
	return false
}

// UpstreamMSS returns the MSS that the host socket of a flow must not exceed (TCP_MAXSEG), or 0
// if the kernel decides. The option bounds both ways of that leg, so a rule for either direction
// counts; of two the lower bound. pathMTU is as in RewriteMSS.
func (r *Rules) UpstreamMSS(client, server netip.AddrPort, pathMTU func() packet.MTU) packet.MSS {
	outbound, inbound := r.mss.find(client, server, packet.Outbound), r.mss.find(client, server, packet.Inbound)
	if inbound == outbound {
		inbound = nil
	}
	var lowest packet.MSS
	for _, c := range [...]*compiled[MSSRule]{outbound, inbound} {
		if c == nil {
			continue
		}
		if mss, ok := r.limit(&c.rule, client.Addr(), server.Addr(), pathMTU); ok && (lowest == 0 || mss < lowest) {
			lowest = mss
		}
	}
	return lowest
}
