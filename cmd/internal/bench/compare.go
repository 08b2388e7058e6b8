package main

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// baseOf returns the name of the router that is a variant of syntap as another revision has it, ""
// for other routers.
func baseOf(name string) string {
	suffix, ok := strings.CutPrefix(name, "syntap")
	if !ok {
		return ""
	}
	return "base" + suffix
}

// ratio returns the geometric mean of the ratios of two routers' values, each of one round of
// turns, and its standard error, NaN where there is but one. ok is false where there is none.
func ratio(of, to []float64) (mean, err float64, ok bool) {
	var logs []float64
	for i := range min(len(of), len(to)) {
		if of[i] > 0 && to[i] > 0 {
			logs = append(logs, math.Log(of[i]/to[i]))
		}
	}
	n := float64(len(logs))
	if n == 0 {
		return 0, 0, false
	}
	for _, l := range logs {
		mean += l / n
	}
	for _, l := range logs {
		err += (l - mean) * (l - mean)
	}
	mean = math.Exp(mean)
	return mean, mean * math.Sqrt(err/(n-1)/n), true
}

// changes returns a table of the ratios of syntap's figures to its base's, "" where no base was
// measured.
func (r *report) changes() string {
	rows := [][]string{{""}, {"---"}}
	var compared []string
	for _, c := range r.routers {
		if base := baseOf(c.name); base != "" && r.has(base) {
			compared = append(compared, c.name)
			rows[0] = append(rows[0], c.name+" / "+base)
			rows[1] = append(rows[1], "---:")
		}
	}
	if len(compared) == 0 {
		return ""
	}
	for _, figure := range r.figures {
		row := []string{figure}
		for _, name := range compared {
			cell := "–"
			if mean, err, ok := ratio(r.results[name][figure], r.results[baseOf(name)][figure]); ok {
				if cell = fmt.Sprintf("%.3f", mean); !math.IsNaN(err) {
					cell += fmt.Sprintf(" ± %.3f", err)
				}
			}
			row = append(row, cell)
		}
		if slices.ContainsFunc(row[1:], func(cell string) bool { return cell != "–" }) {
			rows = append(rows, row)
		}
	}
	const what = "The geometric mean of the ratios within each round of turns, and its standard error.\n\n"
	return "\n## Against the base\n\n" + what + aligned(rows)
}
