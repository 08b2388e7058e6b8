package top

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"charm.land/lipgloss/v2"
)

// segmentLine reads a line in tcpdump's modern notation: source, flags, seq, ack, window.
var segmentLine = regexp.MustCompile(`^IP6? (\S+) > \S+: Flags \[([^\]]*)\](?:, seq (\d+)(?::\d+)?)?(?:, ack (\d+))?(?:, win (\d+))?`)

// detail draws the handshake as a ladder, with its lines below. Lines that do not fit are broken.
func (r *record) detail(width int) []string {
	verdict := word(r.Outcome)
	if r.SYNACK != nil && r.ACK != nil {
		total := *r.SYNACK + *r.ACK
		verdict += " in " + duration(&total)
	}
	inner := min(width, 100) - 4
	lines := []string{
		bold.Render("Handshake at "+clock(r.Time)) + "  " + outcomeStyle(r.Outcome).Render(verdict),
		"",
		spread("client "+r.client(), r.server()+" server", inner+4),
	}
	lines = append(lines, r.ladder(inner)...)
	lines = append(lines, "")
	if u := r.Upstream; u != nil {
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
	if owner := r.owner(); owner != "" {
		lines = append(lines, "opened by "+owner, "")
	}
	return append(lines, strings.Split(lipgloss.NewStyle().Width(width).Render(strings.Join(r.Lines, "\n")), "\n")...)
}

// ladder draws an arrow for each segment, between two lines for client and server.
func (r *record) ladder(inner int) (lines []string) {
	left := func(text string) { lines = append(lines, "│ "+pad(text, inner)+" │") }
	right := func(text string) {
		lines = append(lines, "│ "+strings.Repeat(" ", max(0, inner-lipgloss.Width(text)))+text+" │")
	}
	var acked string // what the SYN-ACK has acknowledged
	for i, line := range r.Lines {
		m := segmentLine.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		from, flags, seq, ack, win := m[1], m[2], m[3], m[4], m[5]
		outbound := from == r.Src+"."+strconv.Itoa(r.Sport)
		kind := kindOf(flags)
		if kind == "SYN-ACK" {
			acked = ack
		}
		if kind == "ACK" && outbound && seq == "" { // a bare ACK has its number only in the packet
			seq = acked
		}
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
		case kind == "SYN-ACK" && r.SYNACK != nil:
			wait(faint.Render("+ " + duration(r.SYNACK)))
		case kind == "ACK" && r.ACK != nil:
			wait(faint.Render("+ " + duration(r.ACK)))
		default:
			wait("")
		}
		own, other := "x", "y"
		if !outbound {
			own, other = other, own
		}
		text := bold.Render(kind)
		if seq != "" {
			text += "  seq " + r.symbol(seq, own)
		}
		if ack != "" {
			text += "  ack " + r.symbol(ack, other)
		}
		put(text)
		put(r.facts(kind, win))
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

// symbol writes a number as the first one of its side, x or y, and how far it is from it.
func (r *record) symbol(digits, name string) string {
	n, _ := strconv.ParseUint(digits, 10, 32) // digits they are
	first := &r.ClientISN
	if name == "y" {
		first = r.ServerISN
	}
	if first == nil {
		return digits
	}
	switch distance := uint32(n) - *first; {
	case distance == 0:
		return name + " = " + digits
	case distance < 1_000_000:
		return fmt.Sprintf("%s+%d = %s", name, distance, digits)
	}
	return digits
}

// facts lists what a segment says besides its numbers.
func (r *record) facts(kind, win string) string {
	facts := []string{"win " + win}
	packet, o := strings.ToLower(kind), (*offer)(nil)
	switch kind {
	case "SYN":
		o = r.Client
	case "SYN-ACK":
		packet, o = "synack", r.Server
	}
	rewritten := make(map[string]bool)
	for _, w := range r.Rewrites {
		if w.Packet == packet {
			rewritten[w.What] = true
			facts = append(facts, changed.Render(fmt.Sprintf("%s %s → %s, rule %d", strings.ToUpper(w.What), w.From, w.To, w.Rule)))
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
