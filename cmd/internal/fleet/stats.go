package fleet

import (
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"syntap/cmd/internal/logfile"
	"syntap/cmd/internal/record"
)

// Stats are the counters of one store since the start, and its present state.
type Stats struct {
	Name          string            `json:"name"` // in metrics
	URL           string            `json:"url"`
	Records       uint64            `json:"records"`   // sent, each once
	Confirmed     uint64            `json:"confirmed"` // seq of the last record that the store is proven to have, with all before it
	Behind        uint64            `json:"behind"`    // records of the log behind that
	BehindSeconds float64           `json:"behind_seconds"`
	Resent        map[string]uint64 `json:"resent"`     // sent again, by reason
	Duplicates    uint64            `json:"duplicates"` // that the store has more than once
	Refused       uint64            `json:"refused"`    // that it does not keep
	Lost          uint64            `json:"lost"`       // removed before it had them
	Forks         uint64            `json:"forks"`      // times that the log has got another name
	SpoolBytes    int64             `json:"spool_bytes"`
	Error         string            `json:"error,omitempty"` // why nothing is sent at present
}

// Host returns the store's host and port.
func (s *Stats) Host() string {
	first, _, _ := strings.Cut(s.URL, ",") // of the nodes of a cluster
	u, err := url.Parse(first)
	if err != nil {
		return s.URL
	}
	return u.Host
}

// String returns the state for people.
func (s *Stats) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s has all up to seq %d", s.Host(), s.Confirmed)
	if s.Behind > 0 {
		fmt.Fprintf(&b, ", %d records behind", s.Behind)
		if s.BehindSeconds > 0 {
			fmt.Fprintf(&b, " (%v)", time.Duration(s.BehindSeconds*float64(time.Second)).Round(time.Second))
		}
	}
	for _, c := range []struct {
		n    uint64
		what string
	}{
		{s.Resent["unclear"] + s.Resent["forgotten"], "sent again"},
		{s.Duplicates, "there more than once"},
		{s.Refused, "refused"},
		{s.Lost, "removed before it had them"},
		{s.Forks, "forks"},
	} {
		if c.n > 0 {
			fmt.Fprintf(&b, ", %d %s", c.n, c.what)
		}
	}
	if s.Error != "" {
		b.WriteString(": " + s.Error)
	}
	return b.String()
}

// Stats returns the state of each store.
func (s *Shipper) Stats() []Stats {
	newest, _ := record.SeqOf(logfile.LastLine(s.o.Path))
	var all []Stats
	for _, one := range s.ships {
		c := one.counters
		now := Stats{
			Name: one.name, URL: one.url, Records: c.records.Load(), Confirmed: c.confirmed.Load(),
			Resent:     map[string]uint64{"unclear": c.unclear.Load(), "forgotten": c.forgotten.Load()},
			Duplicates: c.duplicates.Load(), Refused: c.refused.Load(), Lost: c.lost.Load(), Forks: c.forks.Load(),
		}
		if newest > now.Confirmed {
			now.Behind = newest - now.Confirmed
			if oldest := c.oldest.Load(); oldest > 0 {
				now.BehindSeconds = max(0, time.Since(time.UnixMicro(oldest)).Seconds())
			}
		}
		now.SpoolBytes = s.spool(now.Confirmed)
		if text := c.failing.Load(); text != nil {
			now.Error = *text
		}
		all = append(all, now)
	}
	return all
}

// spool returns the size of the files with records behind one.
func (s *Shipper) spool(confirmed uint64) (bytes int64) {
	files, err := logfile.Files(s.o.Path)
	if err != nil {
		return 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	known := s.firsts
	s.firsts = make(map[string]uint64)
	for i, file := range slices.Backward(files) {
		if info, err := os.Stat(file); err == nil {
			bytes += info.Size()
		}
		if i == len(files)-1 {
			continue // the present one: its name is another file's after a rotation
		}
		plain := strings.TrimSuffix(file, ".gz")
		first, ok := known[plain]
		if !ok {
			first, _ = record.FirstSeq(file)
		}
		s.firsts[plain] = first
		if first > 0 && first <= confirmed+1 {
			break
		}
	}
	return bytes
}
