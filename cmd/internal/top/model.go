package top

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	tea "charm.land/bubbletea/v2"

	"syntap/cmd/internal/web"
)

// redraw is the interval between updates of the screen.
const redraw = 250 * time.Millisecond

// Run shows the router that client asks, until the user quits or ctx ends.
func Run(ctx context.Context, client *web.Client, options ...tea.ProgramOption) error {
	status, err := client.Status(ctx)
	if err != nil {
		return err
	}
	following, stop := context.WithCancel(ctx)
	var both sync.WaitGroup
	defer both.Wait()
	defer stop()
	f := &feed{status: status}
	both.Go(func() { f.follow(following, client) })
	both.Go(func() { f.ask(following, client) })
	_, err = tea.NewProgram(&model{feed: f, status: status}, append(options, tea.WithContext(ctx))...).Run()
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// model is the state of the screen.
type model struct {
	feed   *feed
	status web.Status
	err    error
	lost   uint64
	rate   float64 // handshakes per second, smoothed

	width, height int

	records  []*row // the oldest first
	waiting  []*row // come while the list stands still
	matching []*row // those of records that match, the newest first
	paused   bool
	cursor   int // row of matching
	first    int // row at the top of the list

	filter  string
	editing bool // the filter
	open    *row // in full; nil = the list
}

// tick is the time to look for news.
type tick struct{}

func nextTick() tea.Cmd { return tea.Tick(redraw, func(time.Time) tea.Msg { return tick{} }) }

// Init implements tea.Model.
func (m *model) Init() tea.Cmd { return nextTick() }

// Update implements tea.Model.
func (m *model) Update(message tea.Msg) (tea.Model, tea.Cmd) {
	switch message := message.(type) {
	case tea.WindowSizeMsg:
		m.width, m.height = message.Width, message.Height
	case tick:
		m.update()
		return m, nextTick()
	case tea.KeyPressMsg:
		return m, m.key(message)
	}
	return m, nil
}

func (m *model) update() {
	n := m.feed.take()
	m.status, m.err, m.lost = n.status, n.err, m.lost+n.lost
	const weight = 0.1
	m.rate += weight * (float64(len(n.records))/redraw.Seconds() - m.rate)
	m.waiting = last(append(m.waiting, n.records...))
	if !m.paused && m.open == nil {
		m.catchUp()
	}
}

// catchUp takes the waiting records into the list.
func (m *model) catchUp() {
	if len(m.waiting) == 0 {
		return
	}
	m.records = last(append(m.records, m.waiting...))
	m.waiting = nil
	m.match()
}

func last(records []*row) []*row { return records[max(0, len(records)-kept):] }

// match applies the filter to the list.
func (m *model) match() {
	words := strings.Fields(strings.ToLower(m.filter))
	m.matching = m.matching[:0]
	for _, r := range slices.Backward(m.records) {
		if r.matches(words) {
			m.matching = append(m.matching, r)
		}
	}
	m.move(0)
}

// move moves the cursor by some rows, and the list with it.
func (m *model) move(rows int) {
	m.cursor = max(0, min(m.cursor+rows, len(m.matching)-1))
	m.first = max(0, min(m.first, m.cursor), m.cursor-m.rows()+1)
}

// key handles a key.
func (m *model) key(k tea.KeyPressMsg) tea.Cmd {
	if k.String() == "ctrl+c" {
		return tea.Quit
	}
	if m.editing {
		m.edit(k)
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
		if m.open == nil && m.cursor < len(m.matching) {
			m.open = m.matching[m.cursor]
		}
	case "/":
		m.editing, m.open = true, nil
	case "p", "space":
		m.setPaused(!m.paused)
	case "home", "g":
		m.cursor, m.first = 0, 0
		m.setPaused(false)
	case "down", "j":
		m.hold(1)
	case "up", "k":
		m.hold(-1)
	case "pgdown":
		m.hold(m.rows())
	case "pgup":
		m.hold(-m.rows())
	case "end", "G":
		m.hold(len(m.matching))
	}
	return nil
}

// hold moves the cursor, in the list or from one open handshake to the next. The list stands still
// from then on.
func (m *model) hold(rows int) {
	m.paused = true
	m.move(rows)
	if m.open != nil && m.cursor < len(m.matching) {
		m.open = m.matching[m.cursor]
	}
}

func (m *model) setPaused(paused bool) {
	m.paused = paused
	if !paused {
		m.cursor, m.first = 0, 0
		m.catchUp()
	}
}

// edit takes a key into the filter.
func (m *model) edit(k tea.KeyPressMsg) {
	switch k.String() {
	case "enter":
		m.editing = false
	case "esc":
		m.editing, m.filter = false, ""
	case "backspace":
		if letters := []rune(m.filter); len(letters) > 0 {
			m.filter = string(letters[:len(letters)-1])
		}
	default:
		m.filter += k.Text
	}
	m.cursor, m.first = 0, 0
	m.match()
}
