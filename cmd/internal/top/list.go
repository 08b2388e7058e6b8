package top

import (
	"cmp"
	"errors"
	"fmt"
	"image/color"
	"strconv"
	"strings"

	tea "charm.land/bubbletea/v2"
	"charm.land/lipgloss/v2"
	"github.com/charmbracelet/x/ansi"

	"syntap/cmd/internal/filter"
	"syntap/cmd/internal/format"
	"syntap/cmd/internal/hint"
	"syntap/cmd/internal/terminal"
	"syntap/tap/handshake"
)

// around is how many lines the screen has besides those of the list.
const around = 5

// Colours are those of the terminal, so they fit its background. They stand for outcomes and
// rewrites only.
var (
	bold     = lipgloss.NewStyle().Bold(true)
	faint    = lipgloss.NewStyle().Faint(true)
	selected = lipgloss.NewStyle().Reverse(true)
	changed  = lipgloss.NewStyle().Foreground(lipgloss.Cyan).Bold(true)
	wrong    = lipgloss.NewStyle().Foreground(lipgloss.Red)
)

// outcomeStyle returns how an outcome is written.
func outcomeStyle(outcome string) lipgloss.Style {
	colors := map[string]color.Color{
		string(handshake.Established): lipgloss.Green, string(handshake.Refused): lipgloss.Red,
		string(handshake.Unreachable): lipgloss.Yellow, string(handshake.Denied): lipgloss.Magenta,
		string(handshake.Aborted): lipgloss.BrightMagenta, string(handshake.HalfOpen): lipgloss.Blue, "answered": lipgloss.Cyan,
	}
	style := lipgloss.NewStyle()
	if c, ok := colors[outcome]; ok {
		return style.Foreground(c)
	}
	return style.Faint(true)
}

// word writes an outcome for people.
func word(outcome string) string { return strings.ReplaceAll(outcome, "_", " ") }

// room is how many lines of the list the screen has room for.
func (m *model) room() int { return max(1, m.height-around) }

// View implements tea.Model.
func (m *model) View() tea.View {
	v := tea.NewView("")
	v.AltScreen = true
	v.WindowTitle = "syntap " + m.status.Interface
	if m.width == 0 {
		return v
	}
	lines := []string{m.header(), m.totals()}
	switch {
	case m.help:
		lines = append(lines, helpLines()...)
	case m.open != nil:
		lines = append(lines, "")
		lines = append(lines, m.open.detail(m.width)...)
	default:
		lines = append(lines, faint.Render(m.titles()))
		lines = append(lines, m.list()...)
	}
	lines = lines[:max(0, min(len(lines), m.height-2))]
	for len(lines) < m.height-1 {
		lines = append(lines, "")
	}
	v.SetContent(strings.Join(append(lines, m.footer()), "\n"))
	return v
}

func (m *model) header() string {
	state := "live"
	if m.err != nil {
		state = "connection lost, trying again; as of " + m.since.Format("15:04:05")
	}
	if m.fleet {
		text := fmt.Sprintf(" fleet %s  %.0f/s", terminal.Clean(m.name), m.rate)
		return bold.Render("syntap") + fit(text, m.width-len("syntap")-len(state)-1) + " " + state
	}
	text := fmt.Sprintf(" %s  up %v  open: %d tcp, %d udp, %d icmp  %.0f/s", m.status.Interface, m.status.Up(),
		m.status.Flows["tcp"], m.status.Flows["udp"], m.status.Flows["icmp"], m.rate)
	return bold.Render("syntap") + fit(text, m.width-len("syntap")-len(state)-1) + " " + state
}

// totals counts handshakes since the start of the router, and shows its findings.
func (m *model) totals() string {
	var all []string
	for _, o := range handshake.Outcomes() {
		if n := m.status.Handshakes[string(o)]; n > 0 || o == handshake.Established {
			all = append(all, outcomeStyle(string(o)).Render(word(string(o)))+" "+bold.Render(fmt.Sprint(n)))
		}
	}
	for _, f := range m.status.Findings {
		text := append([]string{format.FindingPlace(&f)}, format.FindingDetails(&f)...)
		all = append(all, wrong.Render(terminal.Clean(strings.Join(text, ", "))))
	}
	return lipgloss.NewStyle().MaxWidth(m.width).Render(strings.Join(all, "   "))
}

// column is a column of the list. A number stands at the right.
type column struct {
	title  string
	order  string // that lists its greatest values first; "" = none
	width  int
	number bool
	from   int // width of the screen from which there is room for it
	of     func(r *row) string
}

var columns = []column{
	{"TIME", "began", 12, false, 0, func(r *row) string { return clock(r.Start()) }},
	{"OUTCOME", "", 11, false, 0, func(r *row) string { return word(r.outcome()) }},
	{"PROCESS", "", 11, false, 0, func(r *row) string { return cmp.Or(r.process(), "-") }},
	{"CLIENT", "", 22, false, 140, (*row).client},
	{"SERVER", "", 20, false, 0, (*row).server},
	{"CONNECT", "connect", 8, true, 110, (*row).connect},
	{"SENT", "sent", 8, true, 96, (*row).sent},
	{"RECEIVED", "received", 8, true, 0, (*row).received},
	{"LASTED", "lasted", 8, true, 0, (*row).lasted},
	{"NOTE", "", 0, false, noteFrom, (*row).note},
}

// noteFrom is the width of a screen from which notes have room.
const noteFrom = 110

// layout calls f with each column for which there is room, and its width. The room that is left
// widens process, note and server.
func (m *model) layout(f func(c *column, width int)) {
	free := m.width + 1
	for i := range columns {
		if c := &columns[i]; m.width >= c.from {
			free -= c.width + 1
		}
	}
	wider := map[string]int{"PROCESS": max(0, min(free/4, 10)), "NOTE": max(0, free/2)}
	if m.width < noteFrom {
		wider["NOTE"] = 0
	}
	wider["SERVER"] = max(0, free-wider["PROCESS"]-wider["NOTE"])
	for i := range columns {
		if c := &columns[i]; m.width >= c.from {
			f(c, c.width+wider[c.title])
		}
	}
}

// noteWidth returns the width of notes, 0 without room for them.
func (m *model) noteWidth() (note int) {
	m.layout(func(c *column, width int) {
		if c.title == "NOTE" {
			note = width
		}
	})
	return note
}

// cells lays out a line of the list.
func (m *model) cells(text func(c *column) string) string {
	var cells []string
	m.layout(func(c *column, width int) {
		value := terminal.Clean(text(c))
		if c.number {
			value = strings.Repeat(" ", max(0, width-lipgloss.Width(value))) + value
		}
		cells = append(cells, fit(value, width))
	})
	return fit(strings.Join(cells, " "), m.width)
}

func (m *model) titles() string {
	if m.grouping != "" {
		return m.groupCells(strings.ToUpper(m.grouping), "NUMBER", "FAILED", "OPEN", "SENT", "RECEIVED", "LATEST")
	}
	return m.cells(func(c *column) string {
		if c.order == m.order {
			return c.title + "↓"
		}
		return c.title
	})
}

// groupCells lays out a line of the list of groups.
func (m *model) groupCells(value string, others ...string) string {
	var text strings.Builder
	text.WriteString(fit(terminal.Clean(value), max(10, m.width-6*10-5)))
	for _, other := range others {
		fmt.Fprintf(&text, "%10s", other)
	}
	return fit(text.String(), m.width)
}

func (m *model) list() (lines []string) {
	switch {
	case m.lines() > 0:
	case m.added > 0:
		return []string{"", faint.Render(" no recent connection matches")}
	default:
		return []string{"", faint.Render(" no handshake yet, no datagram, no ping")}
	}
	for i := m.first; i < min(m.lines(), m.first+m.room()); i++ {
		line := m.line(i)
		if i == m.cursor {
			lines = append(lines, selected.Render(ansi.Strip(line)))
			continue
		}
		if m.err != nil {
			line = faint.Render(ansi.Strip(line))
		}
		lines = append(lines, line)
	}
	return lines
}

func (m *model) line(i int) string {
	if m.grouping != "" {
		g := m.groups[i]
		value := word(g.value)
		if value == "" {
			value = "unknown"
		}
		return m.groupCells(value, strconv.Itoa(g.number), strconv.Itoa(g.failed), strconv.Itoa(g.open),
			format.Size(g.sent), format.Size(g.received), g.latest.Local().Format("15:04:05"))
	}
	r := m.matching[i]
	line := m.cells(func(c *column) string {
		q := r.question()
		switch isLong := lipgloss.Width(q) > m.noteWidth(); {
		case isLong && c.title == "SERVER":
			return q
		case isLong && c.title == "NOTE":
			return strings.TrimPrefix(strings.TrimPrefix(r.note(), q), ", ")
		}
		return c.of(r)
	})
	outcome := word(r.outcome())
	return strings.Replace(line, outcome, outcomeStyle(r.outcome()).Render(outcome), 1)
}

// fit makes a plain line exactly as wide as there is room.
func fit(line string, width int) string {
	line = ansi.Truncate(line, max(width, 0), "")
	return pad(line, width)
}

func (m *model) footer() string {
	if m.editing {
		return m.mistaken(bold.Render("filter: ")+terminal.Clean(m.filter)+selected.Render(" "), "  ")
	}
	keys := "? help  / filter  tab group  s sort  p pause  q quit"
	if m.open != nil {
		keys = "↑↓ next  esc back"
	}
	count := fmt.Sprintf("%d shown", m.lines())
	if m.filter != "" {
		count = fmt.Sprintf("%d match %s", m.lines(), terminal.Clean(m.filter))
	}
	if m.paused {
		count += fmt.Sprintf(", paused, %d new (home = resume)", m.added-m.shown)
	}
	if m.lost > 0 {
		count += fmt.Sprintf(", %d missed", m.lost)
	}
	return m.mistaken(faint.Render(fit(keys+"   "+count, m.width)), "")
}

// mistaken puts the first mistake of the filter, with its hint, behind a line, or in its place.
func (m *model) mistaken(line, separator string) string {
	err := m.mistake
	if list := hint.List(nil); errors.As(err, &list) {
		err = list[0]
	}
	if err == nil {
		return line
	}
	text := err.Error()
	if remedy := hint.Of(err); remedy != "" {
		text += "; " + remedy
	}
	if separator == "" {
		line = ""
	}
	return lipgloss.NewStyle().MaxWidth(m.width).Render(line + separator + wrong.Render(terminal.Clean(text)))
}

// helpLines explains keys and the filter.
func helpLines() []string {
	lines := []string{
		"", bold.Render("Keys"),
		"  ↑ ↓ PgUp PgDn Home End   move; the list stands still until Home",
		"  Enter → / Esc ←          open a connection or a group / go back",
		"  /                        filter; Esc takes it away",
		"  Tab                      group by name, process, destination, outcome",
		"  s                        sort by time, received, sent, duration, connect time",
		"  p                        pause",
		"  q                        go back, quit",
		"", bold.Render("Filter"),
		"  name:*.example.com !refused port:443,8000-8999 dst:10.0.0.0/8 bytes:>1MB open",
		"  All terms must match; of several values, or terms with the same key, one.",
		"  ! turns a term around. The keys are:",
	}
	const widest = 76
	for _, line := range wrap(strings.Join(filter.Keys(), " "), widest) {
		lines = append(lines, "    "+line)
	}
	return append(lines, "", faint.Render("  any key goes back"))
}
