package attempt

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"syntap/cmd/internal/terminal"
)

// Limits of what packets can fill.
const (
	maxDenials = 1024 // kept apart
	maxWaiting = 4096 // lines on their way to the file
)

// Denials keeps what policy denied. It is safe for concurrent use, and Add does not block.
type Denials struct {
	denies bool // what no rule allows is denied

	mu    sync.Mutex // guards all below
	all   []*denial  // each once, in the order of their first
	known map[denial]*denial
	more  int // attempts beyond maxDenials

	lines   chan []byte // nil = there is no file
	missing int         // lines that found no place
	written chan error
}

// denial is what was denied, and to which program.
type denial struct {
	target, process string
	flag, hint      string
	count           int
}

// NewDenials returns an empty collection. denies tells that policy denies what no rule allows.
// explain gets a line of JSON for each denial; nil disables them.
func NewDenials(denies bool, explain io.Writer) *Denials {
	d := &Denials{denies: denies, known: make(map[denial]*denial)}
	if explain != nil {
		d.lines, d.written = make(chan []byte, maxWaiting), make(chan error, 1)
		go func() { d.written <- write(explain, d.lines) }()
	}
	return d
}

// write writes lines until there are no more, and returns the first error.
func write(w io.Writer, lines <-chan []byte) (err error) {
	for line := range lines {
		if err == nil {
			_, err = w.Write(line)
		}
	}
	return err
}

// Close waits until all lines are written. No attempt may come after.
func (d *Denials) Close() error {
	if d.lines == nil {
		return nil
	}
	close(d.lines)
	err := <-d.written
	if err == nil && d.missing > 0 {
		err = fmt.Errorf("%d denials are not explained: they came too fast", d.missing)
	}
	return err
}

// Add takes an attempt, and keeps it if it is denied.
func (d *Denials) Add(a *Attempt) {
	if !a.Denied() {
		return
	}
	flag, hint := a.remedy(d.denies)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.keep(denial{target: a.Target(), process: a.Process(), flag: flag, hint: hint})
	if d.lines == nil {
		return
	}
	select {
	case d.lines <- explain(a, flag, hint):
	default:
		d.missing++
	}
}

func (d *Denials) keep(key denial) {
	n := d.known[key]
	if n == nil && len(d.all) == maxDenials {
		d.more++
		return
	}
	if n == nil {
		n = new(key)
		d.known[key], d.all = n, append(d.all, n)
	}
	n.count++
}

// explanation is a line of JSON. Its keys are those of records.
type explanation struct {
	Time    string  `json:"time"`
	Proto   string  `json:"proto"`
	Name    string  `json:"name,omitempty"`
	Dst     string  `json:"dst,omitempty"` // absent where a name was asked for
	DPort   uint16  `json:"dport,omitempty"`
	UID     *uint32 `json:"uid,omitempty"`
	User    string  `json:"user,omitempty"`
	PID     int     `json:"pid,omitempty"`
	Process string  `json:"process,omitempty"`
	Exe     string  `json:"exe,omitempty"`
	Target  string  `json:"target"`
	Rule    string  `json:"rule"`
	Reason  string  `json:"reason,omitempty"`
	Flag    string  `json:"flag,omitempty"` // that would allow it
	Hint    string  `json:"hint,omitempty"`
}

func explain(a *Attempt, flag, hint string) []byte {
	e := explanation{
		Time: a.Time.UTC().Format(time.RFC3339Nano), Proto: a.Proto.String(), Name: a.Name, Target: a.Target(),
		Rule: a.Decision.Rule, Reason: a.Decision.Reason, Flag: flag, Hint: hint,
	}
	if a.Question {
		e.Proto = "dns"
	} else {
		e.Dst, e.DPort = a.Server.Addr().String(), a.Server.Port()
	}
	if o := a.Owner; o != nil {
		e.UID, e.User, e.PID, e.Process, e.Exe = &o.UID, o.User, o.PID, o.Process, o.Exe
	}
	line, err := json.Marshal(e)
	if err != nil {
		panic(err) // strings and numbers alone
	}
	return append(terminal.CleanJSON(line), '\n') // the file may be a terminal
}

// shown is how many denials the line for people has.
const shown = 4

// String returns a line for people; "" where there is no denial.
func (d *Denials) String() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.all) == 0 {
		return ""
	}
	var tried, flags, hints []string
	for _, n := range d.all[:min(shown, len(d.all))] {
		tried = append(tried, n.String())
		if n.flag != "" {
			flags = appendOnce(flags, n.flag)
		} else {
			hints = appendOnce(hints, n.hint)
		}
	}
	if flags != nil {
		hints = slices.Insert(hints, 0, strings.Join(flags, " "))
	}
	rest := ""
	if n := len(d.all) - shown; n > 0 {
		rest = ", … (--explain FILE has all)"
	}
	count := fmt.Sprint(len(d.all))
	if d.more > 0 {
		count = "over " + count
	}
	return terminal.Clean(fmt.Sprintf("%s denied: %s%s; hint: %s",
		count, strings.Join(tried, ", "), rest, strings.Join(hints, ", ")))
}

func (n *denial) String() string {
	var notes []string
	if n.process != "" {
		notes = append(notes, n.process)
	}
	if n.count > 1 {
		notes = append(notes, fmt.Sprintf("%d times", n.count))
	}
	if len(notes) == 0 {
		return n.target
	}
	return n.target + " (" + strings.Join(notes, ", ") + ")"
}

func appendOnce(list []string, s string) []string {
	if slices.Contains(list, s) {
		return list
	}
	return append(list, s)
}
