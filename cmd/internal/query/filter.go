package query

import (
	"net/netip"
	"slices"
	"time"

	"syntap/cmd/internal/record"
)

// Filter says which records are wanted. The zero value takes all.
type Filter struct {
	Since, Until time.Time      // zero = open
	Src, Dst     []netip.Prefix // none = any, as with the rest
	Ports        []uint16       // of the server
	Outcomes     []string
	Processes    []string // names
}

// layout is that of times in records: as text they are in order.
const layout = "2006-01-02T15:04:05.000000Z"

// matcher is a filter made ready.
type matcher struct {
	Filter
	since, until string
}

func newMatcher(f Filter) *matcher {
	m := &matcher{Filter: f}
	if !f.Since.IsZero() {
		m.since = f.Since.UTC().Format(layout)
	}
	if !f.Until.IsZero() {
		m.until = f.Until.UTC().Format(layout)
	}
	return m
}

// match reports whether a record is wanted.
func (m *matcher) match(l *record.Line) bool {
	if m.since != "" || m.until != "" {
		at := instant(string(l.Get(record.Time)))
		if at < m.since || m.until != "" && at >= m.until {
			return false
		}
	}
	if len(m.Ports) > 0 {
		port, ok := l.Number(record.DPort)
		if !ok || port > 65535 || !slices.Contains(m.Ports, uint16(port)) {
			return false
		}
	}
	return within(l.Get(record.Src), m.Src) && within(l.Get(record.Dst), m.Dst) &&
		among(l.Get(record.Outcome), m.Outcomes) && among(l.Get(record.Process), m.Processes)
}

// instant returns a time as ours stand in records; others may have another zone, or other
// fractions.
func instant(at string) string {
	if len(at) == len(layout) && at[len(at)-1] == 'Z' {
		return at
	}
	t, err := time.Parse(time.RFC3339Nano, at)
	if err != nil {
		return at
	}
	return t.UTC().Format(layout)
}

func within(value []byte, prefixes []netip.Prefix) bool {
	if len(prefixes) == 0 {
		return true
	}
	addr, err := netip.ParseAddr(string(value))
	return err == nil && slices.ContainsFunc(prefixes, func(p netip.Prefix) bool { return p.Contains(addr) })
}

func among(value []byte, values []string) bool {
	if len(values) == 0 {
		return true
	}
	return value != nil && slices.Contains(values, record.Unquote(value))
}
