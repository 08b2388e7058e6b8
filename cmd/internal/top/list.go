package top

import (
	"fmt"
	"image/color"
	"strings"

	tea "charm.land/bubbletea/v2"
	"charm.land/lipgloss/v2"
	"github.com/charmbracelet/x/ansi"

	"syntap/tap/handshake"
)

// around is how many lines the screen has besides the rows of the list.
const around = 5

// Colours are those of the terminal, so they fit its background. They stand for outcomes and
// rewrites only.
var (
	bold     = lipgloss.NewStyle().Bold(true)
	faint    = lipgloss.NewStyle().Faint(true)
	selected = lipgloss.NewStyle().Reverse(true)
	changed  = lipgloss.NewStyle().Foreground(lipgloss.Cyan).Bold(true)
)

// outcomeStyle returns how an outcome is written.
func outcomeStyle(outcome string) lipgloss.Style {
	colors := map[handshake.Outcome]color.Color{
		handshake.Established: lipgloss.Green, handshake.Refused: lipgloss.Red, handshake.Unreachable: lipgloss.Yellow,
		handshake.Denied: lipgloss.Magenta, handshake.Aborted: lipgloss.BrightMagenta, handshake.HalfOpen: lipgloss.Blue,
	}
	style := lipgloss.NewStyle()
	if c, ok := colors[handshake.Outcome(outcome)]; ok {
		return style.Foreground(c)
	}
	return style.Faint(true)
}

// word writes an outcome for people.
func word(outcome string) string { return strings.ReplaceAll(outcome, "_", " ") }

// rows is how many rows the list has room for.
func (m *model) rows() int { return max(1, m.height-around) }

// View implements tea.Model.
func (m *model) View() tea.View {
	v := tea.NewView("")
	v.AltScreen = true
	v.WindowTitle = "syntap " + m.status.Interface
	if m.width == 0 {
		return v
	}
	lines := []string{m.header(), m.totals()}
	if m.open != nil {
		lines = append(lines, "")
		lines = append(lines, m.open.detail(m.width)...)
	} else {
		titles := m.columns("TIME", "OUTCOME", "CLIENT", "SERVER", "SYN-ACK", "ACK", "MSS", "NOTE")
		lines = append(lines, faint.Render(fit(titles, m.width)))
		lines = append(lines, m.list()...)
	}
	lines = lines[:min(len(lines), m.height-2)]
	for len(lines) < m.height-1 {
		lines = append(lines, "")
	}
	v.SetContent(strings.Join(append(lines, m.footer()), "\n"))
	return v
}

func (m *model) header() string {
	state := "live"
	if m.err != nil {
		state = "connection lost, trying again"
	}
	var flows int64
	for _, n := range m.status.Flows {
		flows += n
	}
	text := fmt.Sprintf(" %s  up %v  %d flows  %.0f/s", m.status.Interface, m.status.Up(), flows, m.rate)
	return bold.Render("syntap") + fit(text, m.width-len("syntap")-len(state)-1) + " " + state
}

func (m *model) totals() string {
	var all []string
	for _, o := range handshake.Outcomes() {
		if n := m.status.Handshakes[string(o)]; n > 0 || o == handshake.Established {
			all = append(all, outcomeStyle(string(o)).Render(word(string(o)))+" "+bold.Render(fmt.Sprint(n)))
		}
	}
	return lipgloss.NewStyle().MaxWidth(m.width).Render(strings.Join(all, "   "))
}

func (m *model) list() (lines []string) {
	if len(m.matching) == 0 {
		if len(m.records) > 0 {
			return []string{"", faint.Render(" no recent handshake matches")}
		}
		return []string{"", faint.Render(" no handshake yet")}
	}
	for i := m.first; i < min(len(m.matching), m.first+m.rows()); i++ {
		r := m.matching[i]
		outcome := word(r.Outcome)
		line := fit(m.columns(clock(r.Time), outcome, r.client(), r.server(),
			duration(r.SYNACK), duration(r.ACK), r.mss(), r.note()), m.width)
		if i == m.cursor {
			lines = append(lines, selected.Render(line))
			continue
		}
		lines = append(lines, strings.Replace(line, outcome, outcomeStyle(r.Outcome).Render(outcome), 1))
	}
	return lines
}

// columns lays out one line of the list. On a narrow screen the client has no place; all but the
// note fit 80 columns.
func (m *model) columns(time, outcome, client, server, synack, ack, mss, note string) string {
	const others = 74 + 30 // width of the other columns, the note among them
	address := max(22, min((m.width-others)/2, len("[2001:db8:1111:2222:3333:4444:5555:6666]:65535")))
	line := fmt.Sprintf("%-12s  %-11s  ", time, outcome)
	if m.width >= 110 {
		line += fit(client, address) + "  "
	}
	return line + fmt.Sprintf("%s  %8s  %8s  %9s  %s", fit(server, address), synack, ack, mss, note)
}

// fit makes a plain line exactly as wide as there is room.
func fit(line string, width int) string {
	line = ansi.Truncate(line, max(width, 0), "")
	return pad(line, width)
}

func (m *model) footer() string {
	if m.editing {
		return bold.Render("filter: ") + m.filter + selected.Render(" ")
	}
	keys := "↑↓ move  enter open  / filter  p pause  q quit"
	if m.open != nil {
		keys = "↑↓ next  esc back"
	}
	count := fmt.Sprintf("%d shown", len(m.matching))
	if m.filter != "" {
		count = fmt.Sprintf("%d match %q", len(m.matching), m.filter)
	}
	if m.paused {
		count += fmt.Sprintf(", paused, %d new (home = resume)", len(m.waiting))
	}
	if m.lost > 0 {
		count += fmt.Sprintf(", %d came too fast", m.lost)
	}
	return faint.Render(fit(keys+"   "+count, m.width))
}
