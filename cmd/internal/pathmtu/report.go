package pathmtu

import (
	"fmt"
	"strings"
)

// Report returns the result as text, some lines.
func (r *Result) Report() string {
	var b strings.Builder
	speaks := string(r.Protocol)
	if r.Protocol != Unknown {
		speaks = strings.ToUpper(speaks)
	}
	fmt.Fprintf(&b, "%s (%s)\n", r.Address, speaks)
	line := func(name, text string) { fmt.Fprintf(&b, "  %-6s %s\n", name, text) }
	line("path", r.Picture())
	line("up", r.Up.describe(r.noUp))
	line("down", r.Down.describe(r.noDown))
	icmp := "no word"
	if r.ICMP != nil {
		icmp = fmt.Sprintf("path MTU %d", *r.ICMP)
	}
	line("icmp", icmp)
	line("mss", fmt.Sprintf("%d announced, %d received", r.MSS.Client, r.MSS.Server))
	verdict := r.Verdict
	if verdict == Both {
		verdict = "black hole up and down"
	}
	fmt.Fprintf(&b, "%s\n", verdict)
	if r.Clamp != nil {
		fmt.Fprintf(&b, "cure: mss: [{dst: [\"%s\"], clamp: %d}]\n", r.Address.Addr().WithZone(""), *r.Clamp)
	}
	return b.String()
}

// describe says which sizes pass.
func (s *Sizes) describe(absent string) string {
	switch {
	case s == nil:
		return absent
	case s.Fails == nil:
		return fmt.Sprintf("%d bytes pass", s.Passes)
	case s.silent:
		return fmt.Sprintf("%d bytes pass, %d vanish", s.Passes, *s.Fails)
	default:
		return fmt.Sprintf("%d bytes pass, %d are refused by ICMP", s.Passes, *s.Fails)
	}
}

// Picture draws the path: the largest packet that reaches each hop that answers, and a cross where
// larger ones vanish, such as "1500 ─ 1500 ─ 1400 ✗".
func (r *Result) Picture() string {
	passes := r.LinkMTU
	if r.Up != nil {
		passes = r.Up.Passes
	}
	stages := []string{fmt.Sprint(r.LinkMTU)}
	narrow := false
	for _, hop := range r.Hops {
		if hop.Far {
			break
		}
		if !hop.Full && passes < r.LinkMTU {
			narrow = true
			break
		}
		stages = append(stages, fmt.Sprint(r.LinkMTU))
	}
	if narrow || passes < r.LinkMTU {
		stages = append(stages, fmt.Sprint(passes))
	}
	picture := strings.Join(stages, " ─ ")
	if r.Up != nil && r.Up.silent {
		picture += " ✗"
	}
	if r.Down != nil && r.Down.silent {
		picture += fmt.Sprintf(", back ✗ %d", r.Down.Passes)
	}
	return picture
}
