// Package formattest holds lines against the facts of the schemas that package format writes for:
// names of fields, their types, and the values of enumerations. The facts stand in files beside it,
// with their sources. It is for tests.
package formattest

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
)

//go:embed ocsf-1.8.0.txt
var ocsfFacts string

//go:embed ecs-9.4.0.txt
var ecsFacts string

//go:embed zeek-conn.txt
var zeekFacts string

var (
	ocsf = sync.OnceValue(readOCSF)
	ecs  = sync.OnceValue(readECS)
	zeek = sync.OnceValue(func() [][]string { return words(zeekFacts) })
)

// OCSF returns an error unless a line is an event of OCSF 1.8.0.
func OCSF(line []byte) error { return check(line, ocsf().check) }

// ECS returns an error unless a line is a document of ECS 9.4.0.
func ECS(line []byte) error { return check(line, ecs().check) }

// Zeek returns an error unless a line is one of Zeek's conn.log.
func Zeek(line []byte) error {
	return check(line, func(event map[string]any) []string { return checkZeek(zeek(), event) })
}

// check returns an error unless a line is one of JSON without mistakes.
func check(line []byte, mistakes func(map[string]any) []string) error {
	d := json.NewDecoder(bytes.NewReader(line))
	d.UseNumber()
	var event map[string]any
	if err := d.Decode(&event); err != nil {
		return fmt.Errorf("%w: %s", err, line)
	}
	if !bytes.HasSuffix(line, []byte("}\n")) || bytes.Count(line, []byte("\n")) != 1 {
		return fmt.Errorf("not one line: %q", line)
	}
	if wrong := mistakes(event); len(wrong) > 0 {
		return errors.New(strings.Join(wrong, "; ") + ": " + string(line))
	}
	return nil
}

// words returns the lines of facts as words, without comments.
func words(facts string) (lines [][]string) {
	for line := range strings.Lines(facts) {
		if !strings.HasPrefix(line, "#") {
			lines = append(lines, strings.Fields(line))
		}
	}
	return lines
}
