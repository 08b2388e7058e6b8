package query

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"syntap/cmd/internal/format"
	"syntap/cmd/internal/logfile"
	"syntap/tun/flow"
)

// window is the longest time from a SYN to the record of its verdict. A log has handshakes in the
// order of their verdicts; they are output in the order of their beginnings.
const window = 30 * time.Second

const (
	maxQueued  = 1 << 16 // connections in the order of their beginning
	maxOpen    = 1 << 16 // connections whose flow has not come: twice the limits of a router
	maxOrphans = 1 << 16 // flows whose opening may stand in a later file
)

// link connects an opening with its flow: the number of the opening in the log of a run or, in logs
// of older versions without such numbers, the client's initial sequence number.
type link struct {
	run            string
	number         uint64
	isn            bool // number is that
	proto          flow.Proto
	client, server netip.AddrPort // two logs may have the same numbers
}

func linkOf(r *format.Record) link {
	l := link{run: r.RunID, number: r.Seq, proto: r.Proto, client: r.Client, server: r.Server}
	if r.Type == format.Flow {
		l.number = r.Opening
	}
	if r.RunID == "" || l.number == 0 {
		l.run, l.number, l.isn = "", uint64(r.ClientISN), true
	}
	return l
}

// entry is a connection on its way through a joiner.
type entry struct {
	format.Connection
	log    logName
	start  time.Time
	record []byte // text of the opening, or of a flow without one, where records are printed
	text   []byte // of the connection, once it is over and printed in its turn
	done   bool
	loose  bool // it has lost its place in the order
}

// joiner joins openings and flows. Connections come out in the order of their beginning; one that
// outlasts maxQueued others comes out when it is over. Without an order, each comes out at once.
type joiner struct {
	ordered bool
	live    bool                 // connections come out when they begin, too
	over    func(e *entry)       // a connection is complete, or the log ends
	print   func(e *entry) error // it is its turn; only if ordered
	again   *once                // nil: there is one file
	scale   int                  // how many times the bounds hold

	open     map[link]*entry
	orphans  map[link]*entry    // flows whose opening has not come
	unwanted map[link]struct{}  // openings whose flow has not come
	queue    []*entry           // by start
	latest   time.Time          // start
	running  map[logName]string // by log, the present run
	err      error              // the first one of print
}

func newJoiner() joiner {
	return joiner{
		scale: 1, open: make(map[link]*entry), orphans: make(map[link]*entry),
		unwanted: make(map[link]struct{}), running: make(map[logName]string),
	}
}

// take takes the events of a block.
func (j *joiner) take(file int, log logName, events []event) {
	for i := range events {
		e := &events[i]
		switch {
		case e.unwanted != nil:
			j.leaveOut(*e.unwanted)
		case e.record == nil:
			j.begin(log, e.run)
		case e.record.Type == format.Flow:
			j.flow(file, log, e)
		case e.record.Type == format.End:
			j.endRun(log, e.record.RunID)
		default:
			j.opening(log, e)
		}
	}
}

// begin notes that the next records of a log are those of a run. A run before it is over.
func (j *joiner) begin(log logName, id string) {
	if before, ok := j.running[log]; ok && before != id {
		j.endRun(log, before)
	}
	j.running[log] = id
}

// leaveOut is for an opening that is not wanted.
func (j *joiner) leaveOut(l link) {
	if j.orphans[l] != nil {
		delete(j.orphans, l)
		return
	}
	if len(j.unwanted) >= maxOpen*j.scale {
		clear(j.unwanted)
	}
	j.unwanted[l] = struct{}{}
}

// endRun completes the connections of a run that have not ended.
func (j *joiner) endRun(log logName, id string) {
	j.endAll(func(e *entry) bool { return e.log == log && e.Opening.RunID == id })
}

// endAll completes the open connections that are chosen, which no record will end.
func (j *joiner) endAll(chosen func(*entry) bool) {
	var ended []*entry
	for l, e := range j.open {
		if chosen(e) {
			delete(j.open, l)
			ended = append(ended, e)
		}
	}
	sortByStart(ended)
	for _, e := range ended {
		e.State = format.EndMissing
		j.complete(e)
	}
}

func sortByStart(entries []*entry) {
	slices.SortStableFunc(entries, func(a, b *entry) int {
		return cmp.Or(a.Start().Compare(b.Start()), cmp.Compare(first(&a.Connection).Seq, first(&b.Connection).Seq))
	})
}

func (j *joiner) opening(log logName, ev *event) {
	e := &entry{
		Connection: format.Connection{Opening: ev.record, Router: log.router}, log: log, record: ev.text,
	}
	j.enqueue(e)
	if !ev.record.GoesOn() {
		j.complete(e)
		return
	}
	l := linkOf(ev.record)
	if orphan := j.orphans[l]; orphan != nil {
		delete(j.orphans, l)
		e.End = orphan.End
		j.complete(e)
		return
	}
	e.State = format.Alive
	if before := j.open[l]; before != nil { // the same record once more
		delete(j.open, l)
		before.State = format.EndMissing
		j.complete(before)
	}
	j.open[l] = e
	if len(j.open) > maxOpen*j.scale {
		j.endOldest()
	}
	if j.live {
		j.over(e)
	}
}

// endOldest gives up an eighth of the open connections: records are missing, as no run holds so
// many.
func (j *joiner) endOldest() {
	starts := make([]*entry, 0, len(j.open))
	for _, e := range j.open {
		starts = append(starts, e)
	}
	sortByStart(starts)
	last := starts[len(starts)/8].Start()
	j.endAll(func(e *entry) bool { return !e.Start().After(last) })
}

func (j *joiner) flow(file int, log logName, ev *event) {
	r := ev.record
	l := linkOf(r)
	if e := j.open[l]; e != nil {
		delete(j.open, l)
		e.End, e.State = r, format.Ended
		j.complete(e)
		return
	}
	if _, unwanted := j.unwanted[l]; unwanted {
		delete(j.unwanted, l)
		records.Put(r)
		return
	}
	e := &entry{
		Connection: format.Connection{End: r, Router: log.router}, log: log, record: ev.text,
	}
	if !j.again.mayCome(file, cmp.Or(r.Opening, r.Seq)) {
		j.enqueue(e)
		j.complete(e)
		return
	}
	j.orphans[l] = e
	if len(j.orphans) > maxOrphans*j.scale {
		j.giveUpOrphans()
	}
}

// giveUpOrphans completes the flows whose opening has not come.
func (j *joiner) giveUpOrphans() {
	var all []*entry
	for _, e := range j.orphans {
		all = append(all, e)
	}
	clear(j.orphans)
	sortByStart(all)
	for _, e := range all {
		j.enqueue(e)
		j.complete(e)
	}
}

// enqueue gives a connection its place in the order.
func (j *joiner) enqueue(e *entry) {
	e.start = e.Start()
	if !j.ordered {
		return
	}
	at := len(j.queue)
	if at > 0 && e.start.Before(j.queue[at-1].start) {
		at, _ = slices.BinarySearchFunc(j.queue, e.start, func(queued *entry, start time.Time) int {
			if queued.start.After(start) {
				return 1
			}
			return -1
		})
	}
	j.queue = slices.Insert(j.queue, at, e)
	if e.start.After(j.latest) {
		j.latest = e.start
	}
	if len(j.queue) > maxQueued*j.scale {
		head := j.pop()
		head.loose = true
		if head.done {
			j.out(head)
		}
		j.advance(j.latest.Add(-window))
	}
}

func (j *joiner) pop() (head *entry) {
	head = j.queue[0]
	j.queue[0] = nil
	j.queue = j.queue[1:]
	return head
}

// complete is for a connection of which nothing more comes.
func (j *joiner) complete(e *entry) {
	e.done = true
	j.over(e)
	switch {
	case e.loose:
		j.out(e)
	case j.ordered:
		j.advance(j.latest.Add(-window))
	}
	for _, r := range []*format.Record{e.Opening, e.End} {
		if r != nil {
			records.Put(r)
		}
	}
	e.Opening, e.End = nil, nil
}

// advance prints the connections at the head of the queue that are done and began until then.
func (j *joiner) advance(until time.Time) {
	for len(j.queue) > 0 && j.queue[0].done && !j.queue[0].start.After(until) {
		j.out(j.pop())
	}
}

func (j *joiner) out(e *entry) {
	if j.err == nil {
		j.err = j.print(e)
	}
}

// end ends the input: openings without a flow are alive. They stay open if more input may follow.
func (j *joiner) end() {
	j.giveUpOrphans()
	var alive []*entry
	for _, e := range j.open {
		alive = append(alive, e)
	}
	sortByStart(alive)
	for _, e := range alive {
		e.done = true
		j.over(e)
		if e.loose {
			j.out(e)
		}
	}
	j.advance(j.latest)
}

// first returns the record that has the ends of a connection.
func first(c *format.Connection) *format.Record {
	if c.Opening != nil {
		return c.Opening
	}
	return c.End
}

// logName names a log.
type logName struct {
	router string // in a fleet; "" = it is a log of files
	log    string
}

// logOf names the log that a file is of.
func logOf(file string) logName { return logName{log: logfile.LogOf(file)} }
