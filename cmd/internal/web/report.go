package web

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"syntap/cmd/internal/format"
	"syntap/cmd/internal/terminal"
	"syntap/tap/handshake"
)

// Report returns the status for people, one line for each kind of thing.
func (s Status) Report() string {
	var b strings.Builder
	fmt.Fprintf(&b, "syntap %s, process %d, up %v, TUN %s\n",
		terminal.Clean(s.Version), s.PID, s.Up(), terminal.Clean(s.Interface))
	line := func(name, text string) {
		fmt.Fprintf(&b, "  %-11s %s\n", name, terminal.Clean(text))
	}
	rules := func(list string, rules []Rule) {
		for i, r := range rules {
			line("", fmt.Sprintf("%s rule %d: %d by %s", list, i+1, r.Hits, r.Rule))
		}
	}
	for i := range s.Processes {
		name := ""
		if i == 0 {
			name = "processes"
		}
		line(name, s.Processes[i].String())
		line("", s.Processes[i].Mounts())
	}
	var outcomes []string
	for _, o := range handshake.Outcomes() {
		if n := s.Handshakes[string(o)]; n > 0 {
			outcomes = append(outcomes, fmt.Sprintf("%d %s", n, o))
		}
	}
	line("handshakes", cmp.Or(strings.Join(outcomes, ", "), "none"))
	line("flows", fmt.Sprintf("tcp %d, udp %d, icmp %d; %d half open",
		s.Flows["tcp"], s.Flows["udp"], s.Flows["icmp"], s.HalfOpen))
	line("memory", s.Memory.String())
	line("outbound", s.Outbound.String())
	line("inbound", s.Inbound.String())
	line("mss", counted(s.MSSRewrites)+" rewritten")
	rules("mss", s.MSSRules)
	line("df", counted(s.DFRewrites)+" rewritten")
	rules("df", s.DFRules)
	line("drops", counted(s.Drops))
	s.reportFindings(line)
	line("failures", counted(s.LocalFailures))
	s.reportLog(line)
	if s.Sent != nil {
		line("sent", s.Sent.String())
	}
	return b.String()
}

// reportFindings reports each finding by line, which takes the name of a line, if it is the first
// of its kind, and the text.
func (s Status) reportFindings(line func(name, text string)) {
	for i, f := range s.Findings {
		name := ""
		if i == 0 {
			name = "findings"
		}
		line(name, strings.Join(append([]string{format.FindingPlace(&f)}, format.FindingDetails(&f)...), ", "))
	}
}

// reportLog reports on the log, and on the owners, names and stores of its records.
func (s Status) reportLog(line func(name, text string)) {
	log := fmt.Sprintf("%d records, lost: %s", s.LogRecords, counted(s.LogLost))
	if n := s.Drops["waiting"] + s.Drops["refused"]; n > 0 {
		log += fmt.Sprintf("; %d SYNs kept out while it could not be written", n)
	}
	line("log", log)
	switch o := s.Owners; {
	case o == nil:
	case o.Error != "":
		line("owners", "cannot be found: "+o.Error)
	default:
		line("owners", fmt.Sprintf("%d found, not found: %s", o.Found, counted(o.NotFound)))
		if len(o.Lacks) > 0 {
			line("", "processes of other users cannot be found without "+strings.Join(o.Lacks, " and "))
		}
	}
	if n := s.Names; n != nil {
		line("names", fmt.Sprintf("addresses %d, in use %d, evicted %d", n.Addresses, n.InUse, n.Evicted))
	}
	for i := range s.Fleet {
		name := ""
		if i == 0 {
			name = "fleet"
		}
		line(name, s.Fleet[i].String())
	}
}

// Up is how long the router has been running, in whole seconds.
func (s Status) Up() time.Duration {
	return time.Duration(s.Uptime * float64(time.Second)).Truncate(time.Second)
}

// String returns the counts in words.
func (s *Sent) String() string {
	if s.Error != "" {
		return "not compared with records: " + s.Error
	}
	text := fmt.Sprintf("%d flows, %d of the router's own, %d unrecorded", s.Flows, s.Own, s.Unrecorded)
	if s.Unjudged > 0 {
		text += fmt.Sprintf(", %d not judged", s.Unjudged)
	}
	if s.Missed > 0 {
		text += fmt.Sprintf(", %d not seen", s.Missed)
	}
	if s.Closed {
		text += "; nothing new leaves: restart the service"
	}
	return text
}

// String returns both counts, bytes with a unit.
func (t Traffic) String() string {
	bytes, unit := float64(t.Bytes), "B"
	for _, larger := range []string{"kB", "MB", "GB", "TB"} {
		if bytes < 1000 {
			break
		}
		bytes, unit = bytes/1000, larger
	}
	return fmt.Sprintf("%d frames, %.4g %s", t.Frames, bytes, unit)
}

// String returns all three with a unit.
func (m Memory) String() string {
	mib := func(n int64) float64 { return float64(n) / (1 << 20) }
	return fmt.Sprintf("%.1f MiB held, %.1f MiB reserved, limit %.0f MiB", mib(m.Held), mib(m.Reserved), mib(m.Limit))
}

// counted lists the counters that are not zero, the largest first.
func counted(counts map[string]uint64) string {
	words := slices.Sorted(maps.Keys(counts))
	slices.SortStableFunc(words, func(a, b string) int { return cmp.Compare(counts[b], counts[a]) })
	var list []string
	for _, word := range words {
		if n := counts[word]; n > 0 {
			list = append(list, fmt.Sprintf("%s %d", word, n))
		}
	}
	return cmp.Or(strings.Join(list, ", "), "none")
}
