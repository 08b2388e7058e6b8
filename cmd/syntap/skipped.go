package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"syntap/tap/capture"
	"syntap/tun/packet"
)

// skipped counts the packets of captures that are not looked into.
type skipped struct {
	tunnels map[capture.Tunnel]int // TCP segments
	frames  map[string]int         // frames and packets, by their content
}

// count takes a packet whose lines are not printed.
func (s *skipped) count(p *capture.Packet) {
	last := p
	inner, outermost := p.Inner()
	for depth := 1; inner != nil; depth++ {
		var h packet.Headers
		h.Parse(inner.Network, inner.NetworkLength)
		if h.Proto == packet.ProtoTCP {
			if s.tunnels == nil {
				s.tunnels = make(map[capture.Tunnel]int)
			}
			s.tunnels[outermost]++
			return
		}
		if depth == maxTunnels {
			return
		}
		last = inner
		inner, _ = inner.Inner()
	}
	if content := last.Unread(); content != "" {
		if s.frames == nil {
			s.frames = make(map[string]int)
		}
		s.frames[content]++
	}
}

// print says on w how many there were, and reports whether there were any.
func (s *skipped) print(w io.Writer, in captures, decap bool) bool {
	if len(s.tunnels) > 0 {
		unit := "TCP segments in"
		if only := slices.Collect(maps.Values(s.tunnels)); len(only) == 1 && only[0] == 1 {
			unit = "TCP segment in"
		}
		remedy := "; --decap looks inside"
		if decap {
			remedy = fmt.Sprintf(", more than %d tunnels deep", maxTunnels)
		}
		fmt.Fprintf(w, "syntap: skipped %s%s\n", list(s.tunnels, unit), remedy)
	}
	if len(s.frames) > 0 {
		fmt.Fprintf(w, "syntap: skipped %s\n", list(s.frames, ""))
	}
	links := make(map[capture.LinkType]int)
	for _, c := range in {
		for link, n := range c.reader.Skipped() {
			links[link] += n
		}
	}
	for _, link := range slices.Sorted(maps.Keys(links)) {
		fmt.Fprintf(w, "syntap: skipped %s of link type %d, which is not supported\n", packetCount(links[link]), link)
	}
	return len(s.tunnels)+len(s.frames)+len(links) > 0
}

func packetCount(n int) string {
	if n == 1 {
		return "1 packet"
	}
	return fmt.Sprint(n, " packets")
}

// list returns numbers and names, the largest number first: "207 TCP segments in GRE, 12 in VXLAN".
func list[K ~string](counts map[K]int, unit string) string {
	names := slices.Sorted(maps.Keys(counts))
	slices.SortStableFunc(names, func(x, y K) int { return counts[y] - counts[x] })
	var words []string
	for _, name := range names {
		words = append(words, strings.Join(strings.Fields(fmt.Sprint(counts[name], " ", unit, " ", name)), " "))
		if unit != "" {
			unit = "in"
		}
	}
	return strings.Join(words, ", ")
}
