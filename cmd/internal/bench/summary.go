package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"syntap/cmd/internal/hint"
)

// marks are the lines between which this program writes into a file.
var marks = [2]string{"<!-- Written by make bench: -->", "<!-- make bench ends here. -->"}

// fill writes a text between the marks of a file.
func fill(path, text string) error {
	file, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	head, rest, begun := strings.Cut(string(file), marks[0]+"\n")
	_, tail, ended := strings.Cut(rest, marks[1]+"\n")
	if !begun || !ended {
		err := fmt.Errorf("write into %s: %w", path, errUnmarked)
		return hint.Fail(err, "give it the lines "+strings.Join(marks[:], " and "))
	}
	text = head + marks[0] + "\n\n" + strings.TrimSpace(text) + "\n\n" + marks[1] + "\n" + tail
	return os.WriteFile(path, []byte(text), 0o644)
}

var errUnmarked = errors.New("it has no place for that")

// summaryRows are the rows of the short table, with the figures in each.
var summaryRows = []struct {
	name    string
	figures []string
}{
	{"1 stream up / down, Gbit/s", []string{"1 stream up, Gbit/s", "1 stream down, Gbit/s"}},
	{"8 streams up / down, Gbit/s", []string{"8 streams up, Gbit/s", "8 streams down, Gbit/s"}},
	{"CPU seconds per GB, 1 up / down", []string{
		"1 stream up, CPU seconds per GB", "1 stream down, CPU seconds per GB",
	}},
	{"connections per second", []string{"connections per second"}},
	{"TLS connections per second", []string{"TLS connections per second"}},
	{"TCP round trips per second", []string{"TCP round trips per second"}},
	{"the same beside 8 streams down", []string{"TCP round trips beside 8 streams down per second"}},
	{"UDP round trips per second", []string{"UDP round trips per second"}},
	{"UDP up / down, Gbit/s", []string{"UDP up, Gbit/s", "UDP down, Gbit/s"}},
	{"QUIC up / down, Gbit/s", []string{"QUIC up, Gbit/s", "QUIC down, Gbit/s"}},
	{idleMemory, []string{idleMemory}},
}

// summary returns the short form of the report in Markdown.
func (r *report) summary() string {
	peers := r.peers()
	rows := [][]string{{""}, {"---"}}
	for _, c := range peers {
		rows[0] = append(rows[0], c.name)
		rows[1] = append(rows[1], "---:")
	}
	for _, s := range summaryRows {
		row := []string{s.name}
		for _, c := range peers {
			var cells []string
			for _, figure := range s.figures {
				cell := "–"
				if m, ok := median(r.results[c.name][figure]); ok {
					cell = number(m)
				}
				cells = append(cells, cell)
			}
			row = append(row, strings.Join(cells, " / "))
		}
		rows = append(rows, row)
	}
	return fmt.Sprintf("Measured on %s, medians of %d:\n\n", r.day(), r.repetitions) + aligned(rows)
}
