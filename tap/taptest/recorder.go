package taptest

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"syntap/tap/handshake"
	"syntap/tap/tcpdump"
	"syntap/tap/tracker"
	"syntap/tun/flow"
	"syntap/tun/packet"
)

// Recorder collects records and segments.
type Recorder struct {
	Mu       sync.Mutex // guards the fields below
	Records  []*handshake.Record
	Segments []handshake.Segment
	Keys     []flow.Key // of Segments
}

// Options returns options whose functions feed the recorder.
func (r *Recorder) Options() tracker.Options {
	return tracker.Options{
		OnRecord: func(rec *handshake.Record) {
			r.Mu.Lock()
			defer r.Mu.Unlock()
			r.Records = append(r.Records, rec)
		},
		OnSegment: func(k flow.Key, s handshake.Segment) {
			r.Mu.Lock()
			defer r.Mu.Unlock()
			r.Keys = append(r.Keys, k)
			r.Segments = append(r.Segments, s)
		},
	}
}

// Take returns the records since the last call, described.
func (r *Recorder) Take() []string {
	r.Mu.Lock()
	defer r.Mu.Unlock()
	var all []string
	for _, rec := range r.Records {
		all = append(all, Describe(rec))
	}
	r.Records = nil
	return all
}

// Describe prints the part of a record that the rules decide: outcome, numbers, retransmissions,
// shown segments. A segment whose place or sender the record has wrong is marked by "!".
func Describe(r *handshake.Record) string {
	b := fmt.Appendf(nil, "%s", r.Outcome)
	if r.AbortedBy != "" {
		b = fmt.Appendf(b, " by %s", r.AbortedBy)
	}
	b = fmt.Appendf(b, " %d", r.ClientISN)
	if r.KnowsServerISN() {
		b = fmt.Appendf(b, "/%d", r.ServerISN)
	}
	if r.SYNRetransmits+r.SYNACKRetransmits > 0 {
		b = fmt.Appendf(b, " again %d/%d", r.SYNRetransmits, r.SYNACKRetransmits)
	}
	if r.Simultaneous {
		b = append(b, " simultaneous"...)
	}
	if r.Copies > 0 {
		b = fmt.Appendf(b, " copies %d", r.Copies)
	}
	if r.Answers > 0 {
		b = fmt.Appendf(b, " answers %d", r.Answers)
	}
	if r.Conflict != 0 {
		b = fmt.Appendf(b, " conflict %s", strings.Join(r.Conflict.Words(), ","))
	}
	b = append(b, ':')
	for _, s := range r.Segments {
		b = append(append(b, ' '), FlagLetters(s.Packet)...)
		if !placed(r, s) {
			b = append(b, '!')
		}
	}
	return string(b)
}

// placed reports whether a segment of a record has the right sender and offset of its TCP header.
func placed(r *handshake.Record, s handshake.Segment) bool {
	var parsed packet.Headers
	parsed.Parse(s.Packet.Data, s.Packet.Length)
	src, _ := parsed.Ends(s.Packet.Data)
	return !parsed.TCP || s.FromClient == (src == r.Client) &&
		int(s.TCP) == parsed.Offset && int(s.Payload) == parsed.PayloadLen()
}

const flagLetters = "FSRPAUEC"

// FlagLetters returns the flags of a segment as scripts have them.
func FlagLetters(p tcpdump.Packet) string {
	var h packet.Headers
	h.Parse(p.Data, p.Length)
	var b []byte
	for i, letter := range []byte(flagLetters) {
		if h.Flags>>i&1 != 0 {
			b = append(b, letter)
		}
	}
	return string(b)
}

// Lines splits the expected descriptions of a table.
func Lines(text string) []string {
	var all []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			all = append(all, line)
		}
	}
	return slices.Clip(all)
}
