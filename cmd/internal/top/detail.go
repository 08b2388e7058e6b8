package top

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"charm.land/lipgloss/v2"

	"syntap/cmd/internal/format"
	"syntap/cmd/internal/record"
	"syntap/cmd/internal/terminal"
	"syntap/tun/flow"
)

// detail draws the connection as a ladder down to its end, with the facts and lines below. Lines
// that do not fit are broken.
func (r *row) detail(width int) []string {
	inner := min(width, 100) - 4
	h := r.handshake()
	verdict := terminal.Clean(word(r.outcome()))
	if f := r.first(); f.SYNACKDelay >= 0 && f.ACKDelay >= 0 {
		verdict += " in " + span(f.SYNACKDelay+f.ACKDelay)
	}
	lines := []string{
		bold.Render(r.title()+" at "+clock(r.Start())) + "  " + outcomeStyle(r.outcome()).Render(verdict),
		"",
		spread("client "+r.client(), endpoint(r.first().Server, r.first().Proto)+" server", inner+4),
	}
	if h != nil {
		lines = append(lines, h.ladder(inner)...)
	}
	lines = append(lines, r.ending(inner)...)
	lines = append(lines, "")
	for _, fact := range r.facts(h) {
		lines = append(lines, wrap(terminal.Clean(fact), width)...)
	}
	if h != nil {
		lines = append(lines, "")
		lines = append(lines, wrap(strings.Join(h.Lines, "\n"), width)...)
	}
	return lines
}

func wrap(text string, width int) []string {
	return strings.Split(lipgloss.NewStyle().Width(width).Render(text), "\n")
}

// handshake returns the record of the handshake; nil where it is none, or has not come.
func (r *row) handshake() *opened {
	if r.Opening == nil || r.Opening.Type != format.Handshake {
		return nil
	}
	h, err := parse(r.text)
	if err != nil {
		return nil
	}
	return h
}

func (r *row) title() string {
	switch {
	case r.first().Proto == flow.ICMP:
		return "Ping"
	case r.question() != "" && r.first().Proto == flow.UDP:
		return "DNS query"
	case r.first().Proto == flow.UDP:
		return "UDP flow"
	case r.Opening == nil:
		return "Connection"
	}
	return "Handshake"
}

// ending draws the payload and the end.
func (r *row) ending(inner int) (lines []string) {
	line := func(text string) { lines = append(lines, "│ "+pad(text, inner)+" │") }
	e := r.End
	switch {
	case r.State == format.Alive:
		line("open")
		return lines
	case r.State == format.EndMissing:
		line("its end is not on record")
		return lines
	case e == nil:
		return nil
	}
	line("")
	packets := func(n uint64) string {
		if r.first().Proto == flow.TCP {
			return ""
		}
		return fmt.Sprintf(" in %d packets", n)
	}
	out, in := format.Size(e.Bytes.Outbound)+packets(e.Packets.Outbound), format.Size(e.Bytes.Inbound)+packets(e.Packets.Inbound)
	line(spread(out+" →", "← "+in, inner))
	line(faint.Render("lasted " + span(max(e.Duration, 0))))
	rail := strings.Repeat("─", inner+2)
	kind := map[string]string{"fin": "FIN", "rst": "RST"}[e.Close]
	switch {
	case e.ClosedBy == "router":
		line("the router reset both sides")
	case e.Close == "timeout":
		line("timeout: the " + terminal.Clean(e.ClosedBy) + " no longer acknowledged")
	case kind != "" && e.ClosedBy == "client":
		line(bold.Render(kind))
		lines = append(lines, "├"+rail+"▶")
	case kind != "":
		line(strings.Repeat(" ", max(0, inner-len(kind))) + bold.Render(kind))
		lines = append(lines, "◀"+rail+"┤")
	}
	return lines
}

// facts lists the rest that is known of a connection, one a line.
func (r *row) facts(h *opened) (facts []string) {
	add := func(name, value string) {
		if value != "" {
			facts = append(facts, name+" "+value)
		}
	}
	f, e := r.first(), r.End
	if e == nil {
		e = new(format.Record)
	}
	add("name", strings.Join(nonEmpty(f.Name, f.Names), ", "))
	add("asked for", strings.TrimSpace(cmp.Or(e.SNI, f.SNI)+" "+e.HTTPHost))
	for _, q := range f.Queries {
		add("query", q.Type+" "+q.Name)
	}
	add("response", e.RCode)
	for _, a := range e.Answers {
		add("answer", a.Type+" "+a.Data)
	}
	if h != nil && h.Upstream != nil {
		add("dialled", dialled(h.Upstream))
	}
	add("opened by", r.owner())
	add("program", f.Owner.Exe)
	add("unit", f.Owner.Unit)
	add("container", f.Owner.Container)
	if f.Verdict != "" {
		add(map[bool]string{true: "denied by", false: "allowed by"}[f.Denied()], strings.TrimSuffix(f.Rule+": "+f.Reason, ": "))
	}
	return facts
}

// owner says which process of this host has opened the connection; "" if none is known.
func (r *row) owner() string {
	o := &r.first().Owner
	var words []string
	if o.Process != "" {
		words = append(words, o.Process)
	}
	if o.PID != 0 {
		words = append(words, fmt.Sprintf("process %d", o.PID))
	}
	switch {
	case o.User != "":
		words = append(words, "user "+o.User)
	case o.Known:
		words = append(words, fmt.Sprintf("user %d", o.UID))
	}
	return strings.Join(words, ", ")
}

func dialled(u *record.Upstream) string {
	text := u.Remote
	if u.Local != "" {
		text += " from " + u.Local
	}
	text += " in " + span(time.Duration(u.Dial)*time.Microsecond)
	if u.MSS > 0 {
		text += fmt.Sprintf(", MSS %d by rule", u.MSS)
	}
	if u.Error != "" {
		text += ": " + u.Error
	}
	return text
}

// ladder draws an arrow for each segment, between two lines for client and server.
func (h *opened) ladder(inner int) (lines []string) {
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
			wait(faint.Render("+ " + micros(h.SYNACK)))
		case kind == "ACK" && h.ACK != nil:
			wait(faint.Render("+ " + micros(h.ACK)))
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

func micros(us *int64) string { return span(time.Duration(*us) * time.Microsecond) }

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
func (h *opened) symbol(n uint32, name string) string {
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
func (h *opened) facts(kind string, win *uint16) string {
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

// nonEmpty returns a name, if there is one, and others.
func nonEmpty(name string, others []string) []string {
	if name == "" {
		return others
	}
	return append([]string{name}, others...)
}
