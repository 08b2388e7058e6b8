package main

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Routers that nothing needs to be installed for.
const (
	direct   = "direct"
	baseline = "relay"
)

// report is a finished run.
type report struct {
	date        time.Time
	command     string      // that repeats it
	machine     [][2]string // name, value
	routers     []column
	figures     []string // the rows of the table
	repetitions int
	results     results
	notes       []string
}

// column is a router as the report describes it.
type column struct {
	name, about, version, command, config string
}

// String returns the report in Markdown.
func (r *report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Benchmark\n\nMeasured on %s by\n\n    %s\n\n", r.date.UTC().Format(time.DateOnly), r.command)
	for _, m := range r.machine {
		fmt.Fprintf(&b, "- %s: %s\n", m[0], m[1])
	}
	fmt.Fprintf(&b, "\n## Figures\n\nThe median of %d", r.repetitions)
	if r.has(baseline) {
		fmt.Fprintf(&b, ", and in brackets its ratio to %s", baseline)
	}
	b.WriteString(".\n\n" + r.table(r.medianOf))
	b.WriteString(r.changes())
	b.WriteString("\n" + howToRead)
	if r.repetitions > 1 {
		b.WriteString("\n## Spread\n\nThe least and the greatest value.\n\n" + r.table(r.spreadOf))
	}
	b.WriteString("\n## Routers\n\n")
	b.WriteString("Each is started anew for each case.\n\n")
	for _, c := range r.routers {
		b.WriteString(c.String())
	}
	if len(r.notes) > 0 {
		b.WriteString("## What went wrong\n\n")
		for _, note := range r.notes {
			fmt.Fprintf(&b, "- %s\n", strings.ReplaceAll(note, "\n", "; "))
		}
	}
	return b.String()
}

const howToRead = `Client, router and server share the cores, on one machine whose speed drifts: only ratios within this table mean
something, and those that the spread below does not cover. CPU seconds per GB, the time of the router's own threads
for 10⁹ bytes that have arrived, and CPU µs for each connection or round trip are the robust figures; throughput also
depends on what the others of the three get.
*relay* copies between two kernel sockets without a TUN and is the limit, *direct* has no router at all. UDP is sent
as fast as it can be, and counted where it arrives. "–" stands for a case that a router does not have, or failed in.
The method and its pitfalls: [cmd/internal/bench](cmd/internal/bench/doc.go).
`

// String returns the description of a router as an item of a list.
func (c column) String() string {
	s := fmt.Sprintf("- **%s**: %s", c.name, c.about)
	if c.version != "" {
		s += "; " + c.version
	}
	s += "\n"
	if c.command != "" {
		text := strings.TrimSpace(c.command + "\n" + c.config)
		s += "\n      " + strings.ReplaceAll(text, "\n", "\n      ") + "\n\n"
	}
	return s
}

func (r *report) has(router string) bool {
	return slices.ContainsFunc(r.routers, func(c column) bool { return c.name == router })
}

// medianOf returns a cell of the table of medians.
func (r *report) medianOf(router, figure string) string {
	m, ok := median(r.results[router][figure])
	if !ok {
		return "–"
	}
	cell := number(m)
	if base, ok := median(r.results[baseline][figure]); ok && base > 0 && router != baseline {
		cell += fmt.Sprintf(" (%s)", number(m/base))
	}
	return cell
}

// spreadOf returns a cell of the table of spreads.
func (r *report) spreadOf(router, figure string) string {
	values := r.results[router][figure]
	if len(values) == 0 {
		return "–"
	}
	return number(slices.Min(values)) + "–" + number(slices.Max(values))
}

// table returns a table of all figures and routers.
func (r *report) table(cell func(router, figure string) string) string {
	rows := [][]string{{""}, {"---"}}
	for _, c := range r.routers {
		rows[0] = append(rows[0], c.name)
		rows[1] = append(rows[1], "---:")
	}
	for _, figure := range r.figures {
		row := []string{figure}
		for _, c := range r.routers {
			row = append(row, cell(c.name, figure))
		}
		rows = append(rows, row)
	}
	return aligned(rows)
}

// aligned returns a table of Markdown that can be read as it is.
func aligned(rows [][]string) string {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	var b strings.Builder
	for _, row := range rows {
		for i, cell := range row {
			pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if i == 0 {
				fmt.Fprintf(&b, "| %s%s |", cell, pad)
			} else {
				fmt.Fprintf(&b, " %s%s |", pad, cell)
			}
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// number returns a figure with as many digits as mean something.
func number(v float64) string {
	switch {
	case v < 9.995:
		return fmt.Sprintf("%.2f", v)
	case v < 99.95:
		return fmt.Sprintf("%.1f", v)
	case v < 999.5:
		return fmt.Sprintf("%.0f", v)
	}
	digits := fmt.Sprintf("%.0f", math.Round(v))
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}
