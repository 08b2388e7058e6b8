package main

import (
	"cmp"
	"fmt"
	"sync"
	"time"

	"syntap/cmd/internal/audit"
	"syntap/cmd/internal/hint"
	"syntap/cmd/internal/record"
	"syntap/tap"
	"syntap/tap/capture"
	"syntap/tap/handshake"
	"syntap/tap/tcpdump"
	"syntap/tun/flow"
)

const (
	// quiet is how long a pipe brings no packet before the verdicts fall that might still change.
	quiet = time.Second
	// maxTunnels bounds how many tunnels are taken off a packet.
	maxTunnels = 8
)

// player passes the packets of captures through the tap, and its lines on to sinks.
type player struct {
	replay  *tap.Replay
	passed  *passedFile     // gets every packet as the tap passes it on; may be nil
	judged  []*audit.Sink   // get records, and segments of openings
	lines   *audit.Sink     // gets every TCP segment; may be nil
	dialect tcpdump.Dialect // of lines
	decap   bool            // packets in tunnels are judged
	live    bool            // the capture may still be going on: lines are printed at once

	mu      sync.Mutex // guards the rest, and the functions of replay and the sinks, while live
	skipped skipped
	packets int
	records int
	err     error // the first of a sink
}

// play says everything in the captures. It stops at the first error of a sink.
func (p *player) play(in captures) {
	var silence *time.Timer
	if p.live {
		silence = time.AfterFunc(quiet, p.settle)
		defer silence.Stop()
	}
	for {
		packet := in.next()
		if silence != nil {
			silence.Reset(quiet)
		}
		p.mu.Lock()
		if packet == nil || p.err != nil {
			p.replay.Flush()
			p.live = false // the timer may have fired already
			p.mu.Unlock()
			return
		}
		p.packet(packet)
		if p.live {
			p.flush()
		}
		p.mu.Unlock()
	}
}

// settle has the verdicts fall that might still change: no packet comes.
func (p *player) settle() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.live {
		p.replay.Settle()
		p.flush()
	}
}

func (p *player) packet(packet *capture.Packet) {
	p.packets++
	for depth := 0; p.decap && depth < maxTunnels; depth++ {
		inner, _ := packet.Inner()
		if inner == nil {
			break
		}
		packet = inner
	}
	n := packet.Notation()
	printed := p.lines != nil && tcpdump.IsTCP(p.dialect, &n)
	if printed {
		p.note(p.lines.Segment(&handshake.Segment{Time: packet.Time, Packet: n}))
	} else {
		p.skipped.count(packet)
	}
	passed := p.replay.Pass(packet.Time, &n)
	if p.passed != nil {
		p.note(p.passed.write(packet, passed))
	}
}

func (p *player) record(r *handshake.Record) {
	p.records++
	for _, s := range p.judged {
		p.note(s.Record(&record.Attributed{Record: r}))
	}
}

func (p *player) segment(_ flow.Key, seg handshake.Segment) {
	for _, s := range p.judged {
		p.note(s.Segment(&seg))
	}
}

func (p *player) flush() {
	for _, s := range p.judged {
		p.note(s.Flush())
	}
	if p.lines != nil {
		p.note(p.lines.Flush())
	}
	if p.passed != nil {
		p.note(p.passed.flush())
	}
}

// note keeps the first error.
func (p *player) note(err error) { p.err = cmp.Or(p.err, err) }

// failed returns the errors of the whole: that of a sink, those of captures, and of limits that
// have ended attempts early.
func (p *player) failed(in captures) error {
	if p.err != nil {
		return p.err
	}
	all := in.errors()
	stats := p.replay.Stats()
	if stats.Evicted > 0 {
		all = append(all, hint.Fail(
			fmt.Errorf("%d attempts ended early: more were open at once than --max-open allows", stats.Evicted),
			"--max-open N allows more, --max-open 0 any number"))
	}
	if stats.Crowded > 0 {
		all = append(all, fmt.Errorf("%d attempts ended early: more than %d between the same ports were open at once",
			stats.Crowded, tap.MaxBetweenPorts))
	}
	if stats.Forgotten > 0 {
		all = append(all, hint.Fail(
			fmt.Errorf("%d connections were forgotten before their end: more were open at once than are kept", stats.Forgotten),
			"--max-open 0 keeps any number"))
	}
	switch len(all) {
	case 0:
		return nil
	case 1:
		return all[0]
	}
	return hint.List(all)
}
