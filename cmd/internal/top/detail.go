package top

import (
	"cmp"
	"fmt"
	"strings"

	"charm.land/lipgloss/v2"

	"syntap/cmd/internal/record"
)

// detail draws the handshake as a ladder, with its lines below. Lines that do not fit are broken.
func (h *row) detail(width int) []string {
	verdict := word(h.Outcome)
	if h.SYNACK != nil && h.ACK != nil {
		total := *h.SYNACK + *h.ACK
		verdict += " in " + duration(&total)
	}
	inner := min(width, 100) - 4
	lines := []string{
		bold.Render("Handshake at "+clock(h.Time)) + "  " + outcomeStyle(h.Outcome).Render(verdict),
		"",
		spread("client "+h.client(), h.server()+" server", inner+4),
	}
	lines = append(lines, h.ladder(inner)...)
	lines = append(lines, "")
	if u := h.Upstream; u != nil {
		dial := "dialled " + u.Remote
		if u.Local != "" {
			dial += " from " + u.Local
		}
		dial += " in " + duration(&u.Dial)
		if u.MSS > 0 {
			dial += fmt.Sprintf(", MSS %d by rule", u.MSS)
		}
		if u.Error != "" {
			dial += ": " + u.Error
		}
		lines = append(lines, dial, "")
	}
	if owner := h.owner(); owner != "" {
		lines = append(lines, "opened by "+owner, "")
	}
	return append(lines, strings.Split(lipgloss.NewStyle().Width(width).Render(strings.Join(h.Lines, "\n")), "\n")...)
}

// ladder draws an arrow for each segment, between two lines for client and server.
func (h *row) ladder(inner int) (lines []string) {
	left := func(text string) { lines = append(lines, "│ "+pad(text, inner)+" │") }
	right := func(text string) {
		lines = append(lines, "│ "+strings.Repeat(" ", max(0, inner-lipgloss.Width(text)))+text+" │")
	}
	for i, s := range h.Segments {
		kind, outbound := kindOf(s.Flags), s.Dir == "outbound"
		put, arrow, wait := left, "├"+strings.Repeat("─", inner+2)+"▶", right
		if !outbound {
			put, arrow = right, "◀"+strings.Repeat("─", inner+2)+"┤"
		} else {
			wait = left
		}
		if i == 0 {
			wait = func(string) {}
		}
		switch {
		case kind == "SYN-ACK" && h.SYNACK != nil:
			wait(faint.Render("+ " + duration(h.SYNACK)))
		case kind == "ACK" && h.ACK != nil:
			wait(faint.Render("+ " + duration(h.ACK)))
		default:
			wait("")
		}
		own, other := "x", "y"
		if !outbound {
			own, other = other, own
		}
		text := bold.Render(kind)
		if s.Seq != nil {
			text += "  seq " + h.symbol(*s.Seq, own)
		}
		if s.Ack != nil {
			text += "  ack " + h.symbol(*s.Ack, other)
		}
		put(text)
		put(h.facts(kind, s.Win))
		lines = append(lines, arrow)
	}
	return lines
}

func kindOf(flags string) string {
	switch {
	case strings.Contains(flags, "R"):
		return "RST"
	case strings.Contains(flags, "S") && strings.Contains(flags, "."):
		return "SYN-ACK"
	case strings.Contains(flags, "S"):
		return "SYN"
	}
	return "ACK"
}

// symbol writes a sequence number as the first one of its side, x or y, and the distance from it.
func (h *row) symbol(n uint32, name string) string {
	first := &h.ClientISN
	if name == "y" {
		first = h.ServerISN
	}
	if first == nil {
		return fmt.Sprint(n)
	}
	switch distance := n - *first; {
	case distance == 0:
		return fmt.Sprintf("%s = %d", name, n)
	case distance < 1_000_000:
		return fmt.Sprintf("%s+%d = %d", name, distance, n)
	}
	return fmt.Sprint(n)
}

// facts lists the rest of a segment.
func (h *row) facts(kind string, win *uint16) string {
	var facts []string
	if win != nil {
		facts = append(facts, fmt.Sprintf("win %d", *win))
	}
	packet, o := strings.ToLower(kind), (*record.Offer)(nil)
	switch kind {
	case "SYN":
		o = h.Client
	case "SYN-ACK":
		packet, o = "synack", h.Server
	}
	rewritten := make(map[string]bool)
	for _, w := range h.Rewrites {
		if w.Packet == packet {
			rewritten[w.What] = true
			text := fmt.Sprintf("%s %s → %s, rule %d", strings.ToUpper(w.What), cmp.Or(w.From, "none"), w.To, w.Rule)
			facts = append(facts, changed.Render(text))
		}
	}
	if o == nil {
		return strings.Join(facts, "  ")
	}
	if o.MSS != nil && !rewritten["mss"] {
		facts = append(facts, fmt.Sprintf("MSS %d", *o.MSS))
	}
	if o.DF != nil && !rewritten["df"] {
		facts = append(facts, map[bool]string{true: "DF", false: "no DF"}[*o.DF])
	}
	if o.WScale != nil {
		facts = append(facts, fmt.Sprintf("window × %d", 1<<*o.WScale))
	}
	if o.SACKOK {
		facts = append(facts, "SACK")
	}
	if o.TS != nil {
		facts = append(facts, "timestamps")
	}
	if o.ECN {
		facts = append(facts, "ECN")
	}
	return strings.Join(append(facts, fmt.Sprintf("TTL %d", o.TTL)), "  ")
}

// pad fills a line that may have styles up to a width.
func pad(text string, width int) string {
	return text + strings.Repeat(" ", max(0, width-lipgloss.Width(text)))
}

// spread puts one text at the left and another at the right.
func spread(left, right string, width int) string {
	return left + strings.Repeat(" ", max(2, width-lipgloss.Width(left)-lipgloss.Width(right))) + right
}
