package top

import (
	"slices"
	"strings"

	tea "charm.land/bubbletea/v2"
)

// key handles a key.
func (m *model) key(k tea.KeyPressMsg) tea.Cmd {
	switch {
	case k.String() == "ctrl+c":
		return tea.Quit
	case m.editing:
		m.edit(k)
		return nil
	case m.help:
		m.help = false
		return nil
	}
	switch k.String() {
	case "q":
		if m.open == nil {
			return tea.Quit
		}
		m.open = nil
	case "esc", "backspace", "left":
		m.open = nil
	case "enter", "right":
		m.enter()
	case "/":
		m.editing, m.open = true, nil
	case "?":
		m.help = true
	case "p", "space":
		m.setPaused(!m.paused)
	case "s":
		m.order = next(orders, m.order)
		m.top()
		m.arrange()
	case "tab":
		m.group(next(groupings, m.grouping))
	default:
		m.moveBy(k.String())
	}
	return nil
}

// moveBy moves the cursor.
func (m *model) moveBy(key string) {
	switch key {
	case "home", "g":
		m.top()
		m.setPaused(false)
	case "down", "j":
		m.hold(1)
	case "up", "k":
		m.hold(-1)
	case "pgdown":
		m.hold(m.room())
	case "pgup":
		m.hold(-m.room())
	case "end", "G":
		m.hold(m.lines())
	}
}

func next(all []string, present string) string {
	return all[(slices.Index(all, present)+1)%len(all)]
}

func (m *model) group(by string) {
	m.grouping, m.open = by, nil
	m.top()
	m.arrange()
}

// enter opens a connection, or lists those of a group.
func (m *model) enter() {
	switch {
	case m.open != nil || m.cursor >= m.lines():
	case m.grouping != "":
		terms := m.groups[m.cursor].terms(m.grouping)
		m.grouping = ""
		m.setFilter(strings.TrimSpace(m.filter + " " + terms))
	default:
		m.open = m.matching[m.cursor]
	}
}

// hold moves the cursor, in the list or from one open connection to the next. The list stands still
// from then on.
func (m *model) hold(lines int) {
	m.paused = true
	m.move(lines)
	if m.open != nil && m.cursor < len(m.matching) {
		m.open = m.matching[m.cursor]
	}
}

func (m *model) setPaused(paused bool) {
	m.paused = paused
	if !paused {
		m.top()
		m.arrange()
	}
}

// edit takes a key into the filter.
func (m *model) edit(k tea.KeyPressMsg) {
	switch k.String() {
	case "enter":
		m.editing = false
	case "esc":
		m.editing = false
		m.setFilter("")
	case "backspace":
		if letters := []rune(m.filter); len(letters) > 0 {
			m.setFilter(string(letters[:len(letters)-1]))
		}
	case "ctrl+u":
		m.setFilter("")
	default:
		m.setFilter(m.filter + k.Text)
	}
}
