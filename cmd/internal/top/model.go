package top

import (
	"context"
	"slices"
	"sync"
	"time"

	tea "charm.land/bubbletea/v2"

	"syntap/cmd/internal/filter"
	"syntap/cmd/internal/format"
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
	_, err = tea.NewProgram(newModel(f, status), append(options, tea.WithContext(ctx))...).Run()
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// model is the state of the screen.
type model struct {
	feed   *feed
	name   string // of the fleet; "" = there is one router
	status web.Status
	err    error
	since  time.Time // of err
	lost   uint64
	begun  time.Time // by the router's clock
	rate   float64   // connections per second, smoothed

	width, height int

	rows
	matching []*row   // in the order of the list
	groups   []*group // of them; empty without grouping
	shown    int      // of rows.added, those that the list knows
	paused   bool
	cursor   int // line of the list
	first    int // line at the top of the list

	filter   string
	judge    *filter.Filter // of the last filter without mistakes
	mistake  error          // in filter; nil = none
	editing  bool           // the filter
	grouping string
	order    string
	help     bool
	open     *row // in full; nil = the list
}

func newModel(f *feed, status web.Status) *model {
	return &model{
		feed: f, status: status, begun: status.Started.Add(time.Duration(status.Uptime * float64(time.Second))),
		rows: rows{byID: make(map[id]*row)}, judge: new(filter.Filter), order: orders[0],
	}
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
	if n.run != m.run { // the router has started again
		m.rows = rows{run: n.run, byID: make(map[id]*row)}
		m.open, m.shown = nil, 0
	}
	m.err, m.since, m.lost = n.err, n.since, m.lost+n.lost
	if !m.fleet {
		m.status = n.status
	}
	began := 0
	for _, a := range n.records {
		if m.fleet && a.record.Type == format.Handshake {
			if r := m.byID[idOf(a.record)]; r == nil || r.Opening == nil { // it may come again
				m.status.Handshakes[a.record.Outcome]++
			}
		}
		before := m.added
		m.add(a)
		if m.beganSince(a.record) {
			began += m.added - before
		}
	}
	const weight = 0.1
	m.rate += weight * (float64(began)/redraw.Seconds() - m.rate)
	if len(n.records) > 0 && !m.paused && m.open == nil {
		m.arrange()
	}
}

// beganSince reports whether a record is later than the display: a router begins with those that
// it has kept.
func (m *model) beganSince(r *format.Record) bool {
	return m.fleet || r.RunID == m.run && r.Start().After(m.begun)
}

// arrange makes the list of the connections that match.
func (m *model) arrange() {
	m.shown = m.added
	m.matching, m.groups = m.matching[:0], nil
	for _, r := range slices.Backward(m.all) {
		if m.judge.Match(&r.Connection) {
			m.matching = append(m.matching, r)
		}
	}
	if m.grouping != "" {
		m.groups = groups(m.matching, m.grouping, m.order)
	} else {
		slices.SortStableFunc(m.matching, less(m.order))
	}
	m.move(0)
}

// lines is how many lines the whole list has.
func (m *model) lines() int {
	if m.grouping != "" {
		return len(m.groups)
	}
	return len(m.matching)
}

// move moves the cursor by some lines, and the list with it.
func (m *model) move(lines int) {
	m.cursor = max(0, min(m.cursor+lines, m.lines()-1))
	m.first = max(0, min(m.first, m.cursor), m.cursor-m.room()+1)
}

// top goes to the first line.
func (m *model) top() { m.cursor, m.first = 0, 0 }

// setFilter takes a filter; one that is wrong changes nothing but the mistake.
func (m *model) setFilter(text string) {
	m.filter = text
	judge, err := filter.Parse(text, time.Now())
	if m.mistake = err; err == nil {
		m.judge = judge
	}
	m.top()
	m.arrange()
}
