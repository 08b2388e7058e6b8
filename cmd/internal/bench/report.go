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

const idleMemory = "memory per idle connection, KiB"

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

	variant bool // of syntap; it has a table with syntap
}

// String returns the report in Markdown.
func (r *report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "## Figures\n\nMeasured on %s by\n\n    %s\n\n", r.day(), r.command)
	for _, m := range r.machine {
		fmt.Fprintf(&b, "- %s: %s\n", m[0], m[1])
	}
	fmt.Fprintf(&b, "\nThe median of %d", r.repetitions)
	if r.has(baseline) {
		fmt.Fprintf(&b, ", and in brackets its ratio to %s", baseline)
	}
	if r.has(direct) {
		fmt.Fprintf(&b, ", of UDP and QUIC to %s", direct)
	}
	b.WriteString(".\n\n" + r.table(r.peers(), r.medianOf))
	variants := r.variants()
	if len(variants) > 0 {
		b.WriteString("\n## What each part costs\n\n" +
			"syntap with one thing on or off, and in brackets the ratio to syntap as it is above.\n\n" +
			r.table(variants, r.medianOf))
	}
	b.WriteString(r.changes())
	if r.repetitions > 1 {
		b.WriteString("\n## Spread\n\nThe least and the greatest value.\n\n")
		b.WriteString(r.table(r.peers(), r.spreadOf))
		if len(variants) > 0 {
			b.WriteString("\n" + r.table(variants, r.spreadOf))
		}
	}
	b.WriteString("\n## Routers\n\n" +
		"Each is started anew for each case. MTU is 1500 or as the case has it, SOURCES are host and\n" +
		"the network of a gateway's client, RULES a thousand rules that do not match.\n\n")
	for _, c := range r.routers {
		b.WriteString(c.String())
	}
	if len(r.notes) > 0 {
		b.WriteString("\n## What went wrong\n\n")
		for _, note := range r.notes {
			fmt.Fprintf(&b, "- %s\n", strings.ReplaceAll(note, "\n", "; "))
		}
	}
	return b.String()
}

func (r *report) day() string { return r.date.UTC().Format(time.DateOnly) }

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
	if base, ok := median(r.results[r.comparedTo(router, figure)][figure]); ok && base > 0 {
		cell += fmt.Sprintf(" (%s)", number(m/base))
	}
	return cell
}

// comparedTo returns the router that another's figure is compared to: a variant's to that of
// syntap, others to that of the plain relay, or of no router where a relay has none.
func (r *report) comparedTo(router, figure string) string {
	if name, _, ok := strings.Cut(router, "-"); ok && r.isVariant(router) {
		return name
	}
	for _, limit := range []string{baseline, direct} {
		if router == limit {
			return ""
		}
		if len(r.results[limit][figure]) > 0 {
			return limit
		}
	}
	return ""
}

func (r *report) isVariant(router string) bool {
	return slices.ContainsFunc(r.routers, func(c column) bool { return c.name == router && c.variant })
}

// peers returns the routers of the first table.
func (r *report) peers() []column {
	return slices.DeleteFunc(slices.Clone(r.routers), func(c column) bool { return c.variant })
}

// variants returns the routers of the second table.
func (r *report) variants() []column {
	return slices.DeleteFunc(slices.Clone(r.routers), func(c column) bool { return !c.variant })
}

// spreadOf returns a cell of the table of spreads.
func (r *report) spreadOf(router, figure string) string {
	values := r.results[router][figure]
	if len(values) == 0 {
		return "–"
	}
	return number(slices.Min(values)) + "–" + number(slices.Max(values))
}

// table returns a table of the figures of routers. Figures that none has are left out.
func (r *report) table(routers []column, cell func(router, figure string) string) string {
	rows := [][]string{{""}, {"---"}}
	for _, c := range routers {
		rows[0] = append(rows[0], c.name)
		rows[1] = append(rows[1], "---:")
	}
	for _, figure := range r.figures {
		row := []string{figure}
		measured := false
		for _, c := range routers {
			row = append(row, cell(c.name, figure))
			measured = measured || len(r.results[c.name][figure]) > 0
		}
		if measured {
			rows = append(rows, row)
		}
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
