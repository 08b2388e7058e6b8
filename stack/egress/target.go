package egress

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"syntap/tun/flow"
	"syntap/tun/packet"
)

// ParseTarget reads NAME|ADDRESS|PREFIX[:PORT[-PORT]][/tcp|/udp|/icmp], the conditions of a rule in
// one word. An IPv6 address or prefix with a port stands in brackets.
func ParseTarget(s string) (r Rule, err error) {
	if strings.Contains(s, "://") {
		return r, errors.New("is a URL: give its host alone, and a port where one is meant")
	}
	s, err = r.cutProto(s)
	if err != nil {
		return r, err
	}
	host, ports, err := splitPorts(s)
	if err != nil {
		return r, err
	}
	if ports != "" {
		p, err := parsePorts(ports)
		if err != nil {
			return r, err
		}
		if len(r.Protos) > 0 && r.Protos[0] == flow.ICMP {
			return r, errors.New("icmp has no ports")
		}
		r.Ports = []packet.PortRange{p}
	}
	if p, isAddress, err := parsePrefix(host); isAddress {
		r.Dst = []netip.Prefix{p}
		return r, err
	}
	p, err := ParsePattern(host)
	r.Names = []Pattern{p}
	return r, err
}

func (r *Rule) cutProto(s string) (rest string, err error) {
	for _, p := range []flow.Proto{flow.TCP, flow.UDP, flow.ICMP} {
		if rest, ok := strings.CutSuffix(s, "/"+p.String()); ok {
			r.Protos = []flow.Proto{p}
			return rest, nil
		}
	}
	if i := strings.LastIndexByte(s, '/'); i >= 0 && !isNumber(s[i+1:]) && !strings.Contains(s[i:], "]") {
		return s, fmt.Errorf("%q is not one of tcp, udp, icmp", s[i+1:])
	}
	return s, nil
}

func isNumber(s string) bool {
	_, err := strconv.ParseUint(strings.TrimSuffix(strings.SplitN(s, ":", 2)[0], "]"), 10, 16)
	return err == nil
}

// splitPorts cuts the ports off a target, which are empty if it has none.
func splitPorts(s string) (host, ports string, err error) {
	if in, ok := strings.CutPrefix(s, "["); ok {
		host, rest, ok := strings.Cut(in, "]")
		if _, isAddress, _ := parsePrefix(host); !ok || !isAddress || !strings.Contains(host, ":") {
			return "", "", errors.New("has brackets, which are for an IPv6 address or prefix")
		}
		if rest == "" {
			return host, "", nil
		}
		ports, ok := strings.CutPrefix(rest, ":")
		if !ok || ports == "" {
			return "", "", fmt.Errorf("has %q behind its brackets, not a port", rest)
		}
		return host, ports, nil
	}
	if strings.Count(s, ":") > 1 { // an IPv6 address or prefix, or nothing
		return s, "", nil
	}
	host, ports, ok := strings.Cut(s, ":")
	if ok && ports == "" {
		return "", "", errors.New("has no port behind its colon")
	}
	return host, ports, nil
}

// parsePrefix reads a prefix, or an address as a prefix of one. isAddress is false where the text
// is neither, nor meant to be.
func parsePrefix(s string) (p netip.Prefix, isAddress bool, err error) {
	if a, err := netip.ParseAddr(s); err == nil {
		switch {
		case a.Zone() != "":
			return p, true, errors.New("has a zone")
		case a.Is4In6():
			return p, true, errors.New("is an IPv4 address in the form of IPv6")
		}
		return netip.PrefixFrom(a, a.BitLen()), true, nil
	}
	if !strings.ContainsAny(s, "/:") {
		return p, false, nil
	}
	p, err = netip.ParsePrefix(s)
	switch {
	case err != nil:
		return p, true, errors.New("is neither an address nor a prefix")
	case p.Addr().Is4In6():
		return p, true, errors.New("is an IPv4 prefix in the form of IPv6")
	case p.Masked() != p:
		return p, true, fmt.Errorf("has bits beyond its length: the prefix is %s", p.Masked())
	}
	return p, true, nil
}

func parsePorts(s string) (packet.PortRange, error) {
	from, to, isRange := strings.Cut(s, "-")
	if !isRange {
		to = from
	}
	first, errFirst := strconv.ParseUint(from, 10, 16)
	last, errLast := strconv.ParseUint(to, 10, 16)
	switch {
	case errFirst != nil || errLast != nil || first == 0:
		return packet.PortRange{}, fmt.Errorf("%q is neither a port from 1 to 65535 nor a range of them", s)
	case first > last:
		return packet.PortRange{}, fmt.Errorf("the range %s ends before it begins", s)
	}
	return packet.PortRange{First: uint16(first), Last: uint16(last)}, nil
}
